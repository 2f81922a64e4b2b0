// What an ending thread does to the locks that it holds: robust lists (get_robust_list(2),
// Documentation/locking/robust-futexes.rst of Linux) and locks that others wait for.
#include <linux/futex.h>

#include <optional>

#include "sandbox/kernel/futex.h"
#include "sandbox/kernel/kernel.h"
#include "sandbox/mm/user_ptr.h"

namespace caisson::sandbox::kernel {
namespace {

using mm::UserPtr;

constexpr int kMostEntries = 2048;  // ROBUST_LIST_LIMIT: the list may be a circle

struct ListHead {  // struct robust_list_head
  std::uint64_t first = 0;
  std::int64_t offset = 0;
  std::uint64_t pending = 0;
};

}  // namespace

void FutexTable::release_robust(Task& task, std::uint64_t address, bool is_lock) {
  if (address % 4 != 0) return;
  auto own = static_cast<std::uint32_t>(task.id());
  mm::MemoryMap& memory = task.memory();
  for (;;) {
    auto word = UserPtr<std::uint32_t>(address).load(memory);
    if (!word || (*word & FUTEX_TID_MASK) != own) return;
    // Those who wait for ownership get it from release_waited_for().
    if (is_lock && (*word & FUTEX_WAITERS) != 0) return;
    std::uint32_t left = (*word & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
    auto seen = memory.compare_exchange(&task.thread(), address, *word, left);
    if (!seen) return;
    if (*seen != *word) continue;
    if ((*word & FUTEX_WAITERS) != 0)
      (void)wake(memory, {address, false}, 1, FUTEX_BITSET_MATCH_ANY);  // nothing more can be done
    return;
  }
}

void FutexTable::release_robust_list(Task& task) {
  if (task.robust_list == 0) return;
  mm::MemoryMap& memory = task.memory();
  auto head = UserPtr<ListHead>(task.robust_list).load(memory);
  if (!head) return;
  // The lowest bit of an entry says that it is a lock with an owner.
  auto release = [&](std::uint64_t entry) {
    std::uint64_t place = (entry & ~std::uint64_t{1}) + static_cast<std::uint64_t>(head->offset);
    release_robust(task, place, (entry & 1) != 0);
  };
  std::uint64_t entry = head->first;
  for (int i = 0; i < kMostEntries && (entry & ~std::uint64_t{1}) != task.robust_list; ++i) {
    auto next = UserPtr<std::uint64_t>(entry & ~std::uint64_t{1}).load(memory);
    if (entry != head->pending) release(entry);
    if (!next) return;
    entry = *next;
  }
  if (head->pending != 0) release(head->pending);
}

void FutexTable::release_all(Task& task) {
  release_robust_list(task);
  if (task.owns_pi_futex.load(std::memory_order_acquire)) release_waited_for(task);
}

}  // namespace caisson::sandbox::kernel

// Futexes of the guest (futex(2), futex(7)). The words stand in guest memory and are read and
// changed there; the queues of those who wait stand here, by the key that the memory map gives.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

#include "base/mutex.h"
#include "base/result.h"
#include "sandbox/kernel/block.h"
#include "sandbox/mm/memory_map.h"

namespace caisson::sandbox::kernel {

class Task;

struct FutexAddress {
  std::uint64_t address = 0;
  bool is_private = false;
};

struct FutexWait {  // one of futex_waitv(2)
  FutexAddress where;
  std::uint32_t expected = 0;
};

class FutexTable {
 public:
  FutexTable() = default;
  FutexTable(const FutexTable&) = delete;
  FutexTable& operator=(const FutexTable&) = delete;

  // FUTEX_WAIT, FUTEX_WAIT_BITSET. EAGAIN: the word is another; ETIMEDOUT; kRestart.
  ErrnoOr<> wait(Task& task, FutexAddress where, std::uint32_t expected, std::uint32_t bitset,
                 Deadline deadline);
  // futex_waitv(2): the index of one that was woken.
  ErrnoOr<int> wait_any(Task& task, std::span<const FutexWait> waits, Deadline deadline);
  // FUTEX_WAKE, FUTEX_WAKE_BITSET: how many were woken.
  ErrnoOr<int> wake(mm::MemoryMap& memory, FutexAddress where, int count, std::uint32_t bitset);
  struct Requeue {
    FutexAddress from, to;
    int wake = 0, move = 0;
    bool compare = false;
    std::uint32_t expected = 0;
  };
  // FUTEX_REQUEUE, FUTEX_CMP_REQUEUE: how many were woken and moved.
  ErrnoOr<int> requeue(Task& task, const Requeue& request);
  // FUTEX_WAKE_OP; `operation` is encoded as there.
  ErrnoOr<int> wake_operation(Task& task, FutexAddress first, FutexAddress second, int first_count,
                              int second_count, std::uint32_t operation);

  // Locks with an owner (FUTEX_LOCK_PI ...). Waiters get it in the order they came. EDEADLK, ESRCH,
  // EPERM, EAGAIN (trylock), ETIMEDOUT, kRestart.
  ErrnoOr<> lock(Task& task, FutexAddress where, Deadline deadline, bool only_try);
  ErrnoOr<> unlock(Task& task, FutexAddress where);

  // What a thread leaves behind: its robust list (get_robust_list(2)) and locks that others wait
  // for. Called by the ending task while it still has its memory.
  void release_all(Task& task);

 private:
  struct Waiter;
  struct Bucket {
    Mutex mutex;
    Waiter* first = nullptr;
    Waiter* last = nullptr;
  };
  using Key = mm::MemoryMap::FutexKey;
  static constexpr std::size_t kBuckets = 256;

  Bucket& bucket_of(const Key& key);
  static void push(Bucket& bucket, Waiter& waiter);
  static void take_out(Bucket& bucket, Waiter& waiter);
  static void wake_waiter(Bucket& bucket, Waiter& waiter);
  bool leave(Waiter& waiter);
  static int wake_in(Bucket& bucket, const Key& key, int count, std::uint32_t bitset);
  static Waiter* first_locker(Bucket& bucket, const Key& key, const Waiter* after = nullptr);
  ErrnoOr<bool> try_lock(Task& task, FutexAddress where, Bucket& bucket, Waiter& waiter);
  struct Place {  // how a word is reached
    mm::MemoryMap& memory;
    platform::Thread* via;
    std::uint64_t address;
  };
  static ErrnoOr<> hand_over(const Place& place, Bucket& bucket, const Key& key, std::uint32_t word,
                             std::uint32_t extra);
  static void hand_on(Task& ending, Bucket& bucket, Waiter& next);
  void release_robust_list(Task& task);
  void release_robust(Task& task, std::uint64_t address, bool is_lock);
  void release_waited_for(Task& task);

  std::array<Bucket, kBuckets> buckets_;
};

}  // namespace caisson::sandbox::kernel

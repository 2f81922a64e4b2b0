// What a touch of memory that the host does not have makes: stacks grow, files that grew are shown
// further, the rest is a signal.
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include "sandbox/mm/memory_map.h"

namespace caisson::sandbox::mm {
namespace {

constexpr std::uint32_t kPageFault = 14;                  // x86-64: the trap's number,
constexpr std::uint32_t kForWriting = 2, kForFetch = 16;  // bits of its error code
// The initial stack grows by this much at a time: each growth costs an order to the host.
constexpr std::uint64_t kStackStep = 128 << 10;
// So often a fault that the mappings allow may come again in a row before it is the guest's.
constexpr int kMostSpurious = 64;

bool is_allowed(const Mapping& mapping, const platform::Fault& fault) {
  if (fault.trap != kPageFault) return fault.code == SEGV_MAPERR;
  if ((fault.error & kForWriting) != 0) return (mapping.protection & PROT_WRITE) != 0;
  if ((fault.error & kForFetch) != 0) return (mapping.protection & PROT_EXEC) != 0;
  return mapping.protection != PROT_NONE;
}

FaultOutcome signal_of(int signal, int code) { return {false, signal, code}; }

}  // namespace

FaultOutcome MemoryMap::handle_fault(platform::Thread& via, const platform::Fault& fault,
                                     const MemoryLimits& limits) {
  bool is_ours =
      fault.signal == SIGSEGV && (fault.code == SEGV_MAPERR || fault.code == SEGV_ACCERR);
  if (!is_ours) return signal_of(fault.signal, fault.code);
  Locked lock(mutex_);
  limits_ = limits;
  const Mapping* mapping = tree_.find(fault.address);
  if (mapping == nullptr) {
    if (fault.address < space_->limit() && grow_stack(&via, fault.address)) return {true, 0, 0};
    return signal_of(SIGSEGV, SEGV_MAPERR);
  }
  if (!is_allowed(*mapping, fault)) return signal_of(SIGSEGV, SEGV_ACCERR);
  if (fault.address >= mapping->backed_end) {
    if (show_more(&via, *mapping, fault.address)) return {true, 0, 0};
    return signal_of(SIGBUS, BUS_ADRERR);
  }
  // Another thread was faster, or the host knows less than it should: it is told once more.
  std::uint64_t page = page_down(fault.address);
  spurious_count_ = spurious_page_ == page ? spurious_count_ + 1 : 0;
  spurious_page_ = page;
  if (mapping->special || spurious_count_ > kMostSpurious)
    return signal_of(fault.signal, fault.code);
  if (spurious_count_ > 0) (void)space_->protect(&via, page, kPageSize, mapping->protection);
  return {true, 0, 0};
}

// Linux: expand_downwards() and acct_stack_growth() of mm/vma.c.
bool MemoryMap::grow_stack(platform::Thread* via, std::uint64_t address) {
  auto above = tree_.first_above(address);
  if (above == tree_.end() || !above->second.grows_down || address < kLowestAddress) return false;
  const Mapping& stack = above->second;
  if (stack.sealed || page_down(address) >= stack.begin) return false;
  std::uint64_t least = kLowestAddress;
  if (above != tree_.begin()) {
    const Mapping& below = std::prev(above)->second;
    bool keeps_clear = !below.grows_down && below.protection != PROT_NONE;
    least = std::max(least, below.end + (keeps_clear ? kStackGuardGap : 0));
  }
  if (limits_.stack < stack.end) least = std::max(least, page_up(stack.end - limits_.stack));
  std::uint64_t begin = page_down(address);
  if (begin < least) return false;
  bool is_initial = layout_.stack_begin != 0 && stack.holds(layout_.stack_begin - 1);
  if (is_initial) begin = std::max(least, begin - std::min(begin, kStackStep));
  std::uint64_t length = stack.begin - begin;
  if (!may_grow(length, false, limits_) || (stack.locked && !may_lock(length, limits_)))
    return false;
  Mapping grown = part_of(stack, stack.begin, stack.begin);
  grown.begin = begin;
  grown.backed_end = grown.end;
  return place(via, std::move(grown)).has_value();
}

// Pages of a file that came into being since its end was last looked at.
bool MemoryMap::show_more(platform::Thread* via, const Mapping& mapping, std::uint64_t address) {
  std::uint64_t reached = mapping.begin + backed_length(mapping, mapping.length());
  if (reached <= address) return false;
  if (!order_map(via, mapping, mapping.backed_end, reached)) return false;
  tree_.change(mapping.begin, mapping.end, [&](Mapping& part) { part.backed_end = reached; });
  return true;
}

// Makes sure that a copy can go on at `address`; false: the guest has nothing there.
bool MemoryMap::make_present(std::uint64_t address) {
  Locked lock(mutex_);
  const Mapping* mapping = tree_.find(address);
  if (mapping == nullptr) return grow_stack(nullptr, address);
  return address >= mapping->backed_end && show_more(nullptr, *mapping, address);
}

}  // namespace caisson::sandbox::mm

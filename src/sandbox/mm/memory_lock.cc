// mlock(2) and its family. Memory is locked for the guest's books and limits; that its pages are
// there is asked of the host, that they stay is the host's to decide.
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

#include "sandbox/mm/memory_map.h"

namespace caisson::sandbox::mm {

ErrnoOr<> MemoryMap::lock(std::uint64_t address, std::uint64_t length, bool on,
                          const MemoryLimits& limits, bool on_fault) {
  if (on && limits.locked == 0) return std::unexpected(Errno{EPERM});
  std::uint64_t begin = page_down(address), reach = length + (address - begin);
  std::uint64_t end = begin + page_up(reach);
  if (reach < length || end < begin || (reach != 0 && page_up(reach) == 0))
    return std::unexpected(Errno{on ? ENOMEM : EINVAL});
  if (begin == end) return {};
  std::vector<Mapping> parts;
  {
    Locked lock(mutex_);
    if (on && !may_lock_range(begin, end, limits)) return std::unexpected(Errno{ENOMEM});
    TRY(mark_locked(begin, end, on, on_fault));
    for (auto at = tree_.first_above(begin); at != tree_.end() && at->second.begin < end; ++at)
      parts.push_back(
          part_of(at->second, std::max(at->second.begin, begin), std::min(at->second.end, end)));
  }
  if (!on || on_fault) return {};
  for (const Mapping& part : parts) {
    if (part.protection == PROT_NONE || part.backed_end != part.end)
      return std::unexpected(Errno{ENOMEM});
    populate(nullptr, part);
  }
  return {};
}

// What is locked already in the range does not count twice.
bool MemoryMap::may_lock_range(std::uint64_t begin, std::uint64_t end,
                               const MemoryLimits& limits) const {
  std::uint64_t more = end - begin;
  if (may_lock(more, limits)) return true;
  for (auto at = tree_.first_above(begin); at != tree_.end() && at->second.begin < end; ++at)
    if (at->second.locked)
      more -= std::min(at->second.end, end) - std::max(at->second.begin, begin);
  return may_lock(more, limits);
}

// Up to the first hole.
ErrnoOr<> MemoryMap::mark_locked(std::uint64_t begin, std::uint64_t end, bool on, bool on_fault) {
  std::uint64_t reached = begin;
  for (auto at = tree_.first_above(begin); at != tree_.end() && at->second.begin <= reached; ++at) {
    reached = std::min(at->second.end, end);
    if (reached == end) break;
  }
  if (reached > begin)
    tree_.change(begin, reached, [&](Mapping& mapping) {
      mapping.locked = on && !mapping.special;
      mapping.lock_on_fault = mapping.locked && on_fault;
    });
  if (reached < end) return std::unexpected(Errno{ENOMEM});
  return {};
}

ErrnoOr<> MemoryMap::lock_all(int flags, const MemoryLimits& limits) {
  if (flags == 0 || (flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) != 0 ||
      flags == MCL_ONFAULT)
    return std::unexpected(Errno{EINVAL});
  if (limits.locked == 0) return std::unexpected(Errno{EPERM});
  bool on_fault = (flags & MCL_ONFAULT) != 0;
  std::vector<Mapping> all;
  {
    Locked lock(mutex_);
    bool current = (flags & MCL_CURRENT) != 0;
    if (current && tree_.totals().total > limits.locked) return std::unexpected(Errno{ENOMEM});
    lock_future_ = (flags & MCL_FUTURE) != 0;
    lock_future_on_fault_ = lock_future_ && on_fault;
    if (!current) return {};
    tree_.change(0, ~std::uint64_t{0}, [&](Mapping& mapping) {
      mapping.locked = !mapping.special;
      mapping.lock_on_fault = mapping.locked && on_fault;
    });
    for (const auto& [begin, mapping] : tree_) all.push_back(mapping);
  }
  if (on_fault) return {};
  for (const Mapping& mapping : all)
    if (!mapping.special) populate(nullptr, mapping);
  return {};
}

void MemoryMap::unlock_all() {
  Locked lock(mutex_);
  lock_future_ = lock_future_on_fault_ = false;
  tree_.change(0, ~std::uint64_t{0},
               [](Mapping& mapping) { mapping.locked = mapping.lock_on_fault = false; });
}

}  // namespace caisson::sandbox::mm

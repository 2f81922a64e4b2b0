// mprotect(2) and mseal(2).
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

#include "sandbox/mm/memory_map.h"

namespace caisson::sandbox::mm {
namespace {

constexpr int kSemaphore = 0x8;  // PROT_SEM: for machines without coherent atomics
constexpr int kAllProtection = PROT_READ | PROT_WRITE | PROT_EXEC;

}  // namespace

ErrnoOr<> MemoryMap::protect(platform::Thread* via, std::uint64_t address, std::uint64_t length,
                             int protection, const MemoryLimits& limits) {
  int grows = protection & (PROT_GROWSDOWN | PROT_GROWSUP);
  protection &= ~(PROT_GROWSDOWN | PROT_GROWSUP);
  if (grows == (PROT_GROWSDOWN | PROT_GROWSUP) || !page_aligned(address))
    return std::unexpected(Errno{EINVAL});
  if (length == 0) return {};
  std::uint64_t end = address + page_up(length);
  if (end <= address) return std::unexpected(Errno{ENOMEM});
  if ((protection & ~(kAllProtection | kSemaphore)) != 0) return std::unexpected(Errno{EINVAL});
  protection &= kAllProtection;
  if (end > space_->limit()) return std::unexpected(Errno{ENOMEM});
  Locked lock(mutex_);
  auto first = tree_.first_above(address);
  if (first == tree_.end()) return std::unexpected(Errno{ENOMEM});
  if (grows == PROT_GROWSDOWN) {
    if (first->second.begin >= end) return std::unexpected(Errno{ENOMEM});
    if (!first->second.grows_down) return std::unexpected(Errno{EINVAL});
    address = first->second.begin;
  } else if (first->second.begin > address) {
    return std::unexpected(Errno{ENOMEM});
  } else if (grows == PROT_GROWSUP) {
    return std::unexpected(Errno{EINVAL});
  }
  // What stands before the first obstacle is changed, as Linux does it.
  ErrnoOr<> obstacle = {};
  std::uint64_t stop = protectable_until(address, end, protection, limits, obstacle);
  if (stop > address) TRY(protect_range(via, address, stop, protection));
  return obstacle;
}

std::uint64_t MemoryMap::protectable_until(std::uint64_t begin, std::uint64_t end, int protection,
                                           const MemoryLimits& limits, ErrnoOr<>& obstacle) const {
  auto stop_with = [&](int error) { obstacle = std::unexpected(Errno{error}); };
  std::uint64_t reached = begin, new_data = 0;
  for (auto at = tree_.first_above(begin); reached < end; ++at) {
    if (at == tree_.end() || at->second.begin > reached) {
      stop_with(ENOMEM);
      break;
    }
    const Mapping& mapping = at->second;
    Mapping changed = part_of(mapping, reached, std::min(mapping.end, end));
    changed.protection = protection;
    if ((protection & ~mapping.max_protection) != 0) {
      stop_with(EACCES);
      break;
    }
    if (mapping.sealed) {
      stop_with(EPERM);
      break;
    }
    if (counts_as_data(changed) && !counts_as_data(mapping)) new_data += changed.length();
    bool splits = changed.begin > mapping.begin || changed.end < mapping.end;
    bool too_many = splits && tree_.size() >= kMostMappings;
    if (too_many || (new_data != 0 && !may_grow_data(new_data, limits))) {
      stop_with(ENOMEM);
      break;
    }
    reached = changed.end;
  }
  return reached;
}

bool MemoryMap::may_grow_data(std::uint64_t bytes, const MemoryLimits& limits) const {
  return bytes <= limits.data && tree_.totals().data <= limits.data - bytes;
}

ErrnoOr<> MemoryMap::protect_range(platform::Thread* via, std::uint64_t begin, std::uint64_t end,
                                   int protection) {
  auto set = [&](std::uint64_t from, std::uint64_t to) {
    tree_.change(from, to, [&](Mapping& mapping) { mapping.protection = protection; });
  };
  bool same = true;
  for (auto at = tree_.first_above(begin); at != tree_.end() && at->second.begin < end; ++at)
    same = same && at->second.protection == protection;
  if (same) return {};
  for (const Stretch& stretch : backed_stretches(begin, end)) {
    TRY(space_->protect(via, stretch.begin, stretch.end - stretch.begin, protection));
    set(stretch.begin, stretch.end);
  }
  set(begin, end);  // parts without pages on the host as well
  return {};
}

ErrnoOr<> MemoryMap::seal(std::uint64_t address, std::uint64_t length) {
  if (!page_aligned(address)) return std::unexpected(Errno{EINVAL});
  std::uint64_t end = address + page_up(length);
  if (end < address || (length != 0 && page_up(length) == 0)) return std::unexpected(Errno{EINVAL});
  if (end == address) return {};
  Locked lock(mutex_);
  if (tree_.bytes_in(address, end) != end - address) return std::unexpected(Errno{ENOMEM});
  tree_.change(address, end, [](Mapping& mapping) { mapping.sealed = true; });
  return {};
}

}  // namespace caisson::sandbox::mm

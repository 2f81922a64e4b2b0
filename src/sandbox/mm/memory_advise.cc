// madvise(2): what drops or fills pages is the host's to do, what changes attributes is ours.
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "sandbox/mm/memory_map.h"

namespace caisson::sandbox::mm {
namespace {

// <asm-generic/mman-common.h> of newer kernels than the C library's header.
constexpr int kDontNeedLocked = 24;  // MADV_DONTNEED_LOCKED
constexpr int kCollapse = 25;        // MADV_COLLAPSE
constexpr int kSoftOffline = 101;    // MADV_SOFT_OFFLINE

bool is_known(int advice) {
  switch (advice) {
    case MADV_NORMAL:
    case MADV_RANDOM:
    case MADV_SEQUENTIAL:
    case MADV_WILLNEED:
    case MADV_DONTNEED:
    case MADV_FREE:
    case MADV_REMOVE:
    case MADV_DONTFORK:
    case MADV_DOFORK:
    case MADV_MERGEABLE:
    case MADV_UNMERGEABLE:
    case MADV_HUGEPAGE:
    case MADV_NOHUGEPAGE:
    case MADV_DONTDUMP:
    case MADV_DODUMP:
    case MADV_WIPEONFORK:
    case MADV_KEEPONFORK:
    case MADV_COLD:
    case MADV_PAGEOUT:
    case MADV_POPULATE_READ:
    case MADV_POPULATE_WRITE:
    case kDontNeedLocked:
    case kCollapse: return true;
    default: return false;
  }
}

bool drops(int advice) {
  return advice == MADV_DONTNEED || advice == MADV_FREE || advice == kDontNeedLocked;
}
bool fills(int advice) { return advice == MADV_POPULATE_READ || advice == MADV_POPULATE_WRITE; }

// Of MADV_FREE and the like: what the pages of a mapping must be. 0 or the error.
int unsuitable(const Mapping& mapping, int advice) {
  bool is_private = !mapping.shared && mapping.anonymous();
  switch (advice) {
    case MADV_DONTNEED:
    case MADV_COLD:
    case MADV_PAGEOUT: return mapping.locked ? EINVAL : 0;
    case MADV_FREE: return is_private && !mapping.locked ? 0 : EINVAL;
    case MADV_WIPEONFORK: return is_private && !mapping.special ? 0 : EINVAL;
    case MADV_REMOVE:
      if (mapping.locked || !mapping.file) return EINVAL;
      return mapping.shared && (mapping.max_protection & PROT_WRITE) != 0 ? 0 : EACCES;
    case MADV_DOFORK: return mapping.special ? EINVAL : 0;
    case MADV_POPULATE_READ: return mapping.protection == PROT_NONE ? EINVAL : 0;
    case MADV_POPULATE_WRITE: return (mapping.protection & PROT_WRITE) == 0 ? EINVAL : 0;
    default: return 0;
  }
}

// Whether sealed memory refuses it: it would lose what the guest may not write (mseal(2)).
bool loses_sealed(const Mapping& mapping, int advice) {
  if (!mapping.sealed || mapping.shared || (mapping.protection & PROT_WRITE) != 0) return false;
  return advice == MADV_DONTNEED || advice == MADV_FREE || advice == MADV_REMOVE ||
         advice == MADV_DONTFORK || advice == MADV_WIPEONFORK || advice == kDontNeedLocked;
}

void set_attribute(Mapping& mapping, int advice) {
  Advice& kept = mapping.advice;
  switch (advice) {
    case MADV_NORMAL: kept.random = kept.sequential = false; break;
    case MADV_RANDOM: kept.random = true, kept.sequential = false; break;
    case MADV_SEQUENTIAL: kept.sequential = true, kept.random = false; break;
    case MADV_DONTFORK: mapping.dont_fork = true; break;
    case MADV_DOFORK: mapping.dont_fork = false; break;
    case MADV_WIPEONFORK: mapping.wipe_on_fork = true; break;
    case MADV_KEEPONFORK: mapping.wipe_on_fork = false; break;
    case MADV_DONTDUMP: kept.no_dump = true; break;
    case MADV_DODUMP: kept.no_dump = false; break;
    case MADV_MERGEABLE: kept.mergeable = true; break;
    case MADV_UNMERGEABLE: kept.mergeable = false; break;
    case MADV_HUGEPAGE: kept.huge = true, kept.no_huge = false; break;
    case MADV_NOHUGEPAGE: kept.no_huge = true, kept.huge = false; break;
    default: break;
  }
}

enum class Does : std::uint8_t { kNothing, kAttribute, kHost, kHint };

Does what_it_does(int advice) {
  switch (advice) {
    case MADV_WILLNEED:
    case MADV_REMOVE: return Does::kNothing;
    case MADV_DONTNEED:
    case MADV_FREE:
    case kDontNeedLocked:
    case MADV_POPULATE_READ:
    case MADV_POPULATE_WRITE: return Does::kHost;
    case MADV_COLD:
    case MADV_PAGEOUT:
    case kCollapse: return Does::kHint;
    default: return Does::kAttribute;
  }
}

}  // namespace

ErrnoOr<> MemoryMap::advise(platform::Thread* via, std::uint64_t address, std::uint64_t length,
                            int advice) {
  if (advice == MADV_HWPOISON || advice == kSoftOffline)
    return std::unexpected(Errno{EPERM});  // the host's memory is nobody's here to spoil
  if (!is_known(advice) || !page_aligned(address)) return std::unexpected(Errno{EINVAL});
  std::uint64_t end = address + page_up(length);
  if (end < address || (length != 0 && page_up(length) == 0)) return std::unexpected(Errno{EINVAL});
  if (end == address) return {};
  bool hole = false;
  std::vector<Mapping> removed;
  Locked lock(mutex_);
  for (std::uint64_t at = address; at < end;) {
    auto next = tree_.first_above(at);
    if (next == tree_.end() || next->second.begin >= end) {
      hole = true;
      break;
    }
    hole = hole || next->second.begin > at;
    Mapping part =
        part_of(next->second, std::max(next->second.begin, at), std::min(next->second.end, end));
    if (hole && fills(advice)) break;
    TRY(advise_part(via, part, advice));
    at = part.end;
    if (advice == MADV_REMOVE) removed.push_back(std::move(part));
  }
  lock.unlock();
  // Files have locks of their own, which they hold while they copy to and from address spaces.
  for (const Mapping& part : removed)
    TRY(part.file->allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, part.offset,
                            part.length()));
  if (hole) return std::unexpected(Errno{ENOMEM});
  return {};
}

ErrnoOr<> MemoryMap::advise_part(platform::Thread* via, const Mapping& part, int advice) {
  if (loses_sealed(part, advice)) return std::unexpected(Errno{EPERM});
  if (int error = unsuitable(part, advice)) return std::unexpected(Errno{error});
  switch (what_it_does(advice)) {
    case Does::kNothing: return {};
    case Does::kHost:
      if (drops(advice) && !part.shared && image_pages_.touches(part.begin, part.backed_end))
        return drop_pages(via, part);
      if (part.backed_end != part.begin)
        TRY(space_->advise(via, part.begin, part.backed_end - part.begin, advice));
      if (fills(advice) && part.backed_end != part.end) return std::unexpected(Errno{EFAULT});
      return {};
    case Does::kHint:
      if (part.backed_end != part.begin)
        (void)space_->advise(via, part.begin, part.backed_end - part.begin, advice);
      return {};
    case Does::kAttribute: break;
  }
  bool for_host = advice == MADV_HUGEPAGE || advice == MADV_NOHUGEPAGE;
  if (for_host && part.backed_end != part.begin)  // a hint: the host may have none
    (void)space_->advise(via, part.begin, part.backed_end - part.begin, advice);
  tree_.change(part.begin, part.end, [&](Mapping& mapping) { set_attribute(mapping, advice); });
  return {};
}

}  // namespace caisson::sandbox::mm

// mmap(2).
#include <linux/mman.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "sandbox/mm/memory_map.h"
#include "sandbox/mm/shared_memory.h"

namespace caisson::sandbox::mm {
namespace {

constexpr int kTypeMask = 0x0f;
constexpr int kDroppable = 0x08;  // MAP_DROPPABLE: memory that the kernel may take away
constexpr std::uint64_t kHugePage = 2ULL << 20;
constexpr std::uint64_t kLowBegin = 0x40000000, kLowEnd = 0x80000000;  // MAP_32BIT
#ifndef MAP_32BIT
#define MAP_32BIT 0
#endif
constexpr int kAllProtection = PROT_READ | PROT_WRITE | PROT_EXEC;

// What mmap(2) knew before flags were checked; MAP_SHARED_VALIDATE refuses all others.
constexpr int kKnownFlags = MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_DENYWRITE |
                            MAP_EXECUTABLE | MAP_UNINITIALIZED | MAP_GROWSDOWN | MAP_LOCKED |
                            MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK | MAP_STACK | MAP_HUGETLB |
                            MAP_32BIT | MAP_FIXED_NOREPLACE | (MAP_HUGE_MASK << MAP_HUGE_SHIFT);

bool forbids_execution(const vfs::File& file) {
  return file.path().mount && (file.path().mount->flags() & MS_NOEXEC) != 0;
}

// Huge pages exist in their sizes, but the pool of them is empty.
Errno refuse_huge(const MapCall& call) {
  int size = call.flags >> MAP_HUGE_SHIFT & MAP_HUGE_MASK;
  bool known = size == 0 || size == 21 || size == 30;
  return Errno{call.file || !known ? EINVAL : ENOMEM};
}

ErrnoOr<> check_shared_file(const MapCall& call, Mapping& mapping) {
  if ((call.protection & PROT_WRITE) != 0 && !call.file->writable())
    return std::unexpected(Errno{EACCES});
  mapping.shared = true;
  if (!call.file->writable()) mapping.max_protection &= ~PROT_WRITE;
  return {};
}

ErrnoOr<> check_file(const MapCall& call, Mapping& mapping) {
  switch (call.flags & kTypeMask) {
    case MAP_SHARED_VALIDATE:
      if ((call.flags & ~(kKnownFlags | MAP_SHARED_VALIDATE)) != 0)
        return std::unexpected(Errno{EOPNOTSUPP});
      TRY(check_shared_file(call, mapping));
      break;
    case MAP_SHARED: TRY(check_shared_file(call, mapping)); break;
    case MAP_PRIVATE: break;
    default: return std::unexpected(Errno{EINVAL});
  }
  if (!call.file->readable()) return std::unexpected(Errno{EACCES});
  if (forbids_execution(*call.file)) {
    if ((call.protection & PROT_EXEC) != 0) return std::unexpected(Errno{EPERM});
    mapping.max_protection &= ~PROT_EXEC;
  }
  return {};
}

ErrnoOr<> check_anonymous(const MapCall& call, Mapping& mapping) {
  switch (call.flags & kTypeMask) {
    case MAP_SHARED:
      if (mapping.grows_down) return std::unexpected(Errno{EINVAL});
      mapping.shared = true;
      return {};
    case MAP_PRIVATE: return {};
    case kDroppable:
      if (mapping.grows_down || (call.flags & MAP_LOCKED) != 0)
        return std::unexpected(Errno{EINVAL});
      mapping.no_reserve = mapping.wipe_on_fork = mapping.advice.no_dump = true;
      return {};
    default: return std::unexpected(Errno{EINVAL});
  }
}

}  // namespace

// The mapping without its place: begin is 0, end its length.
ErrnoOr<Mapping> MemoryMap::draft(const MapCall& call, std::uint64_t length) {
  Mapping mapping;
  mapping.protection = call.protection & kAllProtection;
  mapping.max_protection = kAllProtection;
  mapping.grows_down = (call.flags & MAP_GROWSDOWN) != 0;
  mapping.no_reserve = (call.flags & MAP_NORESERVE) != 0;
  mapping.name = call.name;
  mapping.end = length;
  if ((call.flags & MAP_HUGETLB) != 0) return std::unexpected(refuse_huge(call));
  if (call.file) {
    TRY(check_file(call, mapping));
    mapping.file = call.file;
    mapping.offset = call.offset;
    mapping.source = TRY(source_of(mapping, call.offset, length));
    if (mapping.source.kept) mapping.file = std::move(mapping.source.kept);
    if (mapping.grows_down) return std::unexpected(Errno{EINVAL});
  } else {
    TRY(check_anonymous(call, mapping));
  }
  if (mapping.shared && mapping.anonymous()) {
    mapping.file = TRY(SharedMemory::create(length));
    mapping.offset = 0;
    mapping.source = TRY(source_of(mapping, 0, length));
  }
  return mapping;
}

ErrnoOr<std::uint64_t> MemoryMap::map(platform::Thread* via, const MapCall& call,
                                      const MemoryLimits& limits) {
  if (call.length == 0 || !page_aligned(call.offset)) return std::unexpected(Errno{EINVAL});
  std::uint64_t length = page_up(call.length);
  if (length == 0) return std::unexpected(Errno{ENOMEM});
  if (call.file && call.offset + length < call.offset) return std::unexpected(Errno{EOVERFLOW});
  // Asked without the lock: a file may need its own locks. What is wrong with the address is told
  // first all the same.
  ErrnoOr<Mapping> draft = MemoryMap::draft(call, length);
  if (draft) observe(draft->source.end);
  Hold hold(*this);
  limits_ = limits;
  if (tree_.size() > kMostMappings) return std::unexpected(Errno{ENOMEM});
  std::uint64_t address = TRY(choose_address(call, length));
  bool asked_to_lock = (call.flags & MAP_LOCKED) != 0;
  TRY(check_lock(asked_to_lock, length, limits));
  if (!draft) return std::unexpected(draft.error());
  Mapping& mapping = *draft;
  mapping.begin = address;
  mapping.end += address;
  mapping.backed_end = address + backed_length(mapping, length);
  mapping.locked = asked_to_lock || lock_future_;
  mapping.lock_on_fault = !asked_to_lock && lock_future_on_fault_;
  std::uint64_t replaced = tree_.bytes_in(address, mapping.end);
  if (!may_grow(length - replaced, counts_as_data(mapping), limits))
    return std::unexpected(Errno{ENOMEM});
  if (any_sealed(address, mapping.end)) return std::unexpected(Errno{EPERM});
  bool fill = (call.flags & (MAP_POPULATE | MAP_NONBLOCK)) == MAP_POPULATE ||
              (mapping.locked && !mapping.lock_on_fault);
  Mapping placed = mapping;
  TRY(place(via, std::move(mapping)));
  hold.unlock();
  if (fill) populate(via, placed);
  return address;
}

// Touches the pages of a new mapping. What cannot be read now will be told at the guest's touch.
void MemoryMap::populate(platform::Thread* via, const Mapping& mapping) {
  if (mapping.protection == PROT_NONE || mapping.backed_end == mapping.begin) return;
  bool for_writing = (mapping.protection & PROT_WRITE) != 0;
  (void)space_->advise(via, mapping.begin, mapping.backed_end - mapping.begin,
                       for_writing ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
}

ErrnoOr<> MemoryMap::check_lock(bool asked, std::uint64_t length,
                                const MemoryLimits& limits) const {
  if (asked && limits.locked == 0) return std::unexpected(Errno{EPERM});
  if ((asked || lock_future_) && !may_lock(length, limits)) return std::unexpected(Errno{EAGAIN});
  return {};
}

ErrnoOr<std::uint64_t> MemoryMap::choose_address(const MapCall& call, std::uint64_t length) {
  std::uint64_t limit = space_->limit();
  if (length > limit) return std::unexpected(Errno{ENOMEM});
  std::uint64_t address = call.address;
  if ((call.flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) != 0) {
    if (address > limit - length) return std::unexpected(Errno{ENOMEM});
    if (!page_aligned(address)) return std::unexpected(Errno{EINVAL});
    if (address < kLowestAddress) return std::unexpected(Errno{EPERM});
    bool keeps = (call.flags & MAP_FIXED_NOREPLACE) != 0;
    if (keeps && tree_.touches(address, address + length)) return std::unexpected(Errno{EEXIST});
    return address;
  }
  address = page_down(address);
  if (address != 0) address = std::max(address, kLowestAddress);
  bool low = (call.flags & MAP_32BIT) != 0;
  if (low) limit = kLowEnd;
  if (address != 0 && length <= limit && address <= limit - length &&
      is_free(tree_, address, length))
    return address;
  if (low) {
    auto found = find_gap_up(tree_, {.length = length, .low = kLowBegin, .high = kLowEnd});
    if (!found) return std::unexpected(Errno{ENOMEM});
    return *found;
  }
  // The host then has huge pages for it.
  bool as_huge = !call.file && (call.flags & kTypeMask) == MAP_PRIVATE && length % kHugePage == 0;
  if (as_huge)
    if (ErrnoOr<std::uint64_t> found = find_room(length, kHugePage)) return found;
  return find_room(length, kPageSize);
}

ErrnoOr<std::uint64_t> MemoryMap::find_place(std::uint64_t length, std::uint64_t alignment) {
  if (length == 0 || length > space_->limit()) return std::unexpected(Errno{ENOMEM});
  Locked lock(mutex_);
  return find_room(length, alignment);
}

ErrnoOr<std::uint64_t> MemoryMap::find_room(std::uint64_t length, std::uint64_t alignment) {
  GapSearch search{.length = length, .alignment = alignment};
  if (!areas_.bottom_up) {
    search.low = kLowestAddress;
    search.high = full_from_;
    if (auto gap = find_gap_down(tree_, search)) {
      full_from_ = gap->full_from;
      return gap->address;
    }
  }
  search.low = areas_.map_bottom;
  search.high = areas_.limit;
  if (auto address = find_gap_up(tree_, search)) return *address;
  return std::unexpected(Errno{ENOMEM});
}

}  // namespace caisson::sandbox::mm

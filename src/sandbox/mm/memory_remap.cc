// mremap(2).
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "sandbox/mm/memory_map.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

namespace caisson::sandbox::mm {
namespace {

bool overlap(std::uint64_t a, std::uint64_t a_length, std::uint64_t b, std::uint64_t b_length) {
  return a < b + b_length && b < a + a_length;
}

}  // namespace

ErrnoOr<> MemoryMap::check_remap(const RemapCall& call) const {
  bool fixed = (call.flags & MREMAP_FIXED) != 0, keeps = (call.flags & MREMAP_DONTUNMAP) != 0;
  std::uint64_t limit = space_->limit();
  bool wrong = (call.flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0 ||
               !page_aligned(call.address) || call.new_length == 0 || call.new_length > limit;
  if (fixed || keeps) wrong = wrong || (call.flags & MREMAP_MAYMOVE) == 0;
  if (keeps) wrong = wrong || call.old_length != call.new_length;
  if (fixed)
    wrong = wrong || !page_aligned(call.new_address) ||
            call.new_address > limit - call.new_length ||
            overlap(call.address, call.old_length, call.new_address, call.new_length);
  if (wrong) return std::unexpected(Errno{EINVAL});
  return {};
}

// What it says about the mapping that is to change.
ErrnoOr<> MemoryMap::check_remapped(const RemapCall& call, const Mapping& mapping,
                                    const MemoryLimits& limits) const {
  if (mapping.sealed) return std::unexpected(Errno{EPERM});
  if (call.old_length == 0 && !mapping.shared) return std::unexpected(Errno{EINVAL});
  if (mapping.special || mapping.end - call.address < call.old_length)
    return std::unexpected(Errno{EFAULT});
  bool twice = (call.flags & MREMAP_DONTUNMAP) != 0;
  if (twice && !may_grow(call.new_length, counts_as_data(mapping), limits))
    return std::unexpected(Errno{ENOMEM});
  if (call.new_length <= call.old_length) return {};
  std::uint64_t more = call.new_length - call.old_length;
  std::uint64_t offset = mapping.offset + (call.address - mapping.begin);
  if (mapping.file && offset + call.new_length < offset) return std::unexpected(Errno{EINVAL});
  if (mapping.locked && !may_lock(more, limits)) return std::unexpected(Errno{EAGAIN});
  if (!may_grow(more, counts_as_data(mapping), limits)) return std::unexpected(Errno{ENOMEM});
  return {};
}

ErrnoOr<std::uint64_t> MemoryMap::remap(platform::Thread* via, std::uint64_t address,
                                        std::uint64_t old_length, std::uint64_t new_length,
                                        int flags, std::uint64_t new_address,
                                        const MemoryLimits& limits) {
  RemapCall call{address, page_up(old_length), page_up(new_length), flags, new_address};
  TRY(check_remap(call));
  Hold hold(*this);
  limits_ = limits;
  const Mapping* mapping = tree_.find(address);
  if (mapping == nullptr) return std::unexpected(Errno{EFAULT});
  TRY(check_remapped(call, *mapping, limits));
  bool locked = mapping->locked && !mapping->lock_on_fault;
  std::uint64_t result = TRY(remap_checked(via, call, part_of(*mapping, address, mapping->end)));
  const Mapping* moved = tree_.find(result);
  if (moved == nullptr) return result;
  Mapping placed = part_of(*moved, result, std::min(result + call.new_length, moved->end));
  peak_total_ = std::max(peak_total_, tree_.totals().total);
  hold.unlock();
  if (locked && call.new_length > call.old_length) populate(via, placed);
  return result;
}

// `mapping` begins at the address of the call.
ErrnoOr<std::uint64_t> MemoryMap::remap_checked(platform::Thread* via, const RemapCall& call,
                                                const Mapping& mapping) {
  bool moves = (call.flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0;
  if (moves) return move_to(via, call, mapping);
  if (call.new_length <= call.old_length) {
    std::uint64_t kept = call.address + call.new_length;
    if (call.new_length < call.old_length)
      TRY(unmap_range(via, kept, call.address + call.old_length));
    return call.address;
  }
  std::uint64_t more = call.new_length - call.old_length;
  bool at_end = call.old_length != 0 && mapping.length() == call.old_length;
  bool fits = at_end && mapping.end <= space_->limit() - std::min(more, space_->limit()) &&
              is_free(tree_, mapping.end, more);
  if (fits) {
    Mapping grown = part_of(mapping, call.address, mapping.end);
    grown.end += more;
    Mapping added = part_of(grown, mapping.end, grown.end);
    added.backed_end = std::max(added.begin, call.address + backed_length(grown, grown.length()));
    TRY(place(via, std::move(added)));
    return call.address;
  }
  if ((call.flags & MREMAP_MAYMOVE) == 0) return std::unexpected(Errno{ENOMEM});
  return move_to(via, call, mapping);
}

ErrnoOr<std::uint64_t> MemoryMap::move_to(platform::Thread* via, const RemapCall& call,
                                          const Mapping& mapping) {
  if (tree_.size() + 2 >= kMostMappings - 3) return std::unexpected(Errno{ENOMEM});
  std::uint64_t to = call.new_address;
  if ((call.flags & MREMAP_FIXED) != 0) {
    if (to < kLowestAddress) return std::unexpected(Errno{EPERM});
    if (any_sealed(to, to + call.new_length)) return std::unexpected(Errno{EPERM});
    TRY(unmap_range(via, to, to + call.new_length));
    if (call.new_length < call.old_length)
      TRY(unmap_range(via, call.address + call.new_length, call.address + call.old_length));
  } else {
    MapCall place_like;
    if ((call.flags & MREMAP_DONTUNMAP) != 0) place_like.address = call.new_address;
    place_like.flags = mapping.shared ? MAP_SHARED : MAP_PRIVATE;
    place_like.file = mapping.file;
    to = TRY(choose_address(place_like, call.new_length));
  }
  std::uint64_t kept_length = std::min(call.old_length, call.new_length);
  Mapping moved = part_of(mapping, call.address, call.address + kept_length);
  std::uint64_t backed = moved.backed_end - moved.begin;
  moved.begin = to;
  moved.end = to + call.new_length;
  moved.backed_end = to + backed;
  moved.sealed = false;
  return move_pages(via, call, std::move(moved), kept_length);
}

// The new part comes first: when the host has no room for it, nothing has moved yet.
ErrnoOr<std::uint64_t> MemoryMap::move_pages(platform::Thread* via, const RemapCall& call,
                                             Mapping moved, std::uint64_t kept_length) {
  std::uint64_t to = moved.begin, backed = moved.backed_end - to;
  if (moved.length() > kept_length) {
    std::uint64_t reached = to + backed_length(moved, moved.length());
    if (reached > moved.backed_end) {
      TRY(order_map(via, moved, moved.backed_end, reached));
      moved.backed_end = reached;
    }
  }
  bool keeps = (call.flags & MREMAP_DONTUNMAP) != 0;
  if (backed != 0) {
    ErrnoOr<> done = order_move(via, call.address, backed, to, keeps);
    if (!done) {
      if (moved.backed_end > to + backed)
        (void)space_->unmap(via, to + backed, moved.backed_end - to - backed);
      return std::unexpected(done.error());
    }
  }
  if (image_pages_.touches(call.address, call.address + backed)) {
    image_pages_.add(to, to + backed);
    if (keeps)
      TRY(drop_pages(via,
                     part_of(*tree_.find(call.address), call.address, call.address + kept_length)));
  }
  if (keeps)
    tree_.change(call.address, call.address + kept_length,
                 [](Mapping& old) { old.locked = old.lock_on_fault = false; });
  else if (kept_length != 0)
    erase(call.address, call.address + kept_length);
  tree_.insert(std::move(moved));
  return to;
}

// What is one mapping here may be several on the host, which moves only one at a time (EFAULT): its
// seams are found by halving. What has moved goes back when the rest cannot.
ErrnoOr<> MemoryMap::order_move(platform::Thread* via, std::uint64_t from, std::uint64_t length,
                                std::uint64_t to, bool keeps) {
  ErrnoOr<> done = space_->move(via, from, length, to, length, keeps);
  if (done || done.error().value != EFAULT || length <= kPageSize) return done;
  std::uint64_t half = page_down(length / 2);
  TRY(order_move(via, from, half, to, keeps));
  done = order_move(via, from + half, length - half, to + half, keeps);
  if (!done) (void)order_move(via, to, half, from, false);
  return done;
}

}  // namespace caisson::sandbox::mm

// Copies between the kernel and the guest. The host checks what the guest may read and write; here
// is decided how far the guest's memory goes.
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "sandbox/mm/memory_map.h"

namespace caisson::sandbox::mm {

// How many of `length` bytes from `address` on are the guest's to name: the platform's own memory
// stands above the limit.
std::size_t MemoryMap::within_limit(std::uint64_t address, std::size_t length) const {
  std::uint64_t limit = space_->limit();
  if (address >= limit) return 0;
  return static_cast<std::size_t>(std::min<std::uint64_t>(length, limit - address));
}

std::size_t MemoryMap::readable_length(std::uint64_t address, std::size_t length) const {
  if (address < space_->limit()) return within_limit(address, length);
  Locked lock(mutex_);
  const Mapping* shown = tree_.find(address);  // the vDSO
  if (shown == nullptr) return 0;
  return static_cast<std::size_t>(std::min<std::uint64_t>(length, shown->end - address));
}

// `once(done)` copies on from there. A copy stops where nothing can be made present.
template <typename Once>
ErrnoOr<std::size_t> MemoryMap::copy(std::uint64_t address, std::size_t length, Once once) {
  std::size_t done = 0;
  while (done < length) {
    ErrnoOr<std::size_t> part = once(done);
    if (!part && part.error().value != EFAULT) return std::unexpected(part.error());
    if (part) done += *part;
    if (done >= length || !make_present(address + done)) break;
  }
  if (done == 0) return std::unexpected(Errno{EFAULT});
  return done;
}

ErrnoOr<std::size_t> MemoryMap::read(std::uint64_t address, std::span<std::byte> to) {
  if (to.empty()) return std::size_t{0};
  std::span<std::byte> part = to.first(readable_length(address, to.size()));
  return copy(address, part.size(),
              [&](std::size_t done) { return space_->read(address + done, part.subspan(done)); });
}

ErrnoOr<std::size_t> MemoryMap::write(std::uint64_t address, std::span<const std::byte> from) {
  if (from.empty()) return std::size_t{0};
  std::span<const std::byte> part = from.first(within_limit(address, from.size()));
  return copy(address, part.size(),
              [&](std::size_t done) { return space_->write(address + done, part.subspan(done)); });
}

ErrnoOr<std::string> MemoryMap::read_string(std::uint64_t address, std::size_t limit) {
  std::string text;
  std::byte chunk[512];
  while (text.size() < limit) {
    std::uint64_t from = address + text.size();
    // Up to the page's end: what is behind it may not be there, and need not be.
    std::size_t wanted = std::min({sizeof chunk, limit - text.size(),
                                   static_cast<std::size_t>(kPageSize - from % kPageSize)});
    std::size_t got = TRY(read(from, std::span(chunk, wanted)));
    const auto* end = static_cast<const std::byte*>(std::memchr(chunk, 0, got));
    std::size_t used = end != nullptr ? static_cast<std::size_t>(end - chunk) : got;
    text.append(reinterpret_cast<const char*>(chunk), used);
    if (end != nullptr) return text;
    if (got < wanted) return std::unexpected(Errno{EFAULT});
  }
  return std::unexpected(Errno{ENAMETOOLONG});
}

ErrnoOr<std::size_t> MemoryMap::write_forced(std::uint64_t address,
                                             std::span<const std::byte> from) {
  std::size_t length = within_limit(address, from.size());
  {
    Locked lock(mutex_);
    std::uint64_t reached = address, end = address + length;
    for (auto at = tree_.first_above(address); at != tree_.end() && reached < end; ++at) {
      const Mapping& mapping = at->second;
      bool open = !mapping.shared || (mapping.protection & PROT_WRITE) != 0;
      if (mapping.begin > reached || !open || mapping.special) break;
      reached = mapping.end;
    }
    length = static_cast<std::size_t>(std::min(reached, end) - address);
  }
  if (from.empty()) return std::size_t{0};
  return copy(address, length, [&](std::size_t done) {
    return space_->write_forced(address + done, from.subspan(done, length - done));
  });
}

ErrnoOr<std::uint32_t> MemoryMap::compare_exchange(platform::Thread* via, std::uint64_t address,
                                                   std::uint32_t expected, std::uint32_t desired) {
  if (address % sizeof(std::uint32_t) != 0 || within_limit(address, sizeof expected) == 0)
    return std::unexpected(Errno{EFAULT});
  for (;;) {
    ErrnoOr<std::uint32_t> was = space_->compare_exchange(via, address, expected, desired);
    if (was || was.error().value != EFAULT || !make_present(address)) return was;
  }
}

ErrnoOr<MemoryMap::FutexKey> MemoryMap::futex_key(std::uint64_t address, bool is_private) {
  if (address >= space_->limit()) return std::unexpected(Errno{EFAULT});
  if (is_private) return FutexKey{this, address};
  Locked lock(mutex_);
  const Mapping* mapping = tree_.find(address);
  if (mapping == nullptr || mapping->protection == PROT_NONE) return std::unexpected(Errno{EFAULT});
  if (!mapping->shared) return FutexKey{this, address};
  return FutexKey{mapping->file->shared_object(), mapping->offset + (address - mapping->begin)};
}

}  // namespace caisson::sandbox::mm

// Calls that ask about a range or note something about it: msync(2), mincore(2), PR_SET_VMA.
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "sandbox/mm/memory_map.h"

namespace caisson::sandbox::mm {

ErrnoOr<> MemoryMap::sync(std::uint64_t address, std::uint64_t length, int flags) {
  bool wrong = (flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) != 0 || !page_aligned(address) ||
               (flags & (MS_ASYNC | MS_SYNC)) == (MS_ASYNC | MS_SYNC);
  if (wrong) return std::unexpected(Errno{EINVAL});
  std::uint64_t end = address + page_up(length);
  if (end < address || (length != 0 && page_up(length) == 0)) return std::unexpected(Errno{ENOMEM});
  if (end == address) return {};
  std::vector<Ref<vfs::File>> files;
  std::uint64_t reached = address;
  bool hole = false;
  {
    Locked lock(mutex_);
    for (auto at = tree_.first_above(address); at != tree_.end() && at->second.begin < end; ++at) {
      const Mapping& mapping = at->second;
      if ((flags & MS_INVALIDATE) != 0 && mapping.locked) return std::unexpected(Errno{EBUSY});
      hole = hole || mapping.begin > reached;
      reached = mapping.end;
      bool writes_back = (flags & MS_SYNC) != 0 && mapping.shared && mapping.file;
      if (writes_back && (files.empty() || files.back() != mapping.file))
        files.push_back(mapping.file);
    }
  }
  for (const Ref<vfs::File>& file : files) {
    ErrnoOr<> done = file->sync(true);
    if (!done && done.error().value != EINVAL) return done;  // EINVAL: nothing to write back to
  }
  if (hole || reached < end) return std::unexpected(Errno{ENOMEM});
  return {};
}

// Of files all pages that there are: which of them the host's cache has is not told to the guest.
ErrnoOr<std::string> MemoryMap::resident_pages(std::uint64_t address, std::uint64_t length) {
  if (!page_aligned(address)) return std::unexpected(Errno{EINVAL});
  std::uint64_t limit = space_->limit();
  if (address > limit || length > limit - address) return std::unexpected(Errno{ENOMEM});
  length = page_up(length);
  Locked lock(mutex_);
  if (tree_.bytes_in(address, address + length) != length) return std::unexpected(Errno{ENOMEM});
  std::string pages(length / kPageSize, '\0');
  for (const Stretch& stretch : backed_stretches(address, address + length)) {
    auto at = pages.begin() + static_cast<std::ptrdiff_t>((stretch.begin - address) / kPageSize);
    std::uint64_t count = (stretch.end - stretch.begin) / kPageSize;
    const Mapping* mapping = tree_.find(stretch.begin);
    bool asks = figures_ != nullptr && mapping != nullptr && mapping->anonymous();
    std::string told;
    if (asks) told = figures_->pages(space_->host_pid(), stretch.begin, stretch.end).value_or("");
    if (told.size() == count)
      std::ranges::transform(told, at,
                             [](char page) -> char { return page & HostFigures::kPresent; });
    else
      std::fill_n(at, count, '\1');
  }
  return pages;
}

ErrnoOr<> MemoryMap::name_range(std::uint64_t address, std::uint64_t length, std::string name) {
  if (!page_aligned(address)) return std::unexpected(Errno{EINVAL});
  std::uint64_t end = address + page_up(length);
  if (end < address || (length != 0 && page_up(length) == 0)) return std::unexpected(Errno{EINVAL});
  if (end == address) return {};
  if (!name.empty()) name = "[anon:" + name + "]";
  Locked lock(mutex_);
  bool whole = tree_.bytes_in(address, end) == end - address;
  for (auto at = tree_.first_above(address); at != tree_.end() && at->second.begin < end; ++at)
    if (at->second.file || at->second.special) return std::unexpected(Errno{EBADF});
  tree_.change(address, end, [&](Mapping& mapping) { mapping.name = name; });
  if (!whole) return std::unexpected(Errno{ENOMEM});
  return {};
}

}  // namespace caisson::sandbox::mm

// proc_pid_pagemap(5), and Documentation/admin-guide/mm/pagemap.rst of Linux.
#include "sandbox/mm/present_pages.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

#include "base/text.h"
#include "sandbox/mm/mapping.h"
#include "sys/file.h"

namespace caisson::sandbox::mm {
namespace {

// <linux/fs.h> of newer kernels than the C library's header: struct page_region, pm_scan_arg.
struct PageRegion {
  std::uint64_t begin = 0, end = 0, categories = 0;
};
struct ScanRequest {
  std::uint64_t size = sizeof(ScanRequest);
  std::uint64_t flags = 0, begin = 0, end = 0, walk_end = 0;
  std::uint64_t regions = 0, region_count = 0;
  std::uint64_t most_pages = 0;
  std::uint64_t inverted = 0, required = 0, any_of = 0, returned = 0;
};
constexpr unsigned long kScan = 0xc0606610;  // PAGEMAP_SCAN
constexpr std::uint64_t kIsFile = 1 << 2, kIsPresent = 1 << 3, kIsSwapped = 1 << 4,
                        kIsZero = 1 << 5;

// Bits of an entry of the map itself.
constexpr std::uint64_t kPresent = 1ULL << 63, kSwapped = 1ULL << 62, kFile = 1ULL << 61;

void add(std::vector<PresentPages::Run>& runs, std::uint64_t begin, std::uint64_t end) {
  if (!runs.empty() && runs.back().end == begin)
    runs.back().end = end;
  else
    runs.push_back({begin, end});
}

}  // namespace

ErrnoOr<PresentPages> PresentPages::open(FdRef proc, pid_t process) {
  std::string name = cat(process, "/pagemap");
  return PresentPages(TRY(sys::openat(proc, name.c_str(), O_RDONLY)));
}

ErrnoOr<bool> PresentPages::scan(std::uint64_t begin, std::uint64_t end, std::vector<Run>& runs) {
  std::array<PageRegion, 512> regions;
  ScanRequest request;
  request.end = end;
  request.regions = reinterpret_cast<std::uint64_t>(regions.data());
  request.region_count = regions.size();
  request.inverted = kIsFile | kIsZero;
  request.required = kIsFile | kIsZero;
  request.any_of = kIsPresent | kIsSwapped;
  request.returned = kIsPresent | kIsSwapped;
  for (std::uint64_t at = begin; at < end;) {
    request.begin = at;
    auto found = sys::call(SYS_ioctl, map_.number(), kScan, &request);
    if (!found && (found.error().value == ENOTTY || found.error().value == EINVAL)) return false;
    if (!found) return std::unexpected(found.error());
    for (std::size_t i = 0; i < static_cast<std::size_t>(*found); ++i)
      add(runs, regions[i].begin, regions[i].end);
    if (request.walk_end <= at) break;
    at = request.walk_end;
  }
  return true;
}

ErrnoOr<> PresentPages::read_map(std::uint64_t begin, std::uint64_t end, std::vector<Run>& runs) {
  std::array<std::uint64_t, 4096> entries;
  for (std::uint64_t at = begin; at < end;) {
    std::size_t wanted = std::min<std::uint64_t>((end - at) / kPageSize, entries.size());
    long got = TRY(sys::call_retry(SYS_pread64, map_.number(), entries.data(),
                                   wanted * sizeof entries[0], at / kPageSize * sizeof entries[0]));
    auto pages = static_cast<std::size_t>(got) / sizeof entries[0];
    if (pages == 0) return std::unexpected(Errno{EIO});
    for (std::size_t i = 0; i < pages; ++i, at += kPageSize)
      if ((entries[i] & (kPresent | kSwapped)) != 0 && (entries[i] & kFile) == 0)
        add(runs, at, at + kPageSize);
  }
  return {};
}

ErrnoOr<std::vector<PresentPages::Run>> PresentPages::own_pages(std::uint64_t begin,
                                                                std::uint64_t end) {
  std::vector<Run> runs;
  if (scans_) {
    scans_ = TRY(scan(begin, end, runs));
    if (scans_) return runs;
    runs.clear();
  }
  TRY(read_map(begin, end, runs));
  return runs;
}

}  // namespace caisson::sandbox::mm

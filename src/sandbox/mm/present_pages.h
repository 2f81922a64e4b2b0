// Which private pages of a process exist: those that a checkpoint has to save.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace caisson::sandbox::mm {

class PresentPages {
 public:
  struct Run {
    std::uint64_t begin = 0, end = 0;  // addresses
  };
  // `proc`: the /proc that shows the process.
  static ErrnoOr<PresentPages> open(FdRef proc, pid_t process);
  // Pages of [begin, end) that are the process's own: neither untouched nor those of a file.
  ErrnoOr<std::vector<Run>> own_pages(std::uint64_t begin, std::uint64_t end);

 private:
  explicit PresentPages(Fd map) : map_(std::move(map)) {}
  ErrnoOr<bool> scan(std::uint64_t begin, std::uint64_t end, std::vector<Run>& runs);
  ErrnoOr<> read_map(std::uint64_t begin, std::uint64_t end, std::vector<Run>& runs);

  Fd map_;
  bool scans_ = true;  // the host has PAGEMAP_SCAN
};

}  // namespace caisson::sandbox::mm

// HostFigures: what the host's kernel tells of the memory of a stub: how much of it has pages, and
// which. By /proc of the jail, which shows this process and its stubs only.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace caisson::sandbox::mm {

struct ResidentBytes {
  std::uint64_t anonymous = 0, file = 0, shared = 0, peak = 0, page_tables = 0, swapped = 0;
  std::uint64_t total() const { return anonymous + file + shared; }
};

class HostFigures {
 public:
  // `proc`: the directory, kept open.
  explicit HostFigures(Fd proc) : proc_(std::move(proc)) {}

  // ESRCH: the process is gone.
  ErrnoOr<ResidentBytes> resident(pid_t process) const;
  // A byte per page of [begin, end): kPresent, kOfFile.
  static constexpr char kPresent = 1, kOfFile = 2, kSwapped = 4;
  ErrnoOr<std::string> pages(pid_t process, std::uint64_t begin, std::uint64_t end) const;

 private:
  ErrnoOr<Fd> open(pid_t process, const char* name) const;
  Fd proc_;
};

}  // namespace caisson::sandbox::mm

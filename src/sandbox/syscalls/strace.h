// The log of system calls (--strace): one decoded line per call, as strace(1) writes them.
//   12 sh openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3 <18us>
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "sandbox/kernel/kernel.h"

namespace caisson::sandbox::syscalls {

class SyscallLog final : public kernel::CallLog {
 public:
  // `calls`: the names to be logged; empty: all. EINVAL: a name that no call has.
  static Result<std::unique_ptr<SyscallLog>> create(Fd file, std::span<const std::string> calls);

  bool logs(std::uint64_t number) const override {
    return number >= logged_.size() || logged_[static_cast<std::size_t>(number)];
  }
  // Guest memory is read for the log alone: what the call itself reads may be something else by
  // then.
  std::string arguments_text(kernel::Task& task, std::uint64_t number) override;
  // A whole line, written at once.
  void write(kernel::Task& task, std::uint64_t number, const std::string& arguments,
             std::int64_t result, std::int64_t duration_ns) override;

 private:
  explicit SyscallLog(Fd file) : file_(std::move(file)) {}
  Fd file_;
  std::vector<bool> logged_;
};

}  // namespace caisson::sandbox::syscalls

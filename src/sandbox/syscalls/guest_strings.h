// Strings and structs of changing size in guest memory.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "sandbox/kernel/task.h"

namespace caisson::sandbox::syscalls {

// A path argument: at most PATH_MAX with its zero. ENAMETOOLONG, EFAULT.
ErrnoOr<std::string> load_path(kernel::Task& task, std::uint64_t address);

// A struct whose size the guest gives (copy_struct_from_user()): what it does not know is zero,
// what we do not know must be. E2BIG, EFAULT.
ErrnoOr<> load_sized(kernel::Task& task, std::uint64_t address, std::uint64_t size,
                     std::span<std::byte> into);

// Arguments and environment of execve(2), which share one budget. E2BIG, EFAULT.
class StringBudget {
 public:
  explicit StringBudget(kernel::Task& task);
  ErrnoOr<std::vector<std::string>> load_list(std::uint64_t address);

 private:
  kernel::Task& task_;
  std::uint64_t left_;
};

}  // namespace caisson::sandbox::syscalls

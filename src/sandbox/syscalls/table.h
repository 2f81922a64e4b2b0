// The table of system calls. Each family has a file of its own with its entries; docs/syscalls.md
// is generated from them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"
#include "sandbox/kernel/kernel.h"
#include "sandbox/mm/user_ptr.h"

namespace caisson::sandbox::syscalls {

using kernel::Task;
using mm::UserPtr;

// The six argument registers of a call.
class Arguments {
 public:
  explicit Arguments(const platform::Registers& registers) : registers_(registers) {}
  std::uint64_t u64(int index) const { return registers_.argument(index); }
  std::int64_t i64(int index) const { return static_cast<std::int64_t>(u64(index)); }
  std::uint32_t u32(int index) const { return static_cast<std::uint32_t>(u64(index)); }
  std::int32_t i32(int index) const { return static_cast<std::int32_t>(u64(index)); }
  template <typename T>
  UserPtr<T> pointer(int index) const {
    return UserPtr<T>(u64(index));
  }

 private:
  const platform::Registers& registers_;
};

using Value = ErrnoOr<std::int64_t>;
using Handler = Value (*)(Task& task, const Arguments& arguments);

enum class Level : std::uint8_t {
  kFull,     // as Linux has it
  kPartial,  // see the note
  kError,    // always that error, on purpose
};

struct Entry {
  std::uint16_t number = 0;  // __NR_*
  std::string_view name;
  Handler handler = nullptr;
  Level level = Level::kFull;
  std::string_view note = {};  // what is missing or why it fails
};

// One span per family; a file each.
std::span<const Entry> file_calls();        // open, read, write, descriptors
std::span<const Entry> path_calls();        // by path: stat, mkdir, rename, mount ...
std::span<const Entry> memory_calls();      // mmap ...
std::span<const Entry> process_calls();     // clone, execve, wait4, process groups, namespaces
std::span<const Entry> credential_calls();  // user and group ids, capabilities
std::span<const Entry> limit_calls();       // limits, usage, priorities, scheduling
std::span<const Entry> signal_calls();
std::span<const Entry> time_calls();   // clocks, sleeps
std::span<const Entry> timer_calls();  // itimers, POSIX timers
std::span<const Entry> poll_calls();   // poll, select, epoll, eventfd, pipe, inotify
std::span<const Entry> ipc_calls();    // System V shared memory, semaphores, messages
std::span<const Entry> socket_calls();
std::span<const Entry> futex_calls();
std::span<const Entry> system_calls();  // uname, sysinfo, prctl, random

const Entry* find(std::uint64_t number);
std::span<const std::span<const Entry>> families();
std::string_view name(std::uint64_t number);  // "" for none

// The kernel's SyscallFunction: ENOSYS for what is not there, counted.
std::int64_t dispatch(Task& task, std::uint64_t number);

}  // namespace caisson::sandbox::syscalls

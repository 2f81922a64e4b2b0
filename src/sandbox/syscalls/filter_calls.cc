#include "sandbox/syscalls/filter_calls.h"

#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <utility>
#include <vector>

#include "sandbox/kernel/syscall_filter.h"
#include "sandbox/kernel/traced_registers.h"
#include "sandbox/kernel/tracing.h"
#include "sandbox/syscalls/answer.h"
#include "sandbox/syscalls/credential_changes.h"

namespace caisson::sandbox::syscalls {
namespace {

using kernel::SyscallFilter;

constexpr int kSeccompCode = 1;  // SYS_SECCOMP, si_code of SIGSYS

seccomp_data data_of(Task& task) {
  const platform::Registers& registers = task.registers();
  seccomp_data data{};
  data.nr = static_cast<int>(registers.syscall_number());
  data.arch = kernel::call_architecture();
  data.instruction_pointer = registers.instruction_pointer();
  for (int i = 0; i < 6; ++i) data.args[i] = registers.argument(i);
  return data;
}

void kill_process(Task& task, int signal) {
  bool dumps = task.group().limit(RLIMIT_CORE).soft != 0 && task.group().dumpable;
  task.kernel().exit_group(task, signal | (dumps ? 0x80 : 0));
}

void kill_thread(Task& task) {
  bool alone = false;
  {
    Locked locked(task.group().signal_mutex);
    alone = task.group().tasks.size() == 1;
  }
  if (alone)
    kill_process(task, SIGSYS);
  else
    task.kernel().exit_task(task, SIGSYS);
}

void raise_signal(Task& task, const seccomp_data& data, std::uint32_t reason) {
  kernel::SignalInfo info;
  info.signal = SIGSYS;
  info.code = kSeccompCode;
  info.error = static_cast<int>(reason);
  info.address = data.instruction_pointer;
  info.system_call = static_cast<std::uint32_t>(data.nr);
  info.architecture = data.arch;
  task.kernel().force_signal(task, info);
}

std::optional<std::int64_t> ask_filters(Task& task, bool traced);

// SECCOMP_RET_TRACE: the tracer may change the call, or skip it.
std::optional<std::int64_t> ask_tracer(Task& task, std::uint32_t reason) {
  Ref<kernel::Tracing> tracing = task.tracing_ref();
  if (!tracing || !tracing->event(task, PTRACE_EVENT_SECCOMP, reason)) return -ENOSYS;
  platform::Registers& registers = task.registers();
  // What was set as the result of a call that is skipped stays.
  if (task.dying() || !kernel::is_in_call(registers)) {
    task.keeps_registers = true;
    return 0;
  }
  return ask_filters(task, true);
}

std::optional<std::int64_t> ask_filters(Task& task, bool traced) {
  Ref<SyscallFilter> filter = task.filter_ref();
  if (!filter) return std::nullopt;
  seccomp_data data = data_of(task);
  std::uint32_t answer = filter->run(data), reason = answer & SECCOMP_RET_DATA;
  switch (answer & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_ALLOW:
    case SECCOMP_RET_LOG: return std::nullopt;
    case SECCOMP_RET_ERRNO: return -std::int64_t{std::min(reason, 4095U)};
    case SECCOMP_RET_TRAP: raise_signal(task, data, reason); return data.nr;
    case SECCOMP_RET_TRACE: return traced ? std::nullopt : ask_tracer(task, reason);
    case SECCOMP_RET_USER_NOTIF: return -ENOSYS;  // nobody listens
    case SECCOMP_RET_KILL_THREAD: kill_thread(task); return -ENOSYS;
    default: kill_process(task, SIGSYS); return -ENOSYS;
  }
}

// --- seccomp

ErrnoOr<> become_strict(Task& task) {
  if (task.seccomp_mode != SECCOMP_MODE_DISABLED && task.seccomp_mode != SECCOMP_MODE_STRICT)
    return fail(EINVAL);
  task.seccomp_mode = SECCOMP_MODE_STRICT;
  task.refresh_identity();
  return {};
}

struct FilterProgram {  // struct sock_fprog of 64-bit guests
  std::uint16_t count = 0;
  std::array<std::uint8_t, 6> unused{};
  std::uint64_t steps = 0;
};

ErrnoOr<std::vector<sock_filter>> load_program(Task& task, std::uint64_t address) {
  auto header = TRY(load<FilterProgram>(task, address));
  if (header.count == 0 || header.count > SyscallFilter::kMostInstructions) return fail(EINVAL);
  std::vector<sock_filter> steps(header.count);
  TRY(UserPtr<sock_filter>(header.steps).load(task.memory(), std::span(steps)));
  return steps;
}

// SECCOMP_FILTER_FLAG_TSYNC: the id of the first thread that has other filters; 0: none. Under the
// signal mutex.
int find_other(Task& task) {
  Ref<SyscallFilter> own = task.filter_ref();
  for (Task* other : task.group().tasks) {
    if (other == &task || other->seccomp_mode == SECCOMP_MODE_DISABLED) continue;
    Ref<SyscallFilter> its = other->filter_ref();
    bool below = its && own && own->is_on(its.get());
    if (other->seccomp_mode == SECCOMP_MODE_STRICT || !below) return other->id();
  }
  return 0;
}

Value add_filter(Task& task, std::uint32_t flags, std::uint64_t address) {
  constexpr std::uint32_t kSync = SECCOMP_FILTER_FLAG_TSYNC, kSyncError = 1U << 4;
  constexpr std::uint32_t kKnown =
      kSync | SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW | kSyncError;
  if ((flags & ~kKnown) != 0) return fail(EINVAL);
  std::vector<sock_filter> program = TRY(load_program(task, address));
  const vfs::Credentials& own = task.credentials();
  if (!own.no_new_privileges && !own.has_in(own.user_namespace.get(), CAP_SYS_ADMIN))
    return fail(EACCES);
  if (task.seccomp_mode == SECCOMP_MODE_STRICT) return fail(EINVAL);
  Ref<SyscallFilter> made = TRY(SyscallFilter::create(std::move(program), task.filter_ref(),
                                                      (flags & SECCOMP_FILTER_FLAG_LOG) != 0));
  Locked locked(task.group().signal_mutex);
  if ((flags & kSync) != 0)
    if (int other = find_other(task); other != 0)
      return (flags & kSyncError) != 0 ? fail(ESRCH) : Value(other);
  for (Task* each : task.group().tasks) {
    if (each != &task && (flags & kSync) == 0) continue;
    each->set_filter(made);
    each->seccomp_mode = SECCOMP_MODE_FILTER;
    each->refresh_identity();
  }
  return 0;
}

Value tell_action(Task& task, std::uint64_t address) {
  auto action = TRY(load<std::uint32_t>(task, address));
  switch (action) {
    case SECCOMP_RET_KILL_PROCESS:
    case SECCOMP_RET_KILL_THREAD:
    case SECCOMP_RET_TRAP:
    case SECCOMP_RET_ERRNO:
    case SECCOMP_RET_TRACE:
    case SECCOMP_RET_LOG:
    case SECCOMP_RET_ALLOW: return 0;
    default: return fail(EOPNOTSUPP);
  }
}

}  // namespace

std::optional<std::int64_t> answer_of_filter(Task& task) {
  int mode = task.seccomp_mode.load(std::memory_order_relaxed);
  if (mode == SECCOMP_MODE_DISABLED) return std::nullopt;
  if (mode == SECCOMP_MODE_FILTER) return ask_filters(task, false);
  switch (task.registers().syscall_number()) {
    case SYS_read:
    case SYS_write:
    case SYS_exit:
    case SYS_rt_sigreturn: return std::nullopt;
    default: task.kernel().exit_task(task, SIGKILL); return -ENOSYS;
  }
}

Value call_seccomp(Task& task, const Arguments& arguments) {
  std::uint32_t flags = arguments.u32(1);
  std::uint64_t address = arguments.u64(2);
  switch (arguments.u32(0)) {
    case SECCOMP_SET_MODE_STRICT:
      if (flags != 0 || address != 0) return fail(EINVAL);
      TRY(become_strict(task));
      return 0;
    case SECCOMP_SET_MODE_FILTER: return add_filter(task, flags, address);
    case SECCOMP_GET_ACTION_AVAIL:
      if (flags != 0) return fail(EINVAL);
      return tell_action(task, address);
    default: return fail(EINVAL);
  }
}

Value set_seccomp_mode(Task& task, const Arguments& arguments) {
  switch (arguments.u64(1)) {
    case SECCOMP_MODE_STRICT: TRY(become_strict(task)); return 0;
    case SECCOMP_MODE_FILTER: return add_filter(task, 0, arguments.u64(2));
    default: return fail(EINVAL);
  }
}

}  // namespace caisson::sandbox::syscalls

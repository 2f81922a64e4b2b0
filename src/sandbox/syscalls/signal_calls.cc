// Signals (signal(7)).
#include <poll.h>
#include <sys/syscall.h>

#include <algorithm>
#include <limits>

#include "sandbox/kernel/kernel.h"
#include "sandbox/kernel/pidfd.h"
#include "sandbox/kernel/signal_frame.h"
#include "sandbox/kernel/stop_gate.h"
#include "sandbox/syscalls/answer.h"
#include "sandbox/syscalls/clocks.h"
#include "sandbox/syscalls/restart.h"
#include "sandbox/syscalls/table.h"

namespace caisson::sandbox::syscalls {
namespace {

using kernel::SignalInfo;
using kernel::SignalSet;
using kernel::ThreadGroup;

constexpr std::uint64_t kSetSize = sizeof(SignalSet);

// --- actions and masks

Value rt_sigaction(Task& task, const Arguments& arguments) {
  struct GuestAction {  // struct kernel_sigaction
    std::uint64_t handler = 0, flags = 0;
#if defined(__x86_64__)
    std::uint64_t restorer = 0;
#endif
    SignalSet mask = 0;
  };
  constexpr std::uint64_t kKnownFlags = SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK |
                                        SA_RESTART | SA_NODEFER | SA_RESETHAND |
                                        0x800U /* SA_EXPOSE_TAGBITS */
#if defined(__x86_64__)
                                        | 0x04000000U;  // SA_RESTORER
#else
      ;
#endif
  int signal = arguments.i32(0);
  if (arguments.u64(3) != kSetSize || !kernel::is_valid_signal(signal)) return fail(EINVAL);
  GuestAction next;
  if (arguments.u64(1) != 0) {
    next = TRY(load<GuestAction>(task, arguments.u64(1)));
    if ((kernel::signal_bit(signal) & kernel::kUnblockable) != 0) return fail(EINVAL);
  }
  kernel::SignalAction before;
  {
    Locked locked(task.group().signal_mutex);
    before = task.group().actions[static_cast<std::size_t>(signal)];
  }
  if (arguments.u64(1) != 0) {
    kernel::SignalAction action;
    action.handler = next.handler;
    action.flags = next.flags & kKnownFlags;
    action.mask = next.mask;
#if defined(__x86_64__)
    action.restorer = next.restorer;
#endif
    task.kernel().set_action(task.group(), signal, action);
  }
  GuestAction told;
  told.handler = before.handler;
  told.flags = before.flags;
  told.mask = before.mask;
#if defined(__x86_64__)
  told.restorer = before.restorer;
#endif
  TRY(store_if(task, arguments.u64(2), told));
  return 0;
}

Value rt_sigprocmask(Task& task, const Arguments& arguments) {
  if (arguments.u64(3) != kSetSize) return fail(EINVAL);
  SignalSet before = task.blocked;
  if (arguments.u64(1) != 0) {
    auto given = TRY(load<SignalSet>(task, arguments.u64(1)));
    switch (arguments.i32(0)) {
      case SIG_BLOCK: task.set_blocked(before | given); break;
      case SIG_UNBLOCK: task.set_blocked(before & ~given); break;
      case SIG_SETMASK: task.set_blocked(given); break;
      default: return fail(EINVAL);
    }
  }
  TRY(store_if(task, arguments.u64(2), before));
  return 0;
}

Value rt_sigpending(Task& task, const Arguments& arguments) {
  if (arguments.u64(1) > kSetSize) return fail(EINVAL);
  SignalSet pending = 0;
  {
    Locked locked(task.group().signal_mutex);
    pending = (task.pending.set() | task.group().pending.set()) & task.blocked;
  }
  auto bytes = std::as_bytes(std::span(&pending, 1)).first(arguments.u64(1));
  std::size_t written = TRY(task.memory().write(arguments.u64(0), bytes));
  if (written != bytes.size()) return fail(EFAULT);
  return 0;
}

Value rt_sigsuspend(Task& task, const Arguments& arguments) {
  if (arguments.u64(1) != kSetSize) return fail(EINVAL);
  auto mask = TRY(load<SignalSet>(task, arguments.u64(0)));
  task.set_temporary_mask(mask);
  while (kernel::sleep(task, std::nullopt) != kernel::WakeReason::kInterrupted) {
  }
  return std::unexpected(kernel::kRestartIfNoHandler);
}

Value pause(Task& task, const Arguments&) {
  while (kernel::sleep(task, std::nullopt) != kernel::WakeReason::kInterrupted) {
  }
  return std::unexpected(kernel::kRestartIfNoHandler);
}

void set_awaited(Task& task, SignalSet signals) {
  Locked locked(task.group().signal_mutex);
  task.awaited = signals;
  kernel::Kernel::recheck(task);
}

Value rt_sigtimedwait(Task& task, const Arguments& arguments) {
  if (arguments.u64(3) != kSetSize) return fail(EINVAL);
  SignalSet wanted = TRY(load<SignalSet>(task, arguments.u64(0))) & ~kernel::kUnblockable;
  kernel::Deadline deadline;
  if (arguments.u64(2) != 0) {
    std::int64_t wait =
        TRY(to_nanoseconds(TRY(load<GuestTime>(task, arguments.u64(2))), kNanosecond));
    deadline = deadline_in(task.kernel().monotonic_ns(), wait);
  }
  SignalInfo info = kernel::Kernel::take_signal(task, wanted);
  if (info.signal == 0) {
    set_awaited(task, wanted);
    kernel::WakeReason reason = kernel::WakeReason::kNotified;
    while (reason == kernel::WakeReason::kNotified) reason = kernel::sleep(task, deadline);
    info = kernel::Kernel::take_signal(task, wanted);
    set_awaited(task, 0);
    // A pause of the sandbox is nothing that the guest sees.
    if (info.signal == 0 && task.kernel().gate().is_closed())
      return std::unexpected(kernel::kRestartAlways);
    if (info.signal == 0) return fail(reason == kernel::WakeReason::kTimeout ? EAGAIN : EINTR);
  }
  if (arguments.u64(1) != 0) {
    std::array<std::byte, 128> bytes;
    info.write_to(bytes);
    std::size_t written = TRY(task.memory().write(arguments.u64(1), bytes));
    if (written != bytes.size()) return fail(EFAULT);
  }
  return info.signal;
}

// --- the alternate stack and the return from handlers

struct GuestStack {  // stack_t
  std::uint64_t address = 0;
  std::uint32_t flags = 0, padding = 0;
  std::uint64_t size = 0;
};

Value sigaltstack(Task& task, const Arguments& arguments) {
  constexpr std::uint32_t kOnStack = 1;
  std::uint64_t stack_pointer = task.registers().stack_pointer();
  kernel::AlternateStack before = task.alternate_stack;
  if (arguments.u64(0) != 0) {
    auto given = TRY(load<GuestStack>(task, arguments.u64(0)));
    TRY(kernel::set_alternate_stack(task, {given.address, given.size, given.flags}, stack_pointer));
  }
  GuestStack told;
  told.address = before.address;
  told.size = before.size;
  told.flags = before.flags;
  if (before.size != 0) {
    told.flags &= ~kOnStack;  // told is whether it is in use
    if (kernel::is_on_stack(before, stack_pointer)) told.flags |= kOnStack;
  }
  TRY(store_if(task, arguments.u64(1), told));
  return 0;
}

Value rt_sigreturn(Task& task, const Arguments&) {
  task.keeps_registers = true;
  if (!kernel::pop_signal_frame(task))
    task.kernel().force_signal(task, SignalInfo::kernel(SIGSEGV));
  return 0;
}

Value restart_syscall(Task& task, const Arguments&) {
  kernel::Restart restart = std::exchange(task.restart, {});
  switch (restart.kind) {
    case kernel::RestartKind::kNone: break;
    case kernel::RestartKind::kSleep: return go_on_sleeping(task, restart);
    case kernel::RestartKind::kPoll: return go_on_polling(task, restart);
    case kernel::RestartKind::kFutexWait: return go_on_waiting_for_futex(task, restart);
  }
  return fail(EINTR);
}

// --- sending

// What one task sends another, as that one sees it.
SignalInfo from(const Task& sender, const ThreadGroup& receiver, int signal, int code) {
  return SignalInfo::user(signal, sender.group().id_in(*receiver.pid_namespace),
                          sender.credentials().uid, code);
}

ErrnoOr<> send_to_group(Task& task, ThreadGroup& group, int signal) {
  TRY(kernel::Kernel::may_signal(task, *group.leader, signal));
  return task.kernel().signal_group(group, from(task, group, signal, SI_USER));
}

// kill(2) of many: an error only when nobody could be reached.
template <typename Groups>
Value send_to_all(Task& task, const Groups& groups, int signal) {
  bool sent = false;
  int error = ESRCH;
  for (ThreadGroup* group : groups) {
    auto result = send_to_group(task, *group, signal);
    if (result) sent = true;
    if (!result) error = result.error().value;
  }
  return sent ? Value(0) : fail(error);
}

Value kill(Task& task, const Arguments& arguments) {
  int id = arguments.i32(0), signal = arguments.i32(1);
  if (signal < 0 || signal > kernel::kSignalCount) return fail(EINVAL);
  if (id == std::numeric_limits<int>::min()) return fail(ESRCH);
  kernel::Kernel& kernel = task.kernel();
  const kernel::PidNamespace& ns = *task.group().pid_namespace;
  Locked tree(kernel.task_lock());
  if (id > 0) {
    Task* target = kernel.find_task(ns, id);
    if (target == nullptr) return fail(ESRCH);
    TRY(send_to_group(task, target->group(), signal));
    return 0;
  }
  if (id == -1) {
    std::vector<ThreadGroup*> groups = kernel.all_groups(ns);
    std::erase_if(groups, [&](const ThreadGroup* group) {
      return group == &task.group() || group->id_in(ns) == 1;
    });
    return send_to_all(task, groups, signal);
  }
  kernel::ProcessGroup* group =
      id == 0 ? task.group().process_group.get() : kernel.find_process_group(ns, -id);
  if (group == nullptr) return fail(ESRCH);
  return send_to_all(task, group->members, signal);
}

// The thread `id`, of the process `group_id` when that is not 0; `info` for it is made by `make`.
template <typename Make>
Value send_to_thread(Task& task, int group_id, int id, int signal, Make make) {
  if (id <= 0 || signal < 0 || signal > kernel::kSignalCount) return fail(EINVAL);
  kernel::Kernel& kernel = task.kernel();
  const kernel::PidNamespace& ns = *task.group().pid_namespace;
  Locked tree(kernel.task_lock());
  Task* target = kernel.find_task(ns, id);
  if (target == nullptr || (group_id != 0 && target->group().id_in(ns) != group_id))
    return fail(ESRCH);
  TRY(kernel::Kernel::may_signal(task, *target, signal));
  TRY(kernel.signal_task(*target, make(target->group())));
  return 0;
}

Value tkill(Task& task, const Arguments& arguments) {
  int signal = arguments.i32(1);
  return send_to_thread(task, 0, arguments.i32(0), signal, [&](const ThreadGroup& group) {
    return from(task, group, signal, SI_TKILL);
  });
}

Value tgkill(Task& task, const Arguments& arguments) {
  int signal = arguments.i32(2);
  if (arguments.i32(0) <= 0) return fail(EINVAL);
  return send_to_thread(
      task, arguments.i32(0), arguments.i32(1), signal,
      [&](const ThreadGroup& group) { return from(task, group, signal, SI_TKILL); });
}

ErrnoOr<SignalInfo> load_info(Task& task, std::uint64_t address, int signal) {
  std::array<std::byte, 128> bytes{};
  std::size_t read = TRY(task.memory().read(address, bytes));
  if (read != bytes.size()) return fail(EFAULT);
  return SignalInfo::read_from(bytes, signal);
}

// Only the kernel speaks as the kernel or as kill(2), except to oneself.
bool may_claim(const SignalInfo& info, bool to_itself) {
  return to_itself || (info.code < 0 && info.code != SI_TKILL);
}

Value rt_sigqueueinfo(Task& task, const Arguments& arguments) {
  int id = arguments.i32(0), signal = arguments.i32(1);
  SignalInfo info = TRY(load_info(task, arguments.u64(2), signal));
  if (!may_claim(info, id == task.group().id())) return fail(EPERM);
  if (signal < 0 || signal > kernel::kSignalCount) return fail(EINVAL);
  kernel::Kernel& kernel = task.kernel();
  Locked tree(kernel.task_lock());
  Task* target = id > 0 ? kernel.find_task(*task.group().pid_namespace, id) : nullptr;
  if (target == nullptr) return fail(ESRCH);
  TRY(kernel::Kernel::may_signal(task, *target, signal));
  TRY(kernel.signal_group(target->group(), info));
  return 0;
}

Value rt_tgsigqueueinfo(Task& task, const Arguments& arguments) {
  int signal = arguments.i32(2);
  if (arguments.i32(0) <= 0) return fail(EINVAL);
  SignalInfo info = TRY(load_info(task, arguments.u64(3), signal));
  if (!may_claim(info, arguments.i32(1) == task.id())) return fail(EPERM);
  return send_to_thread(task, arguments.i32(0), arguments.i32(1), signal,
                        [&](const ThreadGroup&) { return info; });
}

Value pidfd_send_signal(Task& task, const Arguments& arguments) {
  int signal = arguments.i32(1);
  if (arguments.u32(3) != 0) return fail(EINVAL);
  Ref<vfs::File> file = TRY(task.file(arguments.i32(0)));
  auto* pidfd = vfs::file_as<kernel::PidFile>(*file);
  if (pidfd == nullptr) return fail(EBADF);
  ThreadGroup& group = *pidfd->group();
  SignalInfo info = from(task, group, signal, SI_USER);
  if (arguments.u64(2) != 0) {
    auto claimed_signal = TRY(load<int>(task, arguments.u64(2)));
    info = TRY(load_info(task, arguments.u64(2), signal));
    if (claimed_signal != signal) return fail(EINVAL);
    if (!may_claim(info, &group == &task.group())) return fail(EPERM);
  }
  if (signal < 0 || signal > kernel::kSignalCount) return fail(EINVAL);
  Locked tree(task.kernel().task_lock());
  if (group.reaped) return fail(ESRCH);
  TRY(kernel::Kernel::may_signal(task, *group.leader, signal));
  TRY(task.kernel().signal_group(group, info));
  return 0;
}

constexpr Entry kEntries[] = {
    {__NR_rt_sigaction, "rt_sigaction", rt_sigaction},
    {__NR_rt_sigprocmask, "rt_sigprocmask", rt_sigprocmask},
    {__NR_rt_sigpending, "rt_sigpending", rt_sigpending},
    {__NR_rt_sigsuspend, "rt_sigsuspend", rt_sigsuspend},
    {__NR_rt_sigtimedwait, "rt_sigtimedwait", rt_sigtimedwait},
    {__NR_rt_sigqueueinfo, "rt_sigqueueinfo", rt_sigqueueinfo},
    {__NR_rt_tgsigqueueinfo, "rt_tgsigqueueinfo", rt_tgsigqueueinfo},
    {__NR_rt_sigreturn, "rt_sigreturn", rt_sigreturn},
    {__NR_sigaltstack, "sigaltstack", sigaltstack},
    {__NR_restart_syscall, "restart_syscall", restart_syscall},
    {__NR_kill, "kill", kill},
    {__NR_tkill, "tkill", tkill},
    {__NR_tgkill, "tgkill", tgkill},
    {__NR_pidfd_send_signal, "pidfd_send_signal", pidfd_send_signal},
#if defined(__x86_64__)
    {__NR_pause, "pause", pause},
#endif
};

}  // namespace

std::span<const Entry> signal_calls() { return kEntries; }

}  // namespace caisson::sandbox::syscalls

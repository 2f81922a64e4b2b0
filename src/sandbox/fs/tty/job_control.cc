// Sessions and foreground groups of a terminal (drivers/tty/tty_jobctrl.c of Linux).
#include <linux/capability.h>

#include <cerrno>
#include <csignal>
#include <utility>

#include "sandbox/fs/tty/terminal.h"
#include "sandbox/kernel/block.h"

namespace caisson::sandbox::fs {
namespace {

constexpr std::uint64_t kIgnore = 1;  // SIG_IGN

bool is_blocked_or_ignored(kernel::Task& task, int signal) {
  Locked lock(task.group().signal_mutex);
  return (task.blocked & kernel::signal_bit(signal)) != 0 ||
         task.group().actions[static_cast<std::size_t>(signal)].handler == kIgnore;
}

}  // namespace

// Under the task lock.
kernel::ProcessGroup* Terminal::foreground() {
  if (session_ == nullptr) return nullptr;
  return kernel_.find_process_group(*session_->pid_namespace, session_->foreground_group);
}

void Terminal::signal_foreground(unsigned signals) {
  Locked tree(kernel_.task_lock());
  kernel::ProcessGroup* group = foreground();
  if (group == nullptr) return;
  for (int signal = 1; signal < 32; ++signal)
    if ((signals >> signal & 1) != 0)
      kernel_.signal_members(*group, kernel::SignalInfo::kernel(signal));
}

bool Terminal::controls(kernel::Task& task) {
  Locked tree(kernel_.task_lock());
  const auto& group = task.group().process_group;
  return group && group->session.get() == session_;
}

ErrnoOr<> Terminal::check_background(kernel::Task& task, int signal) {
  Locked tree(kernel_.task_lock());
  kernel::ProcessGroup* group = task.group().process_group.get();
  if (group == nullptr || session_ == nullptr || group->session.get() != session_) return {};
  kernel::ProcessGroup* front = foreground();
  if (front == nullptr || front == group) return {};
  if (is_blocked_or_ignored(task, signal)) {
    if (signal == SIGTTIN) return std::unexpected(Errno{EIO});
    return {};
  }
  if (group->is_orphaned()) return std::unexpected(Errno{EIO});
  kernel_.signal_members(*group, kernel::SignalInfo::kernel(signal));
  return std::unexpected(kernel::kRestart);
}

ErrnoOr<> Terminal::check_background_write(kernel::Task& task) {
  if ((termios().c_lflag & TOSTOP) == 0) return {};
  return check_background(task, SIGTTOU);
}

ErrnoOr<> Terminal::acquire(kernel::Task& task, bool steal) {
  Ref<ControllingTerminal> gone;  // ends without the lock
  Locked tree(kernel_.task_lock());
  kernel::Session& session = *task.group().process_group->session;
  bool leader = session.leader == &task.group();
  if (leader && session_ == &session) return {};
  if (!leader || session.terminal) return std::unexpected(Errno{EPERM});
  if (session_ != nullptr) {
    if (!steal || !task.credentials().has(CAP_SYS_ADMIN)) return std::unexpected(Errno{EPERM});
    gone = std::exchange(session_->terminal, nullptr);
    session_->foreground_group = 0;
  }
  session_ = &session;
  session.terminal = Ref<ControllingTerminal>::share(this);
  session.foreground_group = task.group().process_group->id;
  return {};
}

void Terminal::acquire_if_free(kernel::Task& task) {
  Locked tree(kernel_.task_lock());
  const auto& group = task.group().process_group;
  if (!group || session_ != nullptr) return;
  kernel::Session& session = *group->session;
  if (session.leader != &task.group() || session.terminal) return;
  session_ = &session;
  session.terminal = Ref<ControllingTerminal>::share(this);
  session.foreground_group = group->id;
}

ErrnoOr<> Terminal::release(kernel::Task& task) {
  Ref<ControllingTerminal> gone;
  Locked tree(kernel_.task_lock());
  kernel::Session& session = *task.group().process_group->session;
  if (session_ != &session) return std::unexpected(Errno{ENOTTY});
  // Another member of the session keeps it for the others: they have it in common.
  if (session.leader != &task.group()) return {};
  if (kernel::ProcessGroup* front = foreground()) {
    kernel_.signal_members(*front, kernel::SignalInfo::kernel(SIGHUP));
    kernel_.signal_members(*front, kernel::SignalInfo::kernel(SIGCONT));
  }
  session.foreground_group = 0;
  session_ = nullptr;
  gone = std::exchange(session.terminal, nullptr);
  return {};
}

ErrnoOr<int> Terminal::foreground_group(kernel::Task& task, bool as_master) {
  Locked tree(kernel_.task_lock());
  bool own = task.group().process_group->session.get() == session_ && session_ != nullptr;
  if (!own && !as_master) return std::unexpected(Errno{ENOTTY});
  kernel::ProcessGroup* front = foreground();
  return front != nullptr ? front->id_in(*task.group().pid_namespace) : 0;
}

ErrnoOr<> Terminal::set_foreground_group(kernel::Task& task, int group, bool as_master) {
  if (!as_master) TRY(check_background(task, SIGTTOU));
  Locked tree(kernel_.task_lock());
  kernel::Session* session = task.group().process_group->session.get();
  if (session_ == nullptr || session_ != session) return std::unexpected(Errno{ENOTTY});
  if (group < 0) return std::unexpected(Errno{EINVAL});
  kernel::ProcessGroup* chosen = kernel_.find_process_group(*task.group().pid_namespace, group);
  if (chosen == nullptr) return std::unexpected(Errno{ESRCH});
  if (chosen->session.get() != session) return std::unexpected(Errno{EPERM});
  session->foreground_group = chosen->id_in(*session->pid_namespace);
  return {};
}

ErrnoOr<int> Terminal::session_id(kernel::Task& task, bool as_master) {
  Locked tree(kernel_.task_lock());
  bool own = task.group().process_group->session.get() == session_;
  if (session_ == nullptr || (!own && !as_master)) return std::unexpected(Errno{ENOTTY});
  return session_->id_in(*task.group().pid_namespace);
}

}  // namespace caisson::sandbox::fs

// Tasks in a checkpoint. Each stands still between two steps of its owner (TaskRunner): a call that
// it was in has given up, to be begun again, and says so by its restart code.
#include <cerrno>

#include "base/text.h"
#include "sandbox/kernel/described.h"
#include "sandbox/state/reader.h"
#include "sandbox/state/writer.h"

namespace caisson::sandbox::platform {

template <typename Stream>
void describe(Stream& stream, Fault& fault) {
  stream(fault.signal, fault.code, fault.address, fault.trap, fault.error);
}

}  // namespace caisson::sandbox::platform

namespace caisson::sandbox::abi {

template <typename Stream>
void describe(Stream& stream, Registers& registers) {
  using Words = std::array<std::uint64_t, sizeof(Registers) / sizeof(std::uint64_t)>;
  static_assert(sizeof(Words) == sizeof(Registers));
  stream(reinterpret_cast<Words&>(registers));
}

}  // namespace caisson::sandbox::abi

namespace caisson::sandbox::kernel {

void Task::stand() {
  auto extended = thread_->extended_state();
  standing_ = Standing{thread_->registers(), {extended.begin(), extended.end()}};
}

namespace {

Error in_between(int id) {
  return Error::with_cause(EAGAIN, "it is in the middle of vfork or execve")
      .doing("save task ", id);
}

}  // namespace

Result<> Task::check_savable() const {
  auto refuse = [](std::string_view what) {
    return std::unexpected(Error::with_cause(EOPNOTSUPP, std::string(what)));
  };
  if (is_traced) return refuse("it is traced by a debugger");
  if (seccomp_mode != 0) return refuse("it has a seccomp filter");
  if (credentials_->user_namespace) return refuse("it is in a user namespace of its own");
  bool stands = standing_ || (!begun_ && thread_);
  if (stands && !dying_ && !exiting_ && !vfork_done) return {};
  return std::unexpected(in_between(id()));
}

Result<> Task::save(state::Writer& to) {
  to.refer(group_);
  to(ids, name(), ended_, exit_code_, begun_, usage());
  to(start_time_ns, parent_death_signal, nice, scheduler_policy, scheduler_priority, io_priority);
  to(affinity);
  to.refer(credentials_);
  if (ended_) return {};
  TRY(check_savable());
  to.refer(memory_, "its memory");
  to.refer(files_);
  to.refer(fs_);
  to.refer(mounts_);
  to.refer(uts_);
  to.refer(ipc);
  to.refer(network);
  to.refer(cgroup);
  to.refer(children_pids);
  to(blocked, saved_mask, alternate_stack, restart, restart_code, clear_child_tid, robust_list);
  to(timer_slack_ns, personality, last_fault, tid_address, owns_pi_futex.load());
  {
    Locked locked(group_->signal_mutex);
    save_signals(to, pending);
  }
  to(standing_ ? standing_->registers : thread_->registers());
  to.bytes(standing_ ? std::span<const std::byte>(standing_->extended) : thread_->extended_state());
  return {};
}

Result<Ref<Task>> Task::restore(state::Reader& from) {
  auto group = TRY(from.object<ThreadGroup>());
  auto task = make_ref<Task>(from.need<Kernel>(), std::move(group));
  from.made(task);
  from(task->ids, task->name_, task->ended_, task->exit_code_, task->begun_);
  auto usage = from.value<ResourceUsage>();
  from(task->start_time_ns, task->parent_death_signal, task->nice, task->scheduler_policy);
  from(task->scheduler_priority, task->io_priority, task->affinity);
  TRY(from.check());
  TRY(check_ids(task->ids, *task->group_->pid_namespace));
  task->user_ns_ = usage.user_ns, task->system_ns_ = usage.system_ns;
  task->faults_ = usage.minor_faults, task->switches_ = usage.voluntary_switches;
  task->interruptions_ = usage.involuntary_switches;
  task->credentials_ = TRY(from.object<vfs::Credentials>());
  if (task->ended_) {
    task->state = RunState::kZombie;
    return task;
  }
  TRY(task->restore_parts(from));
  TRY(task->restore_guest(from));
  return task;
}

Result<> Task::restore_parts(state::Reader& from) {
  memory_ = TRY(from.object<mm::MemoryMap>());
  set_files(TRY(from.object<FdTable>()));
  fs_ = TRY(from.object<FsContext>());
  mounts_ = TRY(from.object<vfs::MountNamespace>());
  uts_ = TRY(from.object<UtsNamespace>());
  ipc = TRY(from.optional_object<OpaqueNamespace>());
  network = TRY(from.optional_object<OpaqueNamespace>());
  cgroup = TRY(from.optional_object<OpaqueNamespace>());
  children_pids = TRY(from.optional_object<PidNamespace>());
  return {};
}

Result<> Task::restore_guest(state::Reader& from) {
  from(blocked, saved_mask, alternate_stack, restart, restart_code, clear_child_tid, robust_list);
  from(timer_slack_ns, personality, last_fault, tid_address);
  owns_pi_futex = from.value<bool>();
  TRY(restore_signals(from, pending));
  auto registers = from.value<platform::Registers>();
  auto extended = from.bytes();
  TRY(from.check());
  auto made = memory_->space().new_thread(registers, nullptr);
  if (!made) return std::unexpected(Error(made.error()).doing("make the thread of task ", id()));
  thread_ = *std::move(made);
  // The owner gives it to its thread; whether it can be given is found out now.
  if (thread_->extended_state().size() != extended.size()) {
    return std::unexpected(Error::with_cause(ENOTSUP,
                                             "its processors have other registers than "
                                             "those of this machine")
                               .doing("restore task ", id())
                               .cure("restore on a machine like that of the checkpoint")
                               .code("restore.machine"));
  }
  first_extended_.assign(extended.begin(), extended.end());
  // So that it first does what an interrupted call still asks for.
  interrupted_ = true;
  return {};
}

}  // namespace caisson::sandbox::kernel

// clone(2), execve(2), exit(2), wait4(2), process groups and sessions, namespaces, pidfds.
#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <functional>
#include <limits>

#include "sandbox/kernel/kernel.h"
#include "sandbox/kernel/loader.h"
#include "sandbox/kernel/namespace_copies.h"
#include "sandbox/kernel/pidfd.h"
#include "sandbox/syscalls/answer.h"
#include "sandbox/syscalls/guest_strings.h"
#include "sandbox/syscalls/table.h"
#include "sandbox/syscalls/usage.h"

namespace caisson::sandbox::syscalls {
namespace {

using kernel::CloneRequest;
using kernel::PidFile;
using kernel::PidNamespace;
using kernel::ThreadGroup;

const PidNamespace& own_ids(const Task& task) { return *task.group().pid_namespace; }

// --- clone

Value clone(Task& task, const Arguments& arguments) {
  CloneRequest request;
  std::uint64_t flags = arguments.u64(0) & 0xffffffffU;
  request.flags = flags & ~std::uint64_t{CSIGNAL};
  request.exit_signal = static_cast<int>(flags & CSIGNAL);
  request.stack = arguments.u64(1);
  request.parent_tid = arguments.u64(2);
#if defined(__x86_64__)
  request.child_tid = arguments.u64(3);
  request.tls = arguments.u64(4);
#else  // CONFIG_CLONE_BACKWARDS
  request.tls = arguments.u64(3);
  request.child_tid = arguments.u64(4);
#endif
  if ((flags & CLONE_PIDFD) != 0) {
    if ((flags & (CLONE_PARENT_SETTID | CLONE_DETACHED)) != 0) return fail(EINVAL);
    request.pidfd = request.parent_tid;
  }
  if (request.exit_signal != 0 && !kernel::is_valid_signal(request.exit_signal))
    return fail(EINVAL);
  return TRY(task.kernel().clone(task, request));
}

Value clone3(Task& task, const Arguments& arguments) {
  struct CloneArguments {  // struct clone_args
    std::uint64_t flags = 0, pidfd = 0, child_tid = 0, parent_tid = 0, exit_signal = 0, stack = 0,
                  stack_size = 0, tls = 0, set_tid = 0, set_tid_size = 0, cgroup = 0;
  };
  constexpr std::uint64_t kFirstSize = 64;  // CLONE_ARGS_SIZE_VER0
  constexpr std::uint64_t kKnownFlags = 0xffffffffULL | 1ULL << 32;
  std::uint64_t size = arguments.u64(1);
  if (size > mm::kPageSize) return fail(E2BIG);
  if (size < kFirstSize) return fail(EINVAL);
  CloneArguments given;
  TRY(load_sized(task, arguments.u64(0), size, std::as_writable_bytes(std::span(&given, 1))));
  if (given.set_tid_size != 0 || given.set_tid != 0) return fail(EINVAL);
  if ((given.flags & ~kKnownFlags) != 0 || (given.flags & (CLONE_DETACHED | CSIGNAL)) != 0)
    return fail(EINVAL);
  if ((given.exit_signal & ~std::uint64_t{CSIGNAL}) != 0) return fail(EINVAL);
  if ((given.flags & (CLONE_THREAD | CLONE_PARENT)) != 0 && given.exit_signal != 0)
    return fail(EINVAL);
  if ((given.stack == 0) != (given.stack_size == 0)) return fail(EINVAL);
  CloneRequest request;
  request.flags = given.flags;
  request.pidfd = given.pidfd;
  request.child_tid = given.child_tid;
  request.parent_tid = given.parent_tid;
  request.exit_signal = static_cast<int>(given.exit_signal);
  request.stack = given.stack;
  request.stack_size = given.stack_size;
  request.tls = given.tls;
  if (request.exit_signal != 0 && !kernel::is_valid_signal(request.exit_signal))
    return fail(EINVAL);
  return TRY(task.kernel().clone(task, request));
}

Value fork(Task& task, const Arguments&) {
  CloneRequest request;
  request.exit_signal = SIGCHLD;
  return TRY(task.kernel().clone(task, request));
}

Value vfork(Task& task, const Arguments&) {
  CloneRequest request;
  request.flags = CLONE_VFORK | CLONE_VM;
  request.exit_signal = SIGCHLD;
  return TRY(task.kernel().clone(task, request));
}

// --- execve

Value execute(Task& task, int dirfd, std::uint64_t path_address, std::uint64_t args,
              std::uint64_t env, int flags) {
  std::string path = TRY(load_path(task, path_address));
  if (path.empty() && (flags & AT_EMPTY_PATH) == 0) return fail(ENOENT);
  if ((flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)) != 0) return fail(EINVAL);
  vfs::WalkContext walk = TRY(task.walk_context(path.starts_with('/') ? AT_FDCWD : dirfd));
  vfs::WalkFlags how;
  how.follow_last = (flags & AT_SYMLINK_NOFOLLOW) == 0;
  how.allow_empty = (flags & AT_EMPTY_PATH) != 0;
  kernel::ExecRequest request;
  request.file = TRY(kernel::open_program(walk, path, how));
  request.path = path;
  if (dirfd != AT_FDCWD && path.empty())
    request.path_closes = TRY(task.files().is_close_on_exec(dirfd));
  // What a script's interpreter is given to open (bprm->fdpath).
  if (dirfd != AT_FDCWD && !path.starts_with('/'))
    request.path = path.empty() ? cat("/dev/fd/", dirfd) : cat("/dev/fd/", dirfd, "/", path);
  StringBudget budget(task);
  request.args = TRY(budget.load_list(args));
  request.env = TRY(budget.load_list(env));
  if (request.args.empty()) request.args.emplace_back();  // as Linux since 5.18
  TRY(task.kernel().execute(task, std::move(request)));
  return 0;
}

Value execve(Task& task, const Arguments& arguments) {
  return execute(task, AT_FDCWD, arguments.u64(0), arguments.u64(1), arguments.u64(2), 0);
}

Value execveat(Task& task, const Arguments& arguments) {
  return execute(task, arguments.i32(0), arguments.u64(1), arguments.u64(2), arguments.u64(3),
                 arguments.i32(4));
}

Value exit(Task& task, const Arguments& arguments) {
  task.kernel().exit_task(task, (arguments.i32(0) & 0xff) << 8);
  return 0;
}

Value exit_group(Task& task, const Arguments& arguments) {
  task.kernel().exit_group(task, (arguments.i32(0) & 0xff) << 8);
  return 0;
}

// --- wait

constexpr int kKinds = static_cast<int>(unsigned{__WNOTHREAD} | __WCLONE | __WALL);

Value wait4(Task& task, const Arguments& arguments) {
  constexpr int kOptions = WNOHANG | WUNTRACED | WCONTINUED | kKinds;
  int options = arguments.i32(2);
  if ((options & ~kOptions) != 0) return fail(EINVAL);
  int id = arguments.i32(0);
  if (id == std::numeric_limits<int>::min()) return fail(ESRCH);
  kernel::WaitRequest request;
  request.options = options | WEXITED;
  request.id_type = id == -1 ? P_ALL : id > 0 ? P_PID : P_PGID;
  request.id = id < -1 ? -id : id;
  if (id == 0) {
    Locked tree(task.kernel().task_lock());
    request.id = task.group().process_group->id_in(own_ids(task));
  }
  kernel::WaitResult found = TRY(task.kernel().wait(task, request));
  if (found.pid == 0) return 0;
  TRY(store_if(task, arguments.u64(1), found.status));
  TRY(store_if(task, arguments.u64(3), guest_usage(found.usage)));
  return found.pid;
}

ErrnoOr<kernel::WaitRequest> waitid_request(Task& task, const Arguments& arguments) {
  constexpr int kWhat = WEXITED | WSTOPPED | WCONTINUED;
  constexpr int kOptions = kWhat | WNOHANG | WNOWAIT | kKinds;
  kernel::WaitRequest request;
  request.id_type = arguments.i32(0);
  request.id = arguments.i32(1);
  request.options = arguments.i32(3);
  if ((request.options & ~kOptions) != 0 || (request.options & kWhat) == 0) return fail(EINVAL);
  switch (request.id_type) {
    case P_ALL: break;
    case P_PID:
      if (request.id <= 0) return fail(EINVAL);
      break;
    case P_PGID: {
      if (request.id < 0) return fail(EINVAL);
      Locked tree(task.kernel().task_lock());
      if (request.id == 0) request.id = task.group().process_group->id_in(own_ids(task));
      break;
    }
    case P_PIDFD: {
      if (request.id < 0) return fail(EINVAL);
      Ref<vfs::File> file = TRY(task.file(request.id));
      auto* pidfd = vfs::file_as<PidFile>(*file);
      if (pidfd == nullptr) return fail(EBADF);
      request.group = pidfd->group();
      if (pidfd->nonblocking()) request.options |= WNOHANG;
      break;
    }
    default: return fail(EINVAL);
  }
  return request;
}

Value waitid(Task& task, const Arguments& arguments) {
  kernel::WaitRequest request = TRY(waitid_request(task, arguments));
  kernel::WaitResult found = TRY(task.kernel().wait(task, request));
  bool asked_not_to_wait = (arguments.i32(3) & WNOHANG) != 0;
  if (found.pid == 0 && !asked_not_to_wait)
    return fail(EAGAIN);  // a descriptor that must not block
  if (found.pid != 0) TRY(store_if(task, arguments.u64(4), guest_usage(found.usage)));
  if (arguments.u64(2) == 0) return 0;
  std::array<std::byte, 128> bytes{};
  if (found.pid != 0) found.info.write_to(bytes);
  // Linux fills what describes the child (up to si_status) and leaves the rest of the guest's
  // alone.
  constexpr std::size_t kFilled = 28;
  std::size_t written = TRY(task.memory().write(arguments.u64(2), std::span(bytes).first(kFilled)));
  if (written != kFilled) return fail(EFAULT);
  return 0;
}

// --- who is who

Value getpid(Task& task, const Arguments&) { return task.group().id(); }
Value gettid(Task& task, const Arguments&) { return task.id(); }

Value getppid(Task& task, const Arguments&) {
  Locked tree(task.kernel().task_lock());
  const ThreadGroup* parent = task.group().parent;
  return parent == nullptr ? 0 : parent->id_in(own_ids(task));
}

// The process of an argument; 0 is the caller's own. Under the task lock.
ThreadGroup* process_of(Task& task, int id) {
  if (id == 0) return &task.group();
  Task* found = task.kernel().find_task(own_ids(task), id);
  return found == nullptr ? nullptr : &found->group();
}

Value process_group_of(Task& task, int id) {
  Locked tree(task.kernel().task_lock());
  ThreadGroup* group = id < 0 ? nullptr : process_of(task, id);
  if (group == nullptr) return fail(ESRCH);
  return group->process_group->id_in(own_ids(task));
}

Value getpgid(Task& task, const Arguments& arguments) {
  return process_group_of(task, arguments.i32(0));
}
Value getpgrp(Task& task, const Arguments&) { return process_group_of(task, 0); }

Value setpgid(Task& task, const Arguments& arguments) {
  if (arguments.i32(0) < 0) return fail(ESRCH);
  TRY(task.kernel().set_process_group(task, arguments.i32(0), arguments.i32(1)));
  return 0;
}

Value getsid(Task& task, const Arguments& arguments) {
  Locked tree(task.kernel().task_lock());
  int id = arguments.i32(0);
  ThreadGroup* group = id < 0 ? nullptr : process_of(task, id);
  if (group == nullptr) return fail(ESRCH);
  return group->process_group->session->id_in(own_ids(task));
}

Value setsid(Task& task, const Arguments&) { return TRY(task.kernel().new_session(task)); }

// --- what threads leave behind

Value set_tid_address(Task& task, const Arguments& arguments) {
  task.clear_child_tid = arguments.u64(0);
  return task.id();
}

constexpr std::uint64_t kRobustListSize = 24;

Value set_robust_list(Task& task, const Arguments& arguments) {
  if (arguments.u64(1) != kRobustListSize) return fail(EINVAL);
  task.robust_list = arguments.u64(0);
  return 0;
}

Value get_robust_list(Task& task, const Arguments& arguments) {
  std::uint64_t head = task.robust_list;
  if (arguments.i32(0) != 0 && arguments.i32(0) != task.id()) {
    Locked tree(task.kernel().task_lock());
    Task* other = task.kernel().find_task(own_ids(task), arguments.i32(0));
    if (other == nullptr) return fail(ESRCH);
    if (&other->group() != &task.group()) return fail(EPERM);
    head = other->robust_list;
  }
  TRY(store(task, arguments.u64(2), kRobustListSize));
  TRY(store(task, arguments.u64(1), head));
  return 0;
}

// --- namespaces

Value unshare(Task& task, const Arguments& arguments) {
  TRY(kernel::unshare(task, arguments.u64(0)));
  return 0;
}

// --- pidfds

Value pidfd_open(Task& task, const Arguments& arguments) {
  std::uint32_t flags = arguments.u32(1);
  if ((flags & ~std::uint32_t{O_NONBLOCK}) != 0 || arguments.i32(0) <= 0) return fail(EINVAL);
  Ref<ThreadGroup> group;
  {
    Locked tree(task.kernel().task_lock());
    Task* found = task.kernel().find_task(own_ids(task), arguments.i32(0));
    if (found == nullptr) return fail(ESRCH);
    if (found->group().leader != found) return fail(EINVAL);
    group = Ref<ThreadGroup>::share(&found->group());
  }
  return TRY(task.add_file(make_ref<PidFile>(std::move(group), O_RDWR | flags), true));
}

// Whether the caller may look into a process: the same ids, or CAP_SYS_PTRACE.
ErrnoOr<Ref<Task>> leader_to_inspect(Task& task, ThreadGroup& group) {
  constexpr int kCapabilityPtrace = 19;
  Ref<Task> leader;
  {
    Locked tree(task.kernel().task_lock());
    if (group.reaped || group.zombie) return fail(ESRCH);
    leader = Ref<Task>::share(group.leader);
  }
  Ref<vfs::Credentials> other = leader->credentials_ref();
  const vfs::Credentials& own = task.credentials();
  bool same = own.uid == other->uid && own.uid == other->euid && own.uid == other->suid &&
              own.gid == other->gid && own.gid == other->egid && own.gid == other->sgid;
  if (&group != &task.group() && !same && !own.has(kCapabilityPtrace)) return fail(EPERM);
  return leader;
}

Value pidfd_getfd(Task& task, const Arguments& arguments) {
  if (arguments.u32(2) != 0) return fail(EINVAL);
  Ref<vfs::File> file = TRY(task.file(arguments.i32(0)));
  auto* pidfd = vfs::file_as<PidFile>(*file);
  if (pidfd == nullptr) return fail(EBADF);
  Ref<Task> leader = TRY(leader_to_inspect(task, *pidfd->group()));
  Ref<kernel::FdTable> files = leader->files_ref();
  if (!files) return fail(ESRCH);
  return TRY(task.add_file(TRY(files->get(arguments.i32(1))), true));
}

int order(const void* one, const void* other) {
  return one == other ? 0 : std::less<>{}(one, other) ? 1 : 2;
}

Value kcmp(Task& task, const Arguments& arguments) {
  std::array<Ref<Task>, 2> tasks;
  for (int i = 0; i < 2; ++i) {
    Ref<ThreadGroup> group;
    {
      Locked tree(task.kernel().task_lock());
      Task* found = task.kernel().find_task(own_ids(task), arguments.i32(i));
      if (found == nullptr) return fail(ESRCH);
      group = Ref<ThreadGroup>::share(&found->group());
      tasks[static_cast<std::size_t>(i)] = Ref<Task>::share(found);
    }
    TRY(leader_to_inspect(task, *group));
  }
  const auto& [one, other] = tasks;
  switch (arguments.i32(2)) {
    case KCMP_FILE: {
      Ref<kernel::FdTable> one_table = one->files_ref(), other_table = other->files_ref();
      if (!one_table || !other_table) return fail(EBADF);
      Ref<vfs::File> one_file = TRY(one_table->get(arguments.i32(3)));
      Ref<vfs::File> other_file = TRY(other_table->get(arguments.i32(4)));
      return order(one_file.get(), other_file.get());
    }
    case KCMP_VM: return order(one->memory_ref().get(), other->memory_ref().get());
    case KCMP_FILES: return order(one->files_ref().get(), other->files_ref().get());
    case KCMP_FS: return order(one->fs_ref().get(), other->fs_ref().get());
    case KCMP_SIGHAND: return order(&one->group(), &other->group());
    case KCMP_IO:
    case KCMP_SYSVSEM: return 0;
    default: return fail(EINVAL);
  }
}

constexpr Entry kEntries[] = {
    {__NR_clone, "clone", clone, Level::kPartial,
     "CLONE_NEWUSER, CLONE_NEWTIME: EINVAL; CLONE_SIGHAND without CLONE_THREAD copies"},
    {__NR_clone3, "clone3", clone3, Level::kPartial,
     "as clone; set_tid and CLONE_INTO_CGROUP: EINVAL"},
#if defined(__x86_64__)
    {__NR_fork, "fork", fork},
    {__NR_vfork, "vfork", vfork},
    {__NR_getpgrp, "getpgrp", getpgrp},
#endif
    {__NR_execve, "execve", execve},
    {__NR_execveat, "execveat", execveat},
    {__NR_exit, "exit", exit},
    {__NR_exit_group, "exit_group", exit_group},
    {__NR_wait4, "wait4", wait4, Level::kPartial, "__WNOTHREAD waits for all threads' children"},
    {__NR_waitid, "waitid", waitid, Level::kPartial, "as wait4"},
    {__NR_getpid, "getpid", getpid},
    {__NR_gettid, "gettid", gettid},
    {__NR_getppid, "getppid", getppid},
    {__NR_getpgid, "getpgid", getpgid},
    {__NR_setpgid, "setpgid", setpgid},
    {__NR_getsid, "getsid", getsid},
    {__NR_setsid, "setsid", setsid},
    {__NR_set_tid_address, "set_tid_address", set_tid_address},
    {__NR_set_robust_list, "set_robust_list", set_robust_list},
    {__NR_get_robust_list, "get_robust_list", get_robust_list},
    {__NR_unshare, "unshare", unshare, Level::kPartial, "CLONE_NEWUSER, CLONE_NEWTIME: EINVAL"},
    {__NR_pidfd_open, "pidfd_open", pidfd_open},
    {__NR_pidfd_getfd, "pidfd_getfd", pidfd_getfd},
    {__NR_kcmp, "kcmp", kcmp, Level::kPartial, "without KCMP_EPOLL_TFD"},
};

}  // namespace

std::span<const Entry> process_calls() { return kEntries; }

}  // namespace caisson::sandbox::syscalls

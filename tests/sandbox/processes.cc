// Processes: fork, vfork, clone, waiting, orphans, groups, ends.
#include <sched.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "frame.h"

namespace {

constexpr size_t kStack = 256 << 10;

struct Clone3 {
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
      set_tid_size, cgroup;
};

char* stack_top() {
  void* stack = mmap(nullptr, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return static_cast<char*>(stack) + kStack;
}

void show_info(const siginfo_t& info, pid_t expected) {
  const char* codes[] = {"?", "EXITED", "KILLED", "DUMPED", "TRAPPED", "STOPPED", "CONTINUED"};
  line("%s %s status %d pid %s uid %u", frame::signal_name(info.si_signo),
       info.si_code >= 0 && info.si_code < 7 ? codes[info.si_code] : "?", info.si_status,
       info.si_pid == expected ? "right"
       : info.si_pid == 0      ? "none"
                               : "wrong",
       info.si_uid);
}

volatile sig_atomic_t signals_seen;
siginfo_t last_info;
void count_signal(int, siginfo_t* info, void*) {
  signals_seen = signals_seen + 1;
  last_info = *info;
}

}  // namespace

CASE(fork_returns_twice) {
  pid_t pid = fork();
  if (pid == 0) {
    line("child");
    _exit(5);
  }
  frame::join(pid);
  line("parent");
}

CASE(exit_statuses_are_a_byte) {
  for (int status : {0, 1, 255, 256, 257, -1}) frame::join(frame::child([=] { _exit(status); }));
}

CASE(ends_by_signals) {
  for (int signal : {SIGKILL, SIGTERM, SIGUSR1, SIGALRM, SIGHUP}) {
    frame::join(frame::child([=] {
      kill(getpid(), signal);
      pause();
    }));
  }
}

CASE(ends_by_faults) {
  frame::in_child([] { *reinterpret_cast<volatile int*>(16) = 1; });
  frame::in_child([] { __builtin_trap(); });
  frame::in_child([] { abort(); });
  frame::in_child([] {
    asm volatile("xor %%edx, %%edx; xor %%ecx, %%ecx; div %%ecx" ::: "eax", "edx", "ecx", "cc");
  });
  frame::in_child([] { asm volatile("int3"); });
  frame::in_child([] { asm volatile("hlt"); });
}

CASE(waiting_for_nobody) {
  int status;
  CALL(waitpid(-1, &status, 0));
  CALL(waitpid(-1, &status, WNOHANG));
  CALL(waitpid(0x3fffff, &status, 0));
  CALL(waitpid(getpid(), &status, 0));
  CALL(waitpid(1, &status, 0));
  CALL(waitpid(0, &status, 0));
  CALL(waitpid(-0x3fffff, &status, 0));
}

CASE(waiting_with_bad_arguments) {
  CALL(waitpid(-1, nullptr, 0x100));
  siginfo_t info;
  CALL(waitid(static_cast<idtype_t>(99), 0, &info, WEXITED));
  CALL(waitid(P_ALL, 0, &info, 0));
  CALL(waitid(P_ALL, 0, &info, 0x100 | WEXITED));
  CALL(waitid(P_PID, 0, &info, WEXITED));
  CALL(waitid(P_PIDFD, 99, &info, WEXITED));
  frame::child([] {});
  CALL(syscall(SYS_wait4, -1, 1, 0, nullptr));
}

CASE(waiting_without_blocking) {
  frame::Gate gate;
  pid_t pid = frame::child([&] { gate.wait(); });
  int status = 77;
  CALL(waitpid(pid, &status, WNOHANG));
  SHOW(status);
  gate.open();
  frame::join(pid);
  CALL(waitpid(pid, &status, WNOHANG));
}

CASE(waiting_for_one_of_several) {
  pid_t first = frame::child([] { _exit(1); });
  pid_t second = frame::child([] { _exit(2); });
  frame::join(second, "second");
  frame::join(first, "first");
}

CASE(waiting_for_any) {
  for (int status = 1; status <= 3; status++) frame::child([=] { _exit(status); });
  int sum = 0, status;
  while (wait(&status) > 0) sum += WEXITSTATUS(status);
  SHOW(sum);
  SHOW(errno == ECHILD);
}

CASE(waiting_for_a_group) {
  frame::Gate gate;
  pid_t own = frame::child([&] { gate.wait(), _exit(1); });
  pid_t other = frame::child([&] { gate.wait(), _exit(2); });
  CALL(setpgid(other, other));
  gate.open();
  gate.open();
  int status;
  YES(waitpid(-other, &status, 0) == other);
  frame::status("other", status);
  YES(waitpid(0, &status, 0) == own);
  frame::status("own", status);
}

CASE(waitid_of_an_exit) {
  pid_t pid = frame::child([] { _exit(7); });
  siginfo_t info = {};
  CALL(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT));
  show_info(info, pid);
  CALL(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED));
  show_info(info, pid);
  CALL(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED));
}

CASE(waitid_of_a_kill) {
  pid_t pid = frame::child([] { raise(SIGKILL); });
  siginfo_t info = {};
  CALL(waitid(P_ALL, 0, &info, WEXITED));
  show_info(info, pid);
}

CASE(waitid_without_blocking) {
  frame::Gate gate;
  pid_t pid = frame::child([&] { gate.wait(); });
  siginfo_t info;
  memset(&info, 0x55, sizeof(info));
  CALL(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG));
  line("signal %d pid %d", info.si_signo, info.si_pid);
  gate.open();
  frame::join(pid);
}

CASE(waitid_by_descriptor) {
  pid_t pid = frame::child([] { _exit(3); });
  int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  SHOW(fd);
  siginfo_t info = {};
  CALL(waitid(P_PIDFD, static_cast<id_t>(fd), &info, WEXITED));
  show_info(info, pid);
}

CASE(waiting_for_stops) {
  frame::Gate seen;  // an end would hide that it went on
  pid_t pid = frame::child([&] {
    raise(SIGSTOP);
    seen.wait();
    _exit(4);
  });
  int status;
  waitpid(pid, &status, WUNTRACED);
  frame::status("child", status);
  CALL(waitpid(pid, &status, WUNTRACED | WNOHANG));
  CALL(kill(pid, SIGCONT));
  YES(waitpid(pid, &status, WCONTINUED) == pid);
  if (WIFCONTINUED(status)) line("continued");
  seen.open();
  frame::join(pid);
}

CASE(waitid_of_stops) {
  frame::Gate seen;  // an end would hide that it went on
  pid_t pid = frame::child([&] {
    raise(SIGSTOP);
    seen.wait();
    _exit(4);
  });
  siginfo_t info = {};
  CALL(waitid(P_PID, static_cast<id_t>(pid), &info, WSTOPPED));
  show_info(info, pid);
  CALL(kill(pid, SIGCONT));
  CALL(waitid(P_PID, static_cast<id_t>(pid), &info, WCONTINUED));
  show_info(info, pid);
  seen.open();
  CALL(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED));
  show_info(info, pid);
}

CASE(stopped_process_is_killed) {
  pid_t pid = frame::child([] { raise(SIGSTOP); });
  int status;
  waitpid(pid, &status, WUNTRACED);
  frame::status("child", status);
  CALL(kill(pid, SIGTERM));
  frame::settle(10);
  CALL(waitpid(pid, &status, WNOHANG));
  CALL(kill(pid, SIGKILL));
  frame::join(pid);
}

CASE(child_signal_tells_how_it_ended) {
  frame::handle_info(SIGCHLD, count_signal);
  pid_t pid = frame::child([] { _exit(9); });
  frame::until([] { return signals_seen == 1; });
  show_info(last_info, pid);
  frame::join(pid);
  pid = frame::child([] { raise(SIGTERM); });
  frame::until([] { return signals_seen == 2; });
  show_info(last_info, pid);
  frame::join(pid);
}

CASE(child_signal_of_stops) {
  frame::handle_info(SIGCHLD, count_signal);
  pid_t pid = frame::child([] { raise(SIGSTOP); });
  frame::until([] { return signals_seen == 1; });
  show_info(last_info, pid);
  kill(pid, SIGCONT);
  frame::until([] { return signals_seen >= 2; });
  frame::join(pid);
  frame::handle_info(SIGCHLD, count_signal, SA_NOCLDSTOP);
  signals_seen = 0;
  pid = frame::child([] { raise(SIGSTOP); });
  int status;
  waitpid(pid, &status, WUNTRACED);
  SHOW(signals_seen);
  kill(pid, SIGKILL);
  frame::join(pid);
  SHOW(signals_seen);
}

CASE(ignored_children_leave_nothing) {
  signal(SIGCHLD, SIG_IGN);
  frame::child([] { _exit(1); });
  CALL(wait(nullptr));
}

CASE(children_that_are_not_waited_for) {
  frame::handle(SIGCHLD, frame::ignore_in_handler, SA_NOCLDWAIT);
  frame::child([] { _exit(1); });
  int status;
  pid_t done;
  do {
    done = wait(&status);
  } while (done < 0 && errno == EINTR);
  line("%s", done < 0 ? frame::error_name(errno) : "waited");
}

CASE(zombies_are_there_until_waited_for) {
  pid_t pid = frame::child([] {});
  siginfo_t info;
  waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);
  CALL(kill(pid, 0));
  CALL(kill(pid, SIGTERM));
  YES(getpgid(pid) == getpgrp());
  frame::join(pid);
  CALL(kill(pid, 0));
}

CASE(orphans_get_a_new_parent) {
  frame::Gate gone, told;
  pid_t* parent = frame::shared_memory<pid_t>();
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  pid_t middle = fork();
  if (middle == 0) {
    if (fork() == 0) {
      gone.wait();
      pid_t before = *parent;
      frame::until([=] { return getppid() != before; });
      *parent = getppid();
      told.open();
      _exit(6);
    }
    *parent = getpid();
    _exit(0);
  }
  frame::join(middle, "middle");
  gone.open();
  told.wait();
  YES(*parent == getpid());
  int status;
  wait(&status);
  frame::status("orphan", status);
}

CASE(subreaper_is_set_and_read) {
  int value = 7;
  CALL(prctl(PR_GET_CHILD_SUBREAPER, &value));
  SHOW(value);
  CALL(prctl(PR_SET_CHILD_SUBREAPER, 5));
  CALL(prctl(PR_GET_CHILD_SUBREAPER, &value));
  SHOW(value);
  frame::in_child([] {
    int inherited = 7;
    CALL(prctl(PR_GET_CHILD_SUBREAPER, &inherited));
    SHOW(inherited);
  });
}

CASE(signal_at_the_parents_death) {
  frame::Gate ready;
  int* seen = frame::shared_memory<int>();
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  pid_t middle = fork();
  if (middle == 0) {
    if (fork() == 0) {
      prctl(PR_SET_PDEATHSIG, SIGUSR1);
      int value = 0;
      CALL(prctl(PR_GET_PDEATHSIG, &value));
      SHOW(value);
      sigset_t set;
      sigemptyset(&set);
      sigaddset(&set, SIGUSR1);
      sigprocmask(SIG_BLOCK, &set, nullptr);
      ready.open();
      timespec wait = {5, 0};
      *seen = sigtimedwait(&set, nullptr, &wait);
      _exit(0);
    }
    ready.wait();
    _exit(0);
  }
  frame::join(middle, "middle");
  wait(nullptr);
  line("%s", frame::signal_name(*seen));
}

CASE(vfork_shares_memory_until_exit) {
  volatile int value = 1;
  pid_t pid = vfork();
  if (pid == 0) {
    value = 2;
    _exit(3);
  }
  SHOW(value);
  frame::join(pid);
}

HELPER(exit_with) { _exit(atoi(arguments[1])); }

CASE(vfork_and_exec) {
  pid_t pid = vfork();
  if (pid == 0) {
    execl(frame::program(), "x", "@exit_with", "33", nullptr);
    _exit(1);
  }
  frame::join(pid);
}

CASE(failed_exec_after_vfork_is_seen) {
  volatile int error = 0;
  pid_t pid = vfork();
  if (pid == 0) {
    execl("missing", "x", nullptr);
    error = errno;
    _exit(1);
  }
  line("%s", frame::error_name(error));
  frame::join(pid);
}

CASE(clone_shares_descriptors) {
  int (*body)(void*) = [](void*) {
    open("x", O_RDWR | O_CREAT, 0644);
    return 0;
  };
  pid_t pid = clone(body, stack_top(), CLONE_FILES | SIGCHLD, nullptr);
  frame::join(pid);
  CALL(fcntl(3, F_GETFD));
}

CASE(clone_shares_the_working_directory) {
  CALL(mkdir("d", 0755));
  int (*body)(void*) = [](void*) {
    umask(0);
    return chdir("d");
  };
  frame::join(clone(body, stack_top(), CLONE_FS | SIGCHLD, nullptr));
  char path[4096];
  getcwd(path, sizeof(path));
  frame::text("name", strrchr(path, '/'));
  SHOW(umask(0));
}

CASE(clone_shares_memory) {
  static int value;
  int (*body)(void*) = [](void*) {
    value = 5;
    return 2;
  };
  frame::join(clone(body, stack_top(), CLONE_VM | CLONE_VFORK | SIGCHLD, nullptr));
  SHOW(value);
}

CASE(clone_shares_handlers) {
  int (*body)(void*) = [](void*) {
    signal(SIGUSR1, SIG_IGN);
    return 0;
  };
  frame::join(clone(body, stack_top(), CLONE_VM | CLONE_SIGHAND | SIGCHLD, nullptr));
  struct sigaction now;
  sigaction(SIGUSR1, nullptr, &now);
  YES(now.sa_handler == SIG_IGN);
}

CASE(clone_with_another_signal) {
  int (*body)(void*) = [](void*) { return 8; };
  int status;
  pid_t pid = clone(body, stack_top(), 0, nullptr);
  CALL(waitpid(pid, &status, WNOHANG));
  YES(waitpid(pid, &status, __WCLONE) == pid);
  frame::status("child", status);
  signal(SIGUSR1, SIG_IGN);
  pid = clone(body, stack_top(), SIGUSR1 | CLONE_VM, nullptr);
  YES(waitpid(pid, &status, __WALL) == pid);
}

CASE(clone_writes_ids) {
  pid_t in_parent = 0;
  pid_t* in_child = frame::shared_memory<pid_t>();
  long pid = syscall(SYS_clone, SIGCHLD | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID, 0, &in_parent,
                     in_child, 0);
  if (pid == 0) {
    if (*in_child != getpid()) _exit(1);
    _exit(0);
  }
  frame::join(static_cast<pid_t>(pid));
  YES(in_parent == pid);
  YES(*in_child == pid);
}

CASE(clone_of_a_brother) {
  frame::in_child([] {
    long pid = syscall(SYS_clone, SIGCHLD | CLONE_PARENT, 0, nullptr, nullptr, 0);
    if (pid == 0) _exit(12);
    CALL(waitpid(static_cast<pid_t>(pid), nullptr, 0));
  });
  int status;
  YES(wait(&status) > 0);
  frame::status("brother", status);
}

CASE(clone_gives_a_descriptor) {
  int fd = -1;
  long pid = syscall(SYS_clone, SIGCHLD | CLONE_PIDFD, 0, &fd, nullptr, 0);
  if (pid == 0) pause();
  SHOW(fd);
  CALL(fcntl(fd, F_GETFD));
  CALL(syscall(SYS_pidfd_send_signal, fd, SIGTERM, nullptr, 0));
  frame::join(static_cast<pid_t>(pid));
  CALL(syscall(SYS_pidfd_send_signal, fd, SIGTERM, nullptr, 0));
}

CASE(clone_refused) {
  CALL(syscall(SYS_clone, CLONE_SIGHAND | SIGCHLD, 0, nullptr, nullptr, 0));
  CALL(syscall(SYS_clone, CLONE_THREAD | SIGCHLD, 0, nullptr, nullptr, 0));
  CALL(syscall(SYS_clone, CLONE_THREAD | CLONE_VM | SIGCHLD, 0, nullptr, nullptr, 0));
  CALL(syscall(SYS_clone, CLONE_FS | CLONE_NEWNS | SIGCHLD, 0, nullptr, nullptr, 0));
  CALL(syscall(SYS_clone, CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD, 0, nullptr, nullptr, 0));
}

CASE(clone3_makes_a_child) {
  int fd = -1;
  Clone3 arguments = {};
  arguments.flags = CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<uint64_t>(&fd);
  arguments.exit_signal = SIGCHLD;
  long pid = syscall(SYS_clone3, &arguments, sizeof(arguments));
  if (pid == 0) _exit(21);
  SHOW(fd);
  frame::join(static_cast<pid_t>(pid));
}

CASE(clone3_refused) {
  Clone3 arguments = {};
  arguments.exit_signal = 99;
  CALL(syscall(SYS_clone3, &arguments, sizeof(arguments)));
  arguments.exit_signal = SIGCHLD;
  CALL(syscall(SYS_clone3, &arguments, 8));
  CALL(syscall(SYS_clone3, 1, sizeof(arguments)));
  CALL(syscall(SYS_clone3, &arguments, 10000));
  arguments.stack_size = 4096;
  CALL(syscall(SYS_clone3, &arguments, sizeof(arguments)));
  arguments.stack_size = 0;
  arguments.flags = SIGCHLD;
  CALL(syscall(SYS_clone3, &arguments, sizeof(arguments)));
}

CASE(descriptors_of_processes) {
  CALL(syscall(SYS_pidfd_open, getpid(), 0));
  CALL(fcntl(3, F_GETFD));
  CALL(syscall(SYS_pidfd_open, 0x3fffff, 0));
  CALL(syscall(SYS_pidfd_open, -1, 0));
  CALL(syscall(SYS_pidfd_open, getpid(), 0x100));
  CALL(syscall(SYS_pidfd_send_signal, 3, 0, nullptr, 0));
  CALL(syscall(SYS_pidfd_send_signal, 0, 0, nullptr, 0));
  CALL(syscall(SYS_pidfd_send_signal, 3, 0, nullptr, 0x100));
  char byte;
  CALL(read(3, &byte, 1));
}

CASE(descriptors_are_taken_from_processes) {
  frame::Gate done;
  int ends[2];
  pipe(ends);
  frame::Gate ready;
  pid_t pid = frame::child([&] {
    int fd = frame::made("x");
    write(fd, "content", 7);
    ready.open();
    done.wait();
  });
  ready.wait();
  int process = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  int taken = static_cast<int>(syscall(SYS_pidfd_getfd, process, 5, 0));
  CALL(fcntl(taken, F_GETFD));
  char data[8] = {};
  CALL(pread(taken, data, 7, 0));
  frame::text("data", data);
  CALL(syscall(SYS_pidfd_getfd, process, 99, 0));
  CALL(syscall(SYS_pidfd_getfd, process, 5, 1));
  done.open();
  frame::join(pid);
  CALL(syscall(SYS_pidfd_getfd, process, 5, 0));
}

// Of both kinds: which one a short time counts as is a matter of ticks.
static long microseconds_used(int of) {
  rusage usage = {};
  if (getrusage(static_cast<__rusage_who>(of), &usage) != 0) return -1;
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec +
         usage.ru_stime.tv_usec;
}

CASE(usage_of_children) {
  rusage after;
  long before = microseconds_used(RUSAGE_CHILDREN);
  frame::in_child([] {
    volatile unsigned long sum = 0;
    while (microseconds_used(RUSAGE_SELF) < 20000) sum = sum + 1;
  });
  YES(before >= 0);
  YES(microseconds_used(RUSAGE_CHILDREN) >= before + 20000);
  CALL(getrusage(99, &after));
  CALL(syscall(SYS_getrusage, RUSAGE_SELF, 1));
}

CASE(usage_comes_with_waiting) {
  pid_t pid = frame::child([] { _exit(2); });
  rusage usage;
  memset(&usage, 0x55, sizeof(usage));
  int status;
  YES(wait4(pid, &status, 0, &usage) == pid);
  YES(usage.ru_utime.tv_sec < 10);
}

CASE(exit_handlers_run_in_order) {
  frame::in_child([] {
    atexit([] { line("first registered"); });
    atexit([] { line("last registered"); });
    exit(3);
  });
}

CASE(priorities) {
  SHOW(getpriority(PRIO_PROCESS, 0));
  CALL(setpriority(PRIO_PROCESS, 0, 5));
  SHOW(getpriority(PRIO_PROCESS, 0));
  CALL(setpriority(PRIO_PROCESS, 0, 100));
  SHOW(getpriority(PRIO_PROCESS, 0));
  CALL(setpriority(PRIO_PROCESS, 0, -100));
  SHOW(getpriority(PRIO_PROCESS, 0));
  CALL(getpriority(99, 0));
  CALL(getpriority(PRIO_PROCESS, 0x3fffff));
  CALL(setpriority(PRIO_PROCESS, 0x3fffff, 0));
  CALL(nice(3));
  frame::in_child([] {
    setresuid(1000, 1000, 1000);
    CALL(setpriority(PRIO_PROCESS, 0, -20));
    CALL(setpriority(PRIO_PROCESS, 0, 10));
    CALL(setpriority(PRIO_PROCESS, 0, 9));
  });
}

CASE(many_children) {
  int sum = 0;
  for (int index = 0; index < 100; index++) {
    if (frame::child([=] { _exit(index % 7); }) < 0) line("no child %d", index);
  }
  int status;
  while (wait(&status) > 0) sum += WEXITSTATUS(status);
  SHOW(sum);
}

CASE(generations) {
  frame::in_child([] {
    frame::in_child(
        [] { frame::in_child([] { frame::in_child([] { line("fifth generation"); }); }); });
  });
}

CASE(new_session_of_an_orphan) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  frame::Gate gone;
  frame::in_child([&] {
    if (fork() == 0) {
      gone.wait();
      YES(setsid() == getpid());
      YES(getpgrp() == getpid());
      _exit(11);
    }
  });
  gone.open();
  int status;
  wait(&status);
  frame::status("orphan", status);
}

CASE(orphaned_stopped_group_is_hung_up) {
  int ends[2];
  CALL(pipe(ends));
  pid_t leader = frame::fork_child();
  if (leader == 0) {
    setpgid(0, 0);
    pid_t pid = fork();
    if (pid == 0) {
      frame::handle(SIGHUP, [](int) { line("hung up"); });
      frame::handle(SIGCONT, [](int) { line("continued"); });
      raise(SIGSTOP);
      _exit(1);
    }
    int status;
    waitpid(pid, &status, WUNTRACED);
    _exit(0);  // nobody of its session, in another group, is the parent of this group any more
  }
  close(ends[1]);
  waitpid(leader, nullptr, 0);
  char byte;
  CALL(read(ends[0], &byte, 1));
}

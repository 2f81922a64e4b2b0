// ptrace(2): events, single steps, SEIZE, signals that a tracer changes; seccomp(2): what filters
// answer, and tracers.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstddef>

#include "frame.h"

namespace {

void show_stop(const char* what, pid_t pid) {
  int status = 0;
  pid_t seen = waitpid(pid, &status, __WALL);
  if (seen < 0) {
    line("%s: %s", what, frame::error_name(errno));
  } else if (WIFSTOPPED(status)) {
    line("%s: %s event %d", what, frame::signal_name(WSTOPSIG(status) & 0x7f), status >> 16);
  } else {
    frame::status(what, status);
  }
}

// A child that stops before it goes on.
template <typename F>
pid_t traced(F body) {
  return frame::child([&] {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    body();
  });
}

void install(const sock_filter* steps, unsigned short count) {
  sock_fprog program = {count, const_cast<sock_filter*>(steps)};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  CALL(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

// `answer` for one call, the others are allowed.
void filter_one(unsigned number, unsigned answer) {
  sock_filter steps[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                         BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
                         BPF_STMT(BPF_RET | BPF_K, answer),
                         BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  install(steps, 4);
}

volatile sig_atomic_t seen_code, seen_error, seen_call;
void note(int, siginfo_t* info, void*) {
  seen_code = info->si_code;
  seen_error = info->si_errno;
  seen_call = info->si_syscall;
}

}  // namespace

CASE(events_of_children) {
  pid_t pid = traced([] {
    pid_t child = fork();
    if (child == 0) _exit(4);
    int status;
    waitpid(child, &status, 0);
    _exit(WEXITSTATUS(status) + 1);
  });
  show_stop("first", pid);
  CALL(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEFORK));
  CALL(ptrace(PTRACE_CONT, pid, 0, 0));
  show_stop("fork", pid);
  unsigned long child = 0;
  CALL(ptrace(PTRACE_GETEVENTMSG, pid, 0, &child));
  show_stop("child", static_cast<pid_t>(child));
  ptrace(PTRACE_CONT, child, 0, 0);
  ptrace(PTRACE_CONT, pid, 0, 0);
  show_stop("child", static_cast<pid_t>(child));
  show_stop("parent", pid);
  ptrace(PTRACE_CONT, pid, 0, 0);
  show_stop("parent", pid);
}

CASE(events_of_execution) {
  for (long options : {0L, static_cast<long>(PTRACE_O_TRACEEXEC)}) {
    pid_t pid = traced([] { execl("/bin/true", "true", nullptr); });
    show_stop("first", pid);
    ptrace(PTRACE_SETOPTIONS, pid, 0, options);
    ptrace(PTRACE_CONT, pid, 0, 0);
    show_stop("exec", pid);
    ptrace(PTRACE_CONT, pid, 0, 0);
    show_stop("end", pid);
  }
}

CASE(steps) {
  static volatile int done = 0;
  pid_t pid = traced([] { done = done + 1; });
  show_stop("first", pid);
  for (int step = 0; step < 5; step++) {
    CALL(ptrace(PTRACE_SINGLESTEP, pid, 0, 0));
    show_stop("step", pid);
  }
  siginfo_t info = {};
  CALL(ptrace(PTRACE_GETSIGINFO, pid, 0, &info));
  SHOW(info.si_code);
  ptrace(PTRACE_CONT, pid, 0, 0);
  show_stop("end", pid);
}

CASE(signals_are_changed) {
  pid_t pid = traced([] {
    raise(SIGUSR1);
    raise(SIGUSR2);
    _exit(6);
  });
  show_stop("first", pid);
  ptrace(PTRACE_CONT, pid, 0, 0);
  show_stop("one", pid);
  ptrace(PTRACE_CONT, pid, 0, 0);
  show_stop("two", pid);
  ptrace(PTRACE_CONT, pid, 0, SIGTERM);
  show_stop("end", pid);
}

CASE(seized_and_interrupted) {
  frame::Gate gate;
  pid_t pid = frame::child([&] { gate.wait(); });
  CALL(ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD));
  CALL(ptrace(PTRACE_GETSIGINFO, pid, 0, nullptr));
  CALL(ptrace(PTRACE_INTERRUPT, pid, 0, 0));
  show_stop("interrupted", pid);
  CALL(ptrace(PTRACE_CONT, pid, 0, 0));
  kill(pid, SIGSTOP);
  show_stop("signal", pid);
  CALL(ptrace(PTRACE_CONT, pid, 0, SIGSTOP));
  show_stop("group", pid);
  CALL(ptrace(PTRACE_LISTEN, pid, 0, 0));
  CALL(ptrace(PTRACE_PEEKDATA, pid, 0, 0));
  kill(pid, SIGCONT);
  show_stop("continued", pid);
  CALL(ptrace(PTRACE_CONT, pid, 0, 0));
  show_stop("signal", pid);
  CALL(ptrace(PTRACE_CONT, pid, 0, SIGCONT));
  gate.open();
  show_stop("end", pid);
}

CASE(calls_are_changed) {
  pid_t pid = traced([] { _exit(static_cast<int>(syscall(SYS_getppid)) == 55 ? 1 : 2); });
  show_stop("first", pid);
  ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD);
  user_regs_struct registers = {};
  for (;;) {
    ptrace(PTRACE_SYSCALL, pid, 0, 0);
    int status = 0;
    waitpid(pid, &status, 0);
    if (!WIFSTOPPED(status)) break;
    ptrace(PTRACE_GETREGS, pid, 0, &registers);
    if (registers.orig_rax != SYS_getppid) continue;
    SHOW(static_cast<long>(registers.rax));
    registers.orig_rax = ~0UL;
    registers.rax = 55;
    ptrace(PTRACE_SETREGS, pid, 0, &registers);
    ptrace(PTRACE_SYSCALL, pid, 0, 0);
    waitpid(pid, &status, 0);
    ptrace(PTRACE_GETREGS, pid, 0, &registers);
    SHOW(static_cast<long>(registers.rax));
    ptrace(PTRACE_CONT, pid, 0, 0);
    show_stop("end", pid);
    break;
  }
}

CASE(tracer_goes) {
  frame::Gate ready, gate;
  pid_t pid = frame::child([&] { gate.wait(); });
  pid_t tracer = frame::child([&] {
    ptrace(PTRACE_ATTACH, pid, 0, 0);
    waitpid(pid, nullptr, __WALL);
    ptrace(PTRACE_CONT, pid, 0, 0);
    ready.open();
  });
  ready.wait();
  frame::join(tracer, "tracer");
  gate.open();
  frame::join(pid);
}

CASE(filters_answer) {
  frame::in_child([] {
    filter_one(SYS_getppid, SECCOMP_RET_ERRNO | 33);
    CALL(syscall(SYS_getppid));
    CALL(prctl(PR_GET_SECCOMP));
    frame::handle_info(SIGSYS, note);
    filter_one(SYS_getuid, SECCOMP_RET_TRAP | 7);
    line("%d", static_cast<int>(syscall(SYS_getuid)) == SYS_getuid);
    line("code %d error %d call %d", seen_code, seen_error, seen_call == SYS_getuid);
    filter_one(SYS_getgid, SECCOMP_RET_TRACE | 1);
    CALL(syscall(SYS_getgid));
    frame::in_child([] { CALL(syscall(SYS_getppid)); });
  });
  frame::in_child([] {
    filter_one(SYS_getuid, SECCOMP_RET_KILL_PROCESS);
    syscall(SYS_getuid);
    line("not reached");
  });
}

CASE(filters_refused) {
  frame::in_child([] {
    setresuid(1000, 1000, 1000);
    sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    sock_fprog program = {1, &allow};
    CALL(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
    CALL(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    CALL(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
    sock_filter wrong = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2);
    program.filter = &wrong;
    CALL(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
    program.len = 0;
    CALL(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
    CALL(syscall(SYS_seccomp, 99, 0, nullptr));
    CALL(prctl(PR_SET_SECCOMP, 7));
  });
}

CASE(filters_and_tracers) {
  pid_t pid = traced([] {
    filter_one(SYS_getppid, SECCOMP_RET_TRACE | 9);
    _exit(static_cast<int>(syscall(SYS_getppid)) == 77 ? 3 : 4);
  });
  show_stop("first", pid);
  ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESECCOMP);
  ptrace(PTRACE_CONT, pid, 0, 0);
  show_stop("filter", pid);
  unsigned long message = 0;
  CALL(ptrace(PTRACE_GETEVENTMSG, pid, 0, &message));
  SHOW(message);
  user_regs_struct registers = {};
  ptrace(PTRACE_GETREGS, pid, 0, &registers);
  registers.orig_rax = ~0UL;
  registers.rax = 77;
  ptrace(PTRACE_SETREGS, pid, 0, &registers);
  ptrace(PTRACE_CONT, pid, 0, 0);
  show_stop("end", pid);
}

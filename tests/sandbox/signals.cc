// Signals: masks, queues, order, flags of handlers, waiting for them, faults and their contexts.
#include <pthread.h>
#include <setjmp.h>
#include <sys/ucontext.h>

#include "frame.h"

namespace {

volatile sig_atomic_t seen[65];
volatile sig_atomic_t order[64];
volatile sig_atomic_t order_size;
siginfo_t last;

void note(int signal, siginfo_t* info, void*) {
  seen[signal] = seen[signal] + 1;
  order[order_size] = signal;
  order_size = order_size + 1;
  last = *info;
}

void show_order() {
  char text[1024] = "";
  for (int index = 0; index < order_size; index++) {
    sprintf(text + strlen(text), " %s", frame::signal_name(order[index]));
  }
  line("order:%s", text);
}

sigset_t set_of(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : signals) sigaddset(&set, signal);
  return set;
}

void block(std::initializer_list<int> signals) {
  sigset_t set = set_of(signals);
  sigprocmask(SIG_BLOCK, &set, nullptr);
}

void unblock(std::initializer_list<int> signals) {
  sigset_t set = set_of(signals);
  sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

void show_pending() {
  sigset_t set;
  sigpending(&set);
  char text[1024] = "";
  for (int signal = 1; signal < 65; signal++) {
    if (sigismember(&set, signal) == 1)
      sprintf(text + strlen(text), " %s", frame::signal_name(signal));
  }
  line("pending:%s", text);
}

void show_info(const siginfo_t& info) {
  line("%s code %d pid %s uid %u value %d", frame::signal_name(info.si_signo), info.si_code,
       info.si_pid == getpid()    ? "own"
       : info.si_pid == getppid() ? "parent"
       : info.si_pid == 0         ? "none"
                                  : "other",
       info.si_uid, info.si_value.sival_int);
}

}  // namespace

CASE(handler_is_called) {
  frame::handle_info(SIGUSR1, note);
  CALL(kill(getpid(), SIGUSR1));
  SHOW(seen[SIGUSR1]);
  show_info(last);
  CALL(raise(SIGUSR1));
  SHOW(seen[SIGUSR1]);
  SHOW(last.si_code);
}

CASE(ignored_signals_do_nothing) {
  signal(SIGTERM, SIG_IGN);
  CALL(raise(SIGTERM));
  CALL(raise(SIGCHLD));
  CALL(raise(SIGWINCH));
  CALL(raise(SIGURG));
  CALL(raise(SIGCONT));
}

CASE(default_actions) {
  for (int signal = 1; signal < 32; signal++) {
    if (signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU) continue;
    pid_t pid = frame::child([=] { raise(signal); });
    frame::join(pid, frame::signal_name(signal));
  }
  frame::join(frame::child([] { raise(SIGRTMIN); }), "SIGRTMIN");
}

CASE(stop_signals) {
  for (int signal : {SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU}) {
    pid_t pid = frame::child([=] { raise(signal); });
    int status;
    waitpid(pid, &status, WUNTRACED);
    frame::status("child", status);
    kill(pid, SIGCONT);
    if (WIFSTOPPED(status)) frame::join(pid);
  }
}

CASE(sigaction_gives_the_old_one) {
  struct sigaction action = {}, old = {};
  CALL(sigaction(SIGUSR1, nullptr, &old));
  YES(old.sa_handler == SIG_DFL);
  action.sa_sigaction = note;
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_NODEFER;
  sigaddset(&action.sa_mask, SIGUSR2);
  CALL(sigaction(SIGUSR1, &action, nullptr));
  CALL(sigaction(SIGUSR1, nullptr, &old));
  YES(old.sa_sigaction == note);
  line("%x %d %d", old.sa_flags & ~0x04000000, sigismember(&old.sa_mask, SIGUSR2),
       sigismember(&old.sa_mask, SIGUSR1));
}

CASE(sigaction_refused) {
  struct sigaction action = {};
  action.sa_handler = SIG_IGN;
  CALL(syscall(SYS_rt_sigaction, SIGKILL, &action, nullptr, 8));
  CALL(syscall(SYS_rt_sigaction, SIGSTOP, &action, nullptr, 8));
  CALL(syscall(SYS_rt_sigaction, SIGKILL, nullptr, &action, 8));
  CALL(syscall(SYS_rt_sigaction, 0, &action, nullptr, 8));
  CALL(syscall(SYS_rt_sigaction, 65, &action, nullptr, 8));
  CALL(syscall(SYS_rt_sigaction, SIGUSR1, &action, nullptr, 4));
  CALL(syscall(SYS_rt_sigaction, SIGUSR1, 1, nullptr, 8));
  CALL(syscall(SYS_rt_sigaction, SIGUSR1, nullptr, 1, 8));
}

CASE(masks_cannot_hold_kill_and_stop) {
  sigset_t all, now;
  sigfillset(&all);
  CALL(sigprocmask(SIG_SETMASK, &all, nullptr));
  CALL(sigprocmask(SIG_SETMASK, nullptr, &now));
  line("%d %d %d", sigismember(&now, SIGKILL), sigismember(&now, SIGSTOP),
       sigismember(&now, SIGTERM));
}

CASE(masks_are_changed) {
  sigset_t one = set_of({SIGUSR1}), two = set_of({SIGUSR2}), now;
  auto show = [&] {
    sigprocmask(SIG_BLOCK, nullptr, &now);
    line("%d %d", sigismember(&now, SIGUSR1), sigismember(&now, SIGUSR2));
  };
  CALL(sigprocmask(SIG_BLOCK, &one, nullptr));
  show();
  CALL(sigprocmask(SIG_BLOCK, &two, nullptr));
  show();
  CALL(sigprocmask(SIG_UNBLOCK, &one, nullptr));
  show();
  CALL(sigprocmask(SIG_SETMASK, &one, &now));
  line("old %d %d", sigismember(&now, SIGUSR1), sigismember(&now, SIGUSR2));
  show();
  CALL(syscall(SYS_rt_sigprocmask, 99, &one, nullptr, 8));
  CALL(syscall(SYS_rt_sigprocmask, 99, nullptr, nullptr, 8));
  CALL(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &one, nullptr, 4));
  CALL(syscall(SYS_rt_sigprocmask, SIG_BLOCK, 1, nullptr, 8));
}

CASE(blocked_signals_wait) {
  frame::handle_info(SIGUSR1, note);
  block({SIGUSR1});
  raise(SIGUSR1);
  raise(SIGUSR1);
  SHOW(seen[SIGUSR1]);
  show_pending();
  unblock({SIGUSR1});
  SHOW(seen[SIGUSR1]);
  show_pending();
}

CASE(real_time_signals_are_queued) {
  frame::handle_info(SIGRTMIN, note);
  block({SIGRTMIN});
  for (int value = 1; value <= 3; value++) {
    sigval with = {};
    with.sival_int = value;
    CALL(sigqueue(getpid(), SIGRTMIN, with));
  }
  show_pending();
  unblock({SIGRTMIN});
  SHOW(seen[SIGRTMIN]);
  show_info(last);
}

CASE(standard_signals_are_not_queued) {
  frame::handle_info(SIGUSR1, note);
  block({SIGUSR1});
  for (int value = 1; value <= 3; value++) {
    sigval with = {};
    with.sival_int = value;
    CALL(sigqueue(getpid(), SIGUSR1, with));
  }
  unblock({SIGUSR1});
  SHOW(seen[SIGUSR1]);
  show_info(last);
}

CASE(low_numbers_are_first) {
  for (int signal : {SIGUSR1, SIGUSR2, SIGTERM, SIGHUP, SIGRTMIN, SIGRTMIN + 3})
    frame::handle_info(signal, note);
  for (int signal : {SIGUSR1, SIGUSR2, SIGTERM, SIGHUP, SIGRTMIN, SIGRTMIN + 3}) {
    struct sigaction action;
    sigaction(signal, nullptr, &action);
    sigfillset(&action.sa_mask);
    sigaction(signal, &action, nullptr);
  }
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, nullptr);
  for (int signal : {SIGRTMIN + 3, SIGTERM, SIGRTMIN, SIGUSR2, SIGHUP, SIGUSR1}) raise(signal);
  sigprocmask(SIG_UNBLOCK, &all, nullptr);
  show_order();
}

CASE(faults_are_before_others) {
  static sigjmp_buf jump;
  frame::handle_info(SIGUSR1, note);
  frame::handle_info(SIGSEGV, [](int signal, siginfo_t* info, void* context) {
    note(signal, info, context);
    siglongjmp(jump, 1);
  });
  if (sigsetjmp(jump, 1) == 0) *reinterpret_cast<volatile int*>(8) = 1;
  raise(SIGUSR1);
  show_order();
}

CASE(handler_blocks_its_signal) {
  frame::handle(SIGUSR1, [](int) {
    line("begin");
    static int depth;
    if (depth++ == 0) raise(SIGUSR1);
    line("end");
  });
  raise(SIGUSR1);
}

CASE(nodefer_lets_it_nest) {
  frame::handle(
      SIGUSR1,
      [](int) {
        line("begin");
        static int depth;
        if (depth++ == 0) raise(SIGUSR1);
        line("end");
      },
      SA_NODEFER);
  raise(SIGUSR1);
}

CASE(handler_blocks_its_mask) {
  struct sigaction action = {};
  action.sa_handler = [](int) {
    line("begin");
    raise(SIGUSR2);
    show_pending();
    line("end");
  };
  action.sa_mask = set_of({SIGUSR2});
  sigaction(SIGUSR1, &action, nullptr);
  frame::handle(SIGUSR2, [](int) { line("second"); });
  raise(SIGUSR1);
  sigset_t now;
  sigprocmask(SIG_BLOCK, nullptr, &now);
  SHOW(sigismember(&now, SIGUSR2));
}

CASE(handler_is_reset) {
  frame::handle(SIGUSR1, frame::ignore_in_handler, SA_RESETHAND);
  raise(SIGUSR1);
  struct sigaction now;
  sigaction(SIGUSR1, nullptr, &now);
  YES(now.sa_handler == SIG_DFL);
  frame::in_child([] { raise(SIGUSR1); });
}

CASE(handler_leaves_by_a_jump) {
  static sigjmp_buf jump;
  frame::handle(SIGUSR1, [](int) { siglongjmp(jump, 5); });
  int value = sigsetjmp(jump, 1);
  if (value == 0) raise(SIGUSR1);
  SHOW(value);
  sigset_t now;
  sigprocmask(SIG_BLOCK, nullptr, &now);
  SHOW(sigismember(&now, SIGUSR1));
}

CASE(another_stack) {
  static char space[65536];
  static bool inside;
  static int flags;
  stack_t stack = {space, 0, sizeof(space)}, old;
  CALL(sigaltstack(nullptr, &old));
  SHOW(old.ss_flags);
  CALL(sigaltstack(&stack, &old));
  auto handler = [](int) {
    char here;
    inside = &here >= space && &here < space + sizeof(space);
    stack_t now;
    sigaltstack(nullptr, &now);
    flags = now.ss_flags;
    stack_t none = {nullptr, SS_DISABLE, 0};
    CALL(sigaltstack(&none, nullptr));
  };
  frame::handle(SIGUSR1, handler, SA_ONSTACK);
  raise(SIGUSR1);
  line("%d %d", inside, flags);
  frame::handle(SIGUSR1, [](int) {
    char here;
    inside = &here >= space && &here < space + sizeof(space);
  });
  raise(SIGUSR1);
  SHOW(inside);
}

CASE(another_stack_refused) {
  static char space[65536];
  stack_t small = {space, 0, 100};
  CALL(sigaltstack(&small, nullptr));
  stack_t flags = {space, 77, sizeof(space)};
  CALL(sigaltstack(&flags, nullptr));
  stack_t good = {space, SS_ONSTACK, sizeof(space)};
  CALL(sigaltstack(&good, nullptr));
  stack_t none = {nullptr, SS_DISABLE, 0};
  CALL(sigaltstack(&none, &good));
  SHOW(good.ss_size);
  CALL(syscall(SYS_sigaltstack, 1, nullptr));
  stack_t disarm = {space, static_cast<int>(1u << 31), sizeof(space)};
  CALL(sigaltstack(&disarm, nullptr));
}

CASE(kill_refused) {
  CALL(kill(0x3fffff, 0));
  CALL(kill(-0x3fffff, 0));
  CALL(kill(getpid(), 65));
  CALL(kill(getpid(), -1));
  CALL(kill(getpid(), 0));
  CALL(kill(0, 0));
  CALL(kill(-getpid(), 0));
  CALL(kill(static_cast<pid_t>(0x80000000), SIGTERM));
}

CASE(kill_needs_permission) {
  frame::Gate done;
  pid_t pid = frame::child([&] { done.wait(); });
  frame::in_child([=] {
    setresuid(1000, 1000, 1000);
    CALL(kill(pid, 0));
    CALL(kill(pid, SIGTERM));
    CALL(kill(pid, SIGCONT));
    CALL(kill(getpid(), 0));
    CALL(syscall(SYS_tgkill, pid, pid, SIGTERM));
  });
  done.open();
  frame::join(pid);
}

CASE(kill_of_a_group) {
  frame::Gate ready;
  pid_t leader = frame::child([&] { setpgid(0, 0), ready.open(), pause(); });
  ready.wait();
  pid_t second = frame::child([=, &ready] { setpgid(0, leader), ready.open(), pause(); });
  ready.wait();
  CALL(kill(-leader, SIGTERM));
  frame::join(leader, "leader");
  frame::join(second, "second");
}

CASE(signals_to_threads) {
  frame::handle_info(SIGUSR1, note);
  CALL(syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1));
  SHOW(seen[SIGUSR1]);
  show_info(last);
  CALL(syscall(SYS_tkill, gettid(), SIGUSR1));
  CALL(syscall(SYS_tgkill, getpid(), 0x3fffff, SIGUSR1));
  CALL(syscall(SYS_tgkill, getppid(), gettid(), SIGUSR1));
  CALL(syscall(SYS_tgkill, 0, gettid(), SIGUSR1));
  CALL(syscall(SYS_tkill, -1, SIGUSR1));
  CALL(syscall(SYS_tgkill, getpid(), gettid(), 99));
}

CASE(queued_information_is_passed) {
  frame::handle_info(SIGUSR1, note);
  siginfo_t info = {};
  info.si_signo = SIGUSR1;
  info.si_code = -77;
  info.si_pid = getpid();
  info.si_uid = 123;
  info.si_value.sival_int = 42;
  CALL(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info));
  show_info(last);
  CALL(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGUSR1, &info));
  SHOW(seen[SIGUSR1]);
  info.si_code = 0;
  frame::in_child([&] { CALL(syscall(SYS_rt_sigqueueinfo, getppid(), SIGUSR1, &info)); });
  CALL(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, 1));
}

CASE(sigtimedwait_takes_signals) {
  block({SIGUSR1, SIGUSR2});
  sigset_t both = set_of({SIGUSR1, SIGUSR2});
  raise(SIGUSR2);
  raise(SIGUSR1);
  siginfo_t info;
  timespec none = {};
  CALL(sigtimedwait(&both, &info, &none));
  show_info(info);
  CALL(sigtimedwait(&both, nullptr, &none));
  CALL(sigtimedwait(&both, &info, &none));
}

CASE(sigtimedwait_waits) {
  block({SIGUSR1});
  sigset_t one = set_of({SIGUSR1});
  int64_t begin = frame::now_ms();
  timespec some = {0, 50000000};
  CALL(sigtimedwait(&one, nullptr, &some));
  YES(frame::now_ms() - begin >= 49);
  frame::child([] {
    frame::settle();
    kill(getppid(), SIGUSR1);
  });
  siginfo_t info;
  CALL(sigwaitinfo(&one, &info));
  SHOW(info.si_code);
  frame::ignore_in_handler(wait(nullptr));
}

CASE(sigtimedwait_refused) {
  sigset_t one = set_of({SIGUSR1});
  timespec bad = {0, -1};
  CALL(sigtimedwait(&one, nullptr, &bad));
  bad = {0, 1000000000};
  CALL(sigtimedwait(&one, nullptr, &bad));
  CALL(syscall(SYS_rt_sigtimedwait, &one, nullptr, nullptr, 4));
  CALL(syscall(SYS_rt_sigtimedwait, 1, nullptr, nullptr, 8));
  CALL(syscall(SYS_rt_sigtimedwait, &one, nullptr, 1, 8));
}

CASE(sigtimedwait_is_interrupted) {
  block({SIGUSR1});
  sigset_t one = set_of({SIGUSR1});
  frame::handle(SIGALRM, frame::ignore_in_handler, SA_RESTART);
  frame::ticks_start();
  CALL(sigwaitinfo(&one, nullptr));
  frame::ticks_stop();
}

CASE(sigwait_is_not_interrupted_by_what_it_takes) {
  sigset_t one = set_of({SIGALRM});
  sigprocmask(SIG_BLOCK, &one, nullptr);
  alarm(0);
  frame::ticks_start();
  int signal = 0;
  FAILS(sigwait(&one, &signal));
  frame::ticks_stop();
  line("%s", frame::signal_name(signal));
}

CASE(sigsuspend_swaps_the_mask) {
  frame::handle_info(SIGUSR1, note);
  block({SIGUSR1});
  raise(SIGUSR1);
  SHOW(seen[SIGUSR1]);
  sigset_t none;
  sigemptyset(&none);
  CALL(sigsuspend(&none));
  SHOW(seen[SIGUSR1]);
  sigset_t now;
  sigprocmask(SIG_BLOCK, nullptr, &now);
  SHOW(sigismember(&now, SIGUSR1));
  CALL(syscall(SYS_rt_sigsuspend, &none, 4));
  CALL(syscall(SYS_rt_sigsuspend, 1, 8));
}

CASE(pause_ends_with_a_handler) {
  frame::handle_info(SIGALRM, note);
  frame::ticks_start();
  CALL(pause());
  frame::ticks_stop();
  YES(seen[SIGALRM] > 0);
}

CASE(mask_is_inherited_pending_is_not) {
  block({SIGUSR1});
  raise(SIGUSR1);
  frame::in_child([] {
    sigset_t now;
    sigprocmask(SIG_BLOCK, nullptr, &now);
    SHOW(sigismember(&now, SIGUSR1));
    show_pending();
  });
  show_pending();
}

CASE(ignoring_forgets_what_is_pending) {
  block({SIGUSR1});
  raise(SIGUSR1);
  show_pending();
  signal(SIGUSR1, SIG_IGN);
  show_pending();
  raise(SIGUSR1);
  show_pending();
}

CASE(blocked_and_default_ignored_is_pending) {
  block({SIGCHLD, SIGURG});
  raise(SIGCHLD);
  raise(SIGURG);
  show_pending();
}

CASE(stop_and_continue_cancel_each_other) {
  block({SIGTSTP, SIGCONT});
  raise(SIGTSTP);
  show_pending();
  raise(SIGCONT);
  show_pending();
  raise(SIGTSTP);
  show_pending();
}

CASE(queue_limit) {
  // Counted per user; this one has nothing else queued.
  frame::in_child([] {
    setresuid(4321, 4321, 4321);
    block({SIGRTMIN});
    struct rlimit {
      unsigned long soft, hard;
    } limit = {3, 3};
    CALL(syscall(SYS_setrlimit, 11 /* RLIMIT_SIGPENDING */, &limit));
    sigval value = {};
    for (int count = 0; count < 5; count++) CALL(sigqueue(getpid(), SIGRTMIN, value));
  });
}

CASE(context_shows_the_registers) {
  static unsigned long rax, rbx;
  static sigjmp_buf jump;
  frame::handle_info(SIGSEGV, [](int, siginfo_t*, void* context) {
    auto registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    rax = static_cast<unsigned long>(registers[REG_RAX]);
    rbx = static_cast<unsigned long>(registers[REG_RBX]);
    siglongjmp(jump, 1);
  });
  if (sigsetjmp(jump, 1) == 0) {
    asm volatile(
        "mov %[a], %%rax; mov %[b], %%rbx; movb $1, (16)" ::[a] "i"(0x1234), [b] "i"(0x5678)
        : "rax", "rbx", "memory");
  }
  line("%lx %lx", rax, rbx);
}

CASE(context_changes_the_registers) {
  frame::handle_info(SIGTRAP, [](int, siginfo_t*, void* context) {
    auto registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    registers[REG_RAX] = 77;
  });
  unsigned long value = 5;
  asm volatile("mov $5, %%rax; int3; mov %%rax, %0" : "=r"(value)::"rax");
  SHOW(value);
}

CASE(context_moves_on) {
  frame::handle_info(SIGILL, [](int, siginfo_t* info, void* context) {
    auto registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    line("code %d there %d", info->si_code, frame::word(info->si_addr) == registers[REG_RIP]);
    registers[REG_RIP] += 2;  // ud2
  });
  asm volatile("ud2");
  line("after");
}

CASE(context_holds_the_mask) {
  block({SIGUSR2});
  frame::handle_info(SIGUSR1, [](int, siginfo_t*, void* context) {
    sigset_t* mask = &static_cast<ucontext_t*>(context)->uc_sigmask;
    line("%d %d", sigismember(mask, SIGUSR1), sigismember(mask, SIGUSR2));
    sigaddset(mask, SIGTERM);
  });
  raise(SIGUSR1);
  sigset_t now;
  sigprocmask(SIG_BLOCK, nullptr, &now);
  line("%d %d", sigismember(&now, SIGUSR1), sigismember(&now, SIGTERM));
}

CASE(floating_point_survives_a_handler) {
  frame::handle(SIGUSR1, [](int) {
    volatile double a = 1.5;
    for (int index = 0; index < 100; index++) a = a * 1.01;
    asm volatile("pxor %%xmm5, %%xmm5" ::: "xmm5");
  });
  double in = 3.25, out = 0;
  long result, number = SYS_kill;
  asm volatile("movsd %[in], %%xmm5\n mov %[number], %%rax\n syscall\n movsd %%xmm5, %[out]"
               : [out] "=m"(out), "=&a"(result)
               : [in] "m"(in), [number] "r"(number), "D"(static_cast<long>(getpid())),
                 "S"(static_cast<long>(SIGUSR1))
               : "rcx", "r11", "xmm5", "memory");
  line("%ld %.2f", result, out);
}

CASE(arithmetic_faults) {
  static sigjmp_buf jump;
  frame::handle_info(SIGFPE, [](int, siginfo_t* info, void*) {
    line("code %d", info->si_code);
    siglongjmp(jump, 1);
  });
  if (sigsetjmp(jump, 1) == 0) {
    asm volatile("xor %%edx, %%edx; xor %%ecx, %%ecx; mov $1, %%eax; div %%ecx" ::
                     : "eax", "edx", "ecx", "cc");
  }
}

CASE(breakpoints) {
  frame::handle_info(SIGTRAP, [](int, siginfo_t* info, void*) { line("code %x", info->si_code); });
  asm volatile("int3");
  line("after");
}

CASE(single_steps) {
  static int steps;
  frame::handle_info(SIGTRAP, [](int, siginfo_t* info, void* context) {
    if (steps++ == 0) line("code %d", info->si_code);
    static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &= ~0x100L;
  });
  asm volatile("pushf; orq $0x100, (%%rsp); popf; nop; nop" ::: "cc", "memory");
  SHOW(steps);
}

CASE(fault_while_blocked_kills) {
  frame::in_child([] {
    frame::handle(SIGSEGV, [](int) { _exit(3); });
    block({SIGSEGV});
    *reinterpret_cast<volatile int*>(8) = 1;
  });
  frame::in_child([] {
    signal(SIGSEGV, SIG_IGN);
    *reinterpret_cast<volatile int*>(8) = 1;
  });
  frame::in_child([] {
    frame::handle(SIGSEGV, [](int) { *reinterpret_cast<volatile int*>(8) = 1; });
    *reinterpret_cast<volatile int*>(8) = 1;
  });
}

CASE(no_stack_for_the_handler_kills) {
  frame::in_child([] {
    frame::handle(SIGUSR1, frame::ignore_in_handler);
    asm volatile("mov $16, %%rsp; mov %0, %%rax; syscall" ::"i"(SYS_kill),
                 "D"(static_cast<long>(getpid())), "S"(static_cast<long>(SIGUSR1))
                 : "rax", "rcx", "r11");
  });
}

CASE(bad_frame_at_return_kills) {
  frame::in_child([] {
    asm volatile("mov $4096, %%rsp; mov %0, %%rax; syscall" ::"i"(SYS_rt_sigreturn)
                 : "rax", "rcx", "r11");
  });
}

CASE(last_made_frame_runs_first) {
  frame::handle(SIGUSR1, [](int) { line("one"); });
  frame::handle(SIGUSR2, [](int) { line("two"); });
  block({SIGUSR1, SIGUSR2});
  raise(SIGUSR1);
  raise(SIGUSR2);
  unblock({SIGUSR1, SIGUSR2});  // both frames are made at once: the last made runs first
}

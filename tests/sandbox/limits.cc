// Limits of resources, and that they hold.
#include <poll.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/resource.h>

#include <vector>

#include "frame.h"

namespace {

long set(int resource, rlim_t soft, rlim_t hard) {
  rlimit limit = {soft, hard};
  return setrlimit(static_cast<__rlimit_resource>(resource), &limit);
}

void show(int resource) {
  rlimit limit = {};
  if (getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) {
    line("%d: %s", resource, frame::error_name(errno));
    return;
  }
  line("%d: %ld %ld", resource, static_cast<long>(limit.rlim_cur),
       static_cast<long>(limit.rlim_max));
}

char* map(size_t size) {
  return static_cast<char*>(
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

}  // namespace

CASE(limits_are_read_and_set) {
  show(RLIMIT_NOFILE);
  CALL(set(RLIMIT_NOFILE, 100, 200));
  show(RLIMIT_NOFILE);
  CALL(set(RLIMIT_NOFILE, 300, 200));
  CALL(set(RLIMIT_NOFILE, 200, 300));
  show(RLIMIT_NOFILE);
  CALL(set(99, 1, 1));
  show(99);
}

CASE(all_limits_can_be_read) {
  for (int resource = 0; resource < 16; resource++) {
    rlimit limit;
    CALL(getrlimit(static_cast<__rlimit_resource>(resource), &limit));
    YES(limit.rlim_cur <= limit.rlim_max);
  }
}

CASE(hard_limits_only_fall_for_users) {
  CALL(set(RLIMIT_NOFILE, 100, 200));
  CALL(setresuid(1000, 1000, 1000));
  CALL(set(RLIMIT_NOFILE, 100, 300));
  CALL(set(RLIMIT_NOFILE, 200, 200));
  CALL(set(RLIMIT_NOFILE, 50, 100));
  CALL(set(RLIMIT_NOFILE, 50, 200));
}

CASE(limits_of_others) {
  frame::Gate gate;
  pid_t pid = frame::child([&] {
    gate.wait();
    show(RLIMIT_NOFILE);
  });
  rlimit limit = {77, 88}, old;
  CALL(prlimit(pid, RLIMIT_NOFILE, &limit, &old));
  line("%lu %lu", old.rlim_cur, old.rlim_max);
  gate.open();
  frame::join(pid);
  show(RLIMIT_NOFILE);
  CALL(prlimit(0x3fffff, RLIMIT_NOFILE, nullptr, &old));
  CALL(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, 1, nullptr));
  CALL(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, nullptr, 1));
  frame::in_child([] {
    setresuid(1000, 1000, 1000);
    rlimit other = {};
    CALL(prlimit(getppid(), RLIMIT_NOFILE, nullptr, &other));
  });
}

HELPER(show_limits) {
  for (int resource : {RLIMIT_NOFILE, RLIMIT_CORE, RLIMIT_FSIZE}) show(resource);
  return 0;
}

CASE(limits_are_inherited) {
  CALL(set(RLIMIT_NOFILE, 77, 88));
  CALL(set(RLIMIT_FSIZE, 1000000, 2000000));
  frame::in_child([] { show(RLIMIT_NOFILE); });
  frame::in_child([] { frame::execute("@show_limits"); });
}

CASE(descriptors_are_limited) {
  CALL(set(RLIMIT_NOFILE, 6, 100));
  int ends[2];
  CALL(pipe(ends));
  CALL(pipe(ends));
  CALL(open(".", O_RDONLY));
  CALL(dup(0));
  CALL(dup2(0, 6));
  CALL(dup2(0, 5));
  CALL(fcntl(0, F_DUPFD, 6));
  CALL(memfd_create("name", 0));
}

CASE(descriptors_above_a_new_limit_stay) {
  CALL(dup2(0, 50));
  CALL(set(RLIMIT_NOFILE, 10, 10));
  CALL(fcntl(50, F_GETFD));
  CALL(dup2(50, 9));
  CALL(close(50));
  CALL(dup2(0, 50));
}

CASE(no_descriptors_at_all) {
  CALL(set(RLIMIT_NOFILE, 0, 100));
  CALL(open(".", O_RDONLY));
  CALL(dup(0));
  CALL(set(RLIMIT_NOFILE, 100, 100));
  CALL(open(".", O_RDONLY));
}

CASE(descriptors_above_the_whole_system) {
  CALL(set(RLIMIT_NOFILE, 1L << 40, 1L << 40));
  CALL(set(RLIMIT_NOFILE, RLIM_INFINITY, RLIM_INFINITY));
}

CASE(sizes_of_files) {
  signal(SIGXFSZ, SIG_IGN);
  CALL(set(RLIMIT_FSIZE, 5000, 5000));
  int fd = frame::made("x");
  std::vector<char> data(10000, 'x');
  CALL(write(fd, data.data(), data.size()));
  CALL(write(fd, data.data(), 1));
  CALL(pwrite(fd, data.data(), 10, 4995));
  CALL(truncate("x", 5001));
  CALL(truncate("x", 4000));
  int ends[2];
  pipe(ends);
  CALL(write(ends[1], data.data(), 6000));
}

CASE(address_space_is_limited) {
  CALL(set(RLIMIT_AS, 100 << 20, 100 << 20));
  OK(map(200 << 20));
  char* memory = map(20 << 20);
  OK(memory);
  OK(mremap(memory, 20 << 20, 150 << 20, MREMAP_MAYMOVE));
  YES(malloc(200 << 20) == nullptr);
}

CASE(data_is_limited) {
  CALL(set(RLIMIT_DATA, 10 << 20, 10 << 20));
  OK(map(20 << 20));
  OK(mmap(nullptr, 20 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  OK(mmap(nullptr, 20 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  OK(sbrk(20 << 20));
}

CASE(stack_is_limited) {
  struct Deep {
    static int down(int depth) {
      volatile char space[65536];
      space[0] = static_cast<char>(depth);
      return depth == 0 ? space[0] : down(depth - 1) + space[0] * 0;
    }
  };
  frame::in_child([] { Deep::down(40); });
  frame::in_child([] {
    set(RLIMIT_STACK, 1 << 20, 8 << 20);
    Deep::down(40);
  });
  frame::in_child([] {
    set(RLIMIT_STACK, 32 << 20, 64 << 20);
    Deep::down(400);
  });
}

CASE(processor_time_is_limited) {
  pid_t pid = frame::child([] {
    set(RLIMIT_CPU, 1, 10);
    for (volatile unsigned long spin = 0;;) spin = spin + 1;
  });
  frame::join(pid);
}

CASE(processes_are_limited) {
  frame::in_child([] {
    setresgid(5432, 5432, 5432);
    setresuid(5432, 5432, 5432);
    CALL(set(RLIMIT_NPROC, 3, 3));
    for (int count = 0; count < 4; count++) {
      pid_t pid = fork();
      if (pid == 0) {
        pause();
        _exit(0);
      }
      line("%s", pid < 0 ? frame::error_name(errno) : "child");
    }
    signal(SIGTERM, SIG_IGN);
    kill(0, SIGTERM);
    signal(SIGTERM, SIG_DFL);
  });
}

CASE(processes_of_root_are_not) {
  CALL(set(RLIMIT_NPROC, 1, 1));
  frame::in_child([] { line("child"); });
}

CASE(locked_memory_is_limited) {
  frame::in_child([] {
    set(RLIMIT_MEMLOCK, 8192, 8192);
    setresuid(1000, 1000, 1000);
    char* memory = map(16384);
    CALL(mlock(memory, 8192));
    CALL(mlock(memory, 16384));
    CALL(munlock(memory, 8192));
    CALL(mlock(memory + 8192, 8192));
    CALL(mlockall(MCL_CURRENT));
    set(RLIMIT_MEMLOCK, 0, 0);
    CALL(munlock(memory, 16384));
    CALL(mlock(memory, 4096));
  });
}

CASE(nice_values_are_limited) {
  frame::in_child([] {
    set(RLIMIT_NICE, 25, 25);
    setresuid(1000, 1000, 1000);
    CALL(setpriority(PRIO_PROCESS, 0, -5));
    CALL(setpriority(PRIO_PROCESS, 0, -6));
    SHOW(getpriority(PRIO_PROCESS, 0));
  });
}

CASE(real_time_priorities_are_limited) {
  frame::in_child([] {
    set(RLIMIT_RTPRIO, 0, 0);
    setresuid(1000, 1000, 1000);
    sched_param one = {1};
    CALL(sched_setscheduler(0, SCHED_FIFO, &one));
  });
}

CASE(pending_signals_are_limited) {
  frame::in_child([] {
    setresuid(4444, 4444, 4444);
    set(RLIMIT_SIGPENDING, 2, 2);
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGRTMIN);
    sigaddset(&one, SIGUSR1);
    sigprocmask(SIG_BLOCK, &one, nullptr);
    sigval value = {};
    for (int count = 0; count < 4; count++) CALL(sigqueue(getpid(), SIGRTMIN, value));
    CALL(kill(getpid(), SIGUSR1));
  });
}

CASE(stack_limit_and_exec) {
  frame::in_child([] {
    set(RLIMIT_STACK, 100 << 10, 8 << 20);
    frame::execute("@show_limits");
  });
}

// Threads: creation, ends, cancellation, storage of their own, what they share, exec and exit among
// them.
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/resource.h>

#include <atomic>

#include "frame.h"

namespace {

template <typename F>
void* run(void* argument) {
  (*static_cast<F*>(argument))();
  return nullptr;
}

// A thread that calls a lambda which must outlive it.
template <typename F>
pthread_t start(F& body) {
  pthread_t thread;
  int error = pthread_create(&thread, nullptr, run<F>, &body);
  if (error != 0) line("pthread_create: %s", frame::error_name(error));
  return thread;
}

void join(pthread_t thread) { pthread_join(thread, nullptr); }

template <typename F>
void in_thread(F body) {
  join(start(body));
}

int threads_in_proc() {
  DIR* directory = opendir("/proc/self/task");
  int count = -2;
  while (directory && readdir(directory)) count++;
  if (directory) closedir(directory);
  return count;
}

thread_local int own = 5;

}  // namespace

CASE(create_and_join) {
  pthread_t thread;
  FAILS(pthread_create(
      &thread, nullptr, [](void* value) { return value; }, reinterpret_cast<void*>(42)));
  void* result;
  FAILS(pthread_join(thread, &result));
  SHOW(result);
}

CASE(many_threads) {
  static std::atomic<int> sum;
  auto body = [] { sum++; };
  pthread_t threads[100];
  for (pthread_t& thread : threads) thread = start(body);
  for (pthread_t thread : threads) join(thread);
  SHOW(sum.load());
}

CASE(thousands_of_threads_one_after_the_other) {
  static int sum;
  for (int count = 0; count < 2000; count++) in_thread([] { sum++; });
  SHOW(sum);
}

CASE(threads_share_the_process_id) {
  pid_t process = getpid(), first = gettid();
  in_thread([=] {
    YES(getpid() == process);
    YES(gettid() != first);
    YES(getppid() != process);
  });
}

CASE(threads_share_descriptors_and_directory) {
  CALL(mkdir("d", 0755));
  in_thread([] {
    frame::made("x");
    chdir("d");
    umask(0);
  });
  CALL(fcntl(3, F_GETFD));
  CALL(access("../x", F_OK));
  SHOW(umask(0));
}

CASE(threads_unshare_the_directory) {
  CALL(mkdir("d", 0755));
  in_thread([] {
    CALL(unshare(CLONE_FS));
    CALL(chdir("d"));
  });
  CALL(access("d", F_OK));
}

CASE(threads_unshare_descriptors) {
  in_thread([] {
    CALL(unshare(CLONE_FILES));
    frame::made("x");
    CALL(fcntl(3, F_GETFD));
  });
  CALL(fcntl(3, F_GETFD));
}

CASE(storage_of_their_own) {
  own = 6;
  in_thread([] {
    SHOW(own);
    own = 7;
  });
  SHOW(own);
  static pthread_key_t key;
  pthread_key_create(&key, [](void* value) { line("destroyed %ld", frame::word(value)); });
  in_thread([] { pthread_setspecific(key, reinterpret_cast<void*>(9)); });
}

CASE(error_numbers_of_their_own) {
  errno = EBUSY;
  in_thread([] { open("missing", O_RDONLY); });
  line("%s", frame::error_name(errno));
}

CASE(masks_of_their_own) {
  sigset_t one, now;
  sigemptyset(&one);
  sigaddset(&one, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &one, nullptr);
  in_thread([&] {
    pthread_sigmask(SIG_BLOCK, nullptr, &now);
    SHOW(sigismember(&now, SIGUSR1));
    pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
  });
  pthread_sigmask(SIG_BLOCK, nullptr, &now);
  SHOW(sigismember(&now, SIGUSR1));
}

CASE(signal_goes_to_a_thread_that_takes_it) {
  static std::atomic<pid_t> taken;
  static std::atomic<bool> end;
  static std::atomic<pid_t> expected;
  frame::handle(SIGUSR1, [](int) { taken = gettid(); });
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, SIGUSR1);
  auto body = [] {
    expected = gettid();
    while (!end) usleep(1000);
  };
  pthread_t thread = start(body);
  while (expected == 0) usleep(1000);
  pthread_sigmask(SIG_BLOCK, &one, nullptr);
  CALL(kill(getpid(), SIGUSR1));
  frame::until([] { return taken != 0; });
  YES(taken == expected);
  end = true;
  join(thread);
}

CASE(signal_to_one_thread) {
  static std::atomic<pid_t> taken;
  static std::atomic<bool> end;
  frame::handle(SIGUSR1, [](int) { taken = gettid(); });
  static std::atomic<pid_t> expected;
  auto body = [] {
    expected = gettid();
    while (!end) usleep(1000);
  };
  pthread_t thread = start(body);
  while (expected == 0) usleep(1000);
  FAILS(pthread_kill(thread, SIGUSR1));
  frame::until([] { return taken != 0; });
  YES(taken == expected);
  end = true;
  join(thread);
}

CASE(pending_of_process_and_thread) {
  sigset_t two, now;
  sigemptyset(&two);
  sigaddset(&two, SIGUSR1);
  sigaddset(&two, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &two, nullptr);
  kill(getpid(), SIGUSR1);
  pthread_kill(pthread_self(), SIGUSR2);
  in_thread([&] {
    sigpending(&now);
    line("%d %d", sigismember(&now, SIGUSR1), sigismember(&now, SIGUSR2));
  });
  sigpending(&now);
  line("%d %d", sigismember(&now, SIGUSR1), sigismember(&now, SIGUSR2));
}

CASE(cancellation_at_a_blocking_call) {
  int ends[2];
  pipe(ends);
  auto body = [&] {
    pthread_cleanup_push([](void*) { line("cleaned up"); }, nullptr);
    char byte;
    read(ends[0], &byte, 1);
    pthread_cleanup_pop(0);
  };
  pthread_t thread = start(body);
  FAILS(pthread_cancel(thread));
  void* result;
  FAILS(pthread_join(thread, &result));
  YES(result == PTHREAD_CANCELED);
}

CASE(cancellation_is_put_off) {
  static std::atomic<bool> cancelled;
  auto body = [] {
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, nullptr);
    while (!cancelled) usleep(1000);
    line("still here");
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, nullptr);
    pthread_testcancel();
    line("never");
  };
  pthread_t thread = start(body);
  FAILS(pthread_cancel(thread));
  cancelled = true;
  join(thread);
}

CASE(cancellation_at_any_time) {
  auto body = [] {
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, nullptr);
    volatile long spin = 0;
    for (;;) spin = spin + 1;
  };
  pthread_t thread = start(body);
  FAILS(pthread_cancel(thread));
  void* result;
  FAILS(pthread_join(thread, &result));
  YES(result == PTHREAD_CANCELED);
}

CASE(detached_threads) {
  static sem_t done;
  sem_init(&done, 0, 0);
  auto body = [] { sem_post(&done); };
  pthread_t thread = start(body);
  FAILS(pthread_detach(thread));
  CALL(sem_wait(&done));
}

CASE(exit_of_the_first_thread_leaves_the_others) {
  frame::in_child([] {
    static frame::Gate gate;
    auto body = [] {
      gate.wait();
      line("still running");
      _exit(4);
    };
    start(body);
    gate.open();
    pthread_exit(nullptr);
  });
}

CASE(last_thread_ends_the_process) {
  frame::in_child([] {
    auto body = [] { usleep(10000); };
    start(body);
    syscall(SYS_exit, 3);
  });
}

CASE(exit_ends_all_threads) {
  frame::in_child([] {
    auto body = [] { pause(); };
    for (int count = 0; count < 5; count++) start(body);
    _exit(7);
  });
  frame::in_child([] {
    auto body = [] { pause(); };
    start(body);
    in_thread([] { _exit(8); });
    pause();
  });
}

CASE(signal_ends_all_threads) {
  frame::in_child([] {
    auto body = [] { pause(); };
    for (int count = 0; count < 5; count++) start(body);
    in_thread([] { raise(SIGTERM); });
    pause();
  });
}

CASE(fault_of_a_thread_ends_all) {
  frame::in_child([] {
    in_thread([] { *reinterpret_cast<volatile int*>(8) = 1; });
    line("never");
  });
}

CASE(stop_holds_all_threads) {
  auto counter = frame::shared_memory<std::atomic<long>>();
  pid_t pid = frame::child([=] {
    auto body = [=] {
      for (;;) (*counter)++, usleep(100);
    };
    start(body);
    pause();
  });
  frame::until([=] { return *counter > 10; });
  kill(pid, SIGSTOP);
  int status;
  waitpid(pid, &status, WUNTRACED);
  frame::status("child", status);
  long before = *counter;
  frame::settle(50);
  YES(*counter == before);
  kill(pid, SIGCONT);
  YES(frame::until([=] { return *counter > before; }));
  kill(pid, SIGKILL);
  frame::join(pid);
}

HELPER(count_threads) {
  line("%d threads, first %d", threads_in_proc(), gettid() == getpid());
  line("pid %s", atoi(arguments[1]) == getpid() ? "same" : "another");
  return 0;
}

CASE(exec_from_a_thread) {
  frame::in_child([] {
    char pid[16];
    sprintf(pid, "%d", getpid());
    auto other = [] { pause(); };
    start(other);
    in_thread([&] { frame::execute("@count_threads", pid); });
  });
}

CASE(exec_from_the_first_thread) {
  frame::in_child([] {
    char pid[16];
    sprintf(pid, "%d", getpid());
    auto other = [] { pause(); };
    for (int count = 0; count < 3; count++) start(other);
    frame::execute("@count_threads", pid);
  });
}

CASE(failed_exec_leaves_the_threads) {
  static std::atomic<bool> end;
  auto body = [] {
    while (!end) usleep(1000);
    line("still here");
  };
  pthread_t thread = start(body);
  CALL(execl("missing", "missing", nullptr));
  end = true;
  join(thread);
}

CASE(fork_takes_one_thread_along) {
  static std::atomic<bool> end;
  auto body = [] {
    while (!end) usleep(1000);
  };
  pthread_t thread = start(body);
  frame::in_child([] {
    SHOW(threads_in_proc());
    YES(gettid() == getpid());
  });
  SHOW(threads_in_proc());
  end = true;
  join(thread);
}

CASE(fork_from_a_thread) {
  in_thread([] {
    pid_t parent = getpid();
    frame::in_child([=] {
      YES(gettid() == getpid());
      YES(getppid() == parent);
    });
  });
}

CASE(child_of_one_thread_is_waited_for_by_another) {
  pid_t pid = 0;
  in_thread([&] {
    pid = fork();
    if (pid == 0) _exit(5);
  });
  frame::join(pid);
}

CASE(barriers) {
  static pthread_barrier_t barrier;
  static std::atomic<int> serial, before;
  pthread_barrier_init(&barrier, nullptr, 4);
  auto body = [] {
    for (int round = 0; round < 50; round++) {
      before++;
      if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD) serial++;
      if (before < (round + 1) * 4) line("too early");
    }
  };
  pthread_t threads[4];
  for (pthread_t& thread : threads) thread = start(body);
  for (pthread_t thread : threads) join(thread);
  line("%d %d", serial.load(), before.load());
}

CASE(read_write_locks) {
  static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
  FAILS(pthread_rwlock_rdlock(&lock));
  in_thread([] {
    FAILS(pthread_rwlock_tryrdlock(&lock));
    pthread_rwlock_unlock(&lock);
    FAILS(pthread_rwlock_trywrlock(&lock));
  });
  pthread_rwlock_unlock(&lock);
  FAILS(pthread_rwlock_trywrlock(&lock));
}

CASE(once) {
  static pthread_once_t control = PTHREAD_ONCE_INIT;
  auto body = [] { pthread_once(&control, [] { line("once"); }); };
  pthread_t threads[8];
  for (pthread_t& thread : threads) thread = start(body);
  for (pthread_t thread : threads) join(thread);
}

CASE(semaphores_of_threads) {
  static sem_t semaphore;
  sem_init(&semaphore, 0, 0);
  auto body = [] {
    for (int count = 0; count < 100; count++) sem_post(&semaphore);
  };
  pthread_t thread = start(body);
  for (int count = 0; count < 100; count++) sem_wait(&semaphore);
  join(thread);
  CALL(sem_trywait(&semaphore));
}

CASE(names_of_threads_in_proc) {
  static std::atomic<pid_t> id;
  static std::atomic<bool> end;
  auto body = [] {
    prctl(PR_SET_NAME, "worker");
    id = gettid();
    while (!end) usleep(1000);
  };
  pthread_t thread = start(body);
  while (id == 0) usleep(1000);
  char path[64], name[32] = {};
  sprintf(path, "/proc/self/task/%d/comm", id.load());
  int fd = open(path, O_RDONLY);
  CALL(read(fd, name, 31));
  frame::text("name", name);
  close(fd);
  SHOW(threads_in_proc());
  end = true;
  join(thread);
  YES(frame::until([&] { return access(path, F_OK) != 0; }));
}

CASE(affinity) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CALL(sched_getaffinity(0, sizeof(set), &set));
  YES(CPU_COUNT(&set) >= 1);
  int first = 0;
  while (!CPU_ISSET(first, &set)) first++;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  CALL(sched_setaffinity(0, sizeof(one), &one));
  CALL(sched_getaffinity(0, sizeof(set), &set));
  SHOW(CPU_COUNT(&set));
  in_thread([=] {
    cpu_set_t inherited;
    sched_getaffinity(0, sizeof(inherited), &inherited);
    SHOW(CPU_COUNT(&inherited));
  });
  CPU_ZERO(&one);
  CALL(sched_setaffinity(0, sizeof(one), &one));
  CALL(sched_setaffinity(0x3fffff, sizeof(set), &set));
  CALL(sched_getaffinity(0, 1, &set));
}

CASE(usage_of_a_thread) {
  rusage whole, thread;
  auto body = [] {
    volatile unsigned long sum = 0;
    for (unsigned long index = 0; index < 50000000; index++) sum = sum + index;
  };
  in_thread(body);
  CALL(getrusage(RUSAGE_SELF, &whole));
  CALL(getrusage(RUSAGE_THREAD, &thread));
  auto us = [](const rusage& usage) {
    return usage.ru_utime.tv_sec * 1000000L + usage.ru_utime.tv_usec;
  };
  YES(us(whole) > us(thread));
}

// Futexes: every operation, timeouts, sharing, robust lists, priority inheritance, vectors.
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/sem.h>
#include <sys/time.h>

#include <atomic>

#include "frame.h"

namespace {

using Word = std::atomic<uint32_t>;

long futex(void* word, int operation, uint32_t value, const timespec* timeout = nullptr,
           void* second = nullptr, uint32_t third = 0) {
  return syscall(SYS_futex, word, operation, value, timeout, second, third);
}

long futex_count(void* word, int operation, uint32_t value, unsigned long count, void* second,
                 uint32_t third = 0) {
  return syscall(SYS_futex, word, operation, value, count, second, third);
}

timespec after(clockid_t clock, long milliseconds) {
  timespec now;
  clock_gettime(clock, &now);
  now.tv_nsec += milliseconds * 1000000;
  now.tv_sec += now.tv_nsec / 1000000000;
  now.tv_nsec %= 1000000000;
  return now;
}

// A child that waits on the word, and says so before.
pid_t waiter(Word* word, uint32_t value, int operation = FUTEX_WAIT, uint32_t bits = 0) {
  return frame::child([=] {
    long done = futex(word, operation, value, nullptr, nullptr, bits);
    _exit(done == 0 ? 0 : errno);
  });
}

// Wakes until that many were woken: the waiters may still be on their way.
void wake_all(Word* word, long count, uint32_t bits = 0) {
  long woken = 0;
  frame::until([&] {
    long more = bits ? futex(word, FUTEX_WAKE_BITSET, 100, nullptr, nullptr, bits)
                     : futex(word, FUTEX_WAKE, 100);
    woken += more > 0 ? more : 0;
    return woken >= count;
  });
  SHOW(woken);
}

}  // namespace

CASE(wait_looks_at_the_value) {
  Word word = 5;
  CALL(futex(&word, FUTEX_WAIT, 4));
  CALL(futex(&word, FUTEX_WAIT_PRIVATE, 6));
}

CASE(wait_times_out) {
  Word word = 5;
  timespec time = {0, 30000000};
  int64_t begin = frame::now_ms();
  CALL(futex(&word, FUTEX_WAIT, 5, &time));
  YES(frame::now_ms() - begin >= 29);
  time = {};
  CALL(futex(&word, FUTEX_WAIT, 5, &time));
}

CASE(wait_until_a_time) {
  Word word = 5;
  timespec time = after(CLOCK_MONOTONIC, 30);
  int64_t begin = frame::now_ms();
  CALL(futex(&word, FUTEX_WAIT_BITSET, 5, &time, nullptr, FUTEX_BITSET_MATCH_ANY));
  YES(frame::now_ms() - begin >= 29);
  time = after(CLOCK_REALTIME, 30);
  CALL(futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 5, &time, nullptr,
             FUTEX_BITSET_MATCH_ANY));
  time = {1, 0};
  CALL(futex(&word, FUTEX_WAIT_BITSET, 5, &time, nullptr, FUTEX_BITSET_MATCH_ANY));
}

CASE(wait_refused) {
  Word word = 5;
  char* unaligned = reinterpret_cast<char*>(&word) + 1;
  timespec bad = {0, 1000000000}, negative = {-1, 0};
  CALL(futex(unaligned, FUTEX_WAIT, 5));
  CALL(futex(nullptr, FUTEX_WAIT, 5));
  CALL(futex(reinterpret_cast<void*>(4096), FUTEX_WAIT, 5));
  CALL(futex(&word, FUTEX_WAIT, 5, &bad));
  CALL(futex(&word, FUTEX_WAIT, 5, &negative));
  CALL(futex(&word, FUTEX_WAIT, 5, reinterpret_cast<timespec*>(1)));
  CALL(futex(&word, FUTEX_WAIT_BITSET, 5, nullptr, nullptr, 0));
  CALL(futex(&word, 99, 5));
  CALL(futex(&word, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 5));
}

CASE(wake_nobody) {
  Word word = 5;
  CALL(futex(&word, FUTEX_WAKE, 1));
  CALL(futex(&word, FUTEX_WAKE, 0));
  CALL(futex(reinterpret_cast<char*>(&word) + 1, FUTEX_WAKE, 1));
  CALL(futex(&word, FUTEX_WAKE_BITSET, 1, nullptr, nullptr, 0));
  CALL(futex(nullptr, FUTEX_WAKE_PRIVATE, 1));
}

CASE(wake_processes) {
  Word* word = frame::shared_memory<Word>();
  pid_t pids[3];
  for (pid_t& pid : pids) pid = waiter(word, 0);
  wake_all(word, 3);
  for (pid_t pid : pids) frame::join(pid);
}

CASE(wake_one_at_a_time) {
  Word* word = frame::shared_memory<Word>();
  pid_t pids[3];
  for (pid_t& pid : pids) pid = waiter(word, 0);
  for (int count = 0; count < 3; count++) {
    YES(frame::until([&] { return futex(word, FUTEX_WAKE, 1) == 1; }));
  }
  for (pid_t pid : pids) frame::join(pid);
}

CASE(wake_by_bits) {
  Word* word = frame::shared_memory<Word>();
  pid_t low = waiter(word, 0, FUTEX_WAIT_BITSET, 1);
  pid_t high = waiter(word, 0, FUTEX_WAIT_BITSET, 2);
  wake_all(word, 1, 2);
  frame::join(high, "high");
  CALL(waitpid(low, nullptr, WNOHANG));
  wake_all(word, 1, 3);
  frame::join(low, "low");
}

CASE(wake_in_a_file) {
  int fd = frame::made("x");
  ftruncate(fd, 4096);
  auto map = [=] {
    return static_cast<Word*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  };
  Word* word = map();
  pid_t pid = frame::child([=] {
    Word* other = map();
    _exit(futex(other + 3, FUTEX_WAIT, 0) == 0 ? 0 : errno);
  });
  wake_all(word + 3, 1);
  frame::join(pid);
}

CASE(private_words_of_processes_are_apart) {
  static Word word;
  pid_t pid = frame::child([] {
    timespec time = {0, 100000000};
    CALL(futex(&word, FUTEX_WAIT, 0, &time));
  });
  frame::settle();
  CALL(futex(&word, FUTEX_WAKE, 1));
  frame::join(pid);
}

CASE(wake_a_thread) {
  static Word word;
  word = 0;
  pthread_t thread;
  pthread_create(
      &thread, nullptr,
      [](void*) -> void* {
        long done = futex(&word, FUTEX_WAIT_PRIVATE, 0);
        return reinterpret_cast<void*>(done);
      },
      nullptr);
  YES(frame::until([] { return futex(&word, FUTEX_WAKE_PRIVATE, 1) == 1; }));
  void* result;
  pthread_join(thread, &result);
  SHOW(result);
}

CASE(wait_is_interrupted) {
  static Word word;
  word = 0;
  frame::handle(SIGALRM, frame::ignore_in_handler);
  frame::ticks_start();
  CALL(futex(&word, FUTEX_WAIT, 0));
  frame::ticks_stop();
}

CASE(wait_is_restarted) {
  static Word word;
  static int ticks;
  word = 0;
  frame::handle(
      SIGALRM,
      [](int) {
        if (++ticks == 3) word = 1;  // the restarted call looks at the value again
      },
      SA_RESTART);
  frame::ticks_start();
  CALL(futex(&word, FUTEX_WAIT, 0));
  frame::ticks_stop();
  YES(ticks >= 3);
}

CASE(wait_with_a_timeout_is_interrupted_in_any_case) {
  static Word word;
  word = 0;
  frame::handle(SIGALRM, frame::ignore_in_handler, SA_RESTART);
  frame::ticks_start();
  timespec time = {5, 0};
  CALL(futex(&word, FUTEX_WAIT, 0, &time));
  frame::ticks_stop();
}

CASE(requeue_moves_waiters) {
  Word* words = frame::shared_memory<Word>(2);
  pid_t pids[3];
  for (pid_t& pid : pids) pid = waiter(words, 0);
  long moved = 0;
  frame::until([&] { return (moved += futex_count(words, FUTEX_REQUEUE, 0, 10, words + 1)) == 3; });
  SHOW(moved);
  CALL(futex(words, FUTEX_WAKE, 10));
  CALL(futex(words + 1, FUTEX_WAKE, 2));
  CALL(futex(words + 1, FUTEX_WAKE, 10));
  for (pid_t pid : pids) frame::join(pid);
}

CASE(requeue_compares) {
  Word* words = frame::shared_memory<Word>(2);
  words[0] = 7;
  CALL(futex_count(words, FUTEX_CMP_REQUEUE, 1, 1, words + 1, 6));
  CALL(futex_count(words, FUTEX_CMP_REQUEUE, 1, 1, words + 1, 7));
  pid_t one = waiter(words, 7), two = waiter(words, 7);
  long done = 0;
  frame::until([&] {
    long more = futex_count(words, FUTEX_CMP_REQUEUE, 0, 10, words + 1, 7);
    return (done += more) == 2;
  });
  SHOW(done);
  wake_all(words + 1, 2);
  frame::join(one);
  frame::join(two);
}

CASE(requeue_refused) {
  Word words[2] = {};
  CALL(futex_count(words, FUTEX_REQUEUE, -1u, 1, words + 1));
  CALL(futex_count(words, FUTEX_REQUEUE, 1, -1UL, words + 1));
  CALL(futex_count(words, FUTEX_REQUEUE, 1, 1, reinterpret_cast<char*>(words) + 1));
  CALL(futex_count(words, FUTEX_REQUEUE, 1, 1, nullptr));
}

CASE(wake_by_an_operation) {
  Word* words = frame::shared_memory<Word>(2);
  words[1] = 5;
  CALL(futex_count(words, FUTEX_WAKE_OP, 1, 1, words + 1,
                   FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 5)));
  SHOW(words[1].load());
  CALL(futex_count(words, FUTEX_WAKE_OP, 1, 1, words + 1,
                   FUTEX_OP(FUTEX_OP_SET, 1, FUTEX_OP_CMP_GT, 100)));
  SHOW(words[1].load());
  CALL(futex_count(words, FUTEX_WAKE_OP, 1, 1, words + 1,
                   FUTEX_OP(FUTEX_OP_OR, 6, FUTEX_OP_CMP_NE, 0)));
  SHOW(words[1].load());
  CALL(futex_count(words, FUTEX_WAKE_OP, 1, 1, words + 1,
                   FUTEX_OP(FUTEX_OP_ANDN, 2, FUTEX_OP_CMP_LT, 0)));
  SHOW(words[1].load());
  CALL(futex_count(words, FUTEX_WAKE_OP, 1, 1, words + 1,
                   FUTEX_OP(FUTEX_OP_XOR, 0xf, FUTEX_OP_CMP_LE, 0)));
  SHOW(words[1].load());
  CALL(futex_count(words, FUTEX_WAKE_OP, 1, 1, words + 1,
                   FUTEX_OP(FUTEX_OP_SET | 8, 4, FUTEX_OP_CMP_GE, 0)));
  SHOW(words[1].load());
  CALL(futex_count(words, FUTEX_WAKE_OP, 1, 1, words + 1, FUTEX_OP(7, 4, FUTEX_OP_CMP_GE, 0)));
  CALL(futex_count(words, FUTEX_WAKE_OP, 1, 1, words + 1, FUTEX_OP(FUTEX_OP_SET, 4, 9, 0)));
}

CASE(wake_by_an_operation_wakes_both) {
  Word* words = frame::shared_memory<Word>(2);
  pid_t one = waiter(words, 0), two = waiter(words + 1, 0);
  int op = FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 0);
  long woken = 0;
  frame::until([&] {
    return (woken +=
            futex_count(words, FUTEX_WAKE_OP, 1, 1, words + 1, static_cast<uint32_t>(op))) == 2;
  });
  SHOW(woken);
  frame::join(one);
  frame::join(two);
}

CASE(thread_ids_are_cleared_at_the_end) {
  static Word word;
  word = 1;
  auto body = [](void*) { return 0; };
  static char stack[65536] __attribute__((aligned(16)));
  int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
              CLONE_CHILD_CLEARTID;
  YES(clone(+body, stack + sizeof(stack), flags, nullptr, nullptr, nullptr, &word) > 0);
  while (word != 0) futex(&word, FUTEX_WAIT, word);
  SHOW(word.load());
}

CASE(set_tid_address_gives_the_thread_id) {
  static int word;
  YES(syscall(SYS_set_tid_address, &word) == gettid());
}

namespace {
struct Robust {
  robust_list list;
  Word word;
};
}  // namespace

CASE(robust_words_of_the_dead) {
  Robust* lock = frame::shared_memory<Robust>();
  robust_list_head* head = frame::shared_memory<robust_list_head>();
  frame::in_child([=] {
    head->list.next = &lock->list;
    lock->list.next = &head->list;
    head->futex_offset = offsetof(Robust, word) - offsetof(Robust, list);
    head->list_op_pending = nullptr;
    lock->word = static_cast<uint32_t>(gettid());
    CALL(syscall(SYS_set_robust_list, head, sizeof(*head)));
  });
  SHOW((lock->word & FUTEX_OWNER_DIED) != 0);
  SHOW(lock->word & FUTEX_TID_MASK);
}

CASE(robust_words_wake_waiters) {
  Robust* lock = frame::shared_memory<Robust>();
  robust_list_head* head = frame::shared_memory<robust_list_head>();
  frame::Gate ready, end;
  pid_t owner = frame::child([&] {
    head->list.next = &lock->list;
    lock->list.next = &head->list;
    head->futex_offset = offsetof(Robust, word) - offsetof(Robust, list);
    lock->word = static_cast<uint32_t>(gettid()) | FUTEX_WAITERS;
    syscall(SYS_set_robust_list, head, sizeof(*head));
    ready.open();
    end.wait();
  });
  ready.wait();
  uint32_t value = lock->word;
  pid_t waiting = frame::child([=] {
    long done = futex(&lock->word, FUTEX_WAIT, value);
    _exit(done == 0 || errno == EAGAIN ? 0 : 1);
  });
  end.open();
  frame::join(owner, "owner");
  frame::join(waiting, "waiter");
}

CASE(robust_list_is_read) {
  robust_list_head* head = nullptr;
  size_t size = 0;
  CALL(syscall(SYS_get_robust_list, 0, &head, &size));
  YES(head != nullptr);
  SHOW(size);
  CALL(syscall(SYS_set_robust_list, head, 5));
  CALL(syscall(SYS_get_robust_list, 0x3fffff, &head, &size));
  CALL(syscall(SYS_get_robust_list, 0, 1, &size));
}

CASE(robust_mutex) {
  pthread_mutex_t* mutex = frame::shared_memory<pthread_mutex_t>();
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  FAILS(pthread_mutex_init(mutex, &attributes));
  frame::in_child([=] { FAILS(pthread_mutex_lock(mutex)); });
  FAILS(pthread_mutex_lock(mutex));
  FAILS(pthread_mutex_consistent(mutex));
  FAILS(pthread_mutex_unlock(mutex));
  FAILS(pthread_mutex_lock(mutex));
}

CASE(robust_mutex_given_up) {
  pthread_mutex_t* mutex = frame::shared_memory<pthread_mutex_t>();
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(mutex, &attributes);
  frame::in_child([=] { pthread_mutex_lock(mutex), raise(SIGKILL); });
  FAILS(pthread_mutex_lock(mutex));
  FAILS(pthread_mutex_unlock(mutex));
  FAILS(pthread_mutex_lock(mutex));
}

CASE(inheriting_lock_is_taken) {
  Word word = 0;
  CALL(futex(&word, FUTEX_LOCK_PI, 0));
  YES(word == static_cast<uint32_t>(gettid()));
  CALL(futex(&word, FUTEX_LOCK_PI, 0));
  CALL(futex(&word, FUTEX_TRYLOCK_PI, 0));
  CALL(futex(&word, FUTEX_UNLOCK_PI, 0));
  SHOW(word.load());
  CALL(futex(&word, FUTEX_UNLOCK_PI, 0));
  CALL(futex(&word, FUTEX_TRYLOCK_PI, 0));
}

CASE(inheriting_lock_of_another) {
  Word* word = frame::shared_memory<Word>();
  frame::Gate ready, end;
  pid_t owner = frame::child([&] {
    futex(word, FUTEX_LOCK_PI, 0);
    ready.open();
    end.wait();
    CALL(futex(word, FUTEX_UNLOCK_PI, 0));
  });
  ready.wait();
  CALL(futex(word, FUTEX_TRYLOCK_PI, 0));
  CALL(futex(word, FUTEX_UNLOCK_PI, 0));
  timespec time = after(CLOCK_REALTIME, 30);
  CALL(futex(word, FUTEX_LOCK_PI, 0, &time));
  end.open();
  frame::join(owner, "owner");
  CALL(futex(word, FUTEX_LOCK_PI, 0));
  YES((*word & FUTEX_TID_MASK) == static_cast<uint32_t>(gettid()));
}

CASE(inheriting_lock_of_the_dead) {
  Word* word = frame::shared_memory<Word>();
  *word = 0x3fffff;
  CALL(futex(word, FUTEX_LOCK_PI, 0));
}

CASE(inheriting_mutex) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  FAILS(pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT));
  static pthread_mutex_t mutex;
  FAILS(pthread_mutex_init(&mutex, &attributes));
  FAILS(pthread_mutex_lock(&mutex));
  pthread_t thread;
  pthread_create(
      &thread, nullptr,
      [](void*) -> void* {
        FAILS(pthread_mutex_lock(&mutex));
        return nullptr;
      },
      nullptr);
  frame::settle();
  line("unlock");
  pthread_mutex_unlock(&mutex);
  pthread_join(thread, nullptr);
}

CASE(contended_mutex_counts_right) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  static long count;
  pthread_t threads[4];
  for (pthread_t& thread : threads) {
    pthread_create(
        &thread, nullptr,
        [](void*) -> void* {
          for (int index = 0; index < 20000; index++) {
            pthread_mutex_lock(&mutex);
            count++;
            pthread_mutex_unlock(&mutex);
          }
          return nullptr;
        },
        nullptr);
  }
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
  SHOW(count);
}

CASE(condition_variables) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
  static int turn;
  pthread_t thread;
  pthread_create(
      &thread, nullptr,
      [](void*) -> void* {
        for (int index = 0; index < 200; index++) {
          pthread_mutex_lock(&mutex);
          while (turn % 2 == 0) pthread_cond_wait(&changed, &mutex);
          turn++;
          pthread_cond_broadcast(&changed);
          pthread_mutex_unlock(&mutex);
        }
        return nullptr;
      },
      nullptr);
  for (int index = 0; index < 200; index++) {
    pthread_mutex_lock(&mutex);
    while (turn % 2 == 1) pthread_cond_wait(&changed, &mutex);
    turn++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
  }
  pthread_join(thread, nullptr);
  SHOW(turn);
  timespec time = after(CLOCK_REALTIME, 20);
  pthread_mutex_lock(&mutex);
  FAILS(pthread_cond_timedwait(&changed, &mutex, &time));
}

namespace {
struct Waitv {
  uint64_t value, address;
  uint32_t flags, reserved;
};
}  // namespace

CASE(several_words_at_once) {
  Word* words = frame::shared_memory<Word>(3);
  constexpr long kWaitv = 449;
  Waitv wait[3];
  for (int index = 0; index < 3; index++)
    wait[index] = {0, reinterpret_cast<uint64_t>(words + index), 2, 0};
  timespec time = after(CLOCK_MONOTONIC, 20);
  CALL(syscall(kWaitv, wait, 3, 0, &time, CLOCK_MONOTONIC));
  pid_t pid =
      frame::child([=] { frame::until([=] { return futex(words + 2, FUTEX_WAKE, 1) == 1; }); });
  CALL(syscall(kWaitv, wait, 3, 0, nullptr, 0));
  frame::join(pid);
  words[1] = 1;
  CALL(syscall(kWaitv, wait, 3, 0, nullptr, 0));
  CALL(syscall(kWaitv, wait, 0, 0, nullptr, 0));
  CALL(syscall(kWaitv, wait, 129, 0, nullptr, 0));
  CALL(syscall(kWaitv, wait, 3, 1, nullptr, 0));
}

CASE(semaphores_of_system_v) {
  int id = semget(IPC_PRIVATE, 2, IPC_CREAT | 0600);
  YES(id >= 0);
  CALL(semctl(id, 0, GETVAL));
  sembuf up = {0, 2, 0}, down = {0, -1, IPC_NOWAIT}, zero = {0, 0, IPC_NOWAIT};
  CALL(semop(id, &up, 1));
  CALL(semctl(id, 0, GETVAL));
  CALL(semop(id, &zero, 1));
  CALL(semop(id, &down, 1));
  CALL(semop(id, &down, 1));
  CALL(semop(id, &down, 1));
  CALL(semop(id, &zero, 1));
  sembuf other = {5, 1, 0};
  CALL(semop(id, &other, 1));
  CALL(semctl(id, 0, IPC_RMID));
  CALL(semop(id, &up, 1));
}

// Futexes: waits, wake-ups, requeues, locks with owners, what an ending thread leaves.
#include <linux/futex.h>

#include "sandbox/syscalls/guest_fixture_test.h"

namespace caisson::sandbox::syscalls {
namespace {

using Futexes = GuestTest;

constexpr std::uint64_t kWord = kA, kOther = kA + 64;
constexpr std::uint64_t kThread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
constexpr int kPrivate = FUTEX_PRIVATE_FLAG;

// A thread that runs `body`; `done` counts those that ended.
std::int64_t start_thread(FakeGuest& guest, FakeProgram body) {
  return guest.clone(kThread, [body = std::move(body)](FakeGuest& own) {
    body(own);
    own.call(SYS_exit, 0);
  });
}

std::int64_t wait(FakeGuest& guest, std::uint64_t word, std::uint32_t expected) {
  return guest.call(SYS_futex, word, FUTEX_WAIT | kPrivate, expected, 0, 0, 0);
}
std::int64_t wake(FakeGuest& guest, std::uint64_t word, int count) {
  return guest.call(SYS_futex, word, FUTEX_WAKE | kPrivate, count, 0, 0, 0);
}

// Until so many could be woken, which are then woken.
void wake_all(FakeGuest& guest, std::uint64_t word, int count) {
  for (int woken = 0; woken < count;) woken += static_cast<int>(wake(guest, word, count));
}

TEST_F(Futexes, AnotherValueIsEAGAIN) {
  run([](FakeGuest& guest) {
    guest.put(kWord, 1);
    EXPECT_EQ(wait(guest, kWord, 0), -EAGAIN);
  });
}

TEST_F(Futexes, AddressMustBeThereAndAligned) {
  run([](FakeGuest& guest) {
    EXPECT_EQ(wait(guest, kWord + 1, 0), -EINVAL);
    EXPECT_EQ(wait(guest, 0x5000, 0), -EFAULT);
    EXPECT_EQ(wake(guest, kWord + 2, 1), -EINVAL);
  });
}

TEST_F(Futexes, TimeoutIsETIMEDOUT) {
  run([](FakeGuest& guest) {
    guest.put(kOther, std::array<std::int64_t, 2>{0, 3'000'000});
    EXPECT_EQ(guest.call(SYS_futex, kWord, FUTEX_WAIT, 0, kOther, 0, 0), -ETIMEDOUT);
    guest.put(kOther, std::array<std::int64_t, 2>{0, -1});
    EXPECT_EQ(guest.call(SYS_futex, kWord, FUTEX_WAIT, 0, kOther, 0, 0), -EINVAL);
    guest.put(kOther, std::array<std::int64_t, 2>{1, 0});  // long ago
    EXPECT_EQ(guest.call(SYS_futex, kWord, FUTEX_WAIT_BITSET, 0, kOther, 0, -1), -ETIMEDOUT);
  });
}

TEST_F(Futexes, WakeTellsHowMany) {
  run([](FakeGuest& guest) {
    auto gone = std::make_shared<std::atomic<int>>(0);
    EXPECT_EQ(wake(guest, kWord, 1), 0);
    for (int i = 0; i < 3; ++i)
      start_thread(guest, [gone](FakeGuest& own) {
        EXPECT_EQ(wait(own, kWord, 0), 0);
        ++*gone;
      });
    wake_all(guest, kWord, 3);
    until(guest, [&] { return gone->load() == 3; });
  });
}

TEST_F(Futexes, BitsetsChoose) {
  run([](FakeGuest& guest) {
    auto woken = std::make_shared<std::atomic<int>>(0);
    for (int bits : {1, 2})
      start_thread(guest, [=](FakeGuest& own) {
        EXPECT_EQ(own.call(SYS_futex, kWord, FUTEX_WAIT_BITSET | kPrivate, 0, 0, 0, bits), 0);
        *woken += bits;
      });
    auto wake_bits = [&](int bits) {
      return guest.call(SYS_futex, kWord, FUTEX_WAKE_BITSET | kPrivate, 10, 0, 0, bits);
    };
    EXPECT_EQ(wake_bits(0), -EINVAL);
    while (wake_bits(2) != 1) guest.call(SYS_sched_yield);
    until(guest, [&] { return woken->load() == 2; });
    while (wake_bits(1) != 1) guest.call(SYS_sched_yield);
    until(guest, [&] { return woken->load() == 3; });
  });
}

TEST_F(Futexes, PrivateAndSharedAreApart) {
  run([](FakeGuest& guest) {
    auto gone = std::make_shared<std::atomic<bool>>(false);
    start_thread(guest, [gone](FakeGuest& own) {
      wait(own, kWord, 0);
      *gone = true;
    });
    sleep_ms(guest, 5);
    wake_all(guest, kWord, 1);
    until(guest, [&] { return gone->load(); });
  });
}

TEST_F(Futexes, RequeueMovesWaiters) {
  run([](FakeGuest& guest) {
    auto gone = std::make_shared<std::atomic<int>>(0);
    for (int i = 0; i < 4; ++i)
      start_thread(guest, [gone](FakeGuest& own) {
        EXPECT_EQ(wait(own, kWord, 0), 0);
        ++*gone;
      });
    auto requeue = [&](int wakes, int moves, int expected) {
      return guest.call(SYS_futex, kWord, FUTEX_CMP_REQUEUE | kPrivate, wakes, moves, kOther,
                        expected);
    };
    EXPECT_EQ(requeue(1, 10, 77), -EAGAIN);
    EXPECT_EQ(requeue(-1, 10, 0), -EINVAL);
    for (std::int64_t moved = 0; moved < 4;) moved += requeue(0, 10, 0);
    EXPECT_EQ(wake(guest, kWord, 10), 0);
    EXPECT_EQ(wake(guest, kOther, 10), 4);
    until(guest, [&] { return gone->load() == 4; });
  });
}

TEST_F(Futexes, RequeueOntoItselfEnds) {
  run([](FakeGuest& guest) {
    auto gone = std::make_shared<std::atomic<bool>>(false);
    start_thread(guest, [gone](FakeGuest& own) {
      wait(own, kWord, 0);
      *gone = true;
    });
    sleep_ms(guest, 5);
    guest.call(SYS_futex, kWord, FUTEX_CMP_REQUEUE | kPrivate, 0, 10, kWord, 0);
    wake_all(guest, kWord, 1);
    until(guest, [&] { return gone->load(); });
  });
}

TEST_F(Futexes, WakeOpChangesTheSecondWord) {
  run([](FakeGuest& guest) {
    auto operate = [&](int kind, int argument, int comparison, int compared) {
      auto encoded = static_cast<std::uint32_t>(kind << 28 | comparison << 24 |
                                                (argument & 0xfff) << 12 | (compared & 0xfff));
      return guest.call(SYS_futex, kWord, FUTEX_WAKE_OP | kPrivate, 1, 1, kOther, encoded);
    };
    guest.put(kOther, 5);
    EXPECT_EQ(operate(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 5), 0);
    EXPECT_EQ(guest.get<int>(kOther), 8);
    operate(FUTEX_OP_SET, -1, FUTEX_OP_CMP_EQ, 0);
    EXPECT_EQ(guest.get<int>(kOther), -1);
    operate(FUTEX_OP_ANDN, 0xf, FUTEX_OP_CMP_EQ, 0);
    EXPECT_EQ(guest.get<int>(kOther), ~0xf);
    operate(FUTEX_OP_XOR, 0x10, FUTEX_OP_CMP_EQ, 0);
    EXPECT_EQ(guest.get<int>(kOther), ~0xf ^ 0x10);
    operate(FUTEX_OP_SET | FUTEX_OP_OPARG_SHIFT, 4, FUTEX_OP_CMP_EQ, 0);
    EXPECT_EQ(guest.get<int>(kOther), 16);
    EXPECT_EQ(operate(5, 0, FUTEX_OP_CMP_EQ, 0), -ENOSYS);
    EXPECT_EQ(operate(FUTEX_OP_ADD, 0, 9, 0), -ENOSYS);
  });
}

TEST_F(Futexes, WakeOpWakesTheSecondOnlyIfItCompares) {
  run([](FakeGuest& guest) {
    auto gone = std::make_shared<std::atomic<int>>(0);
    start_thread(guest, [gone](FakeGuest& own) {
      wait(own, kOther, 0);
      ++*gone;
    });
    sleep_ms(guest, 5);
    auto operate = [&](int compared) {
      auto encoded =
          static_cast<std::uint32_t>(FUTEX_OP_ADD << 28 | FUTEX_OP_CMP_EQ << 24 | compared);
      return guest.call(SYS_futex, kWord, FUTEX_WAKE_OP | kPrivate, 1, 1, kOther, encoded);
    };
    EXPECT_EQ(operate(1), 0);
    while (operate(0) != 1) guest.call(SYS_sched_yield);
    until(guest, [&] { return gone->load() == 1; });
  });
}

TEST_F(Futexes, WaitIsInterruptedByHandlers) {
  run([](FakeGuest& guest) {
    set_handler(guest, SIGUSR1, handler(guest, [](FakeGuest&, int) {}));
    std::int64_t parent = guest.call(SYS_getpid);
    guest.fork([parent](FakeGuest& own) {
      sleep_ms(own, 10);
      own.call(SYS_kill, parent, SIGUSR1);
    });
    EXPECT_EQ(wait(guest, kWord, 0), -EINTR);
  });
}

TEST_F(Futexes, TimedWaitGoesOnAfterAStop) {
  run([](FakeGuest& guest) {
    std::int64_t child = guest.fork([](FakeGuest& own) {
      own.put(kOther, std::array<std::int64_t, 2>{0, 50'000'000});
      std::int64_t result = own.call(SYS_futex, kWord, FUTEX_WAIT, 0, kOther, 0, 0);
      own.exit(result == -ETIMEDOUT ? 1 : 2);
    });
    sleep_ms(guest, 10);
    guest.call(SYS_kill, child, SIGSTOP);
    wait_status(guest, child, WUNTRACED);
    guest.call(SYS_kill, child, SIGCONT);
    EXPECT_EQ(wait_status(guest, child), 1 << 8);
  });
}

// Both sides of the race between looking at the word and going to sleep.
TEST_F(Futexes, NoWakeUpIsLost) {
  constexpr int kRounds = 2000;
  run([](FakeGuest& guest) {
    auto done = std::make_shared<std::atomic<bool>>(false);
    start_thread(guest, [done](FakeGuest& own) {
      for (int round = 0; round < kRounds; ++round) {
        while (own.get<int>(kWord) != 2 * round + 1)
          wait(own, kWord, static_cast<std::uint32_t>(2 * round));
        own.put(kWord, 2 * round + 2);
        wake(own, kWord, 1);
      }
      *done = true;
    });
    for (int round = 0; round < kRounds; ++round) {
      guest.put(kWord, 2 * round + 1);
      wake(guest, kWord, 1);
      while (guest.get<int>(kWord) != 2 * round + 2)
        wait(guest, kWord, static_cast<std::uint32_t>(2 * round + 1));
    }
    until(guest, [&] { return done->load(); });
  });
}

TEST_F(Futexes, WaitvIsWokenByAnyOfThem) {
  struct Waiter {
    std::uint64_t value = 0, address = 0;
    std::uint32_t flags = 2 | kPrivate, reserved = 0;
  };
  run([](FakeGuest& guest) {
    auto result = std::make_shared<std::atomic<std::int64_t>>(-1);
    guest.put(kA + 256, std::array<Waiter, 2>{Waiter{0, kWord}, Waiter{0, kOther}});
    start_thread(guest, [result](FakeGuest& own) {
      *result = own.call(SYS_futex_waitv, kA + 256, 2, 0, 0, 0);
    });
    wake_all(guest, kOther, 1);
    until(guest, [&] { return result->load() != -1; });
    EXPECT_EQ(result->load(), 1);
    guest.put(kOther, 9);
    EXPECT_EQ(guest.call(SYS_futex_waitv, kA + 256, 2, 0, 0, 0), -EAGAIN);
    EXPECT_EQ(guest.call(SYS_futex_waitv, kA + 256, 0, 0, 0, 0), -EINVAL);
    EXPECT_EQ(guest.call(SYS_futex_waitv, kA + 256, 129, 0, 0, 0), -EINVAL);
    EXPECT_EQ(guest.call(SYS_futex_waitv, kA + 256, 2, 1, 0, 0), -EINVAL);
  });
}

// --- locks with owners

std::int64_t lock_operation(FakeGuest& guest, int operation, std::uint64_t timeout = 0) {
  return guest.call(SYS_futex, kWord, operation | kPrivate, 0, timeout, 0, 0);
}

TEST_F(Futexes, LockTakesWhatIsFree) {
  run([](FakeGuest& guest) {
    EXPECT_EQ(lock_operation(guest, FUTEX_LOCK_PI), 0);
    EXPECT_EQ(guest.get<int>(kWord), guest.call(SYS_gettid));
    EXPECT_EQ(lock_operation(guest, FUTEX_LOCK_PI), -EDEADLK);
    EXPECT_EQ(lock_operation(guest, FUTEX_UNLOCK_PI), 0);
    EXPECT_EQ(guest.get<int>(kWord), 0);
    EXPECT_EQ(lock_operation(guest, FUTEX_UNLOCK_PI), -EPERM);
  });
}

TEST_F(Futexes, LockOfNobodyIsESRCH) {
  run([](FakeGuest& guest) {
    guest.put(kWord, 12345);
    EXPECT_EQ(lock_operation(guest, FUTEX_LOCK_PI), -ESRCH);
    EXPECT_EQ(lock_operation(guest, FUTEX_TRYLOCK_PI), -EAGAIN);
  });
}

TEST_F(Futexes, LockIsHandedOver) {
  run([](FakeGuest& guest) {
    auto order = std::make_shared<std::atomic<int>>(0);
    EXPECT_EQ(lock_operation(guest, FUTEX_LOCK_PI), 0);
    start_thread(guest, [order](FakeGuest& own) {
      EXPECT_EQ(lock_operation(own, FUTEX_LOCK_PI), 0);
      EXPECT_EQ(static_cast<std::int64_t>(own.get<std::uint32_t>(kWord) & FUTEX_TID_MASK),
                own.call(SYS_gettid));
      *order = 1;
      EXPECT_EQ(lock_operation(own, FUTEX_UNLOCK_PI), 0);
      *order = 2;
    });
    until(guest, [&] { return (guest.get<std::uint32_t>(kWord) & FUTEX_WAITERS) != 0; });
    sleep_ms(guest, 5);
    EXPECT_EQ(order->load(), 0);
    EXPECT_EQ(lock_operation(guest, FUTEX_UNLOCK_PI), 0);
    until(guest, [&] { return order->load() == 2; });
    EXPECT_EQ(guest.get<int>(kWord), 0);
  });
}

TEST_F(Futexes, LockTimesOut) {
  run([](FakeGuest& guest) {
    auto result = std::make_shared<std::atomic<std::int64_t>>(1);
    lock_operation(guest, FUTEX_LOCK_PI);
    guest.put(kOther, std::array<std::int64_t, 2>{1, 0});
    start_thread(
        guest, [result](FakeGuest& own) { *result = lock_operation(own, FUTEX_LOCK_PI, kOther); });
    until(guest, [&] { return result->load() != 1; });
    EXPECT_EQ(result->load(), -ETIMEDOUT);
    EXPECT_EQ(lock_operation(guest, FUTEX_UNLOCK_PI), 0);
  });
}

TEST_F(Futexes, LockOfAnEndedThreadGoesToTheNext) {
  run([](FakeGuest& guest) {
    start_thread(guest, [](FakeGuest& own) {
      lock_operation(own, FUTEX_LOCK_PI);
      until(own, [&] { return (own.get<std::uint32_t>(kWord) & FUTEX_WAITERS) != 0; });
      sleep_ms(own, 5);
    });
    until(guest, [&] { return guest.get<int>(kWord) != 0; });
    EXPECT_EQ(lock_operation(guest, FUTEX_LOCK_PI), 0);
    std::uint32_t word = guest.get<std::uint32_t>(kWord);
    EXPECT_EQ(static_cast<std::int64_t>(word & FUTEX_TID_MASK), guest.call(SYS_gettid));
    EXPECT_NE(word & FUTEX_OWNER_DIED, 0U);
  });
}

// --- robust lists

constexpr std::uint64_t kHead = kA + 512, kEntry = kA + 1024;

// A list of one lock, whose word stands 32 bytes behind its entry.
void set_robust_list(FakeGuest& guest, std::uint64_t pending) {
  guest.put(kHead, std::array<std::uint64_t, 3>{pending != 0 ? kHead : kEntry, 32, pending});
  guest.put(kEntry, std::uint64_t{kHead});
  EXPECT_EQ(guest.call(SYS_set_robust_list, kHead, 24), 0);
}

TEST_F(Futexes, RobustLockSaysThatItsOwnerDied) {
  run([](FakeGuest& guest) {
    start_thread(guest, [](FakeGuest& own) {
      set_robust_list(own, 0);
      own.put(kEntry + 32, static_cast<std::uint32_t>(own.call(SYS_gettid)) | FUTEX_WAITERS);
    });
    until(guest, [&] { return (guest.get<std::uint32_t>(kEntry + 32) & FUTEX_OWNER_DIED) != 0; });
    EXPECT_EQ(guest.get<std::uint32_t>(kEntry + 32), FUTEX_OWNER_DIED | FUTEX_WAITERS);
  });
}

TEST_F(Futexes, RobustLockWakesAWaiter) {
  run([](FakeGuest& guest) {
    auto owned = std::make_shared<std::atomic<std::uint32_t>>(0);
    start_thread(guest, [owned](FakeGuest& own) {
      set_robust_list(own, 0);
      *owned = static_cast<std::uint32_t>(own.call(SYS_gettid)) | FUTEX_WAITERS;
      own.put(kEntry + 32, owned->load());
      sleep_ms(own, 10);
    });
    until(guest, [&] { return owned->load() != 0; });
    std::int64_t result = wait(guest, kEntry + 32, owned->load());
    EXPECT_TRUE(result == 0 || result == -EAGAIN);
    EXPECT_NE(guest.get<std::uint32_t>(kEntry + 32) & FUTEX_OWNER_DIED, 0U);
  });
}

TEST_F(Futexes, PendingRobustLockIsReleasedToo) {
  run([](FakeGuest& guest) {
    start_thread(guest, [](FakeGuest& own) {
      set_robust_list(own, kEntry);
      own.put(kEntry + 32, static_cast<std::uint32_t>(own.call(SYS_gettid)));
    });
    until(guest, [&] { return guest.get<std::uint32_t>(kEntry + 32) == FUTEX_OWNER_DIED; });
  });
}

TEST_F(Futexes, RobustLocksOfOthersAreLeft) {
  run([](FakeGuest& guest) {
    auto thread = std::make_shared<std::atomic<std::int64_t>>(0);
    *thread = start_thread(guest, [](FakeGuest& own) {
      set_robust_list(own, 0);
      own.put(kEntry + 32, 4711U);
    });
    until(guest, [&] { return guest.call(SYS_tkill, thread->load(), 0) == -ESRCH; });
    EXPECT_EQ(guest.get<std::uint32_t>(kEntry + 32), 4711U);
  });
}

TEST_F(Futexes, CircularRobustListEnds) {
  run([](FakeGuest& guest) {
    auto thread = std::make_shared<std::atomic<std::int64_t>>(0);
    *thread = start_thread(guest, [](FakeGuest& own) {
      set_robust_list(own, 0);
      own.put(kEntry, std::uint64_t{kEntry});
    });
    until(guest, [&] { return guest.call(SYS_tkill, thread->load(), 0) == -ESRCH; });
  });
}

TEST_F(Futexes, RobustListHasOneSize) {
  run([](FakeGuest& guest) {
    EXPECT_EQ(guest.call(SYS_set_robust_list, kHead, 16), -EINVAL);
    EXPECT_EQ(guest.call(SYS_set_robust_list, kHead, 24), 0);
    EXPECT_EQ(guest.call(SYS_get_robust_list, 0, kA, kA + 8), 0);
    EXPECT_EQ(guest.get<std::uint64_t>(kA), kHead);
    EXPECT_EQ(guest.get<std::uint64_t>(kA + 8), 24U);
    EXPECT_EQ(guest.call(SYS_get_robust_list, 12345, kA, kA + 8), -ESRCH);
  });
}

}  // namespace
}  // namespace caisson::sandbox::syscalls

// Clocks, sleeps, itimers, POSIX timers.
#include <sys/time.h>

#include "sandbox/syscalls/guest_fixture_test.h"

namespace caisson::sandbox::syscalls {
namespace {

using Timers = GuestTest;

constexpr std::int64_t kMs = 1'000'000;
using Times = std::array<std::int64_t, 2>;
using Setting = std::array<std::int64_t, 4>;  // interval, value

std::int64_t now(FakeGuest& guest, int clock) {
  EXPECT_EQ(guest.call(SYS_clock_gettime, clock, kA + 2048), 0);
  auto time = guest.get<Times>(kA + 2048);
  return time[0] * 1'000'000'000 + time[1];
}

// A timer that counts its signals.
std::shared_ptr<std::atomic<int>> count(FakeGuest& guest, int signal) {
  auto counter = std::make_shared<std::atomic<int>>(0);
  set_handler(guest, signal, handler(guest, [counter](FakeGuest&, int) { ++*counter; }),
              SA_RESTART);
  return counter;
}

int create(FakeGuest& guest, int clock, int notify = SIGEV_SIGNAL, int signal = SIGUSR1,
           int thread = 0) {
  guest.put(kA, std::array<std::int32_t, 16>{77, 0, signal, notify, thread});
  EXPECT_EQ(guest.call(SYS_timer_create, clock, kA, kA + 64), 0);
  return guest.get<int>(kA + 64);
}

std::int64_t set(FakeGuest& guest, int timer, std::int64_t value, std::int64_t interval = 0,
                 int flags = 0) {
  guest.put(kA, Setting{interval / 1'000'000'000, interval % 1'000'000'000, value / 1'000'000'000,
                        value % 1'000'000'000});
  return guest.call(SYS_timer_settime, timer, flags, kA, kA + 128);
}

TEST_F(Timers, ClocksGoOn) {
  run([](FakeGuest& guest) {
    for (int clock : {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_MONOTONIC_RAW,
                      CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID}) {
      std::int64_t before = now(guest, clock);
      EXPECT_LE(before, now(guest, clock));
    }
    EXPECT_EQ(guest.call(SYS_clock_gettime, -1, kA), -EINVAL);
    EXPECT_EQ(guest.call(SYS_clock_gettime, 99, kA), -EINVAL);
    EXPECT_EQ(guest.call(SYS_clock_gettime, CLOCK_MONOTONIC, 1), -EFAULT);
    EXPECT_EQ(guest.call(SYS_clock_getres, CLOCK_MONOTONIC, kA), 0);
    EXPECT_EQ(guest.get<Times>(kA), (Times{0, 1}));
  });
}

TEST_F(Timers, CpuClockOfAProcessById) {
  run([](FakeGuest& guest) {
    int own = static_cast<int>(guest.call(SYS_getpid));
    EXPECT_EQ(guest.call(SYS_clock_gettime, (~own << 3) | 2, kA), 0);
    EXPECT_EQ(guest.call(SYS_clock_gettime, (~own << 3) | 6, kA), 0);
    EXPECT_EQ(guest.call(SYS_clock_gettime, (~99999 << 3) | 2, kA), -EINVAL);
  });
}

TEST_F(Timers, SleepLastsAtLeastItsTime) {
  run([](FakeGuest& guest) {
    std::int64_t begin = monotonic_ns();
    guest.put(kA, Times{0, 5 * kMs});
    EXPECT_EQ(guest.call(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, kA, 0), 0);
    EXPECT_GE(monotonic_ns() - begin, 5 * kMs);
    std::int64_t end = now(guest, CLOCK_REALTIME) + 5 * kMs;
    guest.put(kA, Times{end / 1'000'000'000, end % 1'000'000'000});
    EXPECT_EQ(guest.call(SYS_clock_nanosleep, CLOCK_REALTIME, TIMER_ABSTIME, kA, 0), 0);
    EXPECT_GE(now(guest, CLOCK_REALTIME), end);
  });
}

TEST_F(Timers, SleepsRefuseBadTimes) {
  run([](FakeGuest& guest) {
    for (Times bad : {Times{-1, 0}, Times{0, -1}, Times{0, 1'000'000'000}}) {
      guest.put(kA, bad);
      EXPECT_EQ(guest.call(SYS_nanosleep, kA, 0), -EINVAL);
    }
    EXPECT_EQ(guest.call(SYS_nanosleep, 1, 0), -EFAULT);
    guest.put(kA, Times{0, 0});
    EXPECT_EQ(guest.call(SYS_nanosleep, kA, 0), 0);
    EXPECT_EQ(guest.call(SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, kA, 0), -EINVAL);
    EXPECT_EQ(guest.call(SYS_clock_nanosleep, CLOCK_MONOTONIC_RAW, 0, kA, 0), -EOPNOTSUPP);
  });
}

TEST_F(Timers, ClocksCannotBeSet) {
  run([](FakeGuest& guest) {
    guest.put(kA, Times{1, 0});
    EXPECT_EQ(guest.call(SYS_clock_settime, CLOCK_REALTIME, kA), -EPERM);
    EXPECT_EQ(guest.call(SYS_clock_settime, CLOCK_MONOTONIC, kA), -EINVAL);
  });
}

TEST_F(Timers, AlarmComesOnce) {
  run([](FakeGuest& guest) {
    auto seen = count(guest, SIGALRM);
    guest.put(kA, Setting{0, 0, 0, 5000});
    EXPECT_EQ(guest.call(SYS_setitimer, ITIMER_REAL, kA, 0), 0);
    until(guest, [&] { return seen->load() == 1; });
    sleep_ms(guest, 20);
    EXPECT_EQ(seen->load(), 1);
    EXPECT_EQ(guest.call(SYS_getitimer, ITIMER_REAL, kA), 0);
    EXPECT_EQ(guest.get<Setting>(kA), (Setting{0, 0, 0, 0}));
  });
}

TEST_F(Timers, AlarmTellsWhatWasLeft) {
  run([](FakeGuest& guest) {
    EXPECT_EQ(guest.call(SYS_alarm, 100), 0);
    std::int64_t left = guest.call(SYS_alarm, 0);
    EXPECT_GE(left, 90);
    EXPECT_LE(left, 100);
    EXPECT_EQ(guest.call(SYS_alarm, 0), 0);
  });
}

TEST_F(Timers, IntervalTimerGoesOn) {
  run([](FakeGuest& guest) {
    auto seen = count(guest, SIGALRM);
    guest.put(kA, Setting{0, 2000, 0, 2000});
    guest.call(SYS_setitimer, ITIMER_REAL, kA, 0);
    until(guest, [&] { return seen->load() >= 5; });
    guest.put(kA, Setting{0, 0, 0, 0});
    EXPECT_EQ(guest.call(SYS_setitimer, ITIMER_REAL, kA, kA + 64), 0);
    EXPECT_EQ(guest.get<Setting>(kA + 64)[1], 2000);
  });
}

TEST_F(Timers, ItimersCheckTheirArguments) {
  run([](FakeGuest& guest) {
    EXPECT_EQ(guest.call(SYS_getitimer, 3, kA), -EINVAL);
    guest.put(kA, Setting{0, 0, 0, 1'000'000});
    EXPECT_EQ(guest.call(SYS_setitimer, ITIMER_REAL, kA, 0), -EINVAL);
    EXPECT_EQ(guest.call(SYS_setitimer, ITIMER_REAL, 1, 0), -EFAULT);
  });
}

TEST_F(Timers, ProfilingTimerCountsCpuTime) {
  run([](FakeGuest& guest) {
    auto seen = count(guest, SIGPROF);
    guest.put(kA, Setting{0, 0, 0, 10'000});
    guest.call(SYS_setitimer, ITIMER_PROF, kA, 0);
    until(guest, [&] { return seen->load() == 1; });
  });
}

TEST_F(Timers, ItimersAreNotInherited) {
  run([](FakeGuest& guest) {
    guest.call(SYS_alarm, 100);
    std::int64_t child = guest.fork([](FakeGuest& own) { EXPECT_EQ(own.call(SYS_alarm, 0), 0); });
    wait_status(guest, child);
    EXPECT_GT(guest.call(SYS_alarm, 0), 0);
  });
}

TEST_F(Timers, PosixTimerSignalsWithItsValue) {
  run([](FakeGuest& guest) {
    auto value = std::make_shared<std::atomic<std::uint64_t>>(0);
    auto code = std::make_shared<std::atomic<int>>(0);
    set_handler(guest, SIGUSR1,
                handler(guest,
                        [=](FakeGuest& own, int) {
                          *code = own.get<int>(own.registers().rsi + 8);
                          *value = own.get<std::uint64_t>(own.registers().rsi + 24);
                        }),
                SA_SIGINFO);
    int timer = create(guest, CLOCK_MONOTONIC);
    EXPECT_EQ(set(guest, timer, 2 * kMs), 0);
    until(guest, [&] { return value->load() != 0; });
    EXPECT_EQ(value->load(), 77U);
    EXPECT_EQ(code->load(), SI_TIMER);
    EXPECT_EQ(guest.call(SYS_timer_delete, timer), 0);
    EXPECT_EQ(guest.call(SYS_timer_delete, timer), -EINVAL);
  });
}

TEST_F(Timers, OverrunsAreCounted) {
  run([](FakeGuest& guest) {
    auto seen = count(guest, SIGUSR1);
    block(guest, bit(SIGUSR1));
    int timer = create(guest, CLOCK_MONOTONIC);
    set(guest, timer, kMs, kMs);
    sleep_ms(guest, 20);
    block(guest, bit(SIGUSR1), SIG_UNBLOCK);
    EXPECT_GE(seen->load(), 1);
    EXPECT_GE(guest.call(SYS_timer_getoverrun, timer), 1);
    set(guest, timer, 0);
  });
}

TEST_F(Timers, TimerWithoutSignalOnlyRuns) {
  run([](FakeGuest& guest) {
    int timer = create(guest, CLOCK_MONOTONIC, SIGEV_NONE, 0);
    set(guest, timer, 1'000'000 * kMs);
    EXPECT_EQ(guest.call(SYS_timer_gettime, timer, kA), 0);
    EXPECT_GT(guest.get<Setting>(kA)[2], 900);
    set(guest, timer, kMs);
    sleep_ms(guest, 5);
    guest.call(SYS_timer_gettime, timer, kA);
    EXPECT_EQ(guest.get<Setting>(kA), (Setting{0, 0, 0, 0}));
  });
}

TEST_F(Timers, AbsoluteTimerInThePastComesAtOnce) {
  run([](FakeGuest& guest) {
    auto seen = count(guest, SIGUSR1);
    int timer = create(guest, CLOCK_REALTIME);
    set(guest, timer, 1, 0, TIMER_ABSTIME);
    until(guest, [&] { return seen->load() == 1; });
  });
}

TEST_F(Timers, TimerForOneThread) {
  run([](FakeGuest& guest) {
    auto taker = std::make_shared<std::atomic<std::int64_t>>(0);
    set_handler(guest, SIGUSR1,
                handler(guest, [taker](FakeGuest& own, int) { *taker = own.call(SYS_gettid); }));
    int thread = static_cast<int>(guest.clone(
        CLONE_VM | CLONE_SIGHAND | CLONE_THREAD,
        [](FakeGuest& own) {
          own.call(SYS_pause);
          own.call(SYS_exit, 0);
        },
        FakeGuest::kStackTop - 8 * 4096));
    int timer = create(guest, CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGUSR1, thread);
    set(guest, timer, kMs);
    until(guest, [&] { return taker->load() == thread; });
  });
}

TEST_F(Timers, IgnoredTimerSignalDoesNotStopTheTimer) {
  run([](FakeGuest& guest) {
    set_handler(guest, SIGUSR1, 1);
    int timer = create(guest, CLOCK_MONOTONIC);
    set(guest, timer, kMs, kMs);
    sleep_ms(guest, 5);
    auto seen = count(guest, SIGUSR1);
    until(guest, [&] { return seen->load() >= 2; });
    set(guest, timer, 0);
  });
}

TEST_F(Timers, TimerCreateChecksItsArguments) {
  run([](FakeGuest& guest) {
    guest.put(kA, std::array<std::int32_t, 16>{0, 0, 99, SIGEV_SIGNAL});
    EXPECT_EQ(guest.call(SYS_timer_create, CLOCK_MONOTONIC, kA, kA + 64), -EINVAL);
    guest.put(kA, std::array<std::int32_t, 16>{0, 0, SIGUSR1, 77});
    EXPECT_EQ(guest.call(SYS_timer_create, CLOCK_MONOTONIC, kA, kA + 64), -EINVAL);
    guest.put(kA, std::array<std::int32_t, 16>{0, 0, SIGUSR1, SIGEV_THREAD_ID, 99999});
    EXPECT_EQ(guest.call(SYS_timer_create, CLOCK_MONOTONIC, kA, kA + 64), -EINVAL);
    EXPECT_EQ(guest.call(SYS_timer_create, 99, 0, kA + 64), -EINVAL);
    EXPECT_EQ(guest.call(SYS_timer_create, CLOCK_MONOTONIC_RAW, 0, kA + 64), -EOPNOTSUPP);
    EXPECT_EQ(guest.call(SYS_timer_create, CLOCK_MONOTONIC, 0, 1), -EFAULT);
    EXPECT_EQ(guest.call(SYS_timer_settime, 5, 0, kA, 0), -EINVAL);
    EXPECT_EQ(guest.call(SYS_timer_gettime, 5, kA), -EINVAL);
    EXPECT_EQ(guest.call(SYS_timer_getoverrun, 5), -EINVAL);
  });
}

TEST_F(Timers, UsageGrows) {
  run([](FakeGuest& guest) {
    EXPECT_EQ(guest.call(SYS_getrusage, RUSAGE_SELF, kA), 0);
    EXPECT_EQ(guest.call(SYS_getrusage, RUSAGE_CHILDREN, kA), 0);
    EXPECT_EQ(guest.call(SYS_getrusage, RUSAGE_THREAD, kA), 0);
    EXPECT_EQ(guest.call(SYS_getrusage, 7, kA), -EINVAL);
    EXPECT_GT(guest.call(SYS_times, kA), 0);
  });
}

}  // namespace
}  // namespace caisson::sandbox::syscalls

// Delivery of signals, handlers, restarts, stops.
#include <sys/prctl.h>

#include <vector>

#include "sandbox/syscalls/guest_fixture_test.h"

namespace caisson::sandbox::syscalls {
namespace {

using Signals = GuestTest;
using Seen = std::vector<int>;

std::uint64_t recorder(FakeGuest& guest, std::shared_ptr<Seen> seen) {
  return handler(guest, [seen](FakeGuest&, int signal) { seen->push_back(signal); });
}

std::int64_t kill_self(FakeGuest& guest, int signal) {
  return guest.call(SYS_kill, guest.call(SYS_getpid), signal);
}

// Sends `signal` to the caller's process in a while.
void kill_later(FakeGuest& guest, int signal, int ms = 10) {
  std::int64_t parent = guest.call(SYS_getpid);
  guest.fork([=](FakeGuest& own) {
    sleep_ms(own, ms);
    own.call(SYS_kill, parent, signal);
  });
}

TEST_F(Signals, DefaultActionsEnd) {
  for (int signal : {SIGTERM, SIGHUP, SIGINT, SIGPIPE, SIGUSR1, SIGALRM, 40})
    EXPECT_EQ(run([=](FakeGuest& guest) { kill_self(guest, signal); }), signal);
}

TEST_F(Signals, DefaultActionsIgnore) {
  for (int signal : {SIGCHLD, SIGURG, SIGWINCH, SIGCONT})
    EXPECT_EQ(run([=](FakeGuest& guest) { kill_self(guest, signal); }), 0);
}

TEST_F(Signals, CoreBitOnlyWhereADumpWasAllowed) {
  limits[RLIMIT_CORE] = {0, 0};
  EXPECT_EQ(run([](FakeGuest& guest) { kill_self(guest, SIGABRT); }), SIGABRT);
  limits[RLIMIT_CORE] = {};
}

TEST_F(Signals, CoreBitWithALimit) {
  EXPECT_EQ(run([](FakeGuest& guest) { kill_self(guest, SIGSEGV); }), SIGSEGV | 0x80);
}

TEST_F(Signals, HandlerRunsAndTheProgramGoesOn) {
  EXPECT_EQ(run([](FakeGuest& guest) {
              auto seen = std::make_shared<Seen>();
              set_handler(guest, SIGUSR1, recorder(guest, seen));
              EXPECT_EQ(kill_self(guest, SIGUSR1), 0);
              EXPECT_EQ(*seen, Seen{SIGUSR1});
              guest.exit(1);
            }),
            1 << 8);
}

TEST_F(Signals, IgnoredOnesAreNotKept) {
  run([](FakeGuest& guest) {
    set_handler(guest, SIGUSR1, 1);
    kill_self(guest, SIGUSR1);
    guest.call(SYS_rt_sigpending, kA, 8);
    EXPECT_EQ(guest.get<std::uint64_t>(kA), 0U);
  });
}

TEST_F(Signals, BlockedOnesArePendingOnce) {
  run([](FakeGuest& guest) {
    auto seen = std::make_shared<Seen>();
    set_handler(guest, SIGUSR1, recorder(guest, seen));
    block(guest, bit(SIGUSR1));
    kill_self(guest, SIGUSR1);
    kill_self(guest, SIGUSR1);
    guest.call(SYS_rt_sigpending, kA, 8);
    EXPECT_EQ(guest.get<std::uint64_t>(kA), bit(SIGUSR1));
    EXPECT_TRUE(seen->empty());
    block(guest, bit(SIGUSR1), SIG_UNBLOCK);
    EXPECT_EQ(*seen, Seen{SIGUSR1});
  });
}

TEST_F(Signals, RealTimeOnesQueueInOrder) {
  run([](FakeGuest& guest) {
    auto seen = std::make_shared<std::vector<std::uint64_t>>();
    // The value stands in siginfo_t, to which rsi points.
    set_handler(guest, 34,
                handler(guest,
                        [seen](FakeGuest& own, int) {
                          seen->push_back(own.get<std::uint64_t>(own.registers().rsi + 24));
                        }),
                SA_SIGINFO);
    block(guest, bit(34));
    for (std::uint64_t value : {5U, 6U, 7U}) {
      guest.put(kA, std::array<std::int32_t, 32>{34, 0, SI_QUEUE});
      guest.put(kA + 24, value);
      EXPECT_EQ(guest.call(SYS_rt_sigqueueinfo, guest.call(SYS_getpid), 34, kA), 0);
    }
    block(guest, bit(34), SIG_UNBLOCK);
    // Frames stack up: the last delivered handler runs first.
    EXPECT_EQ(seen->size(), 3U);
  });
}

TEST_F(Signals, LowNumbersComeFirst) {
  run([](FakeGuest& guest) {
    auto seen = std::make_shared<Seen>();
    for (int signal : {SIGUSR2, SIGUSR1, SIGHUP})
      set_handler(guest, signal, recorder(guest, seen), 0, ~std::uint64_t{0});
    std::uint64_t all = bit(SIGUSR1) | bit(SIGUSR2) | bit(SIGHUP);
    block(guest, all);
    kill_self(guest, SIGUSR2);
    kill_self(guest, SIGUSR1);
    kill_self(guest, SIGHUP);
    block(guest, all, SIG_UNBLOCK);
    EXPECT_EQ(*seen, (Seen{SIGHUP, SIGUSR1, SIGUSR2}));
  });
}

TEST_F(Signals, SignalIsBlockedInItsHandler) {
  run([](FakeGuest& guest) {
    auto depth = std::make_shared<int>(0);
    auto calls = std::make_shared<int>(0);
    auto again = [=](FakeGuest& own, int) {
      EXPECT_EQ(++*depth, 1);
      if (++*calls == 1) kill_self(own, SIGUSR1);
      --*depth;
    };
    set_handler(guest, SIGUSR1, handler(guest, again));
    kill_self(guest, SIGUSR1);
    EXPECT_EQ(*calls, 2);
  });
}

TEST_F(Signals, NodeferLetsItNest) {
  run([](FakeGuest& guest) {
    auto depth = std::make_shared<int>(0);
    auto deepest = std::make_shared<int>(0);
    auto nest = [=](FakeGuest& own, int) {
      *deepest = std::max(*deepest, ++*depth);
      if (*depth < 3) kill_self(own, SIGUSR1);
      --*depth;
    };
    set_handler(guest, SIGUSR1, handler(guest, nest), SA_NODEFER);
    kill_self(guest, SIGUSR1);
    EXPECT_EQ(*deepest, 3);
  });
}

TEST_F(Signals, ResethandIsOnce) {
  EXPECT_EQ(run([](FakeGuest& guest) {
              auto seen = std::make_shared<Seen>();
              set_handler(guest, SIGUSR1, recorder(guest, seen),
                          static_cast<std::uint64_t>(SA_RESETHAND));
              kill_self(guest, SIGUSR1);
              EXPECT_EQ(seen->size(), 1U);
              kill_self(guest, SIGUSR1);
            }),
            SIGUSR1);
}

TEST_F(Signals, MaskOfTheActionHoldsInTheHandler) {
  run([](FakeGuest& guest) {
    set_handler(guest, SIGUSR1,
                handler(guest, [](FakeGuest& own,
                                  int) { EXPECT_EQ(block(own, 0), bit(SIGUSR1) | bit(SIGUSR2)); }),
                0, bit(SIGUSR2) | bit(SIGKILL));
    kill_self(guest, SIGUSR1);
    EXPECT_EQ(block(guest, 0), 0U);
  });
}

TEST_F(Signals, KillAndStopCannotBeBlockedNorHandled) {
  run([](FakeGuest& guest) {
    block(guest, ~std::uint64_t{0}, SIG_SETMASK);
    EXPECT_EQ(block(guest, 0), ~(bit(SIGKILL) | bit(SIGSTOP)));
    guest.put(kA, std::array<std::uint64_t, 4>{1, 0, 0, 0});
    EXPECT_EQ(guest.call(SYS_rt_sigaction, SIGKILL, kA, 0, 8), -EINVAL);
    EXPECT_EQ(guest.call(SYS_rt_sigaction, SIGSTOP, kA, 0, 8), -EINVAL);
    EXPECT_EQ(guest.call(SYS_rt_sigaction, SIGKILL, 0, kA, 8), 0);
    EXPECT_EQ(guest.call(SYS_rt_sigaction, 65, 0, kA, 8), -EINVAL);
    EXPECT_EQ(guest.call(SYS_rt_sigaction, 0, 0, kA, 8), -EINVAL);
    EXPECT_EQ(guest.call(SYS_rt_sigaction, SIGUSR1, 0, kA, 4), -EINVAL);
  });
}

TEST_F(Signals, ForkKeepsActionsAndMaskNotPendingOnes) {
  run([](FakeGuest& guest) {
    set_handler(guest, SIGUSR2, 1);
    block(guest, bit(SIGUSR1));
    kill_self(guest, SIGUSR1);
    std::int64_t child = guest.fork([](FakeGuest& own) {
      EXPECT_EQ(block(own, 0), bit(SIGUSR1));
      own.call(SYS_rt_sigpending, kA, 8);
      EXPECT_EQ(own.get<std::uint64_t>(kA), 0U);
      kill_self(own, SIGUSR2);
    });
    EXPECT_EQ(wait_status(guest, child), 0);
  });
}

// --- frames

TEST_F(Signals, RegistersComeBackFromTheHandler) {
  run([](FakeGuest& guest) {
    set_handler(guest, SIGUSR1, handler(guest, [](FakeGuest& own, int signal) {
                  EXPECT_EQ(signal, SIGUSR1);
                  own.registers().rbx = own.registers().r15 = 1;
                }));
    guest.registers().rbx = 0x1111;
    guest.registers().r15 = 0x2222;
    std::uint64_t stack = guest.registers().rsp;
    kill_self(guest, SIGUSR1);
    EXPECT_EQ(guest.registers().rbx, 0x1111U);
    EXPECT_EQ(guest.registers().r15, 0x2222U);
    EXPECT_EQ(guest.registers().rsp, stack);
  });
}

TEST_F(Signals, FrameIsAlignedAndBehindTheRedZone) {
  run([](FakeGuest& guest) {
    std::uint64_t stack = guest.registers().rsp;
    set_handler(guest, SIGUSR1,
                handler(guest,
                        [stack](FakeGuest& own, int) {
                          std::uint64_t frame = own.registers().rsp;
                          EXPECT_EQ(frame % 16, 8U);
                          EXPECT_LE(frame + 440, stack - 128);
                          EXPECT_EQ(own.get<std::uint64_t>(frame), 0x1234U);  // the restorer
                          EXPECT_EQ(own.registers().rdx, frame + 8);
                          EXPECT_EQ(own.registers().rsi, frame + 312);
                          EXPECT_EQ(own.registers().rax, 0U);
                        }),
                SA_SIGINFO);
    kill_self(guest, SIGUSR1);
  });
}

TEST_F(Signals, SenderStandsInTheInfo) {
  run([](FakeGuest& guest) {
    std::int64_t own_id = guest.call(SYS_getpid);
    set_handler(guest, SIGUSR1,
                handler(guest,
                        [own_id](FakeGuest& own, int) {
                          std::uint64_t info = own.registers().rsi;
                          EXPECT_EQ(own.get<int>(info), SIGUSR1);
                          EXPECT_EQ(own.get<int>(info + 8), SI_TKILL);
                          EXPECT_EQ(own.get<int>(info + 16), own_id);
                          EXPECT_EQ(own.get<int>(info + 20), 0);
                        }),
                SA_SIGINFO);
    guest.call(SYS_tgkill, own_id, own_id, SIGUSR1);
  });
}

TEST_F(Signals, FaultTellsItsAddress) {
  run([](FakeGuest& guest) {
    set_handler(guest, SIGFPE,
                handler(guest,
                        [](FakeGuest& own, int) {
                          std::uint64_t info = own.registers().rsi;
                          EXPECT_EQ(own.get<int>(info + 8), FPE_INTDIV);
                          EXPECT_EQ(own.get<std::uint64_t>(info + 16), 0x4000U);
                        }),
                SA_SIGINFO);
    guest.fault(SIGFPE, FPE_INTDIV, 0x4000);
  });
}

TEST_F(Signals, FaultOnUnmappedMemoryIsMaperr) {
  run([](FakeGuest& guest) {
    set_handler(
        guest, SIGSEGV,
        handler(guest,
                [](FakeGuest& own, int) {
                  std::uint64_t info = own.registers().rsi;
                  EXPECT_EQ(own.get<int>(info + 8), SEGV_MAPERR);
                  EXPECT_EQ(own.get<std::uint64_t>(info + 16), 0x99000U);
                  std::uint64_t context = own.registers().rdx;
                  EXPECT_EQ(own.get<std::uint64_t>(context + 40 + 8 * 19 + 8), 14U);   // trap
                  EXPECT_EQ(own.get<std::uint64_t>(context + 40 + 8 * 22), 0x99000U);  // cr2
                }),
        SA_SIGINFO);
    guest.fault(SIGSEGV, SEGV_MAPERR, 0x99000);
  });
}

TEST_F(Signals, BlockedFaultEnds) {
  limits[RLIMIT_CORE] = {0, 0};
  EXPECT_EQ(run([](FakeGuest& guest) {
              set_handler(guest, SIGSEGV, handler(guest, [](FakeGuest&, int) { FAIL(); }));
              block(guest, bit(SIGSEGV));
              guest.fault(SIGSEGV, SEGV_MAPERR, 0x99000);
            }),
            SIGSEGV);
}

TEST_F(Signals, IgnoredFaultEnds) {
  limits[RLIMIT_CORE] = {0, 0};
  EXPECT_EQ(run([](FakeGuest& guest) {
              set_handler(guest, SIGILL, 1);
              guest.fault(SIGILL, ILL_ILLOPN, 0x99000);
            }),
            SIGILL);
}

TEST_F(Signals, NoRoomForAFrameIsSIGSEGV) {
  limits[RLIMIT_CORE] = {0, 0};
  EXPECT_EQ(run([](FakeGuest& guest) {
              set_handler(guest, SIGUSR1, handler(guest, [](FakeGuest&, int) { FAIL(); }));
              guest.registers().rsp = 0x5000;
              kill_self(guest, SIGUSR1);
            }),
            SIGSEGV);
}

TEST_F(Signals, NoRoomForAFrameMayBeHandledOnAnotherStack) {
  run([](FakeGuest& guest) {
    auto seen = std::make_shared<Seen>();
    set_handler(guest, SIGUSR1, recorder(guest, seen));
    set_handler(guest, SIGSEGV, recorder(guest, seen), SA_ONSTACK);
    guest.put(kA, std::array<std::uint64_t, 3>{kA + 8 * 4096, 0, 8192});
    EXPECT_EQ(guest.call(SYS_sigaltstack, kA, 0), 0);
    std::uint64_t stack = guest.registers().rsp;
    guest.registers().rsp = 0x5000;
    kill_self(guest, SIGUSR1);
    guest.registers().rsp = stack;
    EXPECT_EQ(*seen, Seen{SIGSEGV});
  });
}

TEST_F(Signals, AlternateStackIsUsedAndTold) {
  run([](FakeGuest& guest) {
    static constexpr std::uint64_t kStack = kA + 8 * 4096;
    guest.put(kA, std::array<std::uint64_t, 3>{kStack, 0, 8192});
    EXPECT_EQ(guest.call(SYS_sigaltstack, kA, 0), 0);
    set_handler(guest, SIGUSR1,
                handler(guest,
                        [](FakeGuest& own, int) {
                          EXPECT_GT(own.registers().rsp, kStack);
                          EXPECT_LT(own.registers().rsp, kStack + 8192);
                          EXPECT_EQ(own.call(SYS_sigaltstack, 0, kA + 64), 0);
                          EXPECT_EQ(own.get<int>(kA + 64 + 8), SS_ONSTACK);
                          EXPECT_EQ(own.call(SYS_sigaltstack, kA, 0), -EPERM);
                        }),
                SA_ONSTACK);
    kill_self(guest, SIGUSR1);
    EXPECT_EQ(guest.call(SYS_sigaltstack, 0, kA + 64), 0);
    EXPECT_EQ(guest.get<std::uint64_t>(kA + 64), kStack);
    EXPECT_EQ(guest.get<int>(kA + 64 + 8), 0);
  });
}

TEST_F(Signals, AutodisarmedStackIsFreeInTheHandler) {
  run([](FakeGuest& guest) {
    constexpr std::uint32_t kAutodisarm = 1U << 31;
    guest.put(kA, std::array<std::uint64_t, 3>{kA + 8 * 4096, kAutodisarm, 8192});
    EXPECT_EQ(guest.call(SYS_sigaltstack, kA, 0), 0);
    set_handler(guest, SIGUSR1,
                handler(guest,
                        [](FakeGuest& own, int) {
                          EXPECT_EQ(own.call(SYS_sigaltstack, 0, kA + 64), 0);
                          EXPECT_EQ(own.get<std::uint32_t>(kA + 64 + 8), 2U /* SS_DISABLE */);
                        }),
                SA_ONSTACK);
    kill_self(guest, SIGUSR1);
    guest.call(SYS_sigaltstack, 0, kA + 64);
    EXPECT_EQ(guest.get<std::uint32_t>(kA + 64 + 8), kAutodisarm);
  });
}

TEST_F(Signals, AlternateStackMustBeLargeEnough) {
  run([](FakeGuest& guest) {
    guest.put(kA, std::array<std::uint64_t, 3>{kA + 8 * 4096, 0, 2047});
    EXPECT_EQ(guest.call(SYS_sigaltstack, kA, 0), -ENOMEM);
    guest.put(kA, std::array<std::uint64_t, 3>{kA + 8 * 4096, 4, 8192});
    EXPECT_EQ(guest.call(SYS_sigaltstack, kA, 0), -EINVAL);
    EXPECT_EQ(guest.call(SYS_sigaltstack, 1, 0), -EFAULT);
  });
}

// --- restarts

TEST_F(Signals, RestartedCallGoesOn) {
  run([](FakeGuest& guest) {
    auto seen = std::make_shared<Seen>();
    set_handler(guest, SIGUSR1, recorder(guest, seen), SA_RESTART);
    std::int64_t child = guest.fork([](FakeGuest& own) {
      sleep_ms(own, 40);
      own.exit(3);
    });
    kill_later(guest, SIGUSR1);
    EXPECT_EQ(guest.call(SYS_wait4, child, kA, 0, 0), child);
    EXPECT_EQ(*seen, Seen{SIGUSR1});
  });
}

TEST_F(Signals, CallWithoutRestartIsEINTR) {
  run([](FakeGuest& guest) {
    auto seen = std::make_shared<Seen>();
    set_handler(guest, SIGUSR1, recorder(guest, seen));
    std::int64_t child = guest.fork([](FakeGuest& own) {
      sleep_ms(own, 40);
      own.exit(3);
    });
    kill_later(guest, SIGUSR1);
    EXPECT_EQ(guest.call(SYS_wait4, child, kA, 0, 0), -EINTR);
    EXPECT_EQ(wait_status(guest, child), 3 << 8);
  });
}

TEST_F(Signals, PauseIsNeverRestarted) {
  run([](FakeGuest& guest) {
    auto seen = std::make_shared<Seen>();
    set_handler(guest, SIGUSR1, recorder(guest, seen), SA_RESTART);
    kill_later(guest, SIGUSR1);
    EXPECT_EQ(guest.call(SYS_pause), -EINTR);
  });
}

TEST_F(Signals, SleepTellsWhatIsLeft) {
  run([](FakeGuest& guest) {
    auto seen = std::make_shared<Seen>();
    set_handler(guest, SIGUSR1, recorder(guest, seen), SA_RESTART);
    kill_later(guest, SIGUSR1);
    guest.put(kA, std::array<std::int64_t, 2>{100, 0});
    EXPECT_EQ(guest.call(SYS_nanosleep, kA, kA + 16), -EINTR);
    std::int64_t left = guest.get<std::int64_t>(kA + 16);
    EXPECT_GE(left, 90);
    EXPECT_LT(left, 100);
  });
}

TEST_F(Signals, StopDoesNotEndASleep) {
  run([](FakeGuest& guest) {
    std::int64_t child = guest.fork([](FakeGuest& own) {
      std::int64_t begin = monotonic_ns();
      sleep_ms(own, 60);
      own.exit(monotonic_ns() - begin >= 60'000'000 ? 1 : 2);
    });
    sleep_ms(guest, 10);
    guest.call(SYS_kill, child, SIGSTOP);
    EXPECT_EQ(guest.call(SYS_wait4, child, kA, WUNTRACED, 0), child);
    guest.call(SYS_kill, child, SIGCONT);
    EXPECT_EQ(wait_status(guest, child), 1 << 8);
  });
}

TEST_F(Signals, SuspendSwapsTheMaskAndPutsItBack) {
  run([](FakeGuest& guest) {
    auto seen = std::make_shared<Seen>();
    set_handler(guest, SIGUSR1, handler(guest, [seen](FakeGuest& own, int signal) {
                  seen->push_back(signal);
                  EXPECT_EQ(block(own, 0), bit(SIGUSR1) | bit(SIGUSR2));
                }));
    block(guest, bit(SIGUSR1));
    kill_self(guest, SIGUSR1);
    EXPECT_TRUE(seen->empty());
    guest.put(kA, bit(SIGUSR2));
    EXPECT_EQ(guest.call(SYS_rt_sigsuspend, kA, 8), -EINTR);
    EXPECT_EQ(seen->size(), 1U);
    EXPECT_EQ(block(guest, 0), bit(SIGUSR1));
  });
}

TEST_F(Signals, RestartSyscallWithoutOneIsEINTR) {
  run([](FakeGuest& guest) { EXPECT_EQ(guest.call(SYS_restart_syscall), -EINTR); });
}

// --- waiting for signals

TEST_F(Signals, TimedWaitTakesAPendingOne) {
  run([](FakeGuest& guest) {
    block(guest, bit(SIGUSR1));
    kill_self(guest, SIGUSR1);
    guest.put(kA, bit(SIGUSR1));
    EXPECT_EQ(guest.call(SYS_rt_sigtimedwait, kA, kA + 64, 0, 8), SIGUSR1);
    EXPECT_EQ(guest.get<int>(kA + 64), SIGUSR1);
    guest.call(SYS_rt_sigpending, kA, 8);
    EXPECT_EQ(guest.get<std::uint64_t>(kA), 0U);
  });
}

TEST_F(Signals, TimedWaitIsWokenThoughBlocked) {
  run([](FakeGuest& guest) {
    block(guest, bit(SIGUSR1));
    kill_later(guest, SIGUSR1);
    guest.put(kA, bit(SIGUSR1));
    EXPECT_EQ(guest.call(SYS_rt_sigtimedwait, kA, 0, 0, 8), SIGUSR1);
  });
}

TEST_F(Signals, TimedWaitTakesWhatIsIgnoredByDefault) {
  run([](FakeGuest& guest) {
    block(guest, bit(SIGCHLD));
    guest.fork([](FakeGuest& own) { sleep_ms(own, 10); });
    guest.put(kA, bit(SIGCHLD));
    EXPECT_EQ(guest.call(SYS_rt_sigtimedwait, kA, kA + 64, 0, 8), SIGCHLD);
    EXPECT_EQ(guest.get<int>(kA + 64 + 8), CLD_EXITED);
  });
}

TEST_F(Signals, TimedWaitGivesUp) {
  run([](FakeGuest& guest) {
    guest.put(kA, bit(SIGUSR1));
    guest.put(kA + 8, std::array<std::int64_t, 2>{0, 5'000'000});
    EXPECT_EQ(guest.call(SYS_rt_sigtimedwait, kA, 0, kA + 8, 8), -EAGAIN);
    guest.put(kA + 8, std::array<std::int64_t, 2>{0, 0});
    EXPECT_EQ(guest.call(SYS_rt_sigtimedwait, kA, 0, kA + 8, 8), -EAGAIN);
    guest.put(kA + 8, std::array<std::int64_t, 2>{0, 1'000'000'000});
    EXPECT_EQ(guest.call(SYS_rt_sigtimedwait, kA, 0, kA + 8, 8), -EINVAL);
  });
}

TEST_F(Signals, TimedWaitIsInterruptedByOthers) {
  run([](FakeGuest& guest) {
    auto seen = std::make_shared<Seen>();
    set_handler(guest, SIGUSR2, recorder(guest, seen), SA_RESTART);
    kill_later(guest, SIGUSR2);
    guest.put(kA, bit(SIGUSR1));
    EXPECT_EQ(guest.call(SYS_rt_sigtimedwait, kA, 0, 0, 8), -EINTR);
  });
}

// --- sending

TEST_F(Signals, KillChecksItsArguments) {
  run([](FakeGuest& guest) {
    EXPECT_EQ(guest.call(SYS_kill, 1, 65), -EINVAL);
    EXPECT_EQ(guest.call(SYS_kill, 1, -1), -EINVAL);
    EXPECT_EQ(guest.call(SYS_kill, 99999, 0), -ESRCH);
    EXPECT_EQ(guest.call(SYS_kill, -99999, SIGTERM), -ESRCH);
    EXPECT_EQ(guest.call(SYS_tgkill, 0, 1, SIGTERM), -EINVAL);
    EXPECT_EQ(guest.call(SYS_tgkill, 1, 0, SIGTERM), -EINVAL);
    EXPECT_EQ(guest.call(SYS_tgkill, 2, 1, 0), -ESRCH);
    EXPECT_EQ(guest.call(SYS_tkill, 1, 0), 0);
  });
}

TEST_F(Signals, KillOfOthersNeedsTheSameUser) {
  run([](FakeGuest& guest) {
    std::int64_t child = guest.fork([](FakeGuest& own) { own.call(SYS_pause); });
    std::int64_t user = guest.fork([child](FakeGuest& own) {
      EXPECT_EQ(own.call(SYS_setresuid, 1000, 1000, 1000), 0);
      EXPECT_EQ(own.call(SYS_kill, child, SIGTERM), -EPERM);
      EXPECT_EQ(own.call(SYS_kill, child, 0), -EPERM);
      EXPECT_EQ(own.call(SYS_kill, child, SIGCONT), 0);  // of the same session
      EXPECT_EQ(own.call(SYS_kill, own.call(SYS_getpid), 0), 0);
    });
    wait_status(guest, user);
    guest.call(SYS_kill, child, SIGKILL);
  });
}

TEST_F(Signals, KillOfAGroupReachesAll) {
  run([](FakeGuest& guest) {
    std::int64_t leader = guest.fork([](FakeGuest& own) {
      own.call(SYS_setpgid, 0, 0);
      own.fork([](FakeGuest& other) { other.call(SYS_pause); });
      own.call(SYS_prctl, PR_SET_NAME, 0);
      own.put(kA, 1);
      own.call(SYS_pause);
    });
    until(guest, [&] { return guest.call(SYS_getpgid, leader) == leader; });
    sleep_ms(guest, 5);
    EXPECT_EQ(guest.call(SYS_kill, -leader, SIGTERM), 0);
    EXPECT_EQ(wait_status(guest, leader), SIGTERM);
    until(guest, [&] { return guest.call(SYS_kill, -leader, 0) == -ESRCH; });
  });
}

TEST_F(Signals, KillOfAllSparesInitAndCaller) {
  run([](FakeGuest& guest) {
    std::int64_t child = guest.fork([](FakeGuest& own) { own.call(SYS_pause); });
    EXPECT_EQ(guest.call(SYS_kill, -1, SIGTERM), 0);
    EXPECT_EQ(wait_status(guest, child), SIGTERM);
    EXPECT_EQ(guest.call(SYS_kill, 1, 0), 0);
  });
}

TEST_F(Signals, InitIsSafeFromItsOwn) {
  EXPECT_EQ(run_as_init([](FakeGuest& guest) {
              EXPECT_EQ(guest.call(SYS_kill, 1, SIGKILL), 0);
              EXPECT_EQ(guest.call(SYS_kill, 1, SIGTERM), 0);
              std::int64_t child = guest.fork([](FakeGuest& own) {
                EXPECT_EQ(own.call(SYS_kill, 1, SIGKILL), 0);
                EXPECT_EQ(own.call(SYS_kill, 1, SIGSTOP), 0);
              });
              EXPECT_EQ(wait_status(guest, child), 0);
              guest.exit(1);
            }),
            1 << 8);
}

TEST_F(Signals, InitHandlesWhatItHasAHandlerFor) {
  run_as_init([](FakeGuest& guest) {
    auto seen = std::make_shared<Seen>();
    set_handler(guest, SIGTERM, recorder(guest, seen));
    kill_self(guest, SIGTERM);
    EXPECT_EQ(*seen, Seen{SIGTERM});
  });
}

TEST_F(Signals, InitCanBeKilledFromOutside) {
  auto group = start([](FakeGuest& guest) { guest.call(SYS_pause); });
  kernel::SignalInfo info = kernel::SignalInfo::user(SIGTERM, 0, 0);
  EXPECT_TRUE(kernel_.signal_group(*group, info));
  info.signal = SIGKILL;
  EXPECT_TRUE(kernel_.signal_group(*group, info));
  EXPECT_EQ(status_of(group), SIGKILL);
}

TEST_F(Signals, InitDiesOfItsFaults) {
  limits[RLIMIT_CORE] = {0, 0};
  EXPECT_EQ(run_as_init([](FakeGuest& guest) { guest.fault(SIGSEGV, SEGV_MAPERR, 0x99000); }),
            SIGSEGV);
}

TEST_F(Signals, QueueLimitHoldsForRealTimeSignals) {
  limits[RLIMIT_SIGPENDING] = {2, 2};
  run([](FakeGuest& guest) {
    std::int64_t own = guest.call(SYS_getpid);
    block(guest, bit(34) | bit(SIGUSR1));
    guest.put(kA, std::array<std::int32_t, 32>{34, 0, SI_QUEUE});
    EXPECT_EQ(guest.call(SYS_rt_sigqueueinfo, own, 34, kA), 0);
    EXPECT_EQ(guest.call(SYS_rt_sigqueueinfo, own, 34, kA), 0);
    EXPECT_EQ(guest.call(SYS_rt_sigqueueinfo, own, 34, kA), -EAGAIN);
    EXPECT_EQ(kill_self(guest, SIGUSR1), 0);  // a standard one has its place
  });
}

TEST_F(Signals, NobodySpeaksAsTheKernel) {
  run([](FakeGuest& guest) {
    std::int64_t child = guest.fork([](FakeGuest& own) { own.call(SYS_pause); });
    for (int code : {SI_USER, SI_KERNEL, SI_TKILL}) {
      guest.put(kA, std::array<std::int32_t, 32>{SIGUSR1, 0, code});
      EXPECT_EQ(guest.call(SYS_rt_sigqueueinfo, child, SIGUSR1, kA), -EPERM);
      EXPECT_EQ(guest.call(SYS_rt_tgsigqueueinfo, child, child, SIGUSR1, kA), -EPERM);
    }
    guest.call(SYS_kill, child, SIGKILL);
  });
}

TEST_F(Signals, ThreadThatDoesNotBlockItGetsAGroupsSignal) {
  run([](FakeGuest& guest) {
    auto taker = std::make_shared<std::atomic<std::int64_t>>(0);
    set_handler(guest, SIGUSR1,
                handler(guest, [taker](FakeGuest& own, int) { *taker = own.call(SYS_gettid); }));
    std::int64_t thread = guest.clone(
        CLONE_VM | CLONE_SIGHAND | CLONE_THREAD,
        [](FakeGuest& own) {
          own.call(SYS_pause);
          own.call(SYS_exit, 0);
        },
        FakeGuest::kStackTop - 8 * 4096);
    block(guest, bit(SIGUSR1));
    sleep_ms(guest, 5);
    kill_self(guest, SIGUSR1);
    until(guest, [&] { return taker->load() == thread; });
  });
}

}  // namespace
}  // namespace caisson::sandbox::syscalls

// clone(2), wait4(2), exit(2), process groups, pid namespaces.
#include <sys/prctl.h>

#include "sandbox/syscalls/guest_fixture_test.h"

namespace caisson::sandbox::syscalls {
namespace {

using Processes = GuestTest;

TEST_F(Processes, ExitStatusIsTold) {
  EXPECT_EQ(run([](FakeGuest& guest) { guest.exit(7); }), 7 << 8);
}

TEST_F(Processes, OnlyEightBitsOfAStatusCount) {
  EXPECT_EQ(run([](FakeGuest& guest) { guest.exit(0x1ff); }), 0xff << 8);
}

TEST_F(Processes, ChildHasItsOwnIdAndKnowsItsParent) {
  run([](FakeGuest& guest) {
    std::int64_t parent = guest.call(SYS_getpid);
    std::int64_t child = guest.fork([parent](FakeGuest& own) {
      EXPECT_EQ(own.call(SYS_getppid), parent);
      EXPECT_NE(own.call(SYS_getpid), parent);
      EXPECT_EQ(own.call(SYS_getpid), own.call(SYS_gettid));
    });
    EXPECT_GT(child, parent);
    EXPECT_EQ(wait_status(guest, child), 0);
  });
}

TEST_F(Processes, MemoryIsCopiedByFork) {
  run([](FakeGuest& guest) {
    guest.put(kA, 1);
    std::int64_t child = guest.fork([](FakeGuest& own) {
      EXPECT_EQ(own.get<int>(kA), 1);
      own.put(kA, 2);
    });
    wait_status(guest, child);
    EXPECT_EQ(guest.get<int>(kA), 1);
  });
}

TEST_F(Processes, MemoryIsSharedByVforkUntilTheChildEnds) {
  run([](FakeGuest& guest) {
    guest.put(kA, 1);
    std::int64_t child = guest.clone(CLONE_VM | CLONE_VFORK | SIGCHLD, [](FakeGuest& own) {
      own.put(kA, 2);
      own.exit(3);
    });
    EXPECT_EQ(guest.get<int>(kA), 2);
    EXPECT_EQ(wait_status(guest, child), 3 << 8);
  });
}

TEST_F(Processes, WaitWithoutChildrenIsECHILD) {
  run([](FakeGuest& guest) {
    EXPECT_EQ(guest.call(SYS_wait4, -1, 0, 0, 0), -ECHILD);
    EXPECT_EQ(guest.call(SYS_wait4, 12345, 0, WNOHANG, 0), -ECHILD);
  });
}

TEST_F(Processes, WaitWithNohangTellsThatNobodyEnded) {
  run([](FakeGuest& guest) {
    std::int64_t child = guest.fork([](FakeGuest& own) { own.call(SYS_pause); });
    EXPECT_EQ(guest.call(SYS_wait4, child, 0, WNOHANG, 0), 0);
    guest.call(SYS_kill, child, SIGKILL);
    EXPECT_EQ(wait_status(guest, child), SIGKILL);
  });
}

TEST_F(Processes, ReapedChildIsGone) {
  run([](FakeGuest& guest) {
    std::int64_t child = guest.fork([](FakeGuest&) {});
    EXPECT_EQ(wait_status(guest, child), 0);
    EXPECT_EQ(guest.call(SYS_wait4, child, 0, 0, 0), -ECHILD);
    EXPECT_EQ(guest.call(SYS_kill, child, 0), -ESRCH);
  });
}

TEST_F(Processes, ZombieCanBeSignalled) {
  run([](FakeGuest& guest) {
    std::int64_t child = guest.fork([](FakeGuest&) {});
    guest.call(SYS_waitid, P_PID, child, 0, WEXITED | WNOWAIT, 0);
    EXPECT_EQ(guest.call(SYS_kill, child, SIGKILL), 0);
    EXPECT_EQ(wait_status(guest, child), 0);
  });
}

TEST_F(Processes, WaitForAProcessGroup) {
  run([](FakeGuest& guest) {
    std::int64_t own = guest.call(SYS_getpgid, 0);
    std::int64_t other = guest.fork([](FakeGuest& child) {
      child.call(SYS_setpgid, 0, 0);
      child.exit(1);
    });
    std::int64_t same = guest.fork([](FakeGuest& child) { child.exit(2); });
    guest.call(SYS_setpgid, other, other);
    EXPECT_EQ(guest.call(SYS_wait4, 0, kA, 0, 0), same);
    EXPECT_EQ(guest.call(SYS_wait4, -other, kA, 0, 0), other);
    EXPECT_EQ(guest.call(SYS_getpgid, 0), own);
  });
}

TEST_F(Processes, WaitRefusesUnknownOptions) {
  run([](FakeGuest& guest) {
    EXPECT_EQ(guest.call(SYS_wait4, -1, 0, 0x100, 0), -EINVAL);
    EXPECT_EQ(guest.call(SYS_waitid, P_ALL, 0, 0, 0, 0), -EINVAL);
    EXPECT_EQ(guest.call(SYS_waitid, 9, 0, 0, WEXITED, 0), -EINVAL);
    EXPECT_EQ(guest.call(SYS_waitid, P_PID, 0, 0, WEXITED, 0), -EINVAL);
    EXPECT_EQ(guest.call(SYS_wait4, std::int64_t{INT_MIN}, 0, 0, 0), -ESRCH);
  });
}

TEST_F(Processes, WaitidTellsHowTheChildEnded) {
  run([](FakeGuest& guest) {
    std::int64_t child = guest.fork([](FakeGuest& own) { own.exit(9); });
    EXPECT_EQ(guest.call(SYS_waitid, P_PID, child, kA, WEXITED, 0), 0);
    EXPECT_EQ(guest.get<int>(kA), SIGCHLD);
    EXPECT_EQ(guest.get<int>(kA + 8), CLD_EXITED);
    EXPECT_EQ(guest.get<int>(kA + 16), child);
    EXPECT_EQ(guest.get<int>(kA + 24), 9);
  });
}

TEST_F(Processes, CloneWithoutSignalIsWaitedForByWallOnly) {
  run([](FakeGuest& guest) {
    std::int64_t child = guest.clone(0, [](FakeGuest&) {});
    EXPECT_EQ(guest.call(SYS_wait4, child, 0, 0, 0), -ECHILD);
    EXPECT_EQ(guest.call(SYS_wait4, child, 0, __WALL, 0), child);
    std::int64_t other = guest.clone(0, [](FakeGuest&) {});
    EXPECT_EQ(guest.call(SYS_wait4, other, 0, std::int64_t{__WCLONE}, 0), other);
  });
}

TEST_F(Processes, OrphansGoToInit) {
  EXPECT_EQ(run([](FakeGuest& guest) {
              std::int64_t child = guest.fork([](FakeGuest& middle) {
                middle.fork([](FakeGuest& orphan) {
                  until(orphan, [&] { return orphan.call(SYS_getppid) == 1; });
                });
              });
              EXPECT_EQ(wait_status(guest, child), 0);
              EXPECT_EQ(guest.call(SYS_wait4, -1, 0, 0, 0), -ECHILD);
            }),
            0);
}

TEST_F(Processes, OrphansGoToASubreaper) {
  run([](FakeGuest& guest) {
    EXPECT_EQ(guest.call(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1), 0);
    std::int64_t own = guest.call(SYS_getpid);
    std::int64_t child = guest.fork([own](FakeGuest& middle) {
      middle.fork([own](FakeGuest& orphan) {
        until(orphan, [&] { return orphan.call(SYS_getppid) == own; });
        orphan.exit(5);
      });
    });
    EXPECT_EQ(wait_status(guest, child), 0);
    EXPECT_EQ(wait_status(guest, -1), 5 << 8);
  });
}

TEST_F(Processes, ParentDeathSignalComes) {
  EXPECT_EQ(run([](FakeGuest& guest) {
              guest.call(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1);
              guest.fork([](FakeGuest& middle) {
                std::int64_t self = middle.call(SYS_getpid);
                middle.fork([self](FakeGuest& child) {
                  child.call(SYS_prctl, PR_SET_PDEATHSIG, SIGTERM);
                  if (child.call(SYS_getppid) != self) child.exit(1);
                  child.call(SYS_pause);
                });
                sleep_ms(middle, 30);
              });
              EXPECT_EQ(wait_status(guest, -1), 0);
              EXPECT_EQ(wait_status(guest, -1), SIGTERM);
            }),
            0);
}

TEST_F(Processes, IgnoredSigchldReapsByItself) {
  run([](FakeGuest& guest) {
    set_handler(guest, SIGCHLD, 1 /* SIG_IGN */);
    std::int64_t child = guest.fork([](FakeGuest&) {});
    EXPECT_EQ(guest.call(SYS_wait4, child, 0, 0, 0), -ECHILD);
    until(guest, [&] { return guest.call(SYS_kill, child, 0) == -ESRCH; });
  });
}

TEST_F(Processes, NocldwaitReapsButSignals) {
  run([](FakeGuest& guest) {
    auto seen = std::make_shared<std::atomic<int>>(0);
    set_handler(guest, SIGCHLD, handler(guest, [seen](FakeGuest&, int) { ++*seen; }),
                SA_NOCLDWAIT | SA_RESTART);
    std::int64_t child = guest.fork([](FakeGuest&) {});
    EXPECT_EQ(guest.call(SYS_wait4, child, 0, 0, 0), -ECHILD);
    until(guest, [&] { return seen->load() == 1; });
  });
}

TEST_F(Processes, ThreadsShareTheProcess) {
  run([](FakeGuest& guest) {
    std::int64_t process = guest.call(SYS_getpid);
    constexpr std::uint64_t kFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
                                     CLONE_THREAD | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
    std::int64_t thread = guest.clone(
        kFlags,
        [process](FakeGuest& own) {
          EXPECT_EQ(own.call(SYS_getpid), process);
          EXPECT_NE(own.call(SYS_gettid), process);
          own.put(kA + 8, 42);
          own.call(SYS_exit, 0);
        },
        0, kA, kA);
    EXPECT_GT(thread, process);
    // The joiner's way: the word is cleared and woken at the thread's end.
    while (guest.get<int>(kA) != 0) guest.call(SYS_futex, kA, 0 /* FUTEX_WAIT */, thread, 0, 0, 0);
    EXPECT_EQ(guest.get<int>(kA + 8), 42);
  });
}

TEST_F(Processes, ExitGroupEndsSleepingThreads) {
  EXPECT_EQ(run([](FakeGuest& guest) {
              constexpr std::uint64_t kFlags = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;
              for (int i = 0; i < 4; ++i)
                guest.clone(kFlags, [](FakeGuest& own) { own.call(SYS_pause); });
              guest.clone(kFlags, [](FakeGuest& own) { own.spin(); });
              sleep_ms(guest, 5);
              guest.exit(4);
            }),
            4 << 8);
}

TEST_F(Processes, LeaderMayEndBeforeItsThreads) {
  EXPECT_EQ(run([](FakeGuest& guest) {
              std::int64_t child = guest.fork([](FakeGuest& own) {
                own.clone(CLONE_VM | CLONE_SIGHAND | CLONE_THREAD, [](FakeGuest& thread) {
                  sleep_ms(thread, 20);
                  thread.call(SYS_exit, 3 << 0);
                });
                own.call(SYS_exit, 2);
              });
              EXPECT_EQ(guest.call(SYS_wait4, child, kA, WNOHANG, 0), 0);
              // Of several threads, the last one's status is the process's.
              EXPECT_EQ(wait_status(guest, child), 3 << 8);
            }),
            0);
}

TEST_F(Processes, CloneFlagsThatDoNotGoTogether) {
  run([](FakeGuest& guest) {
    auto nothing = [](FakeGuest&) {};
    EXPECT_EQ(guest.clone(CLONE_THREAD, nothing), -EINVAL);
    EXPECT_EQ(guest.clone(CLONE_SIGHAND, nothing), -EINVAL);
    EXPECT_EQ(guest.clone(CLONE_THREAD | CLONE_SIGHAND, nothing), -EINVAL);
    EXPECT_EQ(guest.clone(CLONE_NEWNS | CLONE_FS, nothing), -EINVAL);
    EXPECT_EQ(guest.clone(CLONE_NEWUSER, nothing), -EINVAL);
    EXPECT_EQ(guest.clone(CLONE_PIDFD | CLONE_PARENT_SETTID, nothing), -EINVAL);
  });
}

TEST_F(Processes, NewNamespacesNeedTheCapability) {
  credentials = credentials->copy();
  credentials->effective = 0;
  run([](FakeGuest& guest) {
    EXPECT_EQ(guest.clone(CLONE_NEWUTS | SIGCHLD, [](FakeGuest&) {}), -EPERM);
    EXPECT_EQ(guest.call(SYS_unshare, CLONE_NEWNS), -EPERM);
  });
}

TEST_F(Processes, ClonePidfdBecomesReadableAtTheEnd) {
  run([](FakeGuest& guest) {
    std::int64_t child =
        guest.clone(CLONE_PIDFD | SIGCHLD, [](FakeGuest& own) { own.call(SYS_pause); }, 0, kA);
    ASSERT_GT(child, 0);
    int fd = guest.get<int>(kA);
    EXPECT_EQ(guest.call(SYS_waitid, P_PIDFD, fd, 0, WEXITED | WNOHANG, 0), 0);
    EXPECT_EQ(guest.call(SYS_pidfd_send_signal, fd, SIGKILL, 0, 0), 0);
    EXPECT_EQ(guest.call(SYS_waitid, P_PIDFD, fd, kA + 64, WEXITED, 0), 0);
    EXPECT_EQ(guest.get<int>(kA + 64 + 8), CLD_KILLED);
    EXPECT_EQ(guest.call(SYS_pidfd_send_signal, fd, 0, 0, 0), -ESRCH);
  });
}

TEST_F(Processes, PidNamespaceBeginsWithOne) {
  run([](FakeGuest& guest) {
    std::int64_t child = guest.clone(CLONE_NEWPID | SIGCHLD, [](FakeGuest& init) {
      EXPECT_EQ(init.call(SYS_getpid), 1);
      EXPECT_EQ(init.call(SYS_getppid), 0);
      std::int64_t inner = init.fork([](FakeGuest& own) {
        EXPECT_EQ(own.call(SYS_getpid), 2);
        EXPECT_EQ(own.call(SYS_getppid), 1);
      });
      EXPECT_EQ(inner, 2);
      EXPECT_EQ(wait_status(init, 2), 0);
      EXPECT_EQ(init.call(SYS_kill, 3, 0), -ESRCH);
    });
    EXPECT_GT(child, 1);
    EXPECT_EQ(wait_status(guest, child), 0);
  });
}

TEST_F(Processes, EndOfAnInitEndsItsNamespace) {
  run([](FakeGuest& guest) {
    std::int64_t child = guest.clone(CLONE_NEWPID | SIGCHLD, [](FakeGuest& init) {
      for (int i = 0; i < 3; ++i) init.fork([](FakeGuest& own) { own.call(SYS_pause); });
      init.exit(6);
    });
    EXPECT_EQ(wait_status(guest, child), 6 << 8);
    EXPECT_EQ(guest.call(SYS_wait4, -1, 0, 0, 0), -ECHILD);
  });
}

TEST_F(Processes, UnsharedPidNamespaceIsForChildren) {
  run([](FakeGuest& guest) {
    std::int64_t own = guest.call(SYS_getpid);
    EXPECT_EQ(guest.call(SYS_unshare, CLONE_NEWPID), 0);
    EXPECT_EQ(guest.call(SYS_getpid), own);
    std::int64_t child = guest.fork([](FakeGuest& init) { EXPECT_EQ(init.call(SYS_getpid), 1); });
    wait_status(guest, child);
    EXPECT_EQ(guest.fork([](FakeGuest&) {}), -ENOMEM);  // its init is gone
  });
}

TEST_F(Processes, ContainerEndsWithItsInit) {
  auto group = start([](FakeGuest& guest) {
    guest.fork([](FakeGuest& own) { own.call(SYS_pause); });
    guest.exit(8);
  });
  status_of(group);
  EXPECT_TRUE(wait_for([&] {
    Locked tree(kernel_.task_lock());
    return container_->ended;
  }));
  EXPECT_EQ(container_->exit_status, 8 << 8);
  EXPECT_TRUE(container_->pids->tasks.empty());
}

TEST_F(Processes, KilledContainerEnds) {
  auto group = start([](FakeGuest& guest) {
    guest.fork([](FakeGuest& own) { own.spin(); });
    guest.call(SYS_pause);
  });
  kernel_.kill_container(*container_);
  EXPECT_EQ(status_of(group), SIGKILL);
  EXPECT_TRUE(wait_for([&] {
    Locked tree(kernel_.task_lock());
    return container_->ended;
  }));
}

TEST_F(Processes, ForksInARowLeaveNothing) {
  EXPECT_EQ(run([](FakeGuest& guest) {
              for (int i = 0; i < 1000; ++i) {
                std::int64_t child = guest.fork([](FakeGuest& own) { own.exit(1); });
                if (child < 0 || wait_status(guest, child) != 1 << 8) guest.exit(2);
              }
            }),
            0);
  EXPECT_TRUE(container_->pids->tasks.empty());
  EXPECT_TRUE(container_->pids->process_groups.empty());
  EXPECT_TRUE(container_->pids->sessions.empty());
}

TEST_F(Processes, LimitOfProcessesHoldsForUsers) {
  credentials = credentials->copy();
  credentials->uid = credentials->euid = credentials->suid = credentials->fsuid = 1000;
  credentials->effective = credentials->permitted = 0;
  limits[RLIMIT_NPROC] = {3, 3};
  run([](FakeGuest& guest) {
    std::int64_t child = guest.fork([](FakeGuest& own) { own.call(SYS_pause); });
    EXPECT_GT(child, 0);
    EXPECT_EQ(guest.fork([](FakeGuest&) {}), -EAGAIN);
    guest.call(SYS_kill, child, SIGKILL);
    wait_status(guest, child);
    child = guest.fork([](FakeGuest&) {});
    EXPECT_GT(child, 0);
    wait_status(guest, child);
  });
}

// --- pause and snapshots

TEST_F(Processes, StoppedKernelStandsStillAndGoesOn) {
  auto counter = std::make_shared<std::atomic<int>>(0);
  auto group = start([counter](FakeGuest& guest) {
    guest.fork([](FakeGuest& own) { own.call(SYS_pause); });
    guest.fork([](FakeGuest& own) { own.spin(); });
    guest.clone(CLONE_VFORK | SIGCHLD, [counter](FakeGuest& own) {
      for (;;) {
        ++*counter;
        own.call(SYS_sched_yield);
      }
    });
  });
  EXPECT_TRUE(wait_for([&] { return counter->load() > 10; }));
  kernel_.stop_all();
  kernel_.stop_all();
  int seen = counter->load();
  timespec pause{0, 5'000'000};
  (void)::nanosleep(&pause, nullptr);
  EXPECT_EQ(counter->load(), seen);
  kernel_.resume_all();
  (void)::nanosleep(&pause, nullptr);
  EXPECT_EQ(counter->load(), seen);
  kernel_.resume_all();
  EXPECT_TRUE(wait_for([&] { return counter->load() > seen; }));
  kernel_.kill_container(*container_);
  EXPECT_EQ(status_of(group), SIGKILL);
}

TEST_F(Processes, StopIsNotSeenByTheGuest) {
  auto status = std::make_shared<std::atomic<int>>(-1);
  auto group = start([status](FakeGuest& guest) {
    std::int64_t begin = monotonic_ns();
    sleep_ms(guest, 60);
    *status = monotonic_ns() - begin >= 60'000'000 ? 1 : 0;
  });
  timespec pause{0, 10'000'000};
  (void)::nanosleep(&pause, nullptr);
  kernel_.stop_all();
  kernel_.resume_all();
  EXPECT_EQ(status_of(group), 0);
  EXPECT_EQ(status->load(), 1);
}

// --- process groups and sessions

TEST_F(Processes, SetpgidMakesAGroup) {
  run([](FakeGuest& guest) {
    std::int64_t own = guest.call(SYS_getpid);
    EXPECT_EQ(guest.call(SYS_setpgid, 0, 0), 0);
    EXPECT_EQ(guest.call(SYS_getpgrp), own);
    EXPECT_EQ(guest.call(SYS_setpgid, 0, 4711), -EPERM);
    EXPECT_EQ(guest.call(SYS_setpgid, 0, -1), -EINVAL);
    EXPECT_EQ(guest.call(SYS_setpgid, 4711, 0), -ESRCH);
  });
}

TEST_F(Processes, SetpgidOfAStrangerIsESRCH) {
  run([](FakeGuest& guest) { EXPECT_EQ(guest.call(SYS_setpgid, 1, 0), -ESRCH); });
}

TEST_F(Processes, SessionLeaderStaysInItsGroup) {
  run([](FakeGuest& guest) {
    EXPECT_EQ(guest.call(SYS_setsid), guest.call(SYS_getpid));
    EXPECT_EQ(guest.call(SYS_getsid, 0), guest.call(SYS_getpid));
    EXPECT_EQ(guest.call(SYS_setpgid, 0, 0), -EPERM);
    EXPECT_EQ(guest.call(SYS_setsid), -EPERM);
  });
}

TEST_F(Processes, GroupLeaderCannotMakeASession) {
  run([](FakeGuest& guest) {
    guest.call(SYS_setpgid, 0, 0);
    EXPECT_EQ(guest.call(SYS_setsid), -EPERM);
  });
}

TEST_F(Processes, GroupsOfAnotherSessionAreClosed) {
  run([](FakeGuest& guest) {
    std::int64_t child = guest.fork([](FakeGuest& own) {
      own.call(SYS_setsid);
      own.put(kA, 1);
      own.call(SYS_pause);
    });
    until(guest, [&] { return guest.call(SYS_getsid, child) == child; });
    EXPECT_EQ(guest.call(SYS_setpgid, 0, child), -EPERM);
    EXPECT_EQ(guest.call(SYS_setpgid, child, child), -EPERM);
    guest.call(SYS_kill, child, SIGKILL);
  });
}

TEST_F(Processes, IdOfALivingGroupIsNotGivenAgain) {
  run([](FakeGuest& guest) {
    std::int64_t leader = guest.fork([](FakeGuest& own) {
      own.call(SYS_setpgid, 0, 0);
      own.fork([](FakeGuest& member) { member.call(SYS_pause); });
    });
    wait_status(guest, leader);
    EXPECT_EQ(guest.call(SYS_kill, -leader, 0), 0);
    EXPECT_EQ(guest.call(SYS_kill, leader, 0), -ESRCH);
    guest.call(SYS_kill, -leader, SIGKILL);
  });
}

}  // namespace
}  // namespace caisson::sandbox::syscalls

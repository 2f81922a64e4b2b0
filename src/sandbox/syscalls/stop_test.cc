// Stops of whole processes and what their parents are told.
#include <sys/prctl.h>

#include <vector>

#include "sandbox/syscalls/guest_fixture_test.h"

namespace caisson::sandbox::syscalls {
namespace {

using Stops = GuestTest;

std::int64_t kill_self(FakeGuest& guest, int signal) {
  return guest.call(SYS_kill, guest.call(SYS_getpid), signal);
}

TEST_F(Stops, StopIsToldAndContinued) {
  run([](FakeGuest& guest) {
    std::int64_t child = guest.fork([](FakeGuest& own) { own.call(SYS_pause); });
    guest.call(SYS_kill, child, SIGSTOP);
    EXPECT_EQ(wait_status(guest, child, WUNTRACED), SIGSTOP << 8 | 0x7f);
    EXPECT_EQ(guest.call(SYS_wait4, child, kA, WUNTRACED | WNOHANG, 0), 0);  // once
    guest.call(SYS_kill, child, SIGCONT);
    EXPECT_EQ(wait_status(guest, child, WCONTINUED), 0xffff);
    guest.call(SYS_kill, child, SIGTERM);
    EXPECT_EQ(wait_status(guest, child), SIGTERM);
  });
}

TEST_F(Stops, WaitidTellsAStop) {
  run([](FakeGuest& guest) {
    std::int64_t child = guest.fork([](FakeGuest& own) { own.spin(); });
    guest.call(SYS_setpgid, child, child);  // a group with a parent outside
    guest.call(SYS_kill, child, SIGTSTP);
    EXPECT_EQ(guest.call(SYS_waitid, P_PID, child, kA, WSTOPPED | WNOWAIT, 0), 0);
    EXPECT_EQ(guest.get<int>(kA + 8), CLD_STOPPED);
    EXPECT_EQ(guest.get<int>(kA + 24), SIGTSTP);
    EXPECT_EQ(guest.call(SYS_waitid, P_PID, child, kA, WSTOPPED, 0), 0);
    guest.call(SYS_kill, child, SIGKILL);
    EXPECT_EQ(wait_status(guest, child), SIGKILL);
  });
}

TEST_F(Stops, ParentGetsSigchldForStops) {
  run([](FakeGuest& guest) {
    auto codes = std::make_shared<std::vector<int>>();
    set_handler(
        guest, SIGCHLD,
        handler(guest, [codes](FakeGuest& own,
                               int) { codes->push_back(own.get<int>(own.registers().rsi + 8)); }),
        SA_SIGINFO | SA_RESTART);
    std::int64_t child = guest.fork([](FakeGuest& own) { own.call(SYS_pause); });
    guest.call(SYS_kill, child, SIGSTOP);
    until(guest, [&] { return codes->size() == 1; });
    guest.call(SYS_kill, child, SIGCONT);
    until(guest, [&] { return codes->size() == 2; });
    EXPECT_EQ(*codes, (std::vector<int>{CLD_STOPPED, CLD_CONTINUED}));
    guest.call(SYS_kill, child, SIGKILL);
  });
}

TEST_F(Stops, NocldstopTellsTheEndOnly) {
  run([](FakeGuest& guest) {
    auto codes = std::make_shared<std::vector<int>>();
    set_handler(
        guest, SIGCHLD,
        handler(guest, [codes](FakeGuest& own,
                               int) { codes->push_back(own.get<int>(own.registers().rsi + 8)); }),
        SA_SIGINFO | SA_RESTART | SA_NOCLDSTOP);
    std::int64_t child = guest.fork([](FakeGuest& own) { own.call(SYS_pause); });
    guest.call(SYS_kill, child, SIGSTOP);
    EXPECT_EQ(wait_status(guest, child, WUNTRACED), SIGSTOP << 8 | 0x7f);
    guest.call(SYS_kill, child, SIGKILL);
    wait_status(guest, child);
    until(guest, [&] { return codes->size() == 1; });
    EXPECT_EQ(*codes, (std::vector<int>{CLD_KILLED}));
  });
}

TEST_F(Stops, StoppedProcessCanBeKilled) {
  run([](FakeGuest& guest) {
    std::int64_t child = guest.fork([](FakeGuest& own) { own.spin(); });
    guest.call(SYS_kill, child, SIGSTOP);
    wait_status(guest, child, WUNTRACED);
    guest.call(SYS_kill, child, SIGTERM);
    EXPECT_EQ(guest.call(SYS_wait4, child, kA, WNOHANG, 0), 0);  // it waits for SIGCONT
    guest.call(SYS_kill, child, SIGKILL);
    EXPECT_EQ(wait_status(guest, child), SIGKILL);
  });
}

TEST_F(Stops, StopReachesAllThreads) {
  run([](FakeGuest& guest) {
    std::int64_t child = guest.fork([](FakeGuest& own) {
      for (int i = 0; i < 3; ++i)
        own.clone(CLONE_VM | CLONE_SIGHAND | CLONE_THREAD,
                  [](FakeGuest& thread) { thread.call(SYS_pause); });
      own.spin();
    });
    sleep_ms(guest, 5);
    guest.call(SYS_kill, child, SIGSTOP);
    EXPECT_EQ(wait_status(guest, child, WUNTRACED), SIGSTOP << 8 | 0x7f);
    guest.call(SYS_kill, child, SIGCONT);
    EXPECT_EQ(wait_status(guest, child, WCONTINUED), 0xffff);
    guest.call(SYS_kill, child, SIGKILL);
    EXPECT_EQ(wait_status(guest, child), SIGKILL);
  });
}

TEST_F(Stops, ContinueTakesPendingStopsAway) {
  run([](FakeGuest& guest) {
    block(guest, bit(SIGTSTP) | bit(SIGCONT));
    kill_self(guest, SIGTSTP);
    kill_self(guest, SIGCONT);
    guest.call(SYS_rt_sigpending, kA, 8);
    EXPECT_EQ(guest.get<std::uint64_t>(kA), bit(SIGCONT));
    kill_self(guest, SIGTSTP);
    guest.call(SYS_rt_sigpending, kA, 8);
    EXPECT_EQ(guest.get<std::uint64_t>(kA), bit(SIGTSTP));
    kill_self(guest, SIGCONT);
  });
}

TEST_F(Stops, OrphanedGroupIsHungUpWhenStopped) {
  run([](FakeGuest& guest) {
    guest.call(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1);
    std::int64_t shell = guest.fork([](FakeGuest& own) {
      own.call(SYS_setsid);
      std::int64_t job = own.fork([](FakeGuest& stopped) {
        stopped.call(SYS_setpgid, 0, 0);
        kill_self(stopped, SIGSTOP);
        stopped.call(SYS_pause);
      });
      EXPECT_EQ(wait_status(own, job, WUNTRACED), SIGSTOP << 8 | 0x7f);
    });
    EXPECT_EQ(wait_status(guest, shell), 0);
    EXPECT_EQ(wait_status(guest, -1), SIGHUP);
  });
}

TEST_F(Stops, TerminalStopsAreIgnoredByOrphanedGroups) {
  EXPECT_EQ(run([](FakeGuest& guest) {
              std::int64_t child = guest.fork([](FakeGuest& own) {
                own.call(SYS_setsid);
                kill_self(own, SIGTSTP);
                own.exit(5);
              });
              EXPECT_EQ(wait_status(guest, child, WUNTRACED), 5 << 8);
            }),
            0);
}

}  // namespace
}  // namespace caisson::sandbox::syscalls

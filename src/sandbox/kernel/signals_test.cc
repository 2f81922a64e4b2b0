#include "sandbox/kernel/signals.h"

#include <array>
#include <cstring>

#include <gtest/gtest.h>

namespace caisson::sandbox::kernel {
namespace {

SignalInfo info(int signal, int code = SI_USER) {
  SignalInfo made;
  made.signal = signal;
  made.code = code;
  return made;
}

siginfo_t written(const SignalInfo& from) {
  std::array<std::byte, 128> bytes;
  from.write_to(bytes);
  siginfo_t to{};
  std::memcpy(&to, bytes.data(), sizeof(to));
  return to;
}

TEST(SignalInfo, SenderStandsWhereTheCLibraryLooks) {
  siginfo_t seen = written(SignalInfo::user(SIGUSR1, 42, 1000));
  EXPECT_EQ(seen.si_signo, SIGUSR1);
  EXPECT_EQ(seen.si_pid, 42);
  EXPECT_EQ(seen.si_uid, 1000U);
}

TEST(SignalInfo, FaultHasAnAddress) {
  SignalInfo fault = info(SIGSEGV, SEGV_ACCERR);
  fault.address = 0x1234;
  EXPECT_EQ(reinterpret_cast<std::uint64_t>(written(fault).si_addr), 0x1234U);
}

TEST(SignalInfo, ChildHasStatusAndTicks) {
  SignalInfo child = info(SIGCHLD, CLD_EXITED);
  child.pid = 7;
  child.status = 3;
  child.user_time = 50'000'000;
  child.system_time = 20'000'000;
  siginfo_t seen = written(child);
  EXPECT_EQ(seen.si_status, 3);
  EXPECT_EQ(seen.si_utime, 5);
  EXPECT_EQ(seen.si_stime, 2);
}

TEST(SignalInfo, TimerHasOverrunAndValue) {
  SignalInfo timer = info(SIGALRM, SI_TIMER);
  timer.timer = 3;
  timer.overrun = 9;
  timer.value = 77;
  siginfo_t seen = written(timer);
  EXPECT_EQ(seen.si_timerid, 3);
  EXPECT_EQ(seen.si_overrun, 9);
  EXPECT_EQ(seen.si_value.sival_int, 77);
}

TEST(SignalInfo, PollHasBandAndDescriptor) {
  SignalInfo poll = info(SIGIO, POLL_IN);
  poll.band = 1;
  poll.fd = 5;
  siginfo_t seen = written(poll);
  EXPECT_EQ(seen.si_band, 1);
  EXPECT_EQ(seen.si_fd, 5);
}

TEST(SignalInfo, IsTheSameAfterAWayThroughTheGuest) {
  for (int code :
       std::initializer_list<int>{SI_USER, SI_QUEUE, SI_TIMER, SI_TKILL, SI_SIGIO, 1, 2}) {
    for (int signal : {SIGCHLD, SIGSEGV, SIGUSR1, SIGIO, SIGSYS}) {
      SignalInfo sent = info(signal, code);
      sent.pid = 1;
      sent.uid = 2;
      sent.value = 3;
      sent.address = 4;
      sent.system_call = 5;
      std::array<std::byte, 128> once, twice;
      sent.write_to(once);
      SignalInfo::read_from(once, signal).write_to(twice);
      EXPECT_EQ(once, twice) << signal << " " << code;
    }
  }
}

TEST(PendingSignals, StandardOnesAreKeptOnce) {
  PendingSignals pending;
  EXPECT_TRUE(pending.add(info(SIGUSR1)));
  EXPECT_FALSE(pending.add(info(SIGUSR1)));
  EXPECT_EQ(pending.take(0).signal, SIGUSR1);
  EXPECT_EQ(pending.take(0).signal, 0);
}

TEST(PendingSignals, RealTimeOnesAreKeptInOrder) {
  PendingSignals pending;
  for (std::uint64_t value : {1U, 2U, 3U}) {
    SignalInfo queued = info(40, SI_QUEUE);
    queued.value = value;
    EXPECT_TRUE(pending.add(queued));
  }
  EXPECT_EQ(pending.take(0).value, 1U);
  EXPECT_TRUE(pending.contains(40));
  EXPECT_EQ(pending.take(0).value, 2U);
  EXPECT_EQ(pending.take(0).value, 3U);
  EXPECT_FALSE(pending.contains(40));
}

TEST(PendingSignals, SynchronousOnesComeFirst) {
  PendingSignals pending;
  pending.add(info(SIGHUP));
  pending.add(info(SIGSEGV));
  EXPECT_EQ(pending.take(0).signal, SIGSEGV);
  EXPECT_EQ(pending.take(0).signal, SIGHUP);
}

TEST(PendingSignals, BlockedOnesStay) {
  PendingSignals pending;
  pending.add(info(SIGHUP));
  pending.add(info(SIGTERM));
  EXPECT_EQ(pending.take(signal_bit(SIGHUP)).signal, SIGTERM);
  EXPECT_EQ(pending.take(signal_bit(SIGHUP)).signal, 0);
  EXPECT_EQ(pending.set(), signal_bit(SIGHUP));
}

TEST(PendingSignals, DiscardedOnesAreGone) {
  PendingSignals pending;
  pending.add(info(40, SI_QUEUE));
  pending.add(info(40, SI_QUEUE));
  pending.add(info(SIGTERM));
  pending.discard(signal_bit(40));
  EXPECT_EQ(pending.set(), signal_bit(SIGTERM));
  EXPECT_EQ(pending.size(), 1U);
}

TEST(PendingSignals, FindsATimersSignal) {
  PendingSignals pending;
  SignalInfo timer = info(SIGALRM, SI_TIMER);
  timer.timer = 4;
  pending.add(timer);
  EXPECT_NE(pending.find_timer(4), nullptr);
  EXPECT_EQ(pending.find_timer(5), nullptr);
}

}  // namespace
}  // namespace caisson::sandbox::kernel

#include "linux/listener.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <gtest/gtest.h>

#include "linux/launch_data.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::linux {
namespace {

// A process that stands for the launcher: it has `announced` in the page and waits for the answer,
// which becomes its exit status.
struct FakeLauncher {
  Fd page, pidfd;
  int pid = 0;

  static FakeLauncher make(int announced) {
    FakeLauncher out;
    out.page = MUST(sys::memfd_create("page"));
    ListenerPage page{announced, 0};
    (void)MUST(sys::write(out.page, &page, sizeof page));
    auto forked = MUST(sys::fork_with_pidfd());
    if (forked.pid == 0) wait_for_answer(out.page);
    out.pid = forked.pid;
    out.pidfd = std::move(forked.pidfd);
    return out;
  }
  [[noreturn]] static void wait_for_answer(FdRef file) {
    ListenerPage page;
    do {
      (void)sys::call(SYS_pread64, file.number(), &page, sizeof page, 0);
    } while (page.taken == 0);
    sys::exit_process(page.taken);
  }
  int answer() { return MUST(sys::wait_pidfd(pidfd)).status; }
};

TEST(Listener, IsFetchedAndDeliveredBeforeTheLauncherGoesOn) {
  auto launcher = FakeLauncher::make(0 + 1);  // its descriptor 0
  int seen_pid = 0;
  ino_t seen = 0;
  auto passed = pass_listener_on(launcher.page, launcher.pid, launcher.pidfd, 5000,
                                 [&](FdRef listener, int pid) -> Result<> {
                                   seen_pid = pid;
                                   seen = MUST(sys::fstat(listener)).st_ino;
                                   return {};
                                 });
  ASSERT_TRUE(passed) << passed.error().message();
  EXPECT_EQ(seen_pid, launcher.pid);
  EXPECT_EQ(seen, MUST(sys::fstat(FdRef(0))).st_ino);
  EXPECT_EQ(launcher.answer(), 1);
}

TEST(Listener, TheLauncherEndsWhenNobodyTakesIt) {
  auto launcher = FakeLauncher::make(0 + 1);
  auto passed = pass_listener_on(
      launcher.page, launcher.pid, launcher.pidfd, 5000,
      [](FdRef, int) -> Result<> { return std::unexpected(Error::invalid("no agent")); });
  ASSERT_FALSE(passed);
  EXPECT_EQ(passed.error().cause(), "no agent");
  EXPECT_EQ(launcher.answer(), 2);
}

TEST(Listener, WaitingIsBounded) {
  auto launcher = FakeLauncher::make(0);
  auto passed = pass_listener_on(launcher.page, launcher.pid, launcher.pidfd, 20,
                                 [](FdRef, int) -> Result<> { return {}; });
  ASSERT_FALSE(passed);
  EXPECT_TRUE(passed.error().is(ETIMEDOUT));
  EXPECT_EQ(launcher.answer(), 2);
}

TEST(Listener, ALauncherThatDiedIsNoticed) {
  auto launcher = FakeLauncher::make(0);
  ASSERT_TRUE(sys::pidfd_send_signal(launcher.pidfd, SIGKILL));
  auto passed = pass_listener_on(launcher.page, launcher.pid, launcher.pidfd, 5000,
                                 [](FdRef, int) -> Result<> { return {}; });
  ASSERT_FALSE(passed);
  EXPECT_TRUE(passed.error().is(ESRCH));
  (void)launcher.answer();
}

}  // namespace
}  // namespace caisson::linux

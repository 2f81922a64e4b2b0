#include "container/hooks.h"

#include <stdlib.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/clock.h"
#include "container/fake_executor.h"
#include "sys/event.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::container {
namespace {

using ::testing::HasSubstr;

class HooksTest : public ::testing::Test {
 protected:
  ScratchDirectory scratch_;

  spec::Hook shell(std::string script) {
    return {"/bin/sh", {"sh", "-c", std::move(script)}, Strings{"OUT=" + (scratch_ / "out")}, {}};
  }
  std::string output() {
    return sys::read_file(sys::kCwd, (scratch_ / "out").c_str()).value_or("none");
  }
};

TEST_F(HooksTest, GetTheStateOnStandardInput) {
  ASSERT_TRUE(run_hooks({shell("cat > $OUT")}, "poststart", R"({"id":"web"})"));
  EXPECT_EQ(output(), R"({"id":"web"})");
}

TEST_F(HooksTest, InheritNoEnvironmentAndNoDescriptors) {
  ::setenv("CAISSON_LEAK", "1", 1);
  ASSERT_EQ(::fcntl(0, F_DUPFD, 77), 77);
  spec::Hook hook{"/usr/bin/env", {"env"}, Strings{"ONLY=this"}, {}};
  spec::Hook fds = shell("ls /proc/self/fd | tr '\\n' ' ' > $OUT; /usr/bin/env >> $OUT");
  ASSERT_TRUE(run_hooks({hook, fds}, "prestart", ""));
  ::close(77);
  EXPECT_THAT(output(), ::testing::Not(HasSubstr("CAISSON_LEAK")));
  EXPECT_THAT(output(), ::testing::Not(HasSubstr("77")));
}

TEST_F(HooksTest, RunInOrderAndStopAtTheFirstFailure) {
  auto run = run_hooks({shell("echo 1 >> $OUT"), shell("echo 2 >> $OUT; echo why >&2; exit 3"),
                        shell("echo 3 >> $OUT")},
                       "createRuntime", "");
  ASSERT_FALSE(run);
  EXPECT_THAT(run.error().message(), HasSubstr("error running createRuntime hook #1"));
  EXPECT_THAT(run.error().message(), HasSubstr("exit status 3, output: why"));
  EXPECT_EQ(run.error().code(), "hook.failed");
  EXPECT_EQ(output(), "1\n2\n");
}

TEST_F(HooksTest, ThatCannotBeRunSayWhy) {
  auto run = run_hooks({spec::Hook{"/nonexistent", {"x"}, {}, {}}}, "prestart", "");
  ASSERT_FALSE(run);
  EXPECT_TRUE(run.error().is(ENOENT));
  EXPECT_THAT(run.error().message(), HasSubstr("/nonexistent"));
}

TEST_F(HooksTest, AreKilledWithTheirChildrenAfterTheTimeout) {
  auto hook = shell("sleep 60 & echo $! > $OUT; wait");
  hook.timeout = 1;
  std::int64_t begin = monotonic_ns();
  auto run = run_hooks({hook}, "prestart", "");
  ASSERT_FALSE(run);
  EXPECT_TRUE(run.error().is(ETIME));
  EXPECT_LT(monotonic_ns() - begin, 4'000'000'000);
  int child = parse_number<int>(trim(output())).value_or(0);
  ASSERT_GT(child, 0);
  EXPECT_TRUE(eventually([&] {
    auto state = sys::process_state(child);
    return !state || *state == 'Z';
  }));
}

TEST_F(HooksTest, NeitherLargeOutputNorUnreadInputHurts) {
  std::string state(1 << 20, 's');
  auto run = run_hooks({shell("head -c 300000 /dev/zero; exit 1")}, "prestart", state);
  ASSERT_FALSE(run);
  EXPECT_LT(run.error().message().size(), 6000U);
  EXPECT_TRUE(run_hooks({shell("exit 0")}, "prestart", state));
}

TEST_F(HooksTest, LeavingAChildBehindDoesNotHoldUsUp) {
  std::int64_t begin = monotonic_ns();
  EXPECT_TRUE(run_hooks({shell("sleep 2 & exit 0")}, "prestart", ""));
  EXPECT_LT(monotonic_ns() - begin, 1'900'000'000);
}

TEST_F(HooksTest, StartWithDefaultSignals) {
  sys::SignalSet blocked{SIGTERM};
  auto old = sys::signal_mask(SIG_BLOCK, blocked);
  auto run = run_hooks({shell("kill -TERM $$; exit 0")}, "prestart", "");
  (void)sys::signal_mask(SIG_SETMASK, *old);
  ASSERT_FALSE(run);
  EXPECT_THAT(run.error().message(), HasSubstr("killed by signal 15"));
}

}  // namespace
}  // namespace caisson::container

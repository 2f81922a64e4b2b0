#include <signal.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "container/api.h"
#include "container/fake_executor.h"
#include "spec/oci_writer.h"
#include "sys/event.h"
#include "sys/file.h"

namespace caisson::container {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class WatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    text_ = spec::write_oci_config(spec_);
    CreateOptions options;
    options.id = "web";
    options.bundle = "/bundle";
    options.spec = &spec_;
    options.config_text = text_;
    auto created = create(world_.context, options);
    ASSERT_TRUE(created) << created.error().message();
    pid_ = created->pid;
  }
  ~WatchTest() override { (void)remove(world_.context, "web", true); }

  // Notes what comes; kills the container after `ticks` intervals.
  WatchOptions options(int ticks) {
    WatchOptions out;
    out.interval_ms = 20;
    out.on_usage = [this, ticks](const plan::Usage& usage) -> Result<> {
      events_.push_back(cat("usage ", usage.pids));
      if (static_cast<int>(events_.size()) == ticks) {
        on_last_tick();
        (void)kill(world_.context, "web", SIGKILL);
      }
      return {};
    };
    out.on_out_of_memory = [this]() -> Result<> {
      events_.push_back("oom");
      return {};
    };
    return out;
  }
  void out_of_memory(std::uint64_t times) {
    ASSERT_TRUE(sys::write(world_.executor.out_of_memory, &times, sizeof times));
  }

  World world_;
  spec::ContainerSpec spec_ = world_.spec({"sleep", "60"});
  std::string text_;
  int pid_ = 0;
  Strings events_;
  std::function<void()> on_last_tick = [] {};
};

TEST_F(WatchTest, ReportsAtIntervalsUntilTheEnd) {
  auto done = watch(world_.context, "web", options(3));
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_THAT(events_, ElementsAre("usage 7", "usage 7", "usage 7"));
  wait_test_process(pid_);
  EXPECT_THAT(watch(world_.context, "web", options(1)).error().message(),
              HasSubstr("container with id web is not running"));
}

TEST_F(WatchTest, EveryLackOfMemoryComesBeforeTheEnd) {
  world_.executor.out_of_memory = *sys::eventfd();
  ASSERT_TRUE(sys::set_nonblocking(world_.executor.out_of_memory, true));
  out_of_memory(2);
  on_last_tick = [this] { out_of_memory(3); };
  ASSERT_TRUE(watch(world_.context, "web", options(3)));
  EXPECT_THAT(events_, ElementsAre("oom", "oom", "usage 7", "oom", "oom", "oom"));
  wait_test_process(pid_);
}

TEST_F(WatchTest, AReaderThatIsGoneEndsIt) {
  WatchOptions broken = options(9);
  broken.on_usage = [](const plan::Usage&) -> Result<> { return std::unexpected(Errno{EPIPE}); };
  auto done = watch(world_.context, "web", broken);
  ASSERT_FALSE(done);
  EXPECT_TRUE(done.error().is(EPIPE));
  ASSERT_TRUE(kill(world_.context, "web", SIGKILL));
  wait_test_process(pid_);
}

}  // namespace
}  // namespace caisson::container

#include <signal.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "container/api.h"
#include "container/fake_executor.h"
#include "container/store.h"
#include "spec/oci_writer.h"
#include "sys/file.h"

namespace caisson::container {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

class UpdateTest : public ::testing::Test {
 protected:
  ~UpdateTest() override { (void)remove(world_.context, "web", true); }

  void create_web() {
    text_ = spec::write_oci_config(spec_);
    CreateOptions options;
    options.id = "web";
    options.bundle = "/bundle";
    options.spec = &spec_;
    options.config_text = text_;
    auto created = create(world_.context, options);
    ASSERT_TRUE(created) << created.error().message();
  }
  static std::string message(const auto& result) {
    return result ? std::string("no error") : result.error().message();
  }
  static spec::Resources quota(std::int64_t quota) {
    spec::Resources out;
    out.cpu.emplace().quota = quota;
    return out;
  }
  static spec::Resources period(std::uint64_t period) {
    spec::Resources out;
    out.cpu.emplace().period = period;
    return out;
  }
  std::string saved() {
    return sys::read_file(sys::kCwd,
                          (folder_path(world_.context, "web") + "/resources.json").c_str())
        .value_or("");
  }

  World world_;
  spec::ContainerSpec spec_ = world_.spec({"sleep", "60"});
  std::string text_;
};

TEST_F(UpdateTest, EachUpdateBeginsWhereTheLastEnded) {
  create_web();
  EXPECT_EQ(message(update(world_.context, "web", quota(500))), "no error");
  EXPECT_EQ(message(update(world_.context, "web", period(2000))), "no error");
  EXPECT_THAT(world_.executor.limits, ElementsAre(Pair("cpu.max", "500 2000")));
  auto present = present_resources(world_.context, "web");
  ASSERT_TRUE(present);
  EXPECT_EQ(present->cpu->quota, 500);
  EXPECT_EQ(present->cpu->period, 2000U);
  // What the creator wrote stays as it was.
  EXPECT_EQ(*config_text(world_.context, "web"), text_);
}

TEST_F(UpdateTest, WorksWhilePausedAndRunningButNotAfterTheEnd) {
  create_web();
  const int pid = query(world_.context, "web")->pid();
  ASSERT_TRUE(start(world_.context, "web"));
  ASSERT_TRUE(pause(world_.context, "web"));
  EXPECT_EQ(message(update(world_.context, "web", quota(1))), "no error");
  EXPECT_EQ(query(world_.context, "web")->status, Status::kPaused);
  ASSERT_TRUE(resume(world_.context, "web"));
  EXPECT_EQ(message(update(world_.context, "web", quota(2))), "no error");
  ASSERT_TRUE(kill(world_.context, "web", SIGKILL));
  wait_test_process(pid);
  EXPECT_THAT(message(update(world_.context, "web", quota(3))), HasSubstr("container not running"));
  EXPECT_THAT(message(update(world_.context, "nobody", quota(3))),
              HasSubstr("container does not exist"));
}

TEST_F(UpdateTest, ARefusedChangeIsNotSaved) {
  create_web();
  spec::Resources change;
  change.memory.emplace().swap = 5;
  EXPECT_THAT(message(update(world_.context, "web", change)),
              HasSubstr("unable to set swap limit without memory limit"));
  EXPECT_THAT(saved(), IsEmpty());
  EXPECT_THAT(world_.executor.limits, IsEmpty());
}

}  // namespace
}  // namespace caisson::container

#include <stdlib.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "linux/cgroup.h"
#include "linux/cgroup_files.h"
#include "linux/cgroup_restore.h"
#include "sys/file.h"

namespace caisson::linux {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(CgroupRestore, OneValueForAllIsWrittenBackAsItWas) {
  EXPECT_THAT(restoring_values("pids.max", "max", "5"), ElementsAre("max"));
  EXPECT_THAT(restoring_values("cpu.max", "max 100000", "5 1000"), ElementsAre("max 100000"));
  EXPECT_THAT(restoring_values("io.weight", "default 100\n8:16 200", "300"),
              ElementsAre("default 100"));
  EXPECT_THAT(restoring_values("memory.oom_control", "oom_kill_disable 0\nunder_oom 0", "1"),
              ElementsAre("0"));
  EXPECT_THAT(restoring_values("cpuset.cpus", "", "0"), ElementsAre("\n"));
}

TEST(CgroupRestore, ALinePerDeviceIsWrittenBackAlone) {
  EXPECT_THAT(restoring_values("io.max", "8:0 rbps=1 wbps=max\n8:16 rbps=2", "8:16 rbps=9"),
              ElementsAre("8:16 rbps=2"));
  EXPECT_THAT(restoring_values("io.max", "", "8:16 rbps=9"),
              ElementsAre("8:16 rbps=max wbps=max riops=max wiops=max"));
  EXPECT_THAT(restoring_values("io.weight", "default 100", "8:16 200"),
              ElementsAre("8:16 default"));
  EXPECT_THAT(restoring_values("blkio.throttle.read_bps_device", "", "8:0 5"),
              ElementsAre("8:0 0"));
  EXPECT_THAT(restoring_values("rdma.max", "", "mlx5_0 hca_handle=1"),
              ElementsAre("mlx5_0 hca_handle=max hca_object=max"));
}

TEST(DeviceChanges, NothingIsTakenAwayInBetween) {
  const std::vector<plan::CgroupDevice> rules = {{false, 'a', {}, {}, "rwm"},
                                                 {true, 'c', 1, 3, "rwm"},
                                                 {true, 'c', 1, 11, "rm"},
                                                 {true, 'b', 8, {}, "rw"},
                                                 {false, 'b', 8, {}, "w"}};
  EXPECT_THAT(device_changes("c 1:3 rwm\nc 1:11 w\nc 5:0 rwm\n", rules),
              ElementsAre(DeviceChange{true, "b 8:* r"}, DeviceChange{true, "c 1:11 rm"},
                          DeviceChange{false, "c 1:11 w"}, DeviceChange{false, "c 5:0 rwm"}));
  EXPECT_THAT(device_changes("b 8:* r\nc 1:11 rm\nc 1:3 rwm", rules), IsEmpty());
}

TEST(DeviceChanges, EverythingCanOnlyBeDeniedAtOnce) {
  EXPECT_THAT(device_changes("a *:* rwm", {{false, 'a', {}, {}, "rwm"}, {true, 'c', 1, 3, "r"}}),
              ElementsAre(DeviceChange{false, "a"}, DeviceChange{true, "c 1:3 r"}));
  EXPECT_THAT(device_changes("c 1:3 r", {{true, 'a', {}, {}, "rwm"}}),
              ElementsAre(DeviceChange{true, "a"}));
}

// Plain files: they take every value, and a missing one is refused.
class CgroupUpdateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/cgroup-update-XXXXXX";
    ASSERT_NE(::mkdtemp(path), nullptr);
    path_ = path;
    file("pids.max", "20");
    file("memory.max", "77");
  }
  void TearDown() override { (void)sys::remove_tree(sys::kCwd, path_.c_str()); }

  void file(const std::string& name, std::string_view text) {
    ASSERT_TRUE(sys::write_atomically(sys::kCwd, cat(path_, '/', name).c_str(), text));
  }
  std::string text(const std::string& name) { return read_control(path_, name).value_or("-"); }

  plan::CgroupUpdate update(std::initializer_list<std::pair<const char*, const char*>> writes) {
    plan::CgroupUpdate out;
    plan::CgroupDirectory& directory = out.plan.directories.emplace_back();
    directory.v2 = true;
    directory.path = path_;
    for (auto [name, value] : writes) {
      plan::CgroupWrite& write = directory.writes.emplace_back();
      write.file = name;
      write.value = value;
      write.field = "linux.resources.x";
    }
    return out;
  }

  std::string path_;
};

TEST_F(CgroupUpdateTest, WritesAllAndCommits) {
  bool committed = false;
  auto done = update_cgroups(update({{"pids.max", "10"}, {"memory.max", "88"}}), [&]() -> Result<> {
    committed = true;
    return {};
  });
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_TRUE(committed);
  EXPECT_EQ(text("pids.max"), "10");
  EXPECT_EQ(text("memory.max"), "88");
}

TEST_F(CgroupUpdateTest, AFailedWriteTakesTheOthersBack) {
  bool committed = false;
  auto done = update_cgroups(update({{"pids.max", "10"}, {"absent", "1"}}), [&]() -> Result<> {
    committed = true;
    return {};
  });
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message(), HasSubstr("this kernel has no absent: no such file"));
  EXPECT_FALSE(committed);
  EXPECT_EQ(text("pids.max"), "20");
}

TEST_F(CgroupUpdateTest, AStateThatCannotBeSavedTakesEverythingBack) {
  auto done = update_cgroups(update({{"pids.max", "10"}, {"memory.max", "88"}}), []() -> Result<> {
    return std::unexpected(Error(Errno{ENOSPC}).doing("save"));
  });
  ASSERT_FALSE(done);
  EXPECT_TRUE(done.error().is(ENOSPC));
  EXPECT_EQ(text("pids.max"), "20");
  EXPECT_EQ(text("memory.max"), "77");
}

}  // namespace
}  // namespace caisson::linux

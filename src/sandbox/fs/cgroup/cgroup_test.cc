#include "sandbox/fs/cgroup/cgroup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sandbox/fs/kernel_fixture_test.h"

namespace caisson::sandbox::fs {
namespace {

using ::testing::HasSubstr;

class Cgroup : public KernelFixture {
 protected:
  Cgroup() { task_ = start(CgroupFilesystem::create(*kernel_, pids_, limits_, 2)); }
  std::string read(const std::string& path) { return KernelFixture::read(*task_, path); }
  Ref<kernel::ToldLimits> limits_ = make_ref<kernel::ToldLimits>();
  Ref<kernel::Task> task_;
};

TEST_F(Cgroup, WithoutLimitsEverythingIsMax) {
  EXPECT_EQ(read("/memory.max"), "max\n");
  EXPECT_EQ(read("/pids.max"), "max\n");
  EXPECT_EQ(read("/cpu.max"), "max 100000\n");
  EXPECT_EQ(read("/cpu.weight"), "100\n");
  EXPECT_EQ(read("/cpuset.cpus.effective"), "0-1\n");
}

TEST_F(Cgroup, LimitsAreThoseOfNow) {
  limits_->memory_bytes = (1 << 20) + 17;
  limits_->cpu_quota_us = 50'000;
  EXPECT_EQ(read("/memory.max"), "1048576\n");
  EXPECT_EQ(read("/cpu.max"), "50000 100000\n");
  EXPECT_EQ(read("/cpuset.cpus"), "0\n");
  limits_->memory_bytes = 0;
  EXPECT_EQ(read("/memory.max"), "max\n");
}

TEST_F(Cgroup, TellsItsProcesses) {
  EXPECT_EQ(read("/cgroup.procs"), "1\n");
  EXPECT_EQ(read("/pids.current"), "1\n");
  EXPECT_THAT(read("/cpu.stat"), HasSubstr("usage_usec "));
}

TEST_F(Cgroup, CannotBeWritten) { EXPECT_EQ(write(*task_, "/memory.max", "1"), -EIO); }

}  // namespace
}  // namespace caisson::sandbox::fs

#include "sandbox/fs/sys/sysfs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sandbox/fs/kernel_fixture_test.h"

namespace caisson::sandbox::fs {
namespace {

using testing::Contains;
using testing::Not;

class Sys : public KernelFixture {
 protected:
  Sys() { task_ = start(SysFilesystem::create(facts_)); }
  std::string read(std::string_view path) { return KernelFixture::read(*task_, path); }
  Ref<kernel::Task> task_;
};

TEST_F(Sys, ProcessorsAreThoseOfTheContainer) {
  EXPECT_EQ(read("/devices/system/cpu/online"), "0-1\n");
  EXPECT_EQ(read("/devices/system/cpu/possible"), "0-1\n");
  auto found = names(*task_, "/devices/system/cpu");
  EXPECT_THAT(found, Contains("cpu1"));
  EXPECT_THAT(found, Not(Contains("cpu2")));
  EXPECT_EQ(read("/devices/system/cpu/cpu1/topology/thread_siblings"), "2\n");
  EXPECT_EQ(read("/devices/system/cpu/cpu1/topology/core_siblings"), "3\n");
}

TEST_F(Sys, OneProcessorIsARangeOfItsOwn) {
  facts_.processors = 1;
  mounts_ = nullptr;
  auto task = start(SysFilesystem::create(facts_));
  EXPECT_EQ(KernelFixture::read(*task, "/devices/system/cpu/online"), "0\n");
}

TEST_F(Sys, OneNodeHasAllProcessors) {
  EXPECT_EQ(read("/devices/system/node/online"), "0\n");
  EXPECT_EQ(read("/devices/system/node/node0/cpulist"), "0-1\n");
  EXPECT_EQ(read("/devices/system/node/node0/cpu1/topology/core_id"), "1\n");
}

TEST_F(Sys, LoopbackIsFoundThroughItsClass) {
  EXPECT_EQ(read("/class/net/lo/mtu"), "65536\n");
  EXPECT_EQ(link(*task_, "/class/net/lo"), "../../devices/virtual/net/lo");
}

TEST_F(Sys, HugePagesAndMountPointsAreThere) {
  EXPECT_EQ(read("/kernel/mm/transparent_hugepage/enabled"), "always [madvise] never\n");
  EXPECT_THAT(names(*task_, "/fs"), Contains("cgroup"));
  EXPECT_EQ(names(*task_, "/fs/cgroup"), (std::vector<std::string>{".", ".."}));
}

TEST_F(Sys, CannotBeWritten) {
  EXPECT_EQ(write(*task_, "/kernel/profiling", "1"), -EIO);
  EXPECT_EQ(read("/nothing"), "E2");
}

}  // namespace
}  // namespace caisson::sandbox::fs

#include "linux/cgroup_usage.h"

#include <stdlib.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "linux/cgroup.h"
#include "sys/file.h"

namespace caisson::linux {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(CgroupUsage, Pressure) {
  auto pressure = parse_pressure(
      "some avg10=0.12 avg60=12.00 avg300=100.05 total=345\n"
      "full avg10=0.00 avg60=0.1 avg300=0 total=6");
  ASSERT_TRUE(pressure);
  EXPECT_EQ(pressure->some.avg10, 12U);
  EXPECT_EQ(pressure->some.avg60, 1200U);
  EXPECT_EQ(pressure->some.avg300, 10005U);
  EXPECT_EQ(pressure->some.total, 345U);
  EXPECT_EQ(pressure->full.avg60, 10U);
  EXPECT_EQ(pressure->full.total, 6U);
  EXPECT_FALSE(parse_pressure(""));
}

TEST(CgroupUsage, NumberLists) {
  EXPECT_THAT(parse_number_list("0-2,7"), ElementsAre(0, 1, 2, 7));
  EXPECT_THAT(parse_number_list("65535"), ElementsAre(65535));
  EXPECT_THAT(parse_number_list("65534-65535"), ElementsAre(65534, 65535));
  EXPECT_THAT(parse_number_list(""), IsEmpty());
  EXPECT_THAT(parse_number_list("x,3-1,99999"), IsEmpty());
}

std::vector<std::string> texts(const std::vector<plan::IoEntry>& entries) {
  std::vector<std::string> out;
  for (const auto& entry : entries) {
    out.push_back(cat(entry.major, ":", entry.minor, " ", entry.operation, " ", entry.value));
  }
  return out;
}

TEST(CgroupUsage, BlockDevices) {
  EXPECT_THAT(texts(parse_blkio("8:0 Read 4096\n8:0 Total 5000\n8:16 77\nTotal 5077\n")),
              ElementsAre("8:0 Read 4096", "8:0 Total 5000", "8:16  77"));
  plan::IoUsage io;
  parse_io_stat("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n254:1 \n", io);
  EXPECT_THAT(texts(io.bytes), ElementsAre("8:0 Read 1", "8:0 Write 2", "8:0 Discard 5"));
  EXPECT_THAT(texts(io.count), ElementsAre("8:0 Read 3", "8:0 Write 4", "8:0 Discard 6"));
}

TEST(CgroupUsage, ColumnsOfProcessors) {
  EXPECT_THAT(parse_column("cpu user system\n0 11 12\n1 21 22\n", 2), ElementsAre(12, 22));
  EXPECT_THAT(parse_column("", 1), IsEmpty());
}

class CgroupUsageFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/cgroup-usage-XXXXXX";
    ASSERT_NE(::mkdtemp(path), nullptr);
    path_ = path;
  }
  void TearDown() override { (void)sys::remove_tree(sys::kCwd, path_.c_str()); }
  void file(const std::string& name, std::string_view text) {
    ASSERT_TRUE(sys::write_atomically(sys::kCwd, cat(path_, '/', name).c_str(), text));
  }
  std::string path_;
};

TEST_F(CgroupUsageFiles, OfV2) {
  file("cpu.stat", "usage_usec 9\nuser_usec 4\nsystem_usec 5\nnr_periods 1\nthrottled_usec 2\n");
  file("cpu.pressure", "some avg10=1.00 avg60=0.00 avg300=0.00 total=1\n");
  file("memory.current", "100\n");
  file("memory.max", "max\n");
  file("memory.peak", "150\n");
  file("memory.swap.current", "7\n");
  file("memory.swap.max", "1000\n");
  file("memory.stat", "anon 60\nfile 40\n");
  file("pids.current", "3\n");
  file("pids.max", "max\n");
  file("hugetlb.2MB.current", "5\n");
  file("hugetlb.2MB.rsvd.current", "6\n");
  file("hugetlb.2MB.events", "max 8\n");
  file("cpuset.cpus.effective", "0-1\n");
  auto usage = cgroup_usage({{"", path_, true}});
  ASSERT_TRUE(usage);
  EXPECT_EQ(usage->cpu.total, 9000U);
  EXPECT_EQ(usage->cpu.throttled_ns, 2000U);
  EXPECT_TRUE(usage->cpu.pressure);
  EXPECT_FALSE(usage->io.pressure);
  EXPECT_EQ(usage->memory.cache, 40U);
  EXPECT_EQ(usage->memory.memory.limit, UINT64_MAX);
  EXPECT_EQ(usage->memory.memory.max, 150U);
  EXPECT_EQ(usage->memory.with_swap.usage, 107U);
  EXPECT_EQ(usage->memory.with_swap.limit, UINT64_MAX);
  EXPECT_EQ(usage->pids, 3U);
  EXPECT_EQ(usage->pids_limit, 0U);
  EXPECT_EQ(usage->hugetlb["2MB"].usage, 6U);
  EXPECT_EQ(usage->hugetlb["2MB"].failures, 8U);
  EXPECT_THAT(usage->cpuset.cpus, ElementsAre(0, 1));
}

TEST_F(CgroupUsageFiles, OfV1InOneDirectory) {
  file("cpuacct.usage", "90\n");
  file("cpuacct.usage_percpu", "40 50 \n");
  file("cpuacct.usage_all", "cpu user system\n0 30 10\n1 20 30\n");
  file("memory.usage_in_bytes", "100\n");
  file("memory.limit_in_bytes", "9223372036854771712\n");
  file("memory.failcnt", "2\n");
  file("memory.stat", "cache 40\nrss 60\n");
  file("blkio.bfq.io_service_bytes_recursive", "");
  file("blkio.throttle.io_service_bytes_recursive", "8:0 Read 1\nTotal 1\n");
  file("blkio.throttle.io_serviced_recursive", "8:0 Read 2\nTotal 2\n");
  auto usage = cgroup_usage({{"cpu,cpuacct,memory,blkio", path_, false}});
  ASSERT_TRUE(usage);
  EXPECT_EQ(usage->cpu.total, 90U);
  EXPECT_THAT(usage->cpu.each, ElementsAre(40, 50));
  EXPECT_THAT(usage->cpu.kernel_each, ElementsAre(10, 30));
  EXPECT_EQ(usage->memory.memory.failures, 2U);
  EXPECT_EQ(usage->memory.kernel.limit, 0U);
  EXPECT_THAT(texts(usage->io.bytes), ElementsAre("8:0 Read 1"));
  EXPECT_THAT(texts(usage->io.count), ElementsAre("8:0 Read 2"));
}

TEST_F(CgroupUsageFiles, KillsSinceTheWatchBegan) {
  file("memory.events", "low 0\noom 3\noom_kill 3\n");
  auto watch = watch_memory_of({{"", path_, true}});
  ASSERT_TRUE(watch);
  ASSERT_TRUE(*watch);
  EXPECT_EQ((*watch)->take(), 0U);
  // The open file is that of the cgroup: it is written in place.
  Fd events = *sys::openat(sys::kCwd, cat(path_, "/memory.events").c_str(), O_WRONLY);
  ASSERT_TRUE(sys::write_all(events, "low 0\noom 5\noom_kill 5\n"));
  EXPECT_EQ((*watch)->take(), 2U);
  EXPECT_EQ((*watch)->take(), 0U);
  auto none = watch_memory_of({{"pids", path_, false}});
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
}

}  // namespace
}  // namespace caisson::linux

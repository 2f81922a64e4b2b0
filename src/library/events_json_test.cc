#include "library/events_json.h"

#include <gtest/gtest.h>

namespace caisson::library {
namespace {

// NOLINTBEGIN(bugprone-unchecked-optional-access)

TEST(EventsJson, NothingCountedIsWhatRuncPrints) {
  EXPECT_EQ(stats_event("web", {}),
            R"({"type":"stats","id":"web","data":{"cpu":{"usage":{"kernel":0,"user":0},)"
            R"("throttling":{}},"cpuset":{"cpu_exclusive":0,"mem_hardwall":0,"mem_exclusive":0,)"
            R"("memory_migrate":0,"memory_spread_page":0,"memory_spread_slab":0,)"
            R"("memory_pressure":0,"sched_load_balance":0,"sched_relax_domain_level":0},)"
            R"("memory":{"usage":{"limit":0,"failcnt":0},"swap":{"limit":0,"failcnt":0},)"
            R"("kernel":{"limit":0,"failcnt":0},"kernelTCP":{"limit":0,"failcnt":0}},"pids":{},)"
            R"("blkio":{},"hugetlb":{},"intel_rdt":{},"network_interfaces":null}})"
            "\n");
  EXPECT_EQ(oom_event("web"), "{\"type\":\"oom\",\"id\":\"web\"}\n");
}

TEST(EventsJson, EverythingHasItsPlace) {
  plan::Usage usage;
  usage.cpu = {9, 2, 3, {4, 5}, {1, 1}, {2, 1}, 6, 7, 8, 1, 2, plan::Pressure{}};
  usage.cpu.pressure->some = {12, 150, 300, 5};
  usage.cpuset.cpus = {0, 3};
  usage.cpuset.sched_relax_domain_level = -1;
  usage.memory.cache = 1;
  usage.memory.memory = {UINT64_MAX, 2, 3, 4};
  usage.memory.raw = {{"rss", 5}, {"cache", 0}};
  usage.pids = 1;
  usage.pids_limit = 20;
  usage.io.bytes = {{8, 0, "Read", 7}, {0, 0, "", 0}};
  usage.hugetlb["2MB"] = {1, 0, 0};
  EXPECT_EQ(stats_event("web", usage),
            R"({"type":"stats","id":"web","data":{"cpu":{"usage":{"total":9,"percpu":[4,5],)"
            R"("percpu_kernel":[1,1],"percpu_user":[2,1],"kernel":2,"user":3},"throttling":)"
            R"({"periods":6,"throttledPeriods":7,"throttledTime":8},"burst":{"burstsPeriods":1,)"
            R"("burstTime":2},"psi":{"some":{"avg10":0.12,"avg60":1.5,"avg300":3,"total":5},)"
            R"("full":{"avg10":0,"avg60":0,"avg300":0,"total":0}}},"cpuset":{"cpus":[0,3],)"
            R"("cpu_exclusive":0,"mem_hardwall":0,"mem_exclusive":0,"memory_migrate":0,)"
            R"("memory_spread_page":0,"memory_spread_slab":0,"memory_pressure":0,)"
            R"("sched_load_balance":0,"sched_relax_domain_level":-1},"memory":{"cache":1,)"
            R"("usage":{"limit":18446744073709551615,"usage":2,"max":3,"failcnt":4},)"
            R"("swap":{"limit":0,"failcnt":0},"kernel":{"limit":0,"failcnt":0},)"
            R"("kernelTCP":{"limit":0,"failcnt":0},"raw":{"cache":0,"rss":5}},)"
            R"("pids":{"current":1,"limit":20},"blkio":{"ioServiceBytesRecursive":)"
            R"([{"major":8,"op":"Read","value":7},{}]},"hugetlb":{"2MB":{"usage":1,"failcnt":0}},)"
            R"("intel_rdt":{},"network_interfaces":null}})"
            "\n");
}

// NOLINTEND(bugprone-unchecked-optional-access)

}  // namespace
}  // namespace caisson::library

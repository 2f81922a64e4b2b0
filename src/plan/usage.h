// Everything that the kernel counts for a container, as `events` tells it. What a host does not
// account for is 0 or empty. For the few figures that people want, see Stats in executor.h.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace caisson::plan {

// Documentation/accounting/psi.rst: the share of time in which tasks waited for the resource.
struct Pressure {
  struct Line {
    std::uint64_t avg10 = 0, avg60 = 0, avg300 = 0;  // hundredths of a percent
    std::uint64_t total = 0;                         // us
  };
  Line some, full;
};

struct CpuUsage {
  std::uint64_t total = 0, kernel = 0, user = 0;            // ns
  std::vector<std::uint64_t> each, kernel_each, user_each;  // ns, per processor
  std::uint64_t periods = 0, throttled_periods = 0, throttled_ns = 0;
  std::uint64_t bursts = 0, burst_ns = 0;
  std::optional<Pressure> pressure;
};

// The flags are those of cgroup v1.
struct CpusetUsage {
  std::vector<std::uint16_t> cpus, mems;
  std::uint64_t cpu_exclusive = 0, mem_hardwall = 0, mem_exclusive = 0, memory_migrate = 0;
  std::uint64_t memory_spread_page = 0, memory_spread_slab = 0, memory_pressure = 0;
  std::uint64_t sched_load_balance = 0;
  std::int64_t sched_relax_domain_level = 0;
};

struct MemoryCounter {
  std::uint64_t limit = 0, usage = 0, max = 0, failures = 0;  // bytes; no limit: as the kernel says
};

struct MemoryUsage {
  std::uint64_t cache = 0;
  MemoryCounter memory, with_swap, kernel, kernel_tcp;
  std::map<std::string, std::uint64_t> raw;  // memory.stat
  std::optional<Pressure> pressure;
};

struct IoEntry {
  std::uint64_t major = 0, minor = 0;
  std::string operation;  // "Read", "Write", "Total"; empty: all
  std::uint64_t value = 0;
};

struct IoUsage {
  std::vector<IoEntry> bytes, count, queued, service_time, wait_time, merged, time, sectors;
  std::optional<Pressure> pressure;
};

struct HugetlbUsage {
  std::uint64_t usage = 0, max = 0, failures = 0;
};

struct Usage {
  CpuUsage cpu;
  CpusetUsage cpuset;
  MemoryUsage memory;
  IoUsage io;
  std::uint64_t pids = 0, pids_limit = 0;       // limit 0: none
  std::map<std::string, HugetlbUsage> hugetlb;  // by page size: "2MB"
};

}  // namespace caisson::plan

// Limits to files and values of one controller. Internal to plan/: cgroup.cc decides which version
// of a controller a host has, cgroup_v1.cc and cgroup_v2.cc know its files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "plan/plan.h"
#include "spec/container_spec.h"

namespace caisson::plan {

enum class Controller { kPids, kMemory, kIo, kCpu, kCpuset, kHugetlb, kRdma, kNetCls, kNetPrio };

struct WriteRequest {
  const spec::Resources& resources;
  bool swap_accounting = true;
  std::vector<CgroupWrite>& writes;
  Strings& notices;
  // The limit that a cgroup which is in use has now; absent: none, as in a fresh one.
  std::optional<std::uint64_t> memory_limit;

  CgroupWrite& add(std::string file, std::string value, std::string field) {
    CgroupWrite& write = writes.emplace_back();
    write.file = std::move(file);
    write.value = std::move(value);
    write.field = "linux.resources." + std::move(field);
    return write;
  }
};

// In the order in which a fresh cgroup accepts them.
Result<> add_v1_writes(Controller controller, WriteRequest& request);
Result<> add_v2_writes(Controller controller, WriteRequest& request);

// Rules that both versions share (cgroup_conversions.cc).
Error swap_without_limit();
Result<> check_swap(const spec::MemoryResources& memory);
// An idle cgroup has no weight: says so when both are asked for.
void note_idle_shares(WriteRequest& request);
Result<> check_block_io_weights(const spec::BlockIoResources& io);
// "2MB", the way the kernel names files of huge pages.
Result<> check_page_size(const std::string& page_size, std::size_t index);
void add_pids(WriteRequest& request);
void add_cpuset(WriteRequest& request);
void add_rdma(WriteRequest& request);
std::string device_id(std::int64_t major, std::int64_t minor);  // "8:16"

// cpu.shares (2..262144, default 1024) to cpu.weight (1..10000, default 100). 0 stays 0: not set.
std::uint64_t cpu_weight(std::uint64_t shares);
// blkio.weight (10..1000) to io.weight (1..10000). 0 stays 0.
std::uint64_t io_weight(std::uint64_t weight);

}  // namespace caisson::plan

// Documentation/admin-guide/cgroup-v1 of the kernel.
#include "base/text.h"
#include "plan/cgroup_writes.h"
#include "plan/passes.h"

namespace caisson::plan {
namespace {

Result<> add_swap(WriteRequest& request) {
  const spec::MemoryResources& memory = *request.resources.memory;
  const std::int64_t swap = memory.swap.value_or(0);
  if (swap > 0 && !request.swap_accounting) {
    return std::unexpected(unsupported("this host does not account for swap")
                               .where("linux.resources.memory.swap")
                               .cure("Boot with swapaccount=1, or leave the limit out."));
  }
  // Unlimited memory with swap left open: swap is unlimited as well.
  const bool unlimited = swap < 0 || (swap == 0 && memory.limit.value_or(0) < 0);
  if (!unlimited && swap == 0) return {};
  request.add("memory.memsw.limit_in_bytes", unlimited ? "-1" : cat(swap), "memory.swap").optional =
      unlimited;
  return {};
}

// The kernel keeps limit <= memsw at every moment: what grows beyond the present limit goes up in
// memsw first, what shrinks goes down in limit first. A fresh cgroup has no limits and can only
// shrink.
bool is_swap_first(const WriteRequest& request) {
  const spec::MemoryResources& memory = *request.resources.memory;
  const std::int64_t swap = memory.swap.value_or(0);
  if (memory.limit.value_or(0) < 0) return true;
  if (!request.memory_limit || swap == 0) return false;
  return swap < 0 || static_cast<std::uint64_t>(swap) > *request.memory_limit;
}

Result<> add_memory(WriteRequest& request) {
  if (!request.resources.memory) return {};
  const spec::MemoryResources& memory = *request.resources.memory;
  TRY(check_swap(memory));
  if (memory.limit.value_or(0) < 0 && memory.swap.value_or(0) > 0) {
    return std::unexpected(invalid("memory+swap limit should be >= memory limit")
                               .where("linux.resources.memory.swap")
                               .cure("With unlimited memory, -1 is what is left for swap."));
  }
  if (memory.use_hierarchy.value_or(false)) {
    request.add("memory.use_hierarchy", "1", "memory.useHierarchy").optional = true;
  }
  const bool swap_first = is_swap_first(request);
  if (swap_first) TRY(add_swap(request));
  if (std::int64_t limit = memory.limit.value_or(0); limit != 0) {
    request.add("memory.limit_in_bytes", limit < 0 ? "-1" : cat(limit), "memory.limit");
  }
  if (!swap_first) TRY(add_swap(request));
  if (std::int64_t low = memory.reservation.value_or(0); low != 0) {
    request.add("memory.soft_limit_in_bytes", low < 0 ? "-1" : cat(low), "memory.reservation");
  }
  if (memory.swappiness)
    request.add("memory.swappiness", cat(*memory.swappiness), "memory.swappiness");
  if (memory.disable_oom_killer.value_or(false)) {
    request.add("memory.oom_control", "1", "memory.disableOOMKiller");
  }
  if (memory.kernel.value_or(0) != 0 || memory.kernel_tcp.value_or(0) != 0) {
    request.notices.push_back(
        "linux.resources.memory: kernel memory has no limit of its own on today's kernels; kernel "
        "and "
        "kernelTCP are ignored");
  }
  return {};
}

// The kernel takes what is out of range for the nearest value that is not, and says nothing.
Result<> check_shares(std::uint64_t shares) {
  constexpr std::uint64_t kLeast = 2, kMost = 262144;
  if (shares == 0 || (shares >= kLeast && shares <= kMost)) return {};
  return std::unexpected(invalid(shares < kLeast ? cat("the minimum allowed cpu-shares is ", kLeast)
                                                 : cat("the maximum allowed cpu-shares is ", kMost))
                             .where("linux.resources.cpu.shares"));
}

Result<> add_cpu(WriteRequest& request) {
  if (!request.resources.cpu) return {};
  const spec::CpuResources& cpu = *request.resources.cpu;
  const std::uint64_t shares = cpu.shares.value_or(0);
  TRY(check_shares(shares));
  if (cpu.idle) request.add("cpu.idle", cat(*cpu.idle), "cpu.idle");
  note_idle_shares(request);
  if (shares != 0 && cpu.idle.value_or(0) != 1)
    request.add("cpu.shares", cat(shares), "cpu.shares");
  if (std::uint64_t period = cpu.realtime_period.value_or(0); period != 0) {
    request.add("cpu.rt_period_us", cat(period), "cpu.realtimePeriod").again = true;
  }
  if (std::int64_t runtime = cpu.realtime_runtime.value_or(0); runtime != 0) {
    request.add("cpu.rt_runtime_us", cat(runtime), "cpu.realtimeRuntime");
  }
  if (std::uint64_t period = cpu.period.value_or(0); period != 0) {
    request.add("cpu.cfs_period_us", cat(period), "cpu.period").again = true;
  }
  if (cpu.quota) {
    request.add("cpu.cfs_quota_us", *cpu.quota < 1 ? "-1" : cat(*cpu.quota), "cpu.quota").again =
        true;
  }
  if (cpu.burst)
    request.add("cpu.cfs_burst_us", cat(*cpu.burst), "cpu.burst").optional = *cpu.burst == 0;
  return {};
}

void add_throttle(WriteRequest& request, const std::vector<spec::ThrottleDevice>& devices,
                  std::string_view file, std::string_view field) {
  for (const spec::ThrottleDevice& device : devices) {
    request.add(std::string(file), cat(device_id(device.major, device.minor), ' ', device.rate),
                cat("blockIO.", field));
  }
}

Result<> add_block_io(WriteRequest& request) {
  if (!request.resources.block_io) return {};
  const spec::BlockIoResources& io = *request.resources.block_io;
  TRY(check_block_io_weights(io));
  // The scheduler bfq has files of its own; the plain ones went with cfq in Linux 5.0.
  if (std::uint16_t weight = io.weight.value_or(0); weight != 0) {
    CgroupWrite& write = request.add("blkio.bfq.weight", cat(weight), "blockIO.weight");
    write.alternative_file = "blkio.weight";
    write.alternative_value = write.value;
  }
  if (std::uint16_t weight = io.leaf_weight.value_or(0); weight != 0) {
    request.add("blkio.leaf_weight", cat(weight), "blockIO.leafWeight");
  }
  for (const spec::WeightDevice& device : io.weight_devices) {
    std::string id = device_id(device.major, device.minor);
    if (device.weight) {
      CgroupWrite& write = request.add("blkio.bfq.weight_device", cat(id, ' ', *device.weight),
                                       "blockIO.weightDevice");
      write.alternative_file = "blkio.weight_device";
      write.alternative_value = write.value;
    }
    if (device.leaf_weight) {
      request.add("blkio.leaf_weight_device", cat(id, ' ', *device.leaf_weight),
                  "blockIO.weightDevice");
    }
  }
  add_throttle(request, io.read_bps, "blkio.throttle.read_bps_device", "throttleReadBpsDevice");
  add_throttle(request, io.write_bps, "blkio.throttle.write_bps_device", "throttleWriteBpsDevice");
  add_throttle(request, io.read_iops, "blkio.throttle.read_iops_device", "throttleReadIOPSDevice");
  add_throttle(request, io.write_iops, "blkio.throttle.write_iops_device",
               "throttleWriteIOPSDevice");
  return {};
}

Result<> add_hugetlb(WriteRequest& request) {
  const auto& limits = request.resources.hugepage_limits;
  for (std::size_t i = 0; i < limits.size(); ++i) {
    TRY(check_page_size(limits[i].page_size, i));
    std::string field = cat("hugepageLimits[", i, "]");
    std::string value = cat(limits[i].limit);
    request.add(cat("hugetlb.", limits[i].page_size, ".limit_in_bytes"), value, field);
    // Reservations are limited as well where the kernel can (5.7).
    request.add(cat("hugetlb.", limits[i].page_size, ".rsvd.limit_in_bytes"), value, field)
        .optional = true;
  }
  return {};
}

}  // namespace

Result<> add_v1_writes(Controller controller, WriteRequest& request) {
  const auto& network = request.resources.network;
  switch (controller) {
    case Controller::kPids: add_pids(request); break;
    case Controller::kMemory: return add_memory(request);
    case Controller::kIo: return add_block_io(request);
    case Controller::kCpu: return add_cpu(request);
    case Controller::kCpuset: add_cpuset(request); break;
    case Controller::kHugetlb: return add_hugetlb(request);
    case Controller::kRdma: add_rdma(request); break;
    case Controller::kNetCls:
      if (network && network->class_id.value_or(0) != 0) {
        request.add("net_cls.classid", cat(*network->class_id), "network.classID");
      }
      break;
    case Controller::kNetPrio:
      if (!network) break;
      for (const spec::NetworkPriority& each : network->priorities) {
        request.add("net_prio.ifpriomap", cat(each.name, ' ', each.priority), "network.priorities");
      }
      break;
  }
  return {};
}

}  // namespace caisson::plan

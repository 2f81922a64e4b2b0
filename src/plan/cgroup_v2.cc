// Documentation/admin-guide/cgroup-v2.rst of the kernel.
#include "base/text.h"
#include "plan/cgroup_writes.h"
#include "plan/passes.h"

namespace caisson::plan {
namespace {

std::string bytes_or_max(std::int64_t value) { return value < 0 ? "max" : cat(value); }

void note_v1_only_memory(WriteRequest& request) {
  const spec::MemoryResources& memory = *request.resources.memory;
  Strings ignored;
  if (memory.swappiness) ignored.push_back("swappiness");
  if (memory.disable_oom_killer.value_or(false)) ignored.push_back("disableOOMKiller");
  if (memory.kernel.value_or(0) != 0) ignored.push_back("kernel");
  if (memory.kernel_tcp.value_or(0) != 0) ignored.push_back("kernelTCP");
  if (ignored.empty()) return;
  request.notices.push_back(
      cat("linux.resources.memory: cgroup v2 has nothing like ", join(ignored, ", "), "; ignored"));
}

// OCI's swap is memory plus swap; the kernel's counts swap alone. Written before memory.max, so
// that nothing can be pushed into swap in between.
Result<> add_memory(WriteRequest& request) {
  if (!request.resources.memory) return {};
  const spec::MemoryResources& memory = *request.resources.memory;
  TRY(check_swap(memory));
  const std::int64_t limit = memory.limit.value_or(0);
  const std::int64_t swap = memory.swap.value_or(0);
  const bool unlimited = swap < 0 || (swap == 0 && limit < 0);
  if (unlimited || swap > 0) {
    // Where there is no swap there is no file, and nothing to limit.
    // Without a limit of memory there is nothing to take off.
    std::string value = unlimited ? "max" : cat(limit < 0 ? swap : swap - limit);
    const bool no_limit = value == "max" || value == "0";
    request.add("memory.swap.max", std::move(value), "memory.swap").optional = no_limit;
  }
  if (limit != 0) request.add("memory.max", bytes_or_max(limit), "memory.limit");
  if (std::int64_t low = memory.reservation.value_or(0); low != 0) {
    request.add("memory.low", bytes_or_max(low), "memory.reservation");
  }
  note_v1_only_memory(request);
  return {};
}

Result<> add_cpu(WriteRequest& request) {
  if (!request.resources.cpu) return {};
  const spec::CpuResources& cpu = *request.resources.cpu;
  for (auto [given, field] :
       {std::pair{cpu.realtime_period.value_or(0) != 0, "realtimePeriod"},
        std::pair{cpu.realtime_runtime.value_or(0) != 0, "realtimeRuntime"}}) {
    if (!given) continue;
    return std::unexpected(unsupported("cgroup v2 has no limit for real-time processes")
                               .where("linux.resources.cpu.", field)
                               .cure("Leave the field out."));
  }
  if (cpu.idle) request.add("cpu.idle", cat(*cpu.idle), "cpu.idle");
  note_idle_shares(request);
  if (std::uint64_t weight = cpu_weight(cpu.shares.value_or(0));
      weight != 0 && cpu.idle.value_or(0) != 1) {
    request.add("cpu.weight", cat(weight), "cpu.shares");
  }
  const std::uint64_t period = cpu.period.value_or(0);
  if (cpu.quota || period != 0) {
    constexpr std::uint64_t kDefaultPeriod = 100000;
    std::string quota = cpu.quota.value_or(0) < 1 ? "max" : cat(*cpu.quota);
    request
        .add("cpu.max", cat(quota, ' ', period != 0 ? period : kDefaultPeriod),
             cpu.quota ? "cpu.quota" : "cpu.period")
        .again = true;
  }
  if (cpu.burst)
    request.add("cpu.max.burst", cat(*cpu.burst), "cpu.burst").optional = *cpu.burst == 0;
  return {};
}

void add_throttle(WriteRequest& request, const std::vector<spec::ThrottleDevice>& devices,
                  std::string_view key, std::string_view field) {
  for (const spec::ThrottleDevice& device : devices) {
    std::string rate = device.rate == 0 ? "max" : cat(device.rate);
    request.add("io.max", cat(device_id(device.major, device.minor), ' ', key, '=', rate),
                cat("blockIO.", field));
  }
}

Result<> refuse_leaf_weights(const spec::BlockIoResources& io) {
  bool given = io.leaf_weight.value_or(0) != 0;
  for (const spec::WeightDevice& device : io.weight_devices)
    given |= device.leaf_weight.value_or(0) != 0;
  if (!given) return {};
  return std::unexpected(unsupported("cgroup v2 has no leaf weight")
                             .where("linux.resources.blockIO.leafWeight")
                             .cure("Leave the field out."));
}

Result<> add_block_io(WriteRequest& request) {
  if (!request.resources.block_io) return {};
  const spec::BlockIoResources& io = *request.resources.block_io;
  TRY(check_block_io_weights(io));
  TRY(refuse_leaf_weights(io));
  if (std::uint16_t weight = io.weight.value_or(0); weight != 0) {
    CgroupWrite& write = request.add("io.bfq.weight", cat(weight), "blockIO.weight");
    write.alternative_file = "io.weight";
    write.alternative_value = cat(io_weight(weight));
  }
  for (const spec::WeightDevice& device : io.weight_devices) {
    if (device.weight.value_or(0) == 0) continue;
    std::string id = device_id(device.major, device.minor);
    CgroupWrite& write =
        request.add("io.bfq.weight", cat(id, ' ', *device.weight), "blockIO.weightDevice");
    write.alternative_file = "io.weight";
    write.alternative_value = cat(id, ' ', io_weight(*device.weight));
  }
  add_throttle(request, io.read_bps, "rbps", "throttleReadBpsDevice");
  add_throttle(request, io.write_bps, "wbps", "throttleWriteBpsDevice");
  add_throttle(request, io.read_iops, "riops", "throttleReadIOPSDevice");
  add_throttle(request, io.write_iops, "wiops", "throttleWriteIOPSDevice");
  return {};
}

Result<> add_hugetlb(WriteRequest& request) {
  const auto& limits = request.resources.hugepage_limits;
  for (std::size_t i = 0; i < limits.size(); ++i) {
    TRY(check_page_size(limits[i].page_size, i));
    std::string field = cat("hugepageLimits[", i, "]");
    std::string value = cat(limits[i].limit);
    request.add(cat("hugetlb.", limits[i].page_size, ".max"), value, field);
    request.add(cat("hugetlb.", limits[i].page_size, ".rsvd.max"), value, field).optional = true;
  }
  return {};
}

void note_network(WriteRequest& request) {
  const auto& network = request.resources.network;
  if (!network || (network->class_id.value_or(0) == 0 && network->priorities.empty())) return;
  request.notices.push_back(
      "linux.resources.network: cgroup v2 has no classes and priorities; ignored");
}

}  // namespace

Result<> add_v2_writes(Controller controller, WriteRequest& request) {
  switch (controller) {
    case Controller::kPids: add_pids(request); break;
    case Controller::kMemory: return add_memory(request);
    case Controller::kIo: return add_block_io(request);
    case Controller::kCpu: return add_cpu(request);
    case Controller::kCpuset: add_cpuset(request); break;
    case Controller::kHugetlb: return add_hugetlb(request);
    case Controller::kRdma: add_rdma(request); break;
    case Controller::kNetCls: note_network(request); break;
    case Controller::kNetPrio: break;
  }
  return {};
}

}  // namespace caisson::plan

#include <cmath>

#include "base/text.h"
#include "plan/cgroup_writes.h"
#include "plan/passes.h"

namespace caisson::plan {

std::string device_id(std::int64_t major, std::int64_t minor) { return cat(major, ':', minor); }

// A quadratic curve in the exponent through (2, 1), (1024, 100) and (262144, 10000): both scales
// keep their default and their ends.
std::uint64_t cpu_weight(std::uint64_t shares) {
  if (shares == 0) return 0;
  if (shares <= 2) return 1;
  if (shares >= 262144) return 10000;
  const double l = std::log2(static_cast<double>(shares));
  const double exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
  // Rounding up must not turn the noise of the last bits into a step.
  constexpr double kNoise = 1e-9;
  return static_cast<std::uint64_t>(std::ceil(std::pow(10.0, exponent) - kNoise));
}

std::uint64_t io_weight(std::uint64_t weight) {
  return weight < 10 ? weight : 1 + (weight - 10) * 9999 / 990;
}

Error swap_without_limit() {
  return invalid("unable to set swap limit without memory limit")
      .where("linux.resources.memory.swap")
      .cure("Set memory.limit too; swap is the sum of both.");
}

Result<> check_swap(const spec::MemoryResources& memory) {
  const std::int64_t swap = memory.swap.value_or(0);
  if (swap <= 0) return {};
  const std::int64_t limit = memory.limit.value_or(0);
  if (limit == 0) return std::unexpected(swap_without_limit());
  if (swap < limit) {
    return std::unexpected(
        invalid("memory+swap limit should be >= memory limit")
            .where("linux.resources.memory.swap")
            .cure("swap is the sum of memory and swap: set it to ", limit, " or more."));
  }
  return {};
}

Result<> check_block_io_weights(const spec::BlockIoResources& io) {
  auto check = [](std::optional<std::uint16_t> weight, std::string_view field) -> Result<> {
    if (!weight || *weight == 0 || (*weight >= 10 && *weight <= 1000)) return {};
    return std::unexpected(invalid(cat("a weight of ", *weight, " is not within 10..1000"))
                               .where("linux.resources.blockIO.", field));
  };
  TRY(check(io.weight, "weight"));
  TRY(check(io.leaf_weight, "leafWeight"));
  for (const spec::WeightDevice& device : io.weight_devices) {
    TRY(check(device.weight, "weightDevice"));
    TRY(check(device.leaf_weight, "weightDevice"));
  }
  return {};
}

Result<> check_page_size(const std::string& page_size, std::size_t index) {
  const bool unit =
      page_size.size() > 2 && page_size.ends_with('B') &&
      std::string_view("KMG").find(page_size[page_size.size() - 2]) != std::string_view::npos;
  const auto digits =
      unit ? std::string_view(page_size).substr(0, page_size.size() - 2) : std::string_view();
  if (unit && !digits.starts_with('0') && parse_number<std::uint32_t>(digits)) return {};
  return std::unexpected(invalid(cat(quoted(page_size), " is no size of huge pages"))
                             .where("linux.resources.hugepageLimits[", index, "].pageSize")
                             .cure("Write it like \"64KB\", \"2MB\" or \"1GB\"."));
}

void note_idle_shares(WriteRequest& request) {
  const spec::CpuResources& cpu = *request.resources.cpu;
  if (cpu.idle.value_or(0) != 1 || cpu.shares.value_or(0) == 0) return;
  request.notices.push_back(
      "linux.resources.cpu: unable to apply both idle and shares: what is idle has no weight; "
      "shares is ignored");
}

void add_pids(WriteRequest& request) {
  const auto& limit = request.resources.pids_limit;
  if (limit) request.add("pids.max", *limit < 0 ? "max" : cat(*limit), "pids.limit");
}

void add_cpuset(WriteRequest& request) {
  if (!request.resources.cpu) return;
  const spec::CpuResources& cpu = *request.resources.cpu;
  if (cpu.cpus && !cpu.cpus->empty()) request.add("cpuset.cpus", *cpu.cpus, "cpu.cpus");
  if (cpu.mems && !cpu.mems->empty()) request.add("cpuset.mems", *cpu.mems, "cpu.mems");
}

void add_rdma(WriteRequest& request) {
  for (const auto& [device, limit] : request.resources.rdma) {
    std::string value = device;
    if (limit.hca_handles) append(value, " hca_handle=", *limit.hca_handles);
    if (limit.hca_objects) append(value, " hca_object=", *limit.hca_objects);
    if (value != device) request.add("rdma.max", std::move(value), cat("rdma.", device));
  }
}

}  // namespace caisson::plan

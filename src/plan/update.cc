#include "plan/update.h"

#include <algorithm>
#include <optional>

#include "base/text.h"
#include "plan/cgroup_writes.h"
#include "plan/passes.h"
#include "spec/validate.h"

namespace caisson::plan {
namespace {

// --- joining

template <typename T>
void take(std::optional<T>& into, const std::optional<T>& change) {
  if (change) into = change;
}

// Entries of `change` take the place of those that are for the same thing.
template <typename T, typename Same>
void take(std::vector<T>& into, const std::vector<T>& change, Same same) {
  for (const T& entry : change) {
    auto old = std::ranges::find_if(into, [&](const T& each) { return same(each, entry); });
    if (old != into.end()) {
      *old = entry;
    } else {
      into.push_back(entry);
    }
  }
}

template <typename T>
void take(std::map<std::string, T>& into, const std::map<std::string, T>& change) {
  for (const auto& [name, value] : change) into[name] = value;
}

void take_memory(spec::MemoryResources& into, const spec::MemoryResources& change) {
  take(into.limit, change.limit);
  take(into.swap, change.swap);
  // Unlimited memory with the old limit of both would still be limited.
  if (change.limit == -1 && !change.swap) into.swap.reset();
  take(into.reservation, change.reservation);
  take(into.kernel, change.kernel);
  take(into.kernel_tcp, change.kernel_tcp);
  take(into.swappiness, change.swappiness);
  take(into.disable_oom_killer, change.disable_oom_killer);
  take(into.use_hierarchy, change.use_hierarchy);
  take(into.check_before_update, change.check_before_update);
}

void take_cpu(spec::CpuResources& into, const spec::CpuResources& change) {
  take(into.shares, change.shares);
  take(into.idle, change.idle);
  // An idle cgroup has no weight: who gives one wants it to be idle no longer.
  if (change.shares.value_or(0) != 0 && !change.idle && into.idle) into.idle = 0;
  take(into.quota, change.quota);
  take(into.period, change.period);
  take(into.burst, change.burst);
  take(into.realtime_runtime, change.realtime_runtime);
  take(into.realtime_period, change.realtime_period);
  // An empty list is how some callers write an absent one.
  if (change.cpus && !change.cpus->empty()) into.cpus = change.cpus;
  if (change.mems && !change.mems->empty()) into.mems = change.mems;
}

bool same_device(const auto& a, const auto& b) { return a.major == b.major && a.minor == b.minor; }

void take_block_io(spec::BlockIoResources& into, const spec::BlockIoResources& change) {
  auto same = [](const auto& a, const auto& b) { return same_device(a, b); };
  take(into.weight, change.weight);
  take(into.leaf_weight, change.leaf_weight);
  take(into.weight_devices, change.weight_devices, same);
  take(into.read_bps, change.read_bps, same);
  take(into.write_bps, change.write_bps, same);
  take(into.read_iops, change.read_iops, same);
  take(into.write_iops, change.write_iops, same);
}

void take_network(spec::NetworkResources& into, const spec::NetworkResources& change) {
  take(into.class_id, change.class_id);
  take(into.priorities, change.priorities,
       [](const auto& a, const auto& b) { return a.name == b.name; });
}

// Makes `into` a structure to take into when there is something to take.
template <typename T>
void take_part(std::optional<T>& into, const std::optional<T>& change,
               void (*take_members)(T&, const T&)) {
  if (change) take_members(into ? *into : into.emplace(), *change);
}

// Docker names every field, and writes 0 for those that are to stay as they are.
template <typename... T>
void drop_zeros(std::optional<T>&... values) {
  auto drop = [](auto& value) {
    if (value == 0) value.reset();
  };
  (drop(values), ...);
}

spec::Resources without_zeros(spec::Resources change) {
  if (change.memory) {
    auto& memory = *change.memory;
    drop_zeros(memory.limit, memory.swap, memory.reservation, memory.kernel, memory.kernel_tcp);
  }
  if (change.cpu) {
    auto& cpu = *change.cpu;
    drop_zeros(cpu.shares, cpu.quota, cpu.period, cpu.realtime_runtime, cpu.realtime_period);
  }
  if (change.block_io) drop_zeros(change.block_io->weight, change.block_io->leaf_weight);
  return change;
}

// --- what is written

// The values that have to be written for the change, out of those after it.
spec::Resources affected(const spec::Resources& after, const spec::Resources& change) {
  spec::Resources out = change;
  if (out.memory && (out.memory->limit || out.memory->swap)) {
    out.memory->limit = after.memory->limit;
    out.memory->swap = after.memory->swap;
  }
  if (out.cpu) {
    spec::CpuResources& cpu = *out.cpu;
    if (cpu.shares.value_or(0) != 0) cpu.idle = after.cpu->idle;
    // The kernel forgot the weight when the cgroup became idle.
    if (cpu.idle == 0) cpu.shares = after.cpu->shares;
    if (cpu.quota || cpu.period) {
      cpu.quota = after.cpu->quota;
      cpu.period = after.cpu->period;
    }
    if (cpu.realtime_period || cpu.realtime_runtime) {
      cpu.realtime_period = after.cpu->realtime_period;
      cpu.realtime_runtime = after.cpu->realtime_runtime;
    }
  }
  return out;
}

// A file that was set by its v2 name has its value from a field now.
void forget_overwritten(const CgroupPlan& plan, const spec::Resources& change,
                        spec::Resources& after) {
  std::erase_if(after.unified, [&](const auto& entry) {
    if (change.unified.contains(entry.first)) return false;
    return std::ranges::any_of(plan.directories, [&](const CgroupDirectory& directory) {
      return directory.v2 && std::ranges::find(directory.writes, entry.first, &CgroupWrite::file) !=
                                 directory.writes.end();
    });
  });
}

// As runc has it for updates. A zero for the limit leaves that as it is, perhaps unlimited.
Result<> check_swap_change(const spec::Resources& after, const spec::Resources& change) {
  bool given = change.memory && change.memory->swap.value_or(0) > 0;
  if (!given || after.memory->limit.value_or(0) > 0) return {};
  return std::unexpected(swap_without_limit().code("cgroup.limit"));
}

// runtime-spec, config-linux, checkBeforeUpdate.
Result<> check_usage(const spec::Resources& after, const spec::Resources& written,
                     const Stats& stats) {
  if (!written.memory || !after.memory->check_before_update.value_or(false)) return {};
  if (!stats.memory_bytes) return {};
  const std::uint64_t usage = *stats.memory_bytes;
  auto check = [&](const std::optional<std::int64_t>& limit, std::string_view what,
                   std::string_view field) -> Result<> {
    if (limit.value_or(0) <= 0 || static_cast<std::uint64_t>(*limit) > usage) return {};
    return std::unexpected(
        Error::with_cause(EBUSY, cat("rejecting ", what, " limit ", *limit, " <= usage ", usage))
            .where("linux.resources.memory.", field)
            .cure("Give more than what is in use, or leave checkBeforeUpdate out.")
            .code("cgroup.limit"));
  };
  TRY(check(written.memory->swap, "memory+swap", "swap"));
  return check(written.memory->limit, "memory", "limit");
}

}  // namespace

spec::Resources changed_resources(const spec::Resources& present, const spec::Resources& asked) {
  const spec::Resources change = without_zeros(asked);
  spec::Resources out = present;
  if (!change.devices.empty()) out.devices = change.devices;
  take_part(out.memory, change.memory, take_memory);
  take_part(out.cpu, change.cpu, take_cpu);
  take(out.pids_limit, change.pids_limit);
  take_part(out.block_io, change.block_io, take_block_io);
  take(out.hugepage_limits, change.hugepage_limits,
       [](const auto& a, const auto& b) { return a.page_size == b.page_size; });
  take_part(out.network, change.network, take_network);
  take(out.rdma, change.rdma);
  take(out.unified, change.unified);
  return out;
}

Result<Update> compile_update(const UpdateInput& input, const HostFacts& host,
                              const Options& options) {
  Update update;
  update.resources = changed_resources(input.present, input.change);
  TRY(spec::validate_resources(update.resources, ""));
  TRY(check_swap_change(update.resources, input.change));
  spec::ContainerSpec spec;
  spec.linux_part.emplace().resources = affected(update.resources, without_zeros(input.change));
  const Input in{spec, *spec.linux_part, host, options, update.notices};
  TRY(check_usage(update.resources, in.os.resources, input.stats));
  update.cgroups.plan = TRY(plan_cgroup_change(in, input.cgroups, input.stats.memory_limit_bytes));
  if (!input.systemd_scope.empty()) {
    ScopePlan& scope = update.cgroups.plan.scope.emplace();
    scope.unit = input.systemd_scope;
    scope.user = input.systemd_user;
    scope.properties = changed_properties(update.cgroups.plan);
  }
  update.cgroups.previous_devices = device_rules(input.present);
  forget_overwritten(update.cgroups.plan, input.change, update.resources);
  return update;
}

}  // namespace caisson::plan

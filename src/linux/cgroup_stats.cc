// What the kernel counts for a container.
#include "linux/cgroup.h"
#include "linux/cgroup_files.h"
#include "linux/cgroup_usage.h"

namespace caisson::linux {
namespace {

using Number = std::optional<std::uint64_t>;
using plan::Stats;

// v1 has no word for "no limit": it shows the largest multiple of a page, which differs with its
// size.
constexpr std::uint64_t kUnlimitedV1 = std::uint64_t{1} << 62;

Number file_number(const std::string& directory, std::string_view file) {
  auto text = read_control(directory, file);
  if (!text) return std::nullopt;
  return parse_number<std::uint64_t>(*text);  // "max" is no number: absent
}

std::string file_text(const std::string& directory, std::string_view file) {
  return read_control(directory, file).value_or("");
}

// Hybrid hosts show some figures twice; the first one found stays.
void set_once(Number& field, Number value) {
  if (!field && value) field = value;
}

Number times(Number value, std::uint64_t factor) {
  if (!value) return std::nullopt;
  return *value * factor;
}

void add(Number& sum, std::uint64_t value) { sum = sum.value_or(0) + value; }

void read_cpu_v1(const std::string& directory, Stats& stats) {
  std::string text = file_text(directory, "cpu.stat");
  set_once(stats.cpu_periods, keyed_number(text, "nr_periods"));
  set_once(stats.cpu_throttled_periods, keyed_number(text, "nr_throttled"));
  set_once(stats.cpu_throttled_ns, keyed_number(text, "throttled_time"));
}

void read_cpuacct_v1(const std::string& directory, Stats& stats) {
  set_once(stats.cpu_usage_ns, file_number(directory, "cpuacct.usage"));
  set_once(stats.cpu_user_ns, file_number(directory, "cpuacct.usage_user"));
  set_once(stats.cpu_system_ns, file_number(directory, "cpuacct.usage_sys"));
}

void read_memory_v1(const std::string& directory, Stats& stats) {
  set_once(stats.memory_bytes, file_number(directory, "memory.usage_in_bytes"));
  set_once(stats.memory_peak_bytes, file_number(directory, "memory.max_usage_in_bytes"));
  set_once(stats.memory_failures, file_number(directory, "memory.failcnt"));
  Number limit = file_number(directory, "memory.limit_in_bytes");
  if (limit && *limit < kUnlimitedV1) set_once(stats.memory_limit_bytes, limit);
  std::string text = file_text(directory, "memory.stat");
  set_once(stats.memory_cache_bytes, keyed_number(text, "total_cache"));
  set_once(stats.swap_bytes, keyed_number(text, "total_swap"));
  set_once(stats.oom_kills, keyed_number(file_text(directory, "memory.oom_control"), "oom_kill"));
}

// Lines "8:0 Read 4096"; the lines "Total" and those of other operations are left out.
void add_io_v1(std::string_view text, Number& reads, Number& writes) {
  for (auto line : split(text, '\n')) {
    auto [device, rest] = split_once(line, ' ');
    auto [operation, count] = split_once(rest, ' ');
    auto value = parse_number<std::uint64_t>(trim(count));
    if (!value) continue;
    if (operation == "Read") add(reads, *value);
    if (operation == "Write") add(writes, *value);
  }
}

void read_io_v1(const std::string& directory, Stats& stats) {
  add_io_v1(file_text(directory, "blkio.throttle.io_service_bytes_recursive"), stats.read_bytes,
            stats.written_bytes);
  add_io_v1(file_text(directory, "blkio.throttle.io_serviced_recursive"), stats.read_ops,
            stats.write_ops);
}

void read_pids(const std::string& directory, Stats& stats) {
  set_once(stats.pids, file_number(directory, "pids.current"));
  set_once(stats.pids_limit, file_number(directory, "pids.max"));
}

void read_v1(const plan::CgroupLocation& location, Stats& stats) {
  auto has = [&](std::string_view name) { return lists_controller(location.controllers, name); };
  if (has("cpu")) read_cpu_v1(location.directory, stats);
  if (has("cpuacct")) read_cpuacct_v1(location.directory, stats);
  if (has("memory")) read_memory_v1(location.directory, stats);
  if (has("blkio")) read_io_v1(location.directory, stats);
  if (has("pids")) read_pids(location.directory, stats);
}

// Lines "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0".
void add_io_v2(std::string_view text, Stats& stats) {
  for (auto line : split(text, '\n')) {
    for (auto word : split(line, ' ')) {
      auto [key, digits] = split_once(word, '=');
      auto value = parse_number<std::uint64_t>(digits);
      if (!value) continue;
      if (key == "rbytes") add(stats.read_bytes, *value);
      if (key == "wbytes") add(stats.written_bytes, *value);
      if (key == "rios") add(stats.read_ops, *value);
      if (key == "wios") add(stats.write_ops, *value);
    }
  }
}

void read_v2(const std::string& directory, Stats& stats) {
  std::string cpu = file_text(directory, "cpu.stat");
  set_once(stats.cpu_usage_ns, times(keyed_number(cpu, "usage_usec"), 1000));
  set_once(stats.cpu_user_ns, times(keyed_number(cpu, "user_usec"), 1000));
  set_once(stats.cpu_system_ns, times(keyed_number(cpu, "system_usec"), 1000));
  set_once(stats.cpu_periods, keyed_number(cpu, "nr_periods"));
  set_once(stats.cpu_throttled_periods, keyed_number(cpu, "nr_throttled"));
  set_once(stats.cpu_throttled_ns, times(keyed_number(cpu, "throttled_usec"), 1000));
  set_once(stats.memory_bytes, file_number(directory, "memory.current"));
  set_once(stats.memory_limit_bytes, file_number(directory, "memory.max"));
  set_once(stats.memory_peak_bytes, file_number(directory, "memory.peak"));
  set_once(stats.swap_bytes, file_number(directory, "memory.swap.current"));
  set_once(stats.memory_cache_bytes, keyed_number(file_text(directory, "memory.stat"), "file"));
  std::string events = file_text(directory, "memory.events");
  set_once(stats.memory_failures, keyed_number(events, "max"));
  set_once(stats.oom_kills, keyed_number(events, "oom_kill"));
  stats.cpu_pressure = parse_pressure(file_text(directory, "cpu.pressure"));
  stats.memory_pressure = parse_pressure(file_text(directory, "memory.pressure"));
  stats.io_pressure = parse_pressure(file_text(directory, "io.pressure"));
  read_pids(directory, stats);
  add_io_v2(file_text(directory, "io.stat"), stats);
}

}  // namespace

Result<plan::Stats> cgroup_stats(const plan::CgroupLocations& cgroups) {
  Stats stats;
  for (const auto& location : cgroups) {
    if (location.v2) {
      read_v2(location.directory, stats);
    } else {
      read_v1(location, stats);
    }
  }
  // A host without the pids controller: count.
  if (!stats.pids) {
    auto processes = cgroup_processes(cgroups);
    if (processes) stats.pids = processes->size();
  }
  return stats;
}

std::uint64_t cgroup_oom_kills(const plan::CgroupLocations& cgroups) {
  for (const auto& cgroup : cgroups) {
    if (!cgroup.v2 && cgroup.controllers != "memory") continue;
    const char* file = cgroup.v2 ? "memory.events" : "memory.oom_control";
    auto kills = keyed_number(file_text(cgroup.directory, file), "oom_kill");
    if (kills) return *kills;
  }
  return 0;
}

}  // namespace caisson::linux

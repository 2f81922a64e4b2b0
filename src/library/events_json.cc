#include "library/events_json.h"

#include "formats/json.h"

namespace caisson::library {
namespace {

using formats::JsonWriter;

void put(JsonWriter& json, std::string_view name, std::uint64_t value) {
  if (value != 0) json.field(name, value);
}

template <typename Element>
void put(JsonWriter& json, std::string_view name, const std::vector<Element>& values) {
  if (!values.empty()) json.field(name, values);
}

// "0.12", "1.5", "3": the shortest text of the number.
std::string percent(std::uint64_t hundredths) {
  std::string out = cat(hundredths / 100);
  const std::uint64_t rest = hundredths % 100;
  if (rest == 0) return out;
  append(out, ".", rest / 10);
  if (rest % 10 != 0) append(out, rest % 10);
  return out;
}

void put_line(JsonWriter& json, std::string_view name, const plan::Pressure::Line& line) {
  json.key(name).begin_object();
  json.key("avg10").raw(percent(line.avg10));
  json.key("avg60").raw(percent(line.avg60));
  json.key("avg300").raw(percent(line.avg300));
  json.field("total", line.total).end_object();
}

void put_pressure(JsonWriter& json, const std::optional<plan::Pressure>& pressure) {
  if (pressure) write_pressure(json.key("psi"), *pressure);
}

void put_cpu(JsonWriter& json, const plan::CpuUsage& cpu) {
  json.key("cpu").begin_object().key("usage").begin_object();
  put(json, "total", cpu.total);
  put(json, "percpu", cpu.each);
  put(json, "percpu_kernel", cpu.kernel_each);
  put(json, "percpu_user", cpu.user_each);
  json.field("kernel", cpu.kernel).field("user", cpu.user).end_object();
  json.key("throttling").begin_object();
  put(json, "periods", cpu.periods);
  put(json, "throttledPeriods", cpu.throttled_periods);
  put(json, "throttledTime", cpu.throttled_ns);
  json.end_object();
  if (cpu.bursts != 0 || cpu.burst_ns != 0) {
    json.key("burst").begin_object();
    put(json, "burstsPeriods", cpu.bursts);
    put(json, "burstTime", cpu.burst_ns);
    json.end_object();
  }
  put_pressure(json, cpu.pressure);
  json.end_object();
}

void put_cpuset(JsonWriter& json, const plan::CpusetUsage& cpuset) {
  json.key("cpuset").begin_object();
  put(json, "cpus", cpuset.cpus);
  json.field("cpu_exclusive", cpuset.cpu_exclusive);
  put(json, "mems", cpuset.mems);
  json.field("mem_hardwall", cpuset.mem_hardwall).field("mem_exclusive", cpuset.mem_exclusive);
  json.field("memory_migrate", cpuset.memory_migrate);
  json.field("memory_spread_page", cpuset.memory_spread_page);
  json.field("memory_spread_slab", cpuset.memory_spread_slab);
  json.field("memory_pressure", cpuset.memory_pressure);
  json.field("sched_load_balance", cpuset.sched_load_balance);
  json.field("sched_relax_domain_level", cpuset.sched_relax_domain_level).end_object();
}

void put_counter(JsonWriter& json, std::string_view name, const plan::MemoryCounter& counter) {
  json.key(name).begin_object().field("limit", counter.limit);
  put(json, "usage", counter.usage);
  put(json, "max", counter.max);
  json.field("failcnt", counter.failures).end_object();
}

void put_memory(JsonWriter& json, const plan::MemoryUsage& memory) {
  json.key("memory").begin_object();
  put(json, "cache", memory.cache);
  put_counter(json, "usage", memory.memory);
  put_counter(json, "swap", memory.with_swap);
  put_counter(json, "kernel", memory.kernel);
  put_counter(json, "kernelTCP", memory.kernel_tcp);
  if (!memory.raw.empty()) {
    json.key("raw").begin_object();
    for (const auto& [name, value] : memory.raw) json.field(name, value);
    json.end_object();
  }
  put_pressure(json, memory.pressure);
  json.end_object();
}

void put_entries(JsonWriter& json, std::string_view name,
                 const std::vector<plan::IoEntry>& entries) {
  if (entries.empty()) return;
  json.key(name).begin_array();
  for (const plan::IoEntry& entry : entries) {
    json.begin_object();
    put(json, "major", entry.major);
    put(json, "minor", entry.minor);
    if (!entry.operation.empty()) json.field("op", entry.operation);
    put(json, "value", entry.value);
    json.end_object();
  }
  json.end_array();
}

void put_io(JsonWriter& json, const plan::IoUsage& io) {
  json.key("blkio").begin_object();
  put_entries(json, "ioServiceBytesRecursive", io.bytes);
  put_entries(json, "ioServicedRecursive", io.count);
  put_entries(json, "ioQueueRecursive", io.queued);
  put_entries(json, "ioServiceTimeRecursive", io.service_time);
  put_entries(json, "ioWaitTimeRecursive", io.wait_time);
  put_entries(json, "ioMergedRecursive", io.merged);
  put_entries(json, "ioTimeRecursive", io.time);
  put_entries(json, "sectorsRecursive", io.sectors);
  put_pressure(json, io.pressure);
  json.end_object();
}

void put_hugetlb(JsonWriter& json, const std::map<std::string, plan::HugetlbUsage>& hugetlb) {
  json.key("hugetlb").begin_object();
  for (const auto& [size, usage] : hugetlb) {
    json.key(size).begin_object();
    put(json, "usage", usage.usage);
    put(json, "max", usage.max);
    json.field("failcnt", usage.failures).end_object();
  }
  json.end_object();
}

}  // namespace

void write_pressure(JsonWriter& json, const plan::Pressure& pressure) {
  json.begin_object();
  put_line(json, "some", pressure.some);
  put_line(json, "full", pressure.full);
  json.end_object();
}

std::string stats_event(std::string_view id, const plan::Usage& usage) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("type", "stats").field("id", id).key("data").begin_object();
  put_cpu(json, usage.cpu);
  put_cpuset(json, usage.cpuset);
  put_memory(json, usage.memory);
  json.key("pids").begin_object();
  put(json, "current", usage.pids);
  put(json, "limit", usage.pids_limit);
  json.end_object();
  put_io(json, usage.io);
  put_hugetlb(json, usage.hugetlb);
  json.key("intel_rdt").begin_object().end_object();
  // runc knows interfaces from its own library's configuration only; an OCI one names none.
  json.key("network_interfaces").null();
  json.end_object().end_object();
  return out + "\n";
}

std::string oom_event(std::string_view id) {
  std::string out;
  JsonWriter(out).begin_object().field("type", "oom").field("id", id).end_object();
  return out + "\n";
}

}  // namespace caisson::library

// All that the kernel counts for a container. What runc prints for a v1 or v2 host comes from the
// same files.
#include "linux/cgroup_usage.h"

#include <limits>

#include "linux/cgroup.h"
#include "linux/cgroup_files.h"
#include "sys/file.h"

namespace caisson::linux {
namespace {

using plan::IoEntry;
using plan::Usage;

std::string text_of(const std::string& directory, std::string_view file) {
  return read_control(directory, file).value_or("");
}

// "max" is the largest number, as for runc.
std::uint64_t number_of(const std::string& directory, std::string_view file) {
  const std::string text = text_of(directory, file);
  if (text == "max") return std::numeric_limits<std::uint64_t>::max();
  return parse_number<std::uint64_t>(text).value_or(0);
}

bool has_file(const std::string& directory, std::string_view file) {
  return sys::faccessat(sys::kCwd, cat(directory, '/', file).c_str(), F_OK).has_value();
}

// "0.12" is 12.
std::uint64_t hundredths(std::string_view text) {
  auto [whole, fraction] = split_once(text, '.');
  std::string digits = cat(whole, fraction.substr(0, 2));
  digits.append(2 - std::min<std::size_t>(fraction.size(), 2), '0');
  return parse_number<std::uint64_t>(digits).value_or(0);
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words = split(line, ' ');
  std::erase_if(words, [](std::string_view word) { return word.empty(); });
  return words;
}

bool parse_device(std::string_view text, IoEntry& out) {
  auto [major, minor] = split_once(text, ':');
  auto major_number = parse_number<std::uint64_t>(major);
  auto minor_number = parse_number<std::uint64_t>(minor);
  if (!major_number || !minor_number) return false;
  out.major = *major_number;
  out.minor = *minor_number;
  return true;
}

// --- v1

void read_cpu_v1(const std::string& directory, plan::CpuUsage& cpu) {
  const std::string text = text_of(directory, "cpu.stat");
  auto value = [&](std::string_view key) { return keyed_number(text, key).value_or(0); };
  cpu.periods = value("nr_periods");
  cpu.throttled_periods = value("nr_throttled");
  cpu.throttled_ns = value("throttled_time");
  cpu.bursts = value("nr_bursts");
  cpu.burst_ns = value("burst_time");
}

void read_cpuacct(const std::string& directory, plan::CpuUsage& cpu) {
  cpu.total = number_of(directory, "cpuacct.usage");
  cpu.user = number_of(directory, "cpuacct.usage_user");
  cpu.kernel = number_of(directory, "cpuacct.usage_sys");
  const std::string each = text_of(directory, "cpuacct.usage_percpu");
  for (std::string_view word : words_of(each)) {
    cpu.each.push_back(parse_number<std::uint64_t>(word).value_or(0));
  }
  const std::string all = text_of(directory, "cpuacct.usage_all");
  cpu.user_each = parse_column(all, 1);
  cpu.kernel_each = parse_column(all, 2);
}

void read_cpuset_v1(const std::string& directory, plan::CpusetUsage& cpuset) {
  cpuset.cpus = parse_number_list(text_of(directory, "cpuset.cpus"));
  cpuset.mems = parse_number_list(text_of(directory, "cpuset.mems"));
  cpuset.cpu_exclusive = number_of(directory, "cpuset.cpu_exclusive");
  cpuset.mem_hardwall = number_of(directory, "cpuset.mem_hardwall");
  cpuset.mem_exclusive = number_of(directory, "cpuset.mem_exclusive");
  cpuset.memory_migrate = number_of(directory, "cpuset.memory_migrate");
  cpuset.memory_spread_page = number_of(directory, "cpuset.memory_spread_page");
  cpuset.memory_spread_slab = number_of(directory, "cpuset.memory_spread_slab");
  cpuset.memory_pressure = number_of(directory, "cpuset.memory_pressure");
  cpuset.sched_load_balance = number_of(directory, "cpuset.sched_load_balance");
  cpuset.sched_relax_domain_level =
      parse_number<std::int64_t>(text_of(directory, "cpuset.sched_relax_domain_level")).value_or(0);
}

plan::MemoryCounter counter_v1(const std::string& directory, std::string_view name) {
  const std::string prefix = cat("memory.", name, name.empty() ? "" : ".");
  return {number_of(directory, prefix + "limit_in_bytes"),
          number_of(directory, prefix + "usage_in_bytes"),
          number_of(directory, prefix + "max_usage_in_bytes"),
          number_of(directory, prefix + "failcnt")};
}

void read_raw(const std::string& text, std::map<std::string, std::uint64_t>& out) {
  for (std::string_view line : split(text, '\n')) {
    auto [key, value] = split_once(line, ' ');
    if (auto number = parse_number<std::uint64_t>(value)) out[std::string(key)] = *number;
  }
}

void read_memory_v1(const std::string& directory, plan::MemoryUsage& memory) {
  read_raw(text_of(directory, "memory.stat"), memory.raw);
  memory.cache = memory.raw["cache"];
  memory.memory = counter_v1(directory, "");
  memory.with_swap = counter_v1(directory, "memsw");
  memory.kernel = counter_v1(directory, "kmem");
  memory.kernel_tcp = counter_v1(directory, "kmem.tcp");
}

struct BlkioFile {
  std::string_view file;
  std::vector<IoEntry> plan::IoUsage::* entries;
};

// Which of them are kept depends on the kernel and on the disk's scheduler; the first set that has
// something to say is taken.
constexpr BlkioFile kBfq[] = {
    {"blkio.bfq.io_service_bytes_recursive", &plan::IoUsage::bytes},
    {"blkio.bfq.io_serviced_recursive", &plan::IoUsage::count},
    {"blkio.bfq.io_queued_recursive", &plan::IoUsage::queued},
    {"blkio.bfq.io_service_time_recursive", &plan::IoUsage::service_time},
    {"blkio.bfq.io_wait_time_recursive", &plan::IoUsage::wait_time},
    {"blkio.bfq.io_merged_recursive", &plan::IoUsage::merged},
    {"blkio.bfq.time_recursive", &plan::IoUsage::time},
    {"blkio.bfq.sectors_recursive", &plan::IoUsage::sectors},
};
constexpr BlkioFile kCfq[] = {
    {"blkio.io_service_bytes_recursive", &plan::IoUsage::bytes},
    {"blkio.io_serviced_recursive", &plan::IoUsage::count},
    {"blkio.io_queued_recursive", &plan::IoUsage::queued},
    {"blkio.io_service_time_recursive", &plan::IoUsage::service_time},
    {"blkio.io_wait_time_recursive", &plan::IoUsage::wait_time},
    {"blkio.io_merged_recursive", &plan::IoUsage::merged},
    {"blkio.time_recursive", &plan::IoUsage::time},
    {"blkio.sectors_recursive", &plan::IoUsage::sectors},
};
constexpr BlkioFile kThrottle[] = {
    {"blkio.throttle.io_service_bytes_recursive", &plan::IoUsage::bytes},
    {"blkio.throttle.io_serviced_recursive", &plan::IoUsage::count},
};
constexpr BlkioFile kThrottleOld[] = {
    {"blkio.throttle.io_service_bytes", &plan::IoUsage::bytes},
    {"blkio.throttle.io_serviced", &plan::IoUsage::count},
};

bool read_blkio_set(const std::string& directory, std::span<const BlkioFile> files,
                    plan::IoUsage& io) {
  for (const BlkioFile& each : files) {
    (io.*each.entries) = parse_blkio(text_of(directory, each.file));
    if (&each == files.data() && io.bytes.empty()) return false;
  }
  return true;
}

void read_blkio(const std::string& directory, plan::IoUsage& io) {
  for (std::span<const BlkioFile> files :
       {std::span<const BlkioFile>(kBfq), std::span<const BlkioFile>(kCfq),
        std::span<const BlkioFile>(kThrottle), std::span<const BlkioFile>(kThrottleOld)}) {
    if (read_blkio_set(directory, files, io)) return;
  }
}

// --- both

// Page sizes by the names of the files.
std::vector<std::string> page_sizes(const std::string& directory, std::string_view suffix) {
  std::vector<std::string> out;
  auto dir = sys::openat(sys::kCwd, directory.c_str(), O_RDONLY | O_DIRECTORY);
  if (!dir) return out;
  auto names = sys::list_directory(*dir);
  if (!names) return out;
  constexpr std::string_view kPrefix = "hugetlb.";
  for (const std::string& name : *names) {
    if (!name.starts_with(kPrefix) || !name.ends_with(suffix)) continue;
    std::string size = name.substr(kPrefix.size(), name.size() - kPrefix.size() - suffix.size());
    if (size.find('.') == size.npos) out.push_back(std::move(size));
  }
  return out;
}

// Reservations count where the kernel keeps them (5.7): they are what fails when there are too
// many.
void read_hugetlb_v1(const std::string& directory, Usage& usage) {
  for (const std::string& size : page_sizes(directory, ".usage_in_bytes")) {
    std::string prefix = cat("hugetlb.", size, ".rsvd.");
    if (!has_file(directory, prefix + "usage_in_bytes")) prefix = cat("hugetlb.", size, '.');
    usage.hugetlb[size] = {number_of(directory, prefix + "usage_in_bytes"),
                           number_of(directory, prefix + "max_usage_in_bytes"),
                           number_of(directory, prefix + "failcnt")};
  }
}

void read_hugetlb_v2(const std::string& directory, Usage& usage) {
  for (const std::string& size : page_sizes(directory, ".current")) {
    std::string file = cat("hugetlb.", size, ".rsvd.current");
    if (!has_file(directory, file)) file = cat("hugetlb.", size, ".current");
    const std::string events = text_of(directory, cat("hugetlb.", size, ".events"));
    usage.hugetlb[size] = {number_of(directory, file), 0, keyed_number(events, "max").value_or(0)};
  }
}

void read_pids(const std::string& directory, Usage& usage) {
  usage.pids = number_of(directory, "pids.current");
  usage.pids_limit = parse_number<std::uint64_t>(text_of(directory, "pids.max")).value_or(0);
}

void read_v1(const plan::CgroupLocation& location, Usage& usage) {
  auto has = [&](std::string_view name) { return lists_controller(location.controllers, name); };
  if (has("cpu")) read_cpu_v1(location.directory, usage.cpu);
  if (has("cpuacct")) read_cpuacct(location.directory, usage.cpu);
  if (has("cpuset")) read_cpuset_v1(location.directory, usage.cpuset);
  if (has("memory")) read_memory_v1(location.directory, usage.memory);
  if (has("blkio")) read_blkio(location.directory, usage.io);
  if (has("pids")) read_pids(location.directory, usage);
  if (has("hugetlb")) read_hugetlb_v1(location.directory, usage);
}

// --- v2

void read_cpu_v2(const std::string& directory, plan::CpuUsage& cpu) {
  const std::string text = text_of(directory, "cpu.stat");
  auto value = [&](std::string_view key) { return keyed_number(text, key).value_or(0); };
  constexpr std::uint64_t kNsPerUs = 1000;
  cpu.total = value("usage_usec") * kNsPerUs;
  cpu.user = value("user_usec") * kNsPerUs;
  cpu.kernel = value("system_usec") * kNsPerUs;
  cpu.periods = value("nr_periods");
  cpu.throttled_periods = value("nr_throttled");
  cpu.throttled_ns = value("throttled_usec") * kNsPerUs;
  cpu.bursts = value("nr_bursts");
  cpu.burst_ns = value("burst_usec") * kNsPerUs;
}

// v1 counts memory and swap together; so do those who read this.
plan::MemoryCounter with_swap(const plan::MemoryCounter& memory, const plan::MemoryCounter& swap) {
  constexpr std::uint64_t kNone = std::numeric_limits<std::uint64_t>::max();
  plan::MemoryCounter out = swap;
  out.usage += memory.usage;
  out.limit = memory.limit > kNone - swap.limit ? kNone : memory.limit + swap.limit;
  out.max = 0;  // the two peaks need not have been at the same time
  return out;
}

void read_memory_v2(const std::string& directory, plan::MemoryUsage& memory) {
  if (!has_file(directory, "memory.current")) return;
  read_raw(text_of(directory, "memory.stat"), memory.raw);
  memory.cache = memory.raw["file"];
  memory.memory = {number_of(directory, "memory.max"), number_of(directory, "memory.current"),
                   number_of(directory, "memory.peak"), 0};
  const plan::MemoryCounter swap = {number_of(directory, "memory.swap.max"),
                                    number_of(directory, "memory.swap.current"), 0, 0};
  memory.with_swap = with_swap(memory.memory, swap);
}

void read_cpuset_v2(const std::string& directory, plan::CpusetUsage& cpuset) {
  cpuset.cpus = parse_number_list(text_of(directory, "cpuset.cpus.effective"));
  cpuset.mems = parse_number_list(text_of(directory, "cpuset.mems.effective"));
}

// `hybrid`: the controllers are those of v1, and this hierarchy has the pressure only.
void read_v2(const std::string& directory, bool hybrid, Usage& usage) {
  usage.cpu.pressure = parse_pressure(text_of(directory, "cpu.pressure"));
  usage.memory.pressure = parse_pressure(text_of(directory, "memory.pressure"));
  usage.io.pressure = parse_pressure(text_of(directory, "io.pressure"));
  read_hugetlb_v2(directory, usage);
  if (!hybrid || usage.cpu.total == 0) read_cpu_v2(directory, usage.cpu);
  if (!hybrid || usage.memory.raw.empty()) read_memory_v2(directory, usage.memory);
  if (!hybrid || usage.cpuset.cpus.empty()) read_cpuset_v2(directory, usage.cpuset);
  if (has_file(directory, "io.stat")) parse_io_stat(text_of(directory, "io.stat"), usage.io);
  if (has_file(directory, "pids.current")) read_pids(directory, usage);
}

}  // namespace

std::optional<plan::Pressure> parse_pressure(std::string_view text) {
  plan::Pressure out;
  bool found = false;
  for (std::string_view line : split(text, '\n')) {
    auto [kind, rest] = split_once(line, ' ');
    if (kind != "some" && kind != "full") continue;
    plan::Pressure::Line& into = kind == "some" ? out.some : out.full;
    found = true;
    for (std::string_view word : words_of(rest)) {
      auto [key, value] = split_once(word, '=');
      if (key == "avg10") into.avg10 = hundredths(value);
      if (key == "avg60") into.avg60 = hundredths(value);
      if (key == "avg300") into.avg300 = hundredths(value);
      if (key == "total") into.total = parse_number<std::uint64_t>(value).value_or(0);
    }
  }
  return found ? std::optional(out) : std::nullopt;
}

std::vector<std::uint16_t> parse_number_list(std::string_view text) {
  std::vector<std::uint16_t> out;
  for (std::string_view range : split(trim(text), ',')) {
    auto [first, last] = split_once(range, '-');
    auto from = parse_number<std::uint16_t>(first);
    auto to = last.empty() ? from : parse_number<std::uint16_t>(last);
    if (!from || !to) continue;
    for (std::uint32_t number = *from; number <= *to; ++number) {
      out.push_back(static_cast<std::uint16_t>(number));
    }
  }
  return out;
}

std::vector<IoEntry> parse_blkio(std::string_view text) {
  std::vector<IoEntry> out;
  for (std::string_view line : split(text, '\n')) {
    auto words = words_of(line);
    IoEntry entry;
    if (words.size() < 2 || !parse_device(words[0], entry)) continue;
    auto value = parse_number<std::uint64_t>(words.back());
    if (!value) continue;
    if (words.size() > 2) entry.operation = words[1];
    entry.value = *value;
    out.push_back(std::move(entry));
  }
  return out;
}

void parse_io_stat(std::string_view text, plan::IoUsage& out) {
  struct Key {
    std::string_view name, operation;
    std::vector<IoEntry> plan::IoUsage::* entries;
  };
  constexpr Key kKeys[] = {
      {"rbytes", "Read", &plan::IoUsage::bytes},    {"wbytes", "Write", &plan::IoUsage::bytes},
      {"dbytes", "Discard", &plan::IoUsage::bytes}, {"rios", "Read", &plan::IoUsage::count},
      {"wios", "Write", &plan::IoUsage::count},     {"dios", "Discard", &plan::IoUsage::count},
  };
  for (std::string_view line : split(text, '\n')) {
    auto words = words_of(line);
    IoEntry entry;
    if (words.empty() || !parse_device(words[0], entry)) continue;
    for (std::string_view word : words) {
      auto [name, digits] = split_once(word, '=');
      auto value = parse_number<std::uint64_t>(digits);
      for (const Key& key : kKeys) {
        if (key.name != name || !value) continue;
        entry.operation = key.operation;
        entry.value = *value;
        (out.*key.entries).push_back(entry);
      }
    }
  }
}

std::vector<std::uint64_t> parse_column(std::string_view text, std::size_t column) {
  std::vector<std::uint64_t> out;
  for (std::string_view line : split(text, '\n')) {
    auto words = words_of(line);
    if (words.size() <= column || !parse_number<std::uint64_t>(words[0])) continue;
    out.push_back(parse_number<std::uint64_t>(words[column]).value_or(0));
  }
  return out;
}

Result<plan::Usage> cgroup_usage(const plan::CgroupLocations& cgroups) {
  Usage usage;
  bool hybrid = false;
  for (const auto& location : cgroups) {
    if (location.v2) continue;
    hybrid = true;
    read_v1(location, usage);
  }
  for (const auto& location : cgroups) {
    if (location.v2) read_v2(location.directory, hybrid, usage);
  }
  return usage;
}

}  // namespace caisson::linux

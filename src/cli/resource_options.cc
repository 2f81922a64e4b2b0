#include "cli/resource_options.h"

#include <unistd.h>

#include "base/text.h"
#include "formats/json.h"
#include "spec/command_line.h"
#include "spec/oci_config.h"
#include "sys/file.h"

namespace caisson::cli {
namespace {

constexpr std::size_t kFileLimit = std::size_t{16} << 20;
constexpr std::uint64_t kCpusPeriod = 100'000;  // that spec::parse_cpus() counts in, us

class Reader {
 public:
  explicit Reader(const Arguments& arguments) : arguments_(arguments) {}

  // One of several names of the same option.
  template <typename... More>
  std::optional<std::string_view> given(std::string_view name, More... more) {
    for (std::string_view each : {name, std::string_view(more)...}) {
      if (auto value = arguments_.value(each); value && !value->empty()) {
        name_ = each;
        return value;
      }
    }
    return std::nullopt;
  }

  std::unexpected<Error> refuse(std::string_view value, std::string_view why) const {
    return std::unexpected(Error::invalid(cat("invalid value for ", name_, ": ", why))
                               .where("--", name_, ' ', value)
                               .code("option.value"));
  }

  template <typename Int, typename... More>
  Result<> number(std::optional<Int>& out, std::string_view name, More... more) {
    auto text = given(name, more...);
    if (!text) return {};
    out = parse_number<Int>(*text);
    if (out) return {};
    return refuse(*text, "not a number, or out of range");
  }

  Result<> size(std::optional<std::int64_t>& out, std::string_view name) {
    auto text = given(name);
    if (!text) return {};
    out = *text == "-1" ? -1 : parse_size(*text);
    if (out) return {};
    return refuse(*text, "not a size; write it like 512k, 64m, 2g, or -1 for no limit");
  }

  // By the reader of configurations, which knows what a list is.
  Result<> list(std::optional<std::string>& out, std::string_view name, std::string_view other) {
    auto text = given(name, other);
    if (!text) return {};
    std::string json;
    formats::JsonWriter(json).begin_object().key("cpu").begin_object().field("cpus", *text);
    auto read = spec::read_oci_resources(json + "}}");
    if (!read) return refuse(*text, "not a list of numbers and ranges like 0-3,7");
    out = *text;
    return {};
  }

 private:
  const Arguments& arguments_;
  std::string_view name_;
};

Result<> read_memory(Reader& reader, spec::Resources& out) {
  spec::MemoryResources memory;
  TRY(reader.size(memory.limit, "memory"));
  TRY(reader.size(memory.swap, "memory-swap"));
  TRY(reader.size(memory.reservation, "memory-reservation"));
  if (memory != spec::MemoryResources{}) out.memory = memory;
  return {};
}

Result<> read_cpus(Reader& reader, spec::CpuResources& cpu) {
  auto cpus = reader.given("cpus");
  if (!cpus) return {};
  if (cpu.quota || cpu.period) {
    return reader.refuse(*cpus, "it stands for --cpu-quota and --cpu-period together");
  }
  if (*cpus == "-1") {
    cpu.quota = -1;
    return {};
  }
  auto quota = spec::parse_cpus(*cpus);
  if (!quota) return reader.refuse(*cpus, "not a number of CPUs like 0.5 or 2; -1 is no limit");
  cpu.quota = quota;
  cpu.period = kCpusPeriod;
  return {};
}

Result<> read_cpu(Reader& reader, spec::Resources& out) {
  spec::CpuResources cpu;
  TRY(reader.number(cpu.shares, "cpu-share", "cpu-shares"));
  TRY(reader.number(cpu.quota, "cpu-quota"));
  TRY(reader.number(cpu.period, "cpu-period"));
  TRY(reader.number(cpu.burst, "cpu-burst"));
  TRY(reader.number(cpu.realtime_period, "cpu-rt-period"));
  TRY(reader.number(cpu.realtime_runtime, "cpu-rt-runtime"));
  TRY(reader.number(cpu.idle, "cpu-idle"));
  if (cpu.idle && (*cpu.idle < 0 || *cpu.idle > 1)) {
    return reader.refuse(cat(*cpu.idle), "only 0 and 1 are allowed");
  }
  TRY(read_cpus(reader, cpu));
  TRY(reader.list(cpu.cpus, "cpuset-cpus", "cpuset"));
  TRY(reader.list(cpu.mems, "cpuset-mems", ""));
  if (cpu != spec::CpuResources{}) out.cpu = cpu;
  return {};
}

Result<spec::Resources> read_file(std::string_view name) {
  if (name == "-") {
    std::string text =
        TRY_CTX(sys::read_all(FdRef(STDIN_FILENO), kFileLimit), "read the resources");
    return spec::read_oci_resources(text, "standard input");
  }
  std::string path(name);
  std::string text =
      TRY_CTX(sys::read_file(sys::kCwd, path.c_str(), kFileLimit), "read the resources ", path);
  return spec::read_oci_resources(text, path);
}

}  // namespace

Result<spec::Resources> read_resource_options(const Arguments& arguments) {
  Reader reader(arguments);
  if (auto file = reader.given("resources")) return read_file(*file);
  spec::Resources out;
  TRY(read_memory(reader, out));
  TRY(read_cpu(reader, out));
  TRY(reader.number(out.pids_limit, "pids-limit", "pids"));
  std::optional<std::uint16_t> weight;
  TRY(reader.number(weight, "blkio-weight", "io-weight"));
  if (weight) out.block_io.emplace().weight = weight;
  return out;
}

}  // namespace caisson::cli

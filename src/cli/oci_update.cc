// caisson-oci update.
#include "base/text.h"
#include "cli/commands.h"
#include "cli/resource_options.h"
#include "cli/session.h"
#include "sys/file.h"

namespace caisson::cli {
namespace {

constexpr OptionSpec kOptions[] = {
    {"resources", 'r', "FILE", "a linux.resources object, - for standard input; no other option"},
    {"memory", 0, "SIZE", "limit of memory: bytes, or 64m; -1: none"},
    {"memory-reservation", 0, "SIZE", "memory that is taken from others first"},
    {"memory-swap", 0, "SIZE", "limit of memory and swap together; -1: none"},
    {"cpu-quota", 0, "US", "CPU time per period; -1: no limit"},
    {"cpu-period", 0, "US", "length of the period"},
    {"cpu-burst", 0, "US", "unused time that may be saved up"},
    {"cpu-share", 0, "N", "weight against others, 2 to 262144 (default 1024)"},
    {"cpu-idle", 0, "0|1", "1: run only when nobody else wants to"},
    {"cpu-rt-period", 0, "US", "length of the period of real-time processes (cgroup v1)"},
    {"cpu-rt-runtime", 0, "US", "their CPU time per period (cgroup v1)"},
    {"cpuset-cpus", 0, "LIST", "CPUs to run on: 0-3,7"},
    {"cpuset-mems", 0, "LIST", "memory nodes to use"},
    {"pids-limit", 0, "N", "number of processes; -1: no limit"},
    {"blkio-weight", 0, "N", "weight of disk transfers, 10 to 1000"},
    {"kernel-memory", 0, "SIZE", ""},
    {"kernel-memory-tcp", 0, "SIZE", ""},
    {"l3-cache-schema", 0, "TEXT", "Intel RDT: schema of the L3 cache"},
    {"mem-bw-schema", 0, "TEXT", "Intel RDT: schema of the memory bandwidth"},
};

bool exists(const char* path) { return sys::faccessat(sys::kCwd, path, F_OK).has_value(); }

Error no_rdt(std::string cause) {
  return Error::with_cause(ENOTSUP, std::move(cause))
      .cure("Mount the resctrl file system on /sys/fs/resctrl, on a machine that has the feature.")
      .code("host.unsupported");
}

// A schema is that of a group of the resctrl file system, which belongs to the container from its
// creation on.
Result<> check_rdt(const Arguments& arguments) {
  const bool cache = !arguments.value_or("l3-cache-schema", "").empty();
  const bool bandwidth = !arguments.value_or("mem-bw-schema", "").empty();
  if (!cache && !bandwidth) return {};
  if (cache && !exists("/sys/fs/resctrl/info/L3") && !exists("/sys/fs/resctrl/info/L3CODE")) {
    return std::unexpected(no_rdt("Intel RDT/CAT: l3 cache schema is not enabled"));
  }
  if (bandwidth && !exists("/sys/fs/resctrl/info/MB")) {
    return std::unexpected(no_rdt("Intel RDT/MBA: memory bandwidth schema is not enabled"));
  }
  return std::unexpected(
      Error::with_cause(ENOTSUP, "the groups of a container are those that it was created with")
          .where(cache ? "--l3-cache-schema" : "--mem-bw-schema")
          .cure("Give linux.intelRdt at its creation, or write to the schemata file of its group.")
          .code("host.unsupported"));
}

Result<int> run(Context& context, const Arguments& arguments) {
  auto change = TRY(read_resource_options(arguments));
  Session session = TRY(Session::open(context));
  auto& containers = session.containers();
  for (std::string_view name : {"kernel-memory", "kernel-memory-tcp"}) {
    if (arguments.has(name) && containers.warn) {
      containers.warn(cat("--", name, " is ignored: the kernel has no such limit any more"));
    }
  }
  if (!arguments.has("resources")) {
    // A wrong id is the first thing to hear of.
    TRY(container::query(containers, arguments.operands()[0]));
    TRY(check_rdt(arguments));
  }
  TRY(container::update(containers, arguments.operands()[0], change));
  return 0;
}

}  // namespace

const Command kOciUpdateCommand{
    .name = "update",
    .group = "Life cycle",
    .operands = "[options] ID",
    .summary = "Change the limits of a container",
    .details =
        "What is not given stays as it is. Either everything is changed, or nothing.\n"
        "The object for --resources is that of a config.json; unknown members are ignored:\n"
        "{\"memory\": {\"limit\": N, \"reservation\": N, \"swap\": N, \"checkBeforeUpdate\": "
        "BOOL},\n"
        " \"cpu\": {\"shares\": N, \"quota\": N, \"period\": N, \"burst\": N, \"idle\": N,\n"
        "         \"cpus\": LIST, \"mems\": LIST}, \"pids\": {\"limit\": N}, \"blockIO\": {...},\n"
        " \"hugepageLimits\": [...], \"unified\": {\"memory.high\": TEXT}}",
    .examples =
        "caisson-oci update --memory 512m --memory-swap 1g web\n"
        "caisson-oci update --resources - web < limits.json",
    .options = kOptions,
    .shared_options = {},
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

}  // namespace caisson::cli

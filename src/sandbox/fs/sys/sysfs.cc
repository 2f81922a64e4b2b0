#include "sandbox/fs/sys/sysfs.h"

#include <linux/magic.h>

#include "base/text.h"
#include "sandbox/fs/proc/proc.h"

namespace caisson::sandbox::fs {
namespace {

// "0-3" for four of them.
std::string range(unsigned count) { return count == 1 ? "0" : cat("0-", count - 1); }

std::string mask_of(unsigned count) { return processor_mask({}, count); }

// --- devices/system/cpu

void add_processor(StaticDirectory& processors, unsigned number, unsigned count) {
  std::string base = cat("cpu", number, "/");
  auto add = [&](std::string_view name, std::string text) {
    processors.add_constant(base + std::string(name), std::move(text) + "\n");
  };
  if (number > 0) add("online", "1");
  // One package of cores without siblings, as virtual machines have it.
  add("topology/physical_package_id", "0");
  add("topology/die_id", "0");
  add("topology/core_id", cat(number));
  std::vector<std::uint64_t> own(number / 64 + 1);
  own[number / 64] = std::uint64_t{1} << number % 64;
  add("topology/thread_siblings", processor_mask(own, count));
  add("topology/thread_siblings_list", cat(number));
  add("topology/core_siblings", mask_of(count));
  add("topology/core_siblings_list", range(count));
  add("topology/package_cpus_list", range(count));
}

// Possible are all of the machine: programs have tables by what getcpu(2) may answer.
void add_processors(StaticDirectory& root, const MachineFacts& facts) {
  unsigned count = facts.processors;
  StaticDirectory& processors = root.add_directory("devices/system/cpu");
  for (std::string_view name : {"possible", "present"})
    processors.add_constant(name, range(count) + "\n");
  processors.add("online", [facts](vfs::Caller&) {
    return ErrnoOr<std::string>(range(facts.shown_processors()) + "\n");
  });
  processors.add_constant("offline", "\n");
  processors.add_constant("isolated", "\n");
  processors.add_constant("kernel_max", "8191\n");
  processors.add_constant("smt/active", "0\n");
  processors.add_constant("smt/control", "notsupported\n");
  processors.add_directory("vulnerabilities");
  for (unsigned i = 0; i < count; ++i) add_processor(processors, i, count);
}

// --- devices/system/node

void add_node(StaticDirectory& root, const MachineFacts& facts) {
  StaticDirectory& nodes = root.add_directory("devices/system/node");
  for (std::string_view name : {"online", "possible", "has_cpu", "has_memory", "has_normal_memory"})
    nodes.add_constant(name, "0\n");
  nodes.add_constant("node0/cpulist", range(facts.processors) + "\n");
  nodes.add_constant("node0/cpumap", mask_of(facts.processors) + "\n");
  nodes.add_constant("node0/distance", "10\n");
  nodes.add("node0/meminfo", [facts](vfs::Caller&) {
    std::uint64_t kilobytes = facts.shown_memory() / 1024;
    return ErrnoOr<std::string>(cat("Node 0 MemTotal:       ", kilobytes,
                                    " kB\nNode 0 MemFree:        ", kilobytes, " kB\n"));
  });
  nodes.add_constant("node0/numastat",
                     "numa_hit 0\nnuma_miss 0\nnuma_foreign 0\ninterleave_hit 0\nlocal_node 0\n"
                     "other_node 0\n");
  for (unsigned i = 0; i < facts.processors; ++i)
    nodes.add_link(cat("node0/cpu", i), cat("../../cpu/cpu", i));
}

// --- class/net

struct Constant {
  std::string_view path, text;
};
constexpr Constant kLoopback[] = {
    {"address", "00:00:00:00:00:00\n"},
    {"addr_len", "6\n"},
    {"broadcast", "00:00:00:00:00:00\n"},
    {"carrier", "1\n"},
    {"dev_id", "0x0\n"},
    {"flags", "0x9\n"},
    {"ifindex", "1\n"},
    {"iflink", "1\n"},
    {"link_mode", "0\n"},
    {"mtu", "65536\n"},
    {"operstate", "unknown\n"},
    {"tx_queue_len", "1000\n"},
    {"type", "772\n"},  // ARPHRD_LOOPBACK
    {"statistics/rx_bytes", "0\n"},
    {"statistics/rx_packets", "0\n"},
    {"statistics/rx_errors", "0\n"},
    {"statistics/rx_dropped", "0\n"},
    {"statistics/tx_bytes", "0\n"},
    {"statistics/tx_packets", "0\n"},
    {"statistics/tx_errors", "0\n"},
    {"statistics/tx_dropped", "0\n"},
};

void add_network(StaticDirectory& root) {
  StaticDirectory& loopback = root.add_directory("devices/virtual/net/lo");
  for (const Constant& file : kLoopback) loopback.add_constant(file.path, std::string(file.text));
  root.add_link("class/net/lo", "../../devices/virtual/net/lo");
}

// --- kernel

constexpr Constant kKernel[] = {
    {"kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"},
    {"kernel/mm/transparent_hugepage/defrag", "always defer defer+madvise [madvise] never\n"},
    {"kernel/mm/transparent_hugepage/shmem_enabled",
     "always within_size advise [never] deny force\n"},
    {"kernel/mm/transparent_hugepage/hpage_pmd_size", "2097152\n"},
    {"kernel/mm/transparent_hugepage/use_zero_page", "1\n"},
    {"kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "0\n"},
    {"kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "0\n"},
    {"kernel/mm/ksm/run", "0\n"},
    {"kernel/profiling", "0\n"},
    {"kernel/fscaps", "1\n"},
    {"kernel/uevent_seqnum", "0\n"},
    {"devices/system/clocksource/clocksource0/available_clocksource", "tsc\n"},
    {"devices/system/clocksource/clocksource0/current_clocksource", "tsc\n"},
};

constexpr std::string_view kEmptyDirectories[] = {
    "block",      "bus",           "class/block",    "class/mem",       "class/tty",
    "dev/block",  "dev/char",      "firmware",       "fs/cgroup",       "fs/bpf",
    "hypervisor", "kernel/debug",  "kernel/tracing", "kernel/security", "module",
    "power",      "class/thermal", "class/dmi",
};

}  // namespace

SysFilesystem::SysFilesystem() : GeneratedFilesystem("sysfs", SYSFS_MAGIC) {}

Ref<SysFilesystem> SysFilesystem::create(const MachineFacts& facts) {
  auto sys = Ref<SysFilesystem>::adopt(new SysFilesystem);
  auto root = make_ref<StaticDirectory>(*sys, kGeneratedRoot);
  add_processors(*root, facts);
  add_node(*root, facts);
  add_network(*root);
  for (const Constant& file : kKernel) root->add_constant(file.path, std::string(file.text));
  for (std::string_view path : kEmptyDirectories) root->add_directory(path);
  sys->set_root(std::move(root));
  return sys;
}

}  // namespace caisson::sandbox::fs

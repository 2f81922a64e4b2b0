// The figures of the machine at the top of proc: what the container may know of it (limits.h), and
// what its own tasks do.
#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "sandbox/fs/proc/proc.h"

namespace caisson::sandbox::fs {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

struct Activity {
  kernel::ResourceUsage usage;
  std::size_t tasks = 0, running = 0, processes = 0;
  int last_id = 0;
  std::uint64_t resident = 0, committed = 0;  // bytes
};

// Of all tasks that this proc shows.
Activity activity(const ProcFilesystem& proc) {
  Activity found;
  std::vector<Ref<mm::MemoryMap>> memories;
  {
    Locked lock(proc.kernel().task_lock());
    found.last_id = proc.pids().last;
    for (const kernel::ThreadGroup* group : proc.kernel().all_groups(proc.pids())) {
      ++found.processes;
      found.usage.add(group->usage);
      for (const kernel::Task* task : group->tasks) {
        ++found.tasks;
        if (task->state.load() == kernel::RunState::kRunning) ++found.running;
        found.usage.add(task->usage());
      }
      if (!group->tasks.empty()) memories.push_back(group->tasks.front()->memory_ref());
    }
  }
  for (const Ref<mm::MemoryMap>& memory : memories) {
    if (!memory) continue;
    mm::MemoryUsage usage = memory->usage();
    found.resident += usage.resident;
    found.committed += usage.data + usage.stack;
  }
  return found;
}

std::int64_t idle_ns(const ProcFilesystem& proc, const Activity& now) {
  std::int64_t all = proc.kernel().boottime_ns() * proc.facts().shown_processors();
  return std::max<std::int64_t>(0, all - now.usage.user_ns - now.usage.system_ns);
}

void append_cpu_line(std::string& text, std::string_view name, std::int64_t user,
                     std::int64_t system, std::int64_t idle) {
  append(text, name, ' ', ticks(user), " 0 ", ticks(system), ' ', ticks(idle), " 0 0 0 0 0 0\n");
}

std::string stat(const ProcFilesystem& proc) {
  Activity now = activity(proc);
  unsigned processors = proc.facts().shown_processors();
  std::int64_t idle = idle_ns(proc, now);
  std::string text;
  append_cpu_line(text, "cpu ", now.usage.user_ns, now.usage.system_ns, idle);
  for (unsigned i = 0; i < processors; ++i)
    append_cpu_line(text, cat("cpu", i), now.usage.user_ns / processors,
                    now.usage.system_ns / processors, idle / processors);
  std::int64_t booted = proc.kernel().realtime_ns() - proc.kernel().boottime_ns();
  append(text, "intr 0\nctxt ", now.usage.voluntary_switches + now.usage.involuntary_switches,
         "\nbtime ", booted / kSecond, "\nprocesses ", now.last_id, "\nprocs_running ",
         std::max<std::size_t>(1, now.running), "\nprocs_blocked 0\n",
         "softirq 0 0 0 0 0 0 0 0 0 0 0\n");
  return text;
}

std::string meminfo(const ProcFilesystem& proc) {
  Activity now = activity(proc);
  std::uint64_t total = proc.facts().shown_memory();
  std::uint64_t free = total - std::min(total, now.resident);
  std::string text;
  auto line = [&text](std::string_view name, std::uint64_t bytes) {
    append(text, padded_right(cat(name, ":"), 16), padded_left(cat(bytes / 1024), 8), " kB\n");
  };
  line("MemTotal", total);
  line("MemFree", free);
  line("MemAvailable", free);
  for (std::string_view name : {"Buffers", "Cached", "SwapCached"}) line(name, 0);
  line("Active", now.resident);
  line("Inactive", 0);
  line("Active(anon)", now.resident);
  for (std::string_view name : {"Inactive(anon)", "Active(file)", "Inactive(file)", "Unevictable",
                                "Mlocked", "SwapTotal", "SwapFree", "Dirty", "Writeback"})
    line(name, 0);
  line("AnonPages", now.resident);
  for (std::string_view name :
       {"Mapped", "Shmem", "KReclaimable", "Slab", "SReclaimable", "SUnreclaim", "KernelStack",
        "PageTables", "NFS_Unstable", "Bounce", "WritebackTmp"})
    line(name, 0);
  line("CommitLimit", total);
  line("Committed_AS", now.committed);
  line("VmallocTotal", std::uint64_t{0x7ffffffff} * 1024);
  for (std::string_view name : {"VmallocUsed", "VmallocChunk", "AnonHugePages", "ShmemHugePages"})
    line(name, 0);
  append(text,
         "HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        0\n"
         "HugePages_Surp:        0\nHugepagesize:       2048 kB\n");
  line("Hugetlb", 0);
  return text;
}

std::string cpuinfo(const ProcFilesystem& proc) {
  std::string text;
  for (unsigned i = 0; i < proc.facts().shown_processors(); ++i) {
    append(text, "processor\t: ", i, '\n');
    if (i < proc.facts().cpu_texts.size()) text += proc.facts().cpu_texts[i];
    text += '\n';
  }
  return text;
}

std::string seconds(std::int64_t ns) {
  return cat(ns / kSecond, ".",
             zero_padded(static_cast<std::uint64_t>(ns % kSecond / 10'000'000), 2));
}

std::string uptime(const ProcFilesystem& proc) {
  return cat(seconds(proc.kernel().boottime_ns()), ' ', seconds(idle_ns(proc, activity(proc))),
             '\n');
}

// Averages would need a clock that ticks while nothing happens; what runs now is told.
std::string loadavg(const ProcFilesystem& proc) {
  Activity now = activity(proc);
  return cat("0.00 0.00 0.00 ", std::max<std::size_t>(1, now.running), '/', now.tasks, ' ',
             now.last_id, '\n');
}

constexpr std::string_view kFilesystems =
    "nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tcgroup2\nnodev\tdevtmpfs\nnodev\tpipefs\n"
    "nodev\tsockfs\nnodev\tdevpts\nnodev\toverlay\nnodev\tmqueue\n";

constexpr std::string_view kDevices =
    "Character devices:\n  1 mem\n  4 tty\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n"
    "136 pts\n\nBlock devices:\n";

constexpr std::string_view kCgroups = "#subsys_name\thierarchy\tnum_cgroups\tenabled\n";

constexpr std::string_view kVmstat =
    "nr_free_pages 0\npgpgin 0\npgpgout 0\npswpin 0\npswpout 0\npgfault 0\npgmajfault 0\n";

std::string interrupts(const ProcFilesystem& proc) {
  std::string text(11, ' ');
  for (unsigned i = 0; i < proc.facts().shown_processors(); ++i)
    append(text, padded_right(cat("CPU", i), 11));
  return text + "\n";
}

using Generator = std::string (*)(const ProcFilesystem&);
struct MachineFile {
  std::string_view name;
  Generator text;
};
constexpr MachineFile kFiles[] = {
    {"stat", stat},     {"meminfo", meminfo}, {"cpuinfo", cpuinfo},
    {"uptime", uptime}, {"loadavg", loadavg}, {"interrupts", interrupts},
};

struct ConstantFile {
  std::string_view name, text;
};
constexpr ConstantFile kConstants[] = {
    {"filesystems", kFilesystems},
    {"devices", kDevices},
    {"cgroups", kCgroups},
    {"vmstat", kVmstat},
    {"cmdline", "\n"},
    {"partitions", "major minor  #blocks  name\n\n"},
    {"diskstats", ""},
    {"swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"},
    {"modules", ""},
    {"misc", ""},
    {"locks", ""},
    {"key-users", ""},
};

}  // namespace

void add_machine_files(ProcFilesystem& proc, StaticDirectory& root) {
  ProcFilesystem* raw = &proc;  // outlives its inodes
  for (const MachineFile& file : kFiles)
    root.add(file.name,
             [raw, text = file.text](vfs::Caller&) { return ErrnoOr<std::string>(text(*raw)); });
  for (const ConstantFile& file : kConstants) root.add_constant(file.name, std::string(file.text));
  root.add_constant("version", cat("Linux version ", proc.facts().release, " (root@localhost) ",
                                   proc.facts().version, '\n'));
}

}  // namespace caisson::sandbox::fs

// /proc/PID/{stat,statm,status,schedstat,io,wchan,syscall,timers,children}.
#include <algorithm>
#include <cerrno>
#include <csignal>

#include "base/text.h"
#include "sandbox/fs/proc/task_directory.h"
#include "sandbox/kernel/syscall_filter.h"
#include "sandbox/kernel/tracing.h"

namespace caisson::sandbox::fs {
namespace {

using kernel::ResourceUsage;
using kernel::SignalSet;

constexpr std::uint64_t kPage = mm::kPageSize;

// What is read under the task lock, once for all texts.
struct Relations {
  int id = 0, process = 0, parent = 0, group = 0, session = 0, foreground = -1;
  std::uint64_t terminal = 0;
  std::size_t threads = 0;
  ResourceUsage usage, children_usage;
  int tracer = 0;
  char state = 'R';
  int nice = 0, policy = 0, priority = 0;
  std::vector<std::uint64_t> affinity;
};

void read_session(const kernel::ProcessGroup* group, const kernel::PidNamespace& pids,
                  Relations& relations) {
  if (group == nullptr) return;
  relations.group = group->id_in(pids);
  const kernel::Session& session = *group->session;
  relations.session = session.id_in(pids);
  if (!session.terminal) return;
  relations.terminal = session.terminal->device();
  relations.foreground = session.foreground_group;
}

Relations relations_of(const TaskView& view) {
  Relations relations;
  Locked lock(view.proc.kernel().task_lock());
  const kernel::PidNamespace& pids = view.proc.pids();
  kernel::ThreadGroup& group = view.group();
  relations.id = view.whole_group ? group.id_in(pids) : view.task.id_in(pids);
  relations.process = group.id_in(pids);
  relations.parent = group.parent != nullptr ? group.parent->id_in(pids) : 0;
  relations.threads = group.tasks.size();
  if (view.task.tracing && view.task.tracing->tracer() != nullptr)
    relations.tracer = view.task.tracing->tracer()->id_in(pids);
  read_session(group.process_group.get(), pids, relations);
  if (view.whole_group) {
    relations.usage = group.usage;
    for (const kernel::Task* task : group.tasks) relations.usage.add(task->usage());
  } else {
    relations.usage = view.task.usage();
  }
  relations.children_usage = group.children_usage;
  relations.state = static_cast<char>(view.task.state.load());
  if (group.zombie) relations.state = 'Z';
  relations.nice = view.task.nice;
  relations.policy = view.task.scheduler_policy;
  relations.priority = view.task.scheduler_priority;
  relations.affinity = view.task.affinity;
  return relations;
}

struct SignalSets {
  SignalSet pending = 0, shared_pending = 0, blocked = 0, ignored = 0, caught = 0;
  std::size_t queued = 0;
};

SignalSets signals_of(const TaskView& view) {
  SignalSets sets;
  kernel::ThreadGroup& group = view.group();
  Locked lock(group.signal_mutex);
  sets.pending = view.task.pending.set();
  sets.shared_pending = group.pending.set();
  sets.blocked = view.task.blocked;
  sets.queued = view.task.pending.size() + group.pending.size();
  for (int signal = 1; signal <= kernel::kSignalCount; ++signal) {
    std::uint64_t handler = group.actions[static_cast<std::size_t>(signal)].handler;
    if (handler == 1) sets.ignored |= kernel::signal_bit(signal);
    if (handler > 1) sets.caught |= kernel::signal_bit(signal);
  }
  return sets;
}

struct MemoryFigures {
  mm::MemoryUsage usage;
  mm::ProgramLayout layout;
};

MemoryFigures memory_of(const TaskView& view) {
  Ref<mm::MemoryMap> memory = view.task.memory_ref();
  if (!memory) return {};
  return {memory->usage(), memory->layout()};
}

// new_encode_dev() of Linux.
std::uint64_t encoded_terminal(std::uint64_t device) {
  std::uint64_t major = (device >> 8) & 0xfff, minor = (device & 0xff) | (device >> 12 & 0xfff00);
  return (minor & 0xff) | major << 8 | (minor & ~std::uint64_t{0xff}) << 12;
}

void append_numbers(std::string& text, std::initializer_list<std::int64_t> numbers) {
  for (std::int64_t number : numbers) append(text, ' ', number);
}

std::int64_t of(std::uint64_t value) { return static_cast<std::int64_t>(value); }

// A real-time task's priority is negative there (proc(5)).
int shown_priority(const Relations& relations) {
  bool real_time = relations.policy == 1 || relations.policy == 2;
  return real_time ? -1 - relations.priority : 20 + relations.nice;
}

ErrnoOr<std::string> stat(const TaskView& view) {
  Relations relations = relations_of(view);
  SignalSets signals = signals_of(view);
  MemoryFigures memory = memory_of(view);
  const ResourceUsage& usage = relations.usage;
  const ResourceUsage& children = relations.children_usage;
  std::string text = cat(relations.id, " (", view.task.name(), ") ", relations.state);
  append_numbers(text, {relations.parent, relations.group, relations.session,
                        of(encoded_terminal(relations.terminal)), relations.foreground, 4194304,
                        of(usage.minor_faults), of(children.minor_faults), of(usage.major_faults),
                        of(children.major_faults), ticks(usage.user_ns), ticks(usage.system_ns),
                        ticks(children.user_ns), ticks(children.system_ns)});
  std::int64_t start = view.whole_group ? view.group().start_time_ns : view.task.start_time_ns;
  append_numbers(text, {shown_priority(relations), relations.nice, of(relations.threads), 0,
                        ticks(start), of(memory.usage.total), of(memory.usage.resident / kPage)});
  append(text, ' ', ~std::uint64_t{0});  // no limit of the resident set
  bool shown = may_inspect(view.reader.credentials(), view.task).has_value();
  const mm::ProgramLayout layout = shown ? memory.layout : mm::ProgramLayout{};
  append_numbers(text, {of(layout.code_begin), of(layout.code_end), of(layout.stack_begin), 0, 0});
  // Only 31 bits of each: these fields are obsolete (proc(5)).
  for (SignalSet set : {signals.pending, signals.blocked, signals.ignored, signals.caught})
    append(text, ' ', set & 0x7fffffff);
  append_numbers(text, {relations.state == 'S' ? 1 : 0, 0, 0, view.group().exit_signal, 0,
                        relations.priority, relations.policy, 0, 0, 0, of(layout.data_begin),
                        of(layout.data_end), of(layout.data_end), of(layout.args_begin),
                        of(layout.args_end), of(layout.env_begin), of(layout.env_end), 0});
  return text + "\n";
}

ErrnoOr<std::string> statm(const TaskView& view) {
  mm::MemoryUsage usage = memory_of(view).usage;
  return cat(usage.total / kPage, ' ', usage.resident / kPage, ' ',
             (usage.resident_file + usage.resident_shared) / kPage, ' ', usage.executable / kPage,
             " 0 ", (usage.data + usage.stack) / kPage, " 0\n");
}

// --- status

std::string state_name(char state) {
  switch (state) {
    case 'S': return "S (sleeping)";
    case 'T': return "T (stopped)";
    case 'Z': return "Z (zombie)";
    case 'X': return "X (dead)";
    default: return "R (running)";
  }
}

std::string hexadecimal(std::uint64_t value) {
  std::string digits = hex(value);
  return std::string(16 - digits.size(), '0') + digits;
}

void append_ids(std::string& text, std::string_view name, const std::vector<int>& ids,
                const kernel::PidNamespace& pids) {
  append(text, name, ":");
  auto first = std::min(static_cast<std::size_t>(pids.depth), ids.size());
  for (std::size_t depth = first; depth < ids.size(); ++depth) append(text, '\t', ids[depth]);
  append(text, '\n');
}

void append_identity(std::string& text, const TaskView& view, const Relations& relations) {
  Ref<kernel::FsContext> fs = view.task.fs_ref();
  append(text, "Name:\t", view.task.name(), '\n');
  if (fs)
    append(text, "Umask:\t", std::string(4 - octal(fs->umask()).size(), '0'), octal(fs->umask()),
           '\n');
  append(text, "State:\t", state_name(relations.state), "\nTgid:\t", relations.process,
         "\nNgid:\t0\nPid:\t", relations.id, "\nPPid:\t", relations.parent, "\nTracerPid:\t",
         relations.tracer, "\n");
}

void append_owner(std::string& text, const TaskView& view) {
  Ref<vfs::Credentials> owner = view.task.credentials_ref();
  if (!owner) return;
  append(text, "Uid:\t", owner->uid, '\t', owner->euid, '\t', owner->suid, '\t', owner->fsuid,
         "\nGid:\t", owner->gid, '\t', owner->egid, '\t', owner->sgid, '\t', owner->fsgid, '\n');
  Ref<kernel::FdTable> files = view.task.files_ref();
  std::vector<int> numbers = files ? files->numbers() : std::vector<int>();
  int room = 64;
  while (!numbers.empty() && room <= numbers.back()) room *= 2;
  append(text, "FDSize:\t", files ? room : 0, "\nGroups:\t");
  for (vfs::Gid group : owner->groups) append(text, group, ' ');
  append(text, '\n');
}

void append_namespaced_ids(std::string& text, const TaskView& view) {
  const kernel::PidNamespace& pids = view.proc.pids();
  Locked lock(view.proc.kernel().task_lock());
  append_ids(text, "NStgid", view.group().ids, pids);
  append_ids(text, "NSpid", view.whole_group ? view.group().ids : view.task.ids, pids);
  if (const kernel::ProcessGroup* group = view.group().process_group.get()) {
    append_ids(text, "NSpgid", group->ids, pids);
    append_ids(text, "NSsid", group->session->ids, pids);
  }
  append(text, "Kthread:\t0\n");
}

void append_memory(std::string& text, const TaskView& view) {
  if (!view.task.memory_ref()) return;
  mm::MemoryUsage usage = memory_of(view).usage;
  auto line = [&text](std::string_view name, std::uint64_t bytes) {
    append(text, name, ":\t", padded_left(cat(bytes / 1024), 8), " kB\n");
  };
  line("VmPeak", usage.peak_total);
  line("VmSize", usage.total);
  line("VmLck", usage.locked);
  line("VmPin", 0);
  line("VmHWM", usage.peak_resident);
  line("VmRSS", usage.resident);
  line("RssAnon", usage.resident - usage.resident_file - usage.resident_shared);
  line("RssFile", usage.resident_file);
  line("RssShmem", usage.resident_shared);
  line("VmData", usage.data);
  line("VmStk", usage.stack);
  line("VmExe", usage.executable);
  line("VmLib", 0);
  line("VmPTE", usage.page_tables);
  line("VmSwap", usage.swapped);
  append(text, "CoreDumping:\t0\nTHP_enabled:\t1\n");
}

void append_signals(std::string& text, const TaskView& view) {
  SignalSets sets = signals_of(view);
  append(text, "SigQ:\t", sets.queued, '/', view.group().limit(11 /* RLIMIT_SIGPENDING */).soft,
         "\nSigPnd:\t", hexadecimal(sets.pending), "\nShdPnd:\t", hexadecimal(sets.shared_pending),
         "\nSigBlk:\t", hexadecimal(sets.blocked), "\nSigIgn:\t", hexadecimal(sets.ignored),
         "\nSigCgt:\t", hexadecimal(sets.caught), '\n');
}

void append_capabilities(std::string& text, const TaskView& view) {
  Ref<vfs::Credentials> owner = view.task.credentials_ref();
  Ref<kernel::SyscallFilter> filter = view.task.filter_ref();
  if (!owner) return;
  append(text, "CapInh:\t", hexadecimal(owner->inheritable), "\nCapPrm:\t",
         hexadecimal(owner->permitted), "\nCapEff:\t", hexadecimal(owner->effective), "\nCapBnd:\t",
         hexadecimal(owner->bounding), "\nCapAmb:\t", hexadecimal(owner->ambient),
         "\nNoNewPrivs:\t", owner->no_new_privileges ? 1 : 0, "\nSeccomp:\t",
         view.task.seccomp_mode.load(), "\nSeccomp_filters:\t", filter ? filter->count() : 0, '\n');
}

ErrnoOr<std::string> status(const TaskView& view) {
  Relations relations = relations_of(view);
  std::string text;
  append_identity(text, view, relations);
  append_owner(text, view);
  append_namespaced_ids(text, view);
  append_memory(text, view);
  append(text, "Threads:\t", relations.threads, '\n');
  append_signals(text, view);
  append_capabilities(text, view);
  unsigned processors = view.proc.facts().processors;
  append(text,
         "Speculation_Store_Bypass:\tvulnerable\nSpeculationIndirectBranch:\talways enabled\n");
  append(text, "Cpus_allowed:\t", processor_mask(relations.affinity, processors),
         "\nCpus_allowed_list:\t", processor_list(relations.affinity, processors),
         "\nMems_allowed:\t1\nMems_allowed_list:\t0\nvoluntary_ctxt_switches:\t",
         relations.usage.voluntary_switches, "\nnonvoluntary_ctxt_switches:\t",
         relations.usage.involuntary_switches, '\n');
  return text;
}

// --- small ones

ErrnoOr<std::string> schedstat(const TaskView& view) {
  ResourceUsage usage = relations_of(view).usage;
  return cat(usage.user_ns + usage.system_ns, " 0 ",
             usage.voluntary_switches + usage.involuntary_switches, '\n');
}

ErrnoOr<std::string> sched(const TaskView& view) {
  Relations relations = relations_of(view);
  std::int64_t run = relations.usage.user_ns + relations.usage.system_ns;
  return cat(
      view.task.name(), " (", relations.id, ", #threads: ", relations.threads,
      ")\n-------------------------------------------------------------------\n",
      padded_right("se.sum_exec_runtime", 44), ":", padded_left(cat(run / 1'000'000), 13), ".",
      zero_padded(static_cast<std::uint64_t>(run % 1'000'000), 6), "\n",
      padded_right("nr_switches", 44), ":",
      padded_left(cat(relations.usage.voluntary_switches + relations.usage.involuntary_switches),
                  20),
      "\n");
}

// Bytes are not counted per process here; the lines are what programs look for.
ErrnoOr<std::string> io(const TaskView&) {
  return "rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: 0\n"
         "cancelled_write_bytes: 0\n";
}

ErrnoOr<std::string> wchan(const TaskView&) { return "0"; }

ErrnoOr<std::string> syscall(const TaskView& view) {
  bool running = view.task.state.load() == kernel::RunState::kRunning;
  return running ? "running\n" : "-1 0x0 0x0\n";
}

ErrnoOr<std::string> children(const TaskView& view) {
  std::string text;
  Locked lock(view.proc.kernel().task_lock());
  for (const Ref<kernel::ThreadGroup>& child : view.group().children)
    if (int id = child->id_in(view.proc.pids()); id != 0) append(text, id, ' ');
  return text;
}

constexpr TaskFileEntry kEntries[] = {
    {"stat", stat},         {"statm", statm},
    {"status", status},     {"schedstat", schedstat},
    {"sched", sched},       {"io", io, 0400, true},
    {"wchan", wchan},       {"syscall", syscall, 0400, true},
    {"children", children},
};

}  // namespace

std::span<const TaskFileEntry> task_figures() { return kEntries; }

}  // namespace caisson::sandbox::fs

// What is set for a task, some of it by writing: comm, limits, oom_*, maps of ids ...
#include <linux/capability.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "sandbox/fs/proc/task_directory.h"

namespace caisson::sandbox::fs {
namespace {

ErrnoOr<std::string> comm(const TaskView& view) { return view.task.name() + "\n"; }

ErrnoOr<> set_comm(const TaskView& view, std::string_view text) {
  if (&view.reader.group() != &view.group()) return std::unexpected(Errno{EINVAL});
  view.task.set_name(text.substr(0, std::min<std::size_t>(text.find('\n'), 15)));
  return {};
}

// --- limits

struct LimitLine {
  std::string_view name, unit;
  int resource;
};
constexpr LimitLine kLimitLines[] = {
    {"Max cpu time", "seconds", RLIMIT_CPU},
    {"Max file size", "bytes", RLIMIT_FSIZE},
    {"Max data size", "bytes", RLIMIT_DATA},
    {"Max stack size", "bytes", RLIMIT_STACK},
    {"Max core file size", "bytes", RLIMIT_CORE},
    {"Max resident set", "bytes", RLIMIT_RSS},
    {"Max processes", "processes", RLIMIT_NPROC},
    {"Max open files", "files", RLIMIT_NOFILE},
    {"Max locked memory", "bytes", RLIMIT_MEMLOCK},
    {"Max address space", "bytes", RLIMIT_AS},
    {"Max file locks", "locks", RLIMIT_LOCKS},
    {"Max pending signals", "signals", RLIMIT_SIGPENDING},
    {"Max msgqueue size", "bytes", RLIMIT_MSGQUEUE},
    {"Max nice priority", "", RLIMIT_NICE},
    {"Max realtime priority", "", RLIMIT_RTPRIO},
    {"Max realtime timeout", "us", RLIMIT_RTTIME},
};

std::string limit_value(std::uint64_t value) {
  return value == ~std::uint64_t{0} ? "unlimited" : cat(value);
}

void append_limit(std::string& text, std::string_view name, std::string_view soft,
                  std::string_view hard, std::string_view unit) {
  append(text, padded_right(name, 25), ' ', padded_right(soft, 20), ' ', padded_right(hard, 20),
         ' ', unit.empty() ? std::string() : padded_right(unit, 10), '\n');
}

ErrnoOr<std::string> limits(const TaskView& view) {
  std::string text;
  append_limit(text, "Limit", "Soft Limit", "Hard Limit", "Units");
  for (const LimitLine& line : kLimitLines) {
    kernel::Limit limit = view.group().limit(line.resource);
    append_limit(text, line.name, limit_value(limit.soft), limit_value(limit.hard), line.unit);
  }
  return text;
}

// --- out of memory

int oom_adjustment(const TaskView& view) {
  Locked lock(view.group().signal_mutex);
  return view.group().oom_score_adj;
}

ErrnoOr<std::string> oom_score_adj(const TaskView& view) { return cat(oom_adjustment(view), '\n'); }

ErrnoOr<> set_adjustment(const TaskView& view, int value) {
  bool privileged = view.reader.credentials().has(CAP_SYS_RESOURCE);
  Locked lock(view.group().signal_mutex);
  if (value < view.group().oom_score_adj && !privileged) return std::unexpected(Errno{EACCES});
  view.group().oom_score_adj = value;
  return {};
}

ErrnoOr<> set_oom_score_adj(const TaskView& view, std::string_view text) {
  auto value = parse_number<int>(trim(text));
  if (!value || *value < -1000 || *value > 1000) return std::unexpected(Errno{EINVAL});
  return set_adjustment(view, *value);
}

// The old scale: -17 (never) to 15.
ErrnoOr<std::string> oom_adj(const TaskView& view) {
  int value = oom_adjustment(view);
  return cat(value == 1000 ? 15 : value * 17 / 1000, '\n');
}

ErrnoOr<> set_oom_adj(const TaskView& view, std::string_view text) {
  auto value = parse_number<int>(trim(text));
  if (!value || *value < -17 || *value > 15) return std::unexpected(Errno{EINVAL});
  return set_adjustment(view, *value == 15 ? 1000 : *value * 1000 / 17);
}

// badness of the whole memory in thousandths, moved to 0..2000 and shown by two thirds
// (fs/proc/base.c: proc_oom_score()).
ErrnoOr<std::string> oom_score(const TaskView& view) {
  Ref<mm::MemoryMap> memory = view.task.memory_ref();
  std::uint64_t used = memory ? memory->usage().resident : 0;
  auto share =
      static_cast<int>(used * 1000 / std::max<std::uint64_t>(1, view.proc.facts().shown_memory()));
  return cat(std::max(0, (1000 + share + oom_adjustment(view)) * 2 / 3), '\n');
}

// --- user namespaces: there is one, and it has all ids

ErrnoOr<std::string> id_map(const TaskView&) { return "         0          0 4294967295\n"; }
ErrnoOr<> set_id_map(const TaskView&, std::string_view) { return std::unexpected(Errno{EPERM}); }
ErrnoOr<std::string> setgroups(const TaskView&) { return "allow\n"; }

// --- audit: no login was recorded

ErrnoOr<std::string> loginuid(const TaskView&) { return "4294967295"; }
ErrnoOr<std::string> sessionid(const TaskView&) { return "4294967295"; }

ErrnoOr<std::string> cgroup(const TaskView&) { return "0::/\n"; }
ErrnoOr<std::string> cpuset(const TaskView&) { return "/\n"; }

ErrnoOr<std::string> personality(const TaskView& view) {
  std::string digits = hex(view.task.personality);
  return cat(std::string(8 - std::min<std::size_t>(8, digits.size()), '0'), digits, '\n');
}

ErrnoOr<std::string> coredump_filter(const TaskView&) { return "00000033\n"; }

ErrnoOr<std::string> timerslack(const TaskView& view) {
  return cat(view.task.timer_slack_ns, '\n');
}

ErrnoOr<std::string> timens_offsets(const TaskView&) {
  return "monotonic           0         0\nboottime            0         0\n";
}

ErrnoOr<> accept(const TaskView&, std::string_view) { return {}; }

constexpr TaskFileEntry kEntries[] = {
    {"comm", comm, 0644, false, set_comm},
    {"limits", limits},
    {"oom_score_adj", oom_score_adj, 0644, false, set_oom_score_adj},
    {"oom_adj", oom_adj, 0644, false, set_oom_adj},
    {"oom_score", oom_score},
    {"uid_map", id_map, 0644, false, set_id_map},
    {"gid_map", id_map, 0644, false, set_id_map},
    {"projid_map", id_map, 0644, false, set_id_map},
    {"setgroups", setgroups, 0644, false, set_id_map},
    {"loginuid", loginuid},
    {"sessionid", sessionid},
    {"cgroup", cgroup},
    {"cpuset", cpuset},
    {"personality", personality, 0400, true},
    {"coredump_filter", coredump_filter, 0644, false, accept},
    {"timerslack_ns", timerslack, 0666},
    {"timens_offsets", timens_offsets},
};

}  // namespace

std::span<const TaskFileEntry> task_settings() { return kEntries; }

}  // namespace caisson::sandbox::fs

#include "plan/process_tables.h"

#include <linux/ioprio.h>
#include <linux/mempolicy.h>
#include <linux/sched.h>
#include <sys/personality.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <span>

#include "base/text.h"
#include "plan/passes.h"

namespace caisson::plan {
namespace {

struct Number {
  std::string_view name;
  std::uint32_t value;
};

constexpr Number kRlimits[] = {
    {"RLIMIT_CPU", RLIMIT_CPU},           {"RLIMIT_FSIZE", RLIMIT_FSIZE},
    {"RLIMIT_DATA", RLIMIT_DATA},         {"RLIMIT_STACK", RLIMIT_STACK},
    {"RLIMIT_CORE", RLIMIT_CORE},         {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_NPROC", RLIMIT_NPROC},       {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},   {"RLIMIT_AS", RLIMIT_AS},
    {"RLIMIT_LOCKS", RLIMIT_LOCKS},       {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE}, {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},     {"RLIMIT_RTTIME", RLIMIT_RTTIME},
};

constexpr std::uint32_t kSchedOther = 0,
                        kSchedIso = 4;  // 4 is reserved and has no name in the header

constexpr Number kPolicies[] = {
    {"SCHED_OTHER", kSchedOther},       {"SCHED_FIFO", SCHED_FIFO}, {"SCHED_RR", SCHED_RR},
    {"SCHED_BATCH", SCHED_BATCH},       {"SCHED_ISO", kSchedIso},   {"SCHED_IDLE", SCHED_IDLE},
    {"SCHED_DEADLINE", SCHED_DEADLINE},
};

constexpr Number kSchedulerFlags[] = {
    {"SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK},
    {"SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM},
    {"SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN},
    {"SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY},
    {"SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS},
    {"SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN},
    {"SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX},
};

constexpr Number kIoClasses[] = {
    {"IOPRIO_CLASS_RT", IOPRIO_CLASS_RT},
    {"IOPRIO_CLASS_BE", IOPRIO_CLASS_BE},
    {"IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE},
};

constexpr std::uint32_t kWeightedInterleave = 6;  // MPOL_WEIGHTED_INTERLEAVE, Linux 6.9

constexpr Number kMemoryModes[] = {
    {"MPOL_DEFAULT", MPOL_DEFAULT},
    {"MPOL_PREFERRED", MPOL_PREFERRED},
    {"MPOL_BIND", MPOL_BIND},
    {"MPOL_INTERLEAVE", MPOL_INTERLEAVE},
    {"MPOL_LOCAL", MPOL_LOCAL},
    {"MPOL_PREFERRED_MANY", MPOL_PREFERRED_MANY},
    {"MPOL_WEIGHTED_INTERLEAVE", kWeightedInterleave},
};

constexpr Number kMemoryFlags[] = {
    {"MPOL_F_STATIC_NODES", MPOL_F_STATIC_NODES},
    {"MPOL_F_RELATIVE_NODES", MPOL_F_RELATIVE_NODES},
    {"MPOL_F_NUMA_BALANCING", MPOL_F_NUMA_BALANCING},
};

constexpr Number kPersonalities[] = {
    {"LINUX", PER_LINUX},
    {"LINUX32", PER_LINUX32},
};

std::optional<std::uint32_t> number_of(std::span<const Number> table, std::string_view name) {
  auto found = std::ranges::find(table, name, &Number::name);
  if (found == table.end()) return std::nullopt;
  return found->value;
}

Result<std::uint32_t> known_number(std::span<const Number> table, std::string_view name,
                                   std::string_view where) {
  if (auto value = number_of(table, name)) return *value;
  Strings names;
  for (const Number& number : table) names.emplace_back(number.name);
  return std::unexpected(invalid(cat(quoted(name), " is not known"))
                             .where(where)
                             .cure("Use one of ", join(names, ", "), "."));
}

Strings names_of(std::span<const Number> table) {
  Strings names;
  for (const Number& number : table) names.emplace_back(number.name);
  return names;
}

Result<> check_scheduler(const SchedulerPlan& plan) {
  auto wrong = [](std::string text, std::string_view field) {
    return std::unexpected(invalid(std::move(text)).where("process.scheduler.", field));
  };
  const bool nice_counts = plan.policy == kSchedOther || plan.policy == SCHED_BATCH;
  const bool real_time = plan.policy == SCHED_FIFO || plan.policy == SCHED_RR;
  const bool deadline = plan.policy == SCHED_DEADLINE;
  if (nice_counts && (plan.nice < -20 || plan.nice > 19)) {
    return wrong(cat("invalid scheduler.nice: ", plan.nice, " is not within -20..19"), "nice");
  }
  if (!real_time && plan.priority != 0) {
    return wrong("scheduler.priority can only be specified for SCHED_FIFO or SCHED_RR policy",
                 "priority");
  }
  const bool keeps_parameters = (plan.flags & SCHED_FLAG_KEEP_PARAMS) != 0;
  if (real_time && !keeps_parameters && (plan.priority < 1 || plan.priority > 99)) {
    return wrong(cat("a priority of ", plan.priority, " is not within 1..99"), "priority");
  }
  if (!deadline && (plan.runtime != 0 || plan.deadline != 0 || plan.period != 0)) {
    return wrong(
        "scheduler runtime/deadline/period can only be specified for SCHED_DEADLINE policy",
        "runtime");
  }
  const std::uint64_t period = plan.period != 0 ? plan.period : plan.deadline;
  if (deadline && !keeps_parameters &&
      (plan.runtime == 0 || plan.runtime > plan.deadline || plan.deadline > period)) {
    return wrong("SCHED_DEADLINE needs 0 < runtime <= deadline <= period", "deadline");
  }
  return {};
}

Result<> check_memory_policy(const MemoryPolicyPlan& plan, std::uint32_t mode,
                             std::uint32_t flags) {
  const bool has_nodes =
      std::ranges::any_of(plan.nodes, [](std::uint64_t word) { return word != 0; });
  if ((mode == MPOL_DEFAULT || mode == MPOL_LOCAL) && has_nodes) {
    return std::unexpected(invalid("this mode takes no nodes").where("linux.memoryPolicy.nodes"));
  }
  if ((mode != MPOL_DEFAULT && mode != MPOL_LOCAL && mode != MPOL_PREFERRED) && !has_nodes) {
    return std::unexpected(invalid("this mode needs nodes").where("linux.memoryPolicy.nodes"));
  }
  constexpr std::uint32_t kBoth = MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES;
  if ((flags & kBoth) == kBoth) {
    return std::unexpected(
        invalid("MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other")
            .where("linux.memoryPolicy.flags"));
  }
  return {};
}

}  // namespace

std::optional<int> rlimit_number(std::string_view name) {
  auto value = number_of(kRlimits, name);
  if (!value) return std::nullopt;
  return static_cast<int>(*value);
}

Strings known_memory_policy_modes() { return names_of(kMemoryModes); }
Strings known_memory_policy_flags() { return names_of(kMemoryFlags); }

Result<std::vector<RlimitStep>> plan_rlimits(const std::vector<spec::Rlimit>& rlimits) {
  std::vector<RlimitStep> steps;
  for (std::size_t i = 0; i < rlimits.size(); ++i) {
    const spec::Rlimit& limit = rlimits[i];
    std::string where = cat("process.rlimits[", i, "]");
    auto number = static_cast<int>(TRY(known_number(kRlimits, limit.type, where)));
    if (std::ranges::find(steps, number, &RlimitStep::resource) != steps.end()) {
      return std::unexpected(invalid(cat(limit.type, " is given twice")).where(where));
    }
    if (limit.soft > limit.hard) {
      return std::unexpected(
          invalid(cat("the soft limit ", limit.soft, " is above the hard limit ", limit.hard))
              .where(where));
    }
    steps.push_back({number, limit.type, limit.soft, limit.hard});
  }
  return steps;
}

Result<SchedulerPlan> plan_scheduler(const spec::Scheduler& scheduler) {
  SchedulerPlan plan;
  plan.policy = TRY(known_number(kPolicies, scheduler.policy, "process.scheduler.policy"));
  for (const std::string& flag : scheduler.flags) {
    plan.flags |= TRY(known_number(kSchedulerFlags, flag, "process.scheduler.flags"));
  }
  if (scheduler.priority < 0) {
    return std::unexpected(invalid("the priority is negative").where("process.scheduler.priority"));
  }
  plan.nice = scheduler.nice;
  plan.priority = static_cast<std::uint32_t>(scheduler.priority);
  plan.runtime = scheduler.runtime;
  plan.deadline = scheduler.deadline;
  plan.period = scheduler.period;
  TRY(check_scheduler(plan));
  return plan;
}

Result<int> plan_io_priority(const spec::IoPriority& priority) {
  std::uint32_t io_class =
      TRY(known_number(kIoClasses, priority.io_class, "process.ioPriority.class"));
  if (priority.priority < 0 || priority.priority > 7) {
    return std::unexpected(invalid(cat("a priority of ", priority.priority, " is not within 0..7"))
                               .where("process.ioPriority.priority"));
  }
  return static_cast<int>(io_class << IOPRIO_CLASS_SHIFT) | priority.priority;
}

Result<MemoryPolicyPlan> plan_memory_policy(const spec::MemoryPolicy& policy) {
  MemoryPolicyPlan plan;
  std::uint32_t mode = TRY(known_number(kMemoryModes, policy.mode, "linux.memoryPolicy.mode"));
  std::uint32_t flags = 0;
  for (const std::string& flag : policy.flags) {
    flags |= TRY(known_number(kMemoryFlags, flag, "linux.memoryPolicy.flags"));
  }
  auto nodes = parse_bit_list(policy.nodes);
  if (!nodes) {
    return std::unexpected(invalid(cat(quoted(policy.nodes), " is no list of nodes"))
                               .where("linux.memoryPolicy.nodes")
                               .cure("Write it like \"0-3,7\"."));
  }
  plan.nodes = *std::move(nodes);
  TRY(check_memory_policy(plan, mode, flags));
  plan.mode = static_cast<int>(mode | flags);
  return plan;
}

Result<std::uint64_t> plan_personality(std::string_view domain) {
  return TRY(known_number(kPersonalities, domain, "linux.personality.domain"));
}

std::optional<std::vector<std::uint64_t>> parse_bit_list(std::string_view list) {
  constexpr unsigned kMost = 8192;
  std::vector<std::uint64_t> words;
  if (trim(list).empty()) return words;
  for (std::string_view piece : split(list, ',')) {
    auto [first_text, last_text] = split_once(trim(piece), '-');
    auto first = parse_number<unsigned>(trim(first_text));
    const bool is_range = piece.find('-') != piece.npos;
    auto last = is_range ? parse_number<unsigned>(trim(last_text)) : first;
    if (!first || !last || *first > *last || *last >= kMost) return std::nullopt;
    if (words.size() <= *last / 64) words.resize(*last / 64 + 1);
    for (unsigned bit = *first; bit <= *last; ++bit)
      words[bit / 64] |= std::uint64_t{1} << (bit % 64);
  }
  return words;
}

}  // namespace caisson::plan

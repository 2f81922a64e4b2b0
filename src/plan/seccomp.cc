#include "plan/seccomp.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <optional>
#include <span>

#include "plan/seccomp_assembler.h"
#include "plan/seccomp_rules.h"

namespace caisson::plan {

namespace {

using Label = SeccompAssembler::Label;

constexpr std::uint32_t kBadArchAction = SECCOMP_RET_KILL_THREAD;
constexpr std::uint32_t kEnosys = SECCOMP_RET_ERRNO | ENOSYS;
// The number of a call that a tracer wants skipped.
constexpr std::uint32_t kSkippedCall = 0xffffffff;
constexpr std::uint32_t kI386Socketcall = 102;
constexpr std::uint32_t kI386Ipc = 117;

// Where a call's number leads: to a return or to a block that looks at arguments.
struct Target {
  bool is_block = false;
  std::uint32_t value = 0;  // action or label
  friend bool operator==(const Target&, const Target&) = default;
};

struct Range {  // of call numbers, up to the next range
  std::uint32_t first = 0;
  Target target;
};

// Neighbouring ranges that all lead to `common` but for a few single numbers.
struct Cluster {
  std::uint32_t begin = 0, end = 0;  // indices of ranges
  Target common;
};
constexpr std::uint32_t kMaxExceptions = 2;

RegisterWidth width_of(Abi abi) {
  return abi == Abi::kX86_64 || abi == Abi::kAarch64 ? RegisterWidth::k64 : RegisterWidth::k32;
}

std::uint32_t audit_arch_of(Abi abi) {
  switch (abi) {
    case Abi::kX86_64:
    case Abi::kX32: return AUDIT_ARCH_X86_64;
    case Abi::kI386: return AUDIT_ARCH_I386;
    case Abi::kAarch64: return AUDIT_ARCH_AARCH64;
    case Abi::kArm: break;
  }
  return AUDIT_ARCH_ARM;
}

// The ranges of the numbers that the kernel shows for one AUDIT_ARCH_*, and their blocks.
class RangeBuilder {
 public:
  RangeBuilder(const SeccompProfile& profile, SeccompAssembler& assembler)
      : profile_(profile), assembler_(assembler) {}

  // Calls of `abi` have the numbers from `base` to `last`; the bits of `base` are not in the table.
  Result<> add_abi(Abi abi, std::uint32_t base, std::uint32_t last) {
    collect_entries(abi);
    base_ = base;
    std::uint32_t next = base;
    for (std::size_t i = 0; i < entries_.size();) {
      std::size_t end = i + 1;
      while (end < entries_.size() && entries_[end].number == entries_[i].number) ++end;
      const std::uint32_t number = base + entries_[i].number;
      fill(next, number);
      const auto group = std::span(entries_).subspan(i, end - i);
      append(number, TRY(target_of(abi, group)));
      next = number + 1;
      i = end;
    }
    fill(next, last);
    append_unnamed(last);
    return {};
  }

  void append_action(std::uint32_t first, std::uint32_t action) { append(first, {false, action}); }

  const std::vector<Range>& ranges() const { return ranges_; }

 private:
  struct Entry {
    std::uint32_t number;
    std::uint32_t call;         // index in the profile: the order of rules
    std::uint32_t multiplexed;  // see rule_for_abi()
  };

  void collect_entries(Abi abi) {
    entries_.clear();
    newest_.reset();
    for (std::uint32_t i = 0; i < profile_.calls.size(); ++i) {
      const SyscallEntry& syscall = *profile_.calls[i].syscall;
      if (const std::int32_t number = syscall.number(abi); number >= 0)
        add_entry({static_cast<std::uint32_t>(number), i, 0});
      if (const std::int32_t call = syscall.i386_multiplexed; call > 0 && abi == Abi::kI386)
        add_entry(
            {call < 100 ? kI386Socketcall : kI386Ipc, i, static_cast<std::uint32_t>(call % 100)});
    }
    std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
      return a.number != b.number ? a.number < b.number : a.call < b.call;
    });
  }

  void add_entry(const Entry& entry) {
    if (entry.number < static_cast<std::uint32_t>(kArmPrivateBase))
      newest_ = std::max(newest_.value_or(0), entry.number);
    entries_.push_back(entry);
  }

  Result<Target> target_of(Abi abi, std::span<const Entry> group) {
    const RegisterWidth width = width_of(abi);
    rules_.clear();
    for (const Entry& entry : group) {
      const SeccompProfileRule& source = profile_.rules[profile_.calls[entry.call].rule];
      if (source.redundant) continue;
      auto rule = rule_for_abi(source, width, entry.multiplexed);
      if (!rule) continue;
      if (rule->count == 0) return Target{false, rule->action};
      rules_.push_back(*rule);
    }
    if (rules_.empty()) return Target{false, profile_.default_action};
    if (rules_.size() > 1) order_rules(rules_);
    if (width == RegisterWidth::k64 && contradict(rules_))
      return std::unexpected(
          Error::invalid(cat("rules of ", profile_.calls[group[0].call].syscall->name(),
                             " have equal conditions and different actions"))
              .where("linux.seccomp.syscalls")
              .cure("keep one of them")
              .code("spec.invalid"));
    return Target{true, assemble_rules(assembler_, rules_, width, profile_.default_action)};
  }

  // Numbers from `first` up to (and without) `end` are in no rule.
  void fill(std::uint32_t first, std::uint32_t end) {
    if (first >= end) return;
    append_unnamed(first);
    if (!newer_are_enosys()) return;
    const std::uint32_t newer = base_ + *newest_ + 1;
    if (first < newer && newer < end) append_unnamed(newer);
  }

  void append_unnamed(std::uint32_t number) {
    const bool newer = newer_are_enosys() && number > base_ + *newest_;
    append(number, {false, newer ? kEnosys : profile_.default_action});
  }

  bool newer_are_enosys() const { return profile_.newer_are_enosys && newest_.has_value(); }

  void append(std::uint32_t first, Target target) {
    if (ranges_.empty() || ranges_.back().target != target) ranges_.push_back({first, target});
  }

  const SeccompProfile& profile_;
  SeccompAssembler& assembler_;
  std::vector<Range> ranges_;
  // Of the ABI at work:
  std::uint32_t base_ = 0;
  std::optional<std::uint32_t> newest_;  // largest number that the profile names
  std::vector<Entry> entries_;
  std::vector<SeccompAbiRule> rules_;
};

// Writes the search for a call's number in sorted ranges: halving between clusters, then a test for
// each exception of a cluster. A test for equality parts three ranges where halving parts two.
class SearchWriter {
 public:
  SearchWriter(const std::vector<Range>& ranges, SeccompAssembler& assembler)
      : ranges_(ranges), assembler_(assembler) {}

  Label write() {
    for (std::uint32_t begin = 0; begin < ranges_.size(); begin = clusters_.back().end)
      clusters_.push_back(longest_cluster(begin));
    return search(0, clusters_.size());
  }

 private:
  bool is_single(std::uint32_t range) const {
    return range + 1 < ranges_.size() ? ranges_[range + 1].first == ranges_[range].first + 1
                                      : ranges_[range].first == kSkippedCall;
  }

  Cluster cluster_of(std::uint32_t begin, Target common) const {
    std::uint32_t exceptions = 0, end = begin;
    for (; end < ranges_.size(); ++end) {
      if (ranges_[end].target == common) continue;
      if (!is_single(end) || ++exceptions > kMaxExceptions) break;
    }
    return {begin, end, common};
  }

  Cluster longest_cluster(std::uint32_t begin) const {
    const Cluster plain = cluster_of(begin, ranges_[begin].target);
    if (!is_single(begin) || begin + 1 >= ranges_.size()) return plain;
    const Cluster shifted = cluster_of(begin, ranges_[begin + 1].target);
    return shifted.end > plain.end ? shifted : plain;
  }

  Label label_of(Target target) {
    return target.is_block ? target.value : assembler_.ret(target.value);
  }

  Label write_cluster(const Cluster& cluster) {
    Label next = label_of(cluster.common);
    for (std::uint32_t i = cluster.end; i > cluster.begin; --i) {
      const Range& range = ranges_[i - 1];
      if (range.target == cluster.common) continue;
      next = assembler_.jump(BPF_JEQ, range.first, label_of(range.target), next);
    }
    return next;
  }

  Label search(std::size_t begin, std::size_t end) {
    if (end - begin == 1) return write_cluster(clusters_[begin]);
    const std::size_t middle = begin + (end - begin) / 2;
    const Label upper = search(middle, end);
    const Label lower = search(begin, middle);
    return assembler_.jump(BPF_JGE, ranges_[clusters_[middle].begin].first, upper, lower);
  }

  const std::vector<Range>& ranges_;
  SeccompAssembler& assembler_;
  std::vector<Cluster> clusters_;
};

class Compiler {
 public:
  explicit Compiler(const SeccompProfile& profile) : profile_(profile) {}

  Result<std::vector<BpfInstruction>> compile() {
    Label next = assembler_.ret(kBadArchAction);
    // The last one written is tested first: the native one.
    for (std::size_t i = profile_.abis.size(); i > 0; --i) {
      const Abi abi = profile_.abis[i - 1];
      if (abi == Abi::kX32) continue;  // comes with x86-64
      const Label body = TRY(write_abi(abi));
      next = assembler_.jump(BPF_JEQ, audit_arch_of(abi), body, next);
    }
    const Label entry = assembler_.load(offsetof(seccomp_data, arch), next);
    auto program = assembler_.take(entry);
    if (program.size() <= BPF_MAXINSNS) return program;
    return std::unexpected(Error::invalid(cat("the profile needs ", program.size(),
                                              " BPF instructions, the kernel takes ", BPF_MAXINSNS))
                               .where("linux.seccomp")
                               .cure("use fewer rules with args, or fewer architectures")
                               .code("spec.invalid"));
  }

 private:
  Result<Label> write_abi(Abi abi) {
    RangeBuilder builder(profile_, assembler_);
    if (abi == Abi::kX86_64) {
      TRY(builder.add_abi(abi, 0, kX32Bit - 1));
      if (has_x32()) {
        TRY(builder.add_abi(Abi::kX32, kX32Bit, kSkippedCall));
      } else {
        builder.append_action(kX32Bit, kBadArchAction);
        builder.append_action(kSkippedCall, profile_.default_action);
      }
    } else {
      TRY(builder.add_abi(abi, 0, kSkippedCall));
    }
    const Label search = SearchWriter(builder.ranges(), assembler_).write();
    return assembler_.load(offsetof(seccomp_data, nr), search);
  }

  bool has_x32() const {
    return std::find(profile_.abis.begin(), profile_.abis.end(), Abi::kX32) != profile_.abis.end();
  }

  const SeccompProfile& profile_;
  SeccompAssembler assembler_;
};

std::uint32_t with_listener_flags(std::uint32_t flags, const std::vector<BpfInstruction>& program) {
  const bool notifies = std::any_of(program.begin(), program.end(), [](const BpfInstruction& i) {
    return i.code == (BPF_RET | BPF_K) && i.k == SECCOMP_RET_USER_NOTIF;
  });
  // Without a listener the kernel refuses the flag about its waiting.
  constexpr std::uint32_t kWaitKillable = 1U << 5;  // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
  if (!notifies) return flags & ~kWaitKillable;
  flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
  // Both return a number by the same way; the kernel wants to be told which one is meant.
  if (flags & SECCOMP_FILTER_FLAG_TSYNC) flags |= SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
  return flags;
}

}  // namespace

Result<SeccompPlan> compile_seccomp(const spec::Seccomp& seccomp, NativeArch native) {
  SeccompProfile profile = TRY(read_seccomp_profile(seccomp, native));
  SeccompPlan plan;
  plan.program = TRY(Compiler(profile).compile());
  plan.filter_flags = with_listener_flags(profile.filter_flags, plan.program);
  plan.listener_path = seccomp.listener_path;
  plan.listener_metadata = seccomp.listener_metadata;
  plan.unknown_syscalls = std::move(profile.unknown_syscalls);
  return plan;
}

}  // namespace caisson::plan

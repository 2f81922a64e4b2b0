#include "plan/seccomp_profile.h"

#include <linux/seccomp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <optional>

#include "plan/seccomp.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)  // since Linux 5.19
#endif

namespace caisson::plan {

namespace {

constexpr std::uint32_t kMaxErrno = 4095;       // what SECCOMP_RET_ERRNO can return
constexpr std::uint32_t kMaxTraceData = 65535;  // SECCOMP_RET_DATA

template <typename Value>
struct Named {
  std::string_view name;
  Value value;
};

constexpr Named<std::uint32_t> kActions[] = {
    {"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW},
    {"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO},
    {"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD},
    {"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS},
    {"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD},
    {"SCMP_ACT_LOG", SECCOMP_RET_LOG},
    {"SCMP_ACT_NOTIFY", SECCOMP_RET_USER_NOTIF},
    {"SCMP_ACT_TRACE", SECCOMP_RET_TRACE},
    {"SCMP_ACT_TRAP", SECCOMP_RET_TRAP},
};

constexpr Named<Compare> kOperators[] = {
    {"SCMP_CMP_EQ", Compare::kEqual},    {"SCMP_CMP_GE", Compare::kGreaterEqual},
    {"SCMP_CMP_GT", Compare::kGreater},  {"SCMP_CMP_LE", Compare::kLessEqual},
    {"SCMP_CMP_LT", Compare::kLess},     {"SCMP_CMP_MASKED_EQ", Compare::kMaskedEqual},
    {"SCMP_CMP_NE", Compare::kNotEqual},
};

constexpr Named<std::uint32_t> kFlags[] = {
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    {"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
    {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV},
};

// Architectures without an ABI of ours never make a call on the machines that we run on.
constexpr Named<std::optional<Abi>> kArchitectures[] = {
    {"SCMP_ARCH_AARCH64", Abi::kAarch64},
    {"SCMP_ARCH_ARM", Abi::kArm},
    {"SCMP_ARCH_LOONGARCH64", std::nullopt},
    {"SCMP_ARCH_M68K", std::nullopt},
    {"SCMP_ARCH_MIPS", std::nullopt},
    {"SCMP_ARCH_MIPS64", std::nullopt},
    {"SCMP_ARCH_MIPS64N32", std::nullopt},
    {"SCMP_ARCH_MIPSEL", std::nullopt},
    {"SCMP_ARCH_MIPSEL64", std::nullopt},
    {"SCMP_ARCH_MIPSEL64N32", std::nullopt},
    {"SCMP_ARCH_PARISC", std::nullopt},
    {"SCMP_ARCH_PARISC64", std::nullopt},
    {"SCMP_ARCH_PPC", std::nullopt},
    {"SCMP_ARCH_PPC64", std::nullopt},
    {"SCMP_ARCH_PPC64LE", std::nullopt},
    {"SCMP_ARCH_RISCV64", std::nullopt},
    {"SCMP_ARCH_S390", std::nullopt},
    {"SCMP_ARCH_S390X", std::nullopt},
    {"SCMP_ARCH_SH", std::nullopt},
    {"SCMP_ARCH_SHEB", std::nullopt},
    {"SCMP_ARCH_X32", Abi::kX32},
    {"SCMP_ARCH_X86", Abi::kI386},
    {"SCMP_ARCH_X86_64", Abi::kX86_64},
};

template <typename Value, std::size_t size>
const Value* find_named(const Named<Value> (&table)[size], std::string_view name) {
  for (const auto& row : table)
    if (row.name == name) return &row.value;
  return nullptr;
}

template <typename Value, std::size_t size>
std::vector<std::string_view> names_of(const Named<Value> (&table)[size]) {
  std::vector<std::string_view> names;
  for (const auto& row : table) names.push_back(row.name);
  return names;
}

Error field_error(std::string cause, std::string_view field) {
  return Error::invalid(std::move(cause)).where("linux.seccomp.", field).code("spec.invalid");
}

// Looks `name` up; the error names the known ones.
template <typename Value, std::size_t size>
Result<Value> resolve(const Named<Value> (&table)[size], std::string_view kind,
                      std::string_view name, std::string_view field) {
  if (const Value* value = find_named(table, name)) return *value;
  const auto names = names_of(table);
  const std::string_view meant = nearest(name, names);
  return std::unexpected(
      field_error(name.empty() ? cat("the ", kind, " is missing")
                               : cat("unknown ", kind, " ", quoted(name)),
                  field)
          .cure(meant.empty() ? cat("use one of ", join(names, ", ")) : cat("use ", meant)));
}

Result<std::uint32_t> resolve_action(const std::string& name,
                                     const std::optional<std::uint32_t>& errno_ret,
                                     std::string_view field, std::string_view errno_field) {
  const std::uint32_t action = TRY(resolve(kActions, "seccomp action", name, field));
  if (action != SECCOMP_RET_ERRNO && action != SECCOMP_RET_TRACE) {
    if (!errno_ret) return action;
    return std::unexpected(field_error(cat(name, " takes no errno"), errno_field)
                               .cure("leave it out, or use SCMP_ACT_ERRNO or SCMP_ACT_TRACE"));
  }
  const std::uint32_t data = errno_ret.value_or(EPERM);
  const std::uint32_t limit = action == SECCOMP_RET_ERRNO ? kMaxErrno : kMaxTraceData;
  if (data > limit)
    return std::unexpected(field_error(cat(data, " is above ", limit), errno_field));
  return action | data;
}

class Reader {
 public:
  Reader(const spec::Seccomp& seccomp, NativeArch native) : seccomp_(seccomp), native_(native) {}

  Result<SeccompProfile> read() {
    profile_.default_action = TRY(resolve_action(
        seccomp_.default_action, seccomp_.default_errno_ret, "defaultAction", "defaultErrnoRet"));
    profile_.newer_are_enosys = !is_permissive(profile_.default_action);
    TRY(read_architectures());
    TRY(read_flags());
    for (std::size_t i = 0; i < seccomp_.rules.size(); ++i)
      TRY(read_rule(seccomp_.rules[i], cat("syscalls[", i, "]")));
    TRY(check_listener());
    auto& unknown = profile_.unknown_syscalls;
    std::sort(unknown.begin(), unknown.end());
    unknown.erase(std::unique(unknown.begin(), unknown.end()), unknown.end());
    return std::move(profile_);
  }

 private:
  // A tracer is expected to know what to do about calls that it doesn't know.
  static bool is_permissive(std::uint32_t action) {
    const std::uint32_t kind = action & SECCOMP_RET_ACTION_FULL;
    return kind == SECCOMP_RET_ALLOW || kind == SECCOMP_RET_LOG || kind == SECCOMP_RET_TRACE;
  }

  bool runs_here(Abi abi) const {
    if (native_ == NativeArch::kAarch64) return abi == Abi::kAarch64 || abi == Abi::kArm;
    return abi == Abi::kX86_64 || abi == Abi::kI386 || abi == Abi::kX32;
  }

  Result<> read_architectures() {
    profile_.abis.push_back(native_ == NativeArch::kAarch64 ? Abi::kAarch64 : Abi::kX86_64);
    for (std::size_t i = 0; i < seccomp_.architectures.size(); ++i) {
      const std::optional<Abi> abi =
          TRY(resolve(kArchitectures, "architecture", seccomp_.architectures[i],
                      cat("architectures[", i, "]")));
      if (!abi || !runs_here(*abi)) continue;
      if (std::find(profile_.abis.begin(), profile_.abis.end(), *abi) == profile_.abis.end())
        profile_.abis.push_back(*abi);
    }
    return {};
  }

  Result<> read_flags() {
    if (!seccomp_.flags) {
      profile_.filter_flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW;
      return {};
    }
    for (std::size_t i = 0; i < seccomp_.flags->size(); ++i)
      profile_.filter_flags |=
          TRY(resolve(kFlags, "seccomp flag", (*seccomp_.flags)[i], cat("flags[", i, "]")));
    return {};
  }

  Result<SeccompCondition> read_condition(const spec::SeccompArg& arg, const std::string& field) {
    SeccompCondition condition;
    condition.compare = TRY(resolve(kOperators, "operator", arg.op, cat(field, ".op")));
    if (arg.index > 5)
      return std::unexpected(
          field_error("a system call has arguments 0 to 5", cat(field, ".index")));
    condition.arg = static_cast<std::uint8_t>(arg.index);
    const bool masked = condition.compare == Compare::kMaskedEqual;
    condition.mask = masked ? arg.value : ~std::uint64_t{0};
    condition.value = masked ? arg.value & arg.value_two : arg.value;
    return condition;
  }

  Result<> read_rule(const spec::SeccompRule& rule, const std::string& field) {
    const std::uint32_t action = TRY(resolve_action(
        rule.action, rule.errno_ret, cat(field, ".action"), cat(field, ".errnoRet")));
    std::vector<SeccompCondition> conditions;
    for (std::size_t i = 0; i < rule.args.size(); ++i)
      conditions.push_back(TRY(read_condition(rule.args[i], cat(field, ".args[", i, "]"))));
    const std::size_t first = profile_.rules.size();
    add_rules(action, std::move(conditions));
    for (std::size_t i = 0; i < rule.names.size(); ++i) {
      const std::string& name = rule.names[i];
      if (name.empty())
        return std::unexpected(
            field_error("a system call without a name", cat(field, ".names[", i, "]")));
      add_calls(name, first);
    }
    return {};
  }

  void add_rules(std::uint32_t action, std::vector<SeccompCondition> conditions) {
    const bool redundant = action == profile_.default_action;
    std::sort(conditions.begin(), conditions.end(),
              [](const auto& a, const auto& b) { return a.arg < b.arg; });
    const bool repeats =
        std::adjacent_find(conditions.begin(), conditions.end(), [](const auto& a, const auto& b) {
          return a.arg == b.arg;
        }) != conditions.end();
    if (!repeats) {
      profile_.rules.push_back({action, redundant, std::move(conditions)});
      return;
    }
    for (const SeccompCondition& condition : conditions)
      profile_.rules.push_back({action, redundant, {condition}});
  }

  void add_calls(const std::string& name, std::size_t first_rule) {
    const SyscallEntry* entry = find_syscall(name);
    if (entry == nullptr) {
      profile_.unknown_syscalls.push_back(name);
      return;
    }
    for (std::size_t rule = first_rule; rule < profile_.rules.size(); ++rule)
      profile_.calls.push_back({entry, static_cast<std::uint32_t>(rule)});
  }

  bool notifies() const {
    if (profile_.default_action == SECCOMP_RET_USER_NOTIF) return true;
    return std::any_of(profile_.rules.begin(), profile_.rules.end(),
                       [](const auto& rule) { return rule.action == SECCOMP_RET_USER_NOTIF; });
  }

  Result<> check_listener() const {
    if (!seccomp_.listener_path.empty()) return {};
    if (!seccomp_.listener_metadata.empty())
      return std::unexpected(
          field_error("listenerMetadata without listenerPath", "listenerMetadata")
              .cure("set linux.seccomp.listenerPath"));
    if (notifies())
      return std::unexpected(
          field_error("SCMP_ACT_NOTIFY is used, but nobody is named to be notified", "listenerPath")
              .cure("set linux.seccomp.listenerPath to the agent's UNIX socket"));
    return {};
  }

  const spec::Seccomp& seccomp_;
  NativeArch native_;
  SeccompProfile profile_;
};

}  // namespace

Result<SeccompProfile> read_seccomp_profile(const spec::Seccomp& seccomp, NativeArch native) {
  return Reader(seccomp, native).read();
}

std::vector<std::string_view> seccomp_action_names() { return names_of(kActions); }
std::vector<std::string_view> seccomp_operator_names() { return names_of(kOperators); }
std::vector<std::string_view> seccomp_architecture_names() { return names_of(kArchitectures); }
std::vector<std::string_view> seccomp_flag_names() { return names_of(kFlags); }

}  // namespace caisson::plan

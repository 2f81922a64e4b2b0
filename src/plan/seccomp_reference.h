// What a seccomp profile means, in the most direct way: every rule is looked at for every call.
// The compiler is held against this by seccomp_test.cc and seccomp_fuzz.cc; nothing else uses it.
#pragma once

#include <linux/audit.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "plan/bpf_evaluator.h"
#include "plan/seccomp.h"
#include "plan/syscall_table.h"
#include "spec/container_spec.h"

namespace caisson::plan::reference {

inline std::uint32_t action_value(const std::string& name, std::optional<std::uint32_t> errno_ret) {
  const std::uint32_t data = errno_ret.value_or(EPERM);
  if (name == "SCMP_ACT_ALLOW") return SECCOMP_RET_ALLOW;
  if (name == "SCMP_ACT_ERRNO") return SECCOMP_RET_ERRNO | data;
  if (name == "SCMP_ACT_TRACE") return SECCOMP_RET_TRACE | data;
  if (name == "SCMP_ACT_TRAP") return SECCOMP_RET_TRAP;
  if (name == "SCMP_ACT_LOG") return SECCOMP_RET_LOG;
  if (name == "SCMP_ACT_NOTIFY") return SECCOMP_RET_USER_NOTIF;
  if (name == "SCMP_ACT_KILL_PROCESS") return SECCOMP_RET_KILL_PROCESS;
  return SECCOMP_RET_KILL_THREAD;
}

// Which ABI a call comes through; empty when the profile lets none such pass.
inline std::optional<Abi> abi_of(const spec::Seccomp& seccomp, NativeArch native,
                                 const SeccompData& data) {
  auto listed = [&](const char* name) {
    return std::find(seccomp.architectures.begin(), seccomp.architectures.end(), name) !=
           seccomp.architectures.end();
  };
  if (native == NativeArch::kAarch64) {
    if (data.arch == AUDIT_ARCH_AARCH64) return Abi::kAarch64;
    if (data.arch == AUDIT_ARCH_ARM && listed("SCMP_ARCH_ARM")) return Abi::kArm;
    return std::nullopt;
  }
  if (data.arch == AUDIT_ARCH_I386 && listed("SCMP_ARCH_X86")) return Abi::kI386;
  if (data.arch != AUDIT_ARCH_X86_64) return std::nullopt;
  const auto number = static_cast<std::uint32_t>(data.number);
  if (number < kX32Bit) return Abi::kX86_64;
  if (listed("SCMP_ARCH_X32")) return Abi::kX32;
  if (data.number == -1) return Abi::kX86_64;
  return std::nullopt;
}

inline bool holds(const spec::SeccompArg& arg, std::uint64_t actual, bool wide) {
  auto fit = [wide](std::uint64_t value) { return wide ? value : value & 0xffffffff; };
  actual = fit(actual);
  const std::uint64_t value = fit(arg.value);
  if (arg.op == "SCMP_CMP_NE") return actual != value;
  if (arg.op == "SCMP_CMP_LT") return actual < value;
  if (arg.op == "SCMP_CMP_LE") return actual <= value;
  if (arg.op == "SCMP_CMP_EQ") return actual == value;
  if (arg.op == "SCMP_CMP_GE") return actual >= value;
  if (arg.op == "SCMP_CMP_GT") return actual > value;
  return (actual & value) == fit(arg.value & arg.value_two);
}

// Always true whatever the argument is, in this width.
inline bool is_void(const spec::SeccompArg& arg, bool wide) {
  const std::uint64_t greatest = wide ? ~std::uint64_t{0} : 0xffffffff;
  const std::uint64_t value = arg.value & greatest;
  return (arg.op == "SCMP_CMP_GE" && value == 0) ||
         (arg.op == "SCMP_CMP_LE" && value == greatest) ||
         (arg.op == "SCMP_CMP_MASKED_EQ" && value == 0);
}

// Sorts before the key of a rule that is tried later.
using Key = std::vector<std::tuple<int, int, std::uint64_t, std::uint64_t>>;

inline Key key_of(const std::vector<spec::SeccompArg>& args, bool wide) {
  Key key;
  for (const auto& arg : args) {
    const std::uint64_t all = wide ? ~std::uint64_t{0} : 0xffffffff;
    const bool masked = arg.op == "SCMP_CMP_MASKED_EQ";
    const bool below = arg.op == "SCMP_CMP_LT" || arg.op == "SCMP_CMP_LE";
    const bool above = arg.op == "SCMP_CMP_GT" || arg.op == "SCMP_CMP_GE";
    const std::uint64_t value = (masked ? arg.value & arg.value_two : arg.value) & all;
    const std::uint64_t mask = masked ? arg.value & all : all;
    key.emplace_back(-static_cast<int>(arg.index),
                     below   ? 1
                     : above ? 2
                             : 0,
                     below ? value : ~value, ~mask);
  }
  return key;
}

class Interpreter {
 public:
  Interpreter(const spec::Seccomp& seccomp, NativeArch native)
      : seccomp_(seccomp),
        native_(native),
        default_(action_value(seccomp.default_action, seccomp.default_errno_ret)) {}

  std::uint32_t run(const SeccompData& data) const {
    const std::optional<Abi> abi = abi_of(seccomp_, native_, data);
    if (!abi) return SECCOMP_RET_KILL_THREAD;
    auto number = static_cast<std::uint32_t>(data.number);
    if (*abi == Abi::kX32) number &= ~kX32Bit;
    std::optional<Key> best;
    std::uint32_t verdict = default_;
    bool named = false;
    std::int64_t newest = -1;
    for (const auto& rule : seccomp_.rules) {
      for (const auto& name : rule.names) {
        const SyscallEntry* entry = find_syscall(name);
        if (entry == nullptr) continue;
        for (std::uint32_t multiplexed : ways(*entry, *abi, number, newest)) {
          named = true;
          if (action_value(rule.action, rule.errno_ret) == default_) continue;
          for (const auto& args : alternatives(rule.args))
            consider(rule, args, multiplexed, *abi, data, best, verdict);
        }
      }
    }
    if (!named && !best && is_newer(*abi, number, newest, data)) return SECCOMP_RET_ERRNO | ENOSYS;
    return verdict;
  }

 private:
  static constexpr std::uint32_t kDirect = 0;

  bool is_newer(Abi abi, std::uint32_t number, std::int64_t newest, const SeccompData& data) const {
    const std::uint32_t kind = default_ & SECCOMP_RET_ACTION_FULL;
    if (kind == SECCOMP_RET_ALLOW || kind == SECCOMP_RET_LOG || kind == SECCOMP_RET_TRACE)
      return false;
    if (abi == Abi::kX86_64 && data.number == -1) return false;
    return newest >= 0 && number > newest;
  }

  // How the call at hand can be a call of `entry`; also keeps the largest number seen.
  static std::vector<std::uint32_t> ways(const SyscallEntry& entry, Abi abi, std::uint32_t number,
                                         std::int64_t& newest) {
    std::vector<std::uint32_t> ways;
    if (const std::int32_t own = entry.number(abi); own >= 0) {
      if (own < kArmPrivateBase) newest = std::max<std::int64_t>(newest, own);
      if (static_cast<std::uint32_t>(own) == number) ways.push_back(kDirect);
    }
    if (abi == Abi::kI386 && entry.i386_multiplexed > 0) {
      const std::uint32_t carrier = entry.i386_multiplexed < 100 ? 102 : 117;
      newest = std::max<std::int64_t>(newest, carrier);
      if (carrier == number)
        ways.push_back(static_cast<std::uint32_t>(entry.i386_multiplexed % 100));
    }
    return ways;
  }

  static std::vector<std::vector<spec::SeccompArg>> alternatives(
      std::vector<spec::SeccompArg> args) {
    std::sort(args.begin(), args.end(),
              [](const auto& a, const auto& b) { return a.index < b.index; });
    bool repeats = false;
    for (std::size_t i = 1; i < args.size(); ++i)
      repeats = repeats || args[i].index == args[i - 1].index;
    if (!repeats) return {args};
    std::vector<std::vector<spec::SeccompArg>> each;
    for (const auto& arg : args) each.push_back({arg});
    return each;
  }

  // An unconditional rule has the empty key, which sorts before all others.
  void consider(const spec::SeccompRule& rule, std::vector<spec::SeccompArg> args,
                std::uint32_t multiplexed, Abi abi, const SeccompData& data,
                std::optional<Key>& best, std::uint32_t& verdict) const {
    const bool wide = abi == Abi::kX86_64 || abi == Abi::kAarch64;
    std::erase_if(args, [&](const auto& arg) {
      return is_void(arg, wide) || (multiplexed != kDirect && arg.index == 0);
    });
    if (multiplexed != kDirect) args.insert(args.begin(), {0, multiplexed, 0, "SCMP_CMP_EQ"});
    for (const auto& arg : args)
      if (!holds(arg, data.args[arg.index], wide)) return;
    Key key = key_of(args, wide);
    if (best && *best <= key) return;
    best = std::move(key);
    verdict = action_value(rule.action, rule.errno_ret);
  }

  const spec::Seccomp& seccomp_;
  NativeArch native_;
  std::uint32_t default_;
};

}  // namespace caisson::plan::reference

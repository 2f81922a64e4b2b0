#include "sandbox/boot/filter_rules.h"

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <type_traits>

#include "plan/seccomp.h"
#include "sys/call.h"

namespace caisson::sandbox::boot {
namespace {

spec::SeccompRule rule_of(std::string_view name, std::initializer_list<Argument> arguments) {
  spec::SeccompRule rule;
  rule.names.emplace_back(name);
  for (const auto& argument : arguments) {
    if (argument.mask == 0) {
      rule.args.push_back({argument.index, argument.value, 0, "SCMP_CMP_EQ"});
    } else {
      rule.args.push_back({argument.index, argument.mask, argument.value, "SCMP_CMP_MASKED_EQ"});
    }
  }
  return rule;
}

}  // namespace

FilterRules::FilterRules() {
  profile_.default_action = "SCMP_ACT_KILL_PROCESS";
  profile_.flags.emplace();
#if defined(__aarch64__)
  profile_.architectures = {"SCMP_ARCH_AARCH64"};
#else
  profile_.architectures = {"SCMP_ARCH_X86_64"};
#endif
}

FilterRules& FilterRules::allow(std::initializer_list<std::string_view> names) {
  spec::SeccompRule rule;
  rule.names.assign(names.begin(), names.end());
  rule.action = "SCMP_ACT_ALLOW";
  profile_.rules.push_back(std::move(rule));
  return *this;
}

FilterRules& FilterRules::allow(std::string_view name, std::initializer_list<Argument> arguments) {
  spec::SeccompRule rule = rule_of(name, arguments);
  rule.action = "SCMP_ACT_ALLOW";
  profile_.rules.push_back(std::move(rule));
  return *this;
}

FilterRules& FilterRules::refuse(std::string_view name, std::uint32_t error,
                                 std::initializer_list<Argument> arguments) {
  spec::SeccompRule rule = rule_of(name, arguments);
  rule.action = "SCMP_ACT_ERRNO";
  rule.errno_ret = error;
  profile_.rules.push_back(std::move(rule));
  return *this;
}

FilterRules& FilterRules::refuse(std::initializer_list<std::string_view> names,
                                 std::uint32_t error) {
  spec::SeccompRule rule;
  rule.names.assign(names.begin(), names.end());
  rule.action = "SCMP_ACT_ERRNO";
  rule.errno_ret = error;
  profile_.rules.push_back(std::move(rule));
  return *this;
}

Result<> FilterRules::load() const {
  auto plan = TRY(plan::compile_seccomp(profile_, plan::native_arch()));
  static_assert(sizeof(plan::BpfInstruction) == sizeof(sock_filter));
  static_assert(std::is_trivially_copyable_v<plan::BpfInstruction>);
  sock_fprog program{};
  program.len = static_cast<unsigned short>(plan.program.size());
  program.filter = reinterpret_cast<sock_filter*>(plan.program.data());
  TRY_CTX(sys::call_void(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                         plan.filter_flags | SECCOMP_FILTER_FLAG_TSYNC, &program),
          "load the kernel process' system call filter");
  return {};
}

}  // namespace caisson::sandbox::boot

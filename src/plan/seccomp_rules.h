// The rules of one system call on one ABI: made ready for its registers, ordered, and compiled to
// the block of the program that looks at the call's arguments.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "plan/seccomp_assembler.h"
#include "plan/seccomp_profile.h"

namespace caisson::plan {

enum class RegisterWidth : std::uint8_t { k32, k64 };

// A rule that can match, as one ABI sees it; conditions that always hold are gone.
struct SeccompAbiRule {
  std::uint32_t action = 0;
  std::uint32_t position = 0;  // among its call's rules; set by order_rules()
  std::uint8_t count = 0;
  std::array<SeccompCondition, 6> conditions;  // `count` of them, by rising argument
};

// Empty when the rule can never match. `multiplexed`: the rule is for a call made by socketcall(2)
// or ipc(2) with this first argument; 0: called by its own number.
std::optional<SeccompAbiRule> rule_for_abi(const SeccompProfileRule& rule, RegisterWidth width,
                                           std::uint32_t multiplexed);

// Puts conditional rules into the order in which they are tried (see plan/seccomp.h).
void order_rules(std::vector<SeccompAbiRule>& rules);
// After order_rules(): whether two rules have equal conditions and different actions.
bool contradict(const std::vector<SeccompAbiRule>& rules);

// Tries the rules in order; `otherwise` is the action when none matches.
SeccompAssembler::Label assemble_rules(SeccompAssembler& assembler,
                                       const std::vector<SeccompAbiRule>& rules,
                                       RegisterWidth width, std::uint32_t otherwise);

}  // namespace caisson::plan

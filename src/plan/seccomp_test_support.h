// Profiles for the seccomp tests: from a data file, and made at random. Tests only.
#pragma once

#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "base/text.h"
#include "plan/syscall_table.h"
#include "spec/container_spec.h"

namespace caisson::plan::testing {

// A number in C notation.
inline std::uint64_t number_of(std::string_view text) {
  return text.starts_with("0x") ? parse_number<std::uint64_t>(text.substr(2), 16).value_or(0)
                                : parse_number<std::uint64_t>(text).value_or(0);
}

inline spec::SeccompArg arg_of(std::string_view text) {
  const auto parts = split(text, ',');
  spec::SeccompArg arg;
  arg.index = static_cast<std::uint32_t>(number_of(parts[0]));
  arg.op = cat("SCMP_CMP_", parts[1]);
  arg.value = number_of(parts[2]);
  if (parts.size() > 3) arg.value_two = number_of(parts[3]);
  return arg;
}

inline void add_line(spec::Seccomp& seccomp, std::string_view line) {
  std::vector<std::string_view> words;
  for (std::string_view word : split(line, ' '))
    if (!word.empty()) words.push_back(word);
  if (words.empty() || words[0].starts_with("#")) return;
  const std::string_view verb = words[0];
  if (verb == "arch") {
    for (std::size_t i = 1; i < words.size(); ++i)
      seccomp.architectures.push_back(cat("SCMP_ARCH_", words[i]));
    return;
  }
  if (verb != "default" && verb != "rule") {
    for (std::string_view name : words) seccomp.rules.back().names.emplace_back(name);
    return;
  }
  spec::SeccompRule rule;
  rule.action = cat("SCMP_ACT_", words[1]);
  for (std::size_t i = 2; i < words.size(); ++i) {
    const auto [key, value] = split_once(words[i], '=');
    if (key == "errno") rule.errno_ret = static_cast<std::uint32_t>(number_of(value));
    if (key == "arg") rule.args.push_back(arg_of(value));
  }
  if (verb == "rule") {
    seccomp.rules.push_back(rule);
    return;
  }
  seccomp.default_action = rule.action;
  seccomp.default_errno_ret = rule.errno_ret;
}

// The notation of testdata/default_profile.txt.
inline spec::Seccomp profile_of(std::string_view text) {
  spec::Seccomp seccomp;
  for (std::string_view line : split(text, '\n')) add_line(seccomp, line);
  return seccomp;
}

inline spec::Seccomp default_profile() {
  std::ifstream file(CAISSON_SOURCE_DIR "/src/plan/testdata/default_profile.txt");
  std::ostringstream text;
  text << file.rdbuf();
  return profile_of(text.str());
}

inline const std::vector<std::uint64_t>& edge_values() {
  static const std::vector<std::uint64_t> kValues = {
      0,           1,           2,           8,           9,
      16,          0xff,        0x1000,      0x7fffffff,  0x80000000,
      0xfffffffe,  0xffffffff,  0x100000000, 0x100000001, 0x100000008,
      0x1ffffffff, 0x500000009, ~0ULL,       ~0ULL - 1,   0x8000000000000000};
  return kValues;
}

struct ProfileKind {
  bool conflicts = true;    // rules of one call may have different actions
  bool equal_only = false;  // conditions are == only
  unsigned conditions = 3;  // at most, in a rule
};

class RandomProfiles {
 public:
  explicit RandomProfiles(unsigned seed) : random_(seed) {}

  spec::Seccomp next(const std::vector<std::string>& names, ProfileKind kind) {
    static constexpr const char* kDefaults[] = {"ALLOW", "ERRNO", "KILL", "LOG", "TRAP", "ERRNO"};
    spec::Seccomp seccomp;
    seccomp.default_action = cat("SCMP_ACT_", kDefaults[below(6)]);
    if (seccomp.default_action == "SCMP_ACT_ERRNO" && below(2)) seccomp.default_errno_ret = 38;
    const bool all = below(2) != 0;
    if (all || below(2)) seccomp.architectures.push_back("SCMP_ARCH_X86_64");
    if (all || below(3) == 0) seccomp.architectures.push_back("SCMP_ARCH_X86");
    if (all || below(3) == 0) seccomp.architectures.push_back("SCMP_ARCH_X32");
    if (all || below(3) == 0) seccomp.architectures.push_back("SCMP_ARCH_ARM");
    const unsigned rules = 1 + below(12);
    for (unsigned i = 0; i < rules; ++i) add_rule(seccomp, names, kind);
    return seccomp;
  }

  unsigned below(unsigned limit) { return static_cast<unsigned>(random_() % limit); }

  std::uint64_t value() {
    const auto& edges = edge_values();
    switch (below(4)) {
      case 0: return below(20);
      case 1: return random_();
      default: return edges[below(static_cast<unsigned>(edges.size()))];
    }
  }

 private:
  void add_rule(spec::Seccomp& seccomp, const std::vector<std::string>& names, ProfileKind kind) {
    spec::SeccompRule rule;
    const unsigned count = below(6) == 0 ? 40 : 1 + below(3);
    const auto start = below(static_cast<unsigned>(names.size()));
    // Without conflicts a call's action follows from its name; so all names of a rule agree.
    const unsigned flavour = kind.conflicts ? below(5) : start % 5;
    for (unsigned i = 0; i < count; ++i) {
      const std::size_t step = kind.conflicts ? i : 5 * i;
      rule.names.push_back(names[(start + step) % names.size()]);
    }
    static constexpr const char* kActions[] = {"ALLOW", "ERRNO", "KILL_PROCESS", "TRACE", "LOG"};
    rule.action = cat("SCMP_ACT_", kActions[flavour]);
    if (flavour == 1) rule.errno_ret = 13;
    if (below(3)) add_args(rule, kind);
    seccomp.rules.push_back(rule);
  }

  void add_args(spec::SeccompRule& rule, ProfileKind kind) {
    static constexpr const char* kOps[] = {"EQ", "EQ", "NE", "MASKED_EQ", "LT", "LE", "GE", "GT"};
    const unsigned count = 1 + below(kind.conditions);
    for (unsigned i = 0; i < count; ++i)
      rule.args.push_back({below(below(2) ? 2 : 6), value(), value(),
                           cat("SCMP_CMP_", kOps[below(kind.equal_only ? 1 : 8)])});
  }

  std::mt19937_64 random_;
};

}  // namespace caisson::plan::testing

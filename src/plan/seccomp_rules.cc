#include "plan/seccomp_rules.h"

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <cstddef>

namespace caisson::plan {

namespace {

using Label = SeccompAssembler::Label;

constexpr std::uint64_t kLowHalf = 0xffffffff;

std::uint32_t low(std::uint64_t value) { return static_cast<std::uint32_t>(value); }
std::uint32_t high(std::uint64_t value) { return static_cast<std::uint32_t>(value >> 32); }

// Offsets in seccomp_data; every machine that we run on is little-endian.
std::uint32_t low_offset(std::uint8_t arg) {
  return static_cast<std::uint32_t>(offsetof(seccomp_data, args)) + 8U * arg;
}
std::uint32_t high_offset(std::uint8_t arg) { return low_offset(arg) + 4; }

enum class Truth { kNever, kSometimes, kAlways };

Truth truth_of(const SeccompCondition& condition, std::uint64_t greatest) {
  switch (condition.compare) {
    case Compare::kMaskedEqual: return condition.mask == 0 ? Truth::kAlways : Truth::kSometimes;
    case Compare::kGreaterEqual: return condition.value == 0 ? Truth::kAlways : Truth::kSometimes;
    case Compare::kLessEqual:
      return condition.value == greatest ? Truth::kAlways : Truth::kSometimes;
    case Compare::kLess: return condition.value == 0 ? Truth::kNever : Truth::kSometimes;
    case Compare::kGreater: return condition.value == greatest ? Truth::kNever : Truth::kSometimes;
    case Compare::kEqual:
    case Compare::kNotEqual: break;
  }
  return Truth::kSometimes;
}

int specificity(Compare compare) {
  switch (compare) {
    case Compare::kEqual:
    case Compare::kNotEqual:
    case Compare::kMaskedEqual: return 3;
    case Compare::kLess:
    case Compare::kLessEqual: return 2;
    case Compare::kGreater:
    case Compare::kGreaterEqual: break;
  }
  return 1;
}

// Negative: `a` is tried before `b`.
int compare_conditions(const SeccompCondition& a, const SeccompCondition& b) {
  if (a.arg != b.arg) return a.arg > b.arg ? -1 : 1;
  const int class_a = specificity(a.compare), class_b = specificity(b.compare);
  if (class_a != class_b) return class_a > class_b ? -1 : 1;
  if (a.value != b.value) return (a.value > b.value) == (class_a != 2) ? -1 : 1;
  if (a.mask != b.mask) return a.mask > b.mask ? -1 : 1;
  return 0;
}

bool comes_first(const SeccompAbiRule& a, const SeccompAbiRule& b) {
  for (std::size_t i = 0; i < std::min(a.count, b.count); ++i)
    if (int order = compare_conditions(a.conditions[i], b.conditions[i]); order != 0)
      return order < 0;
  return a.count != b.count ? a.count < b.count : a.position < b.position;
}

bool same_conditions(const SeccompAbiRule& a, const SeccompAbiRule& b) {
  if (a.count != b.count) return false;
  for (std::size_t i = 0; i < a.count; ++i)
    if (a.conditions[i].compare != b.conditions[i].compare ||
        compare_conditions(a.conditions[i], b.conditions[i]) != 0)
      return false;
  return true;
}

// Writes conditions and rules; all of the block, last instruction first.
class BlockWriter {
 public:
  BlockWriter(SeccompAssembler& assembler, RegisterWidth width)
      : assembler_(assembler), wide_(width == RegisterWidth::k64) {}

  Label rule(const SeccompAbiRule& rule, Label fail) {
    Label next = assembler_.ret(rule.action);
    for (std::size_t i = rule.count; i > 0; --i)
      next = condition(rule.conditions[i - 1], next, fail);
    return next;
  }

  // Rules [first, last) that test one argument for equality with values of one high half.
  Label equal_run(const SeccompAbiRule* first, const SeccompAbiRule* last, Label fail) {
    const SeccompCondition& sample = first->conditions[0];
    Label next = fail;
    for (const SeccompAbiRule* at = last; at != first;) {
      --at;
      next =
          assembler_.jump(BPF_JEQ, low(at->conditions[0].value), assembler_.ret(at->action), next);
    }
    next = assembler_.load(low_offset(sample.arg), next);
    return high_equals(sample, next, fail);
  }

 private:
  Label condition(const SeccompCondition& c, Label pass, Label fail) {
    switch (c.compare) {
      case Compare::kEqual: return equal(c, pass, fail);
      case Compare::kNotEqual: return equal(c, fail, pass);
      case Compare::kMaskedEqual: return masked(c, pass, fail);
      case Compare::kGreater: return ordered(BPF_JGT, c, pass, fail);
      case Compare::kLessEqual: return ordered(BPF_JGT, c, fail, pass);
      case Compare::kGreaterEqual: return ordered(BPF_JGE, c, pass, fail);
      case Compare::kLess: break;
    }
    return ordered(BPF_JGE, c, fail, pass);
  }

  Label high_equals(const SeccompCondition& c, Label pass, Label fail) {
    if (!wide_) return pass;
    return assembler_.load(high_offset(c.arg), assembler_.jump(BPF_JEQ, high(c.value), pass, fail));
  }

  Label equal(const SeccompCondition& c, Label pass, Label fail) {
    Label next =
        assembler_.load(low_offset(c.arg), assembler_.jump(BPF_JEQ, low(c.value), pass, fail));
    return high_equals(c, next, fail);
  }

  Label masked(const SeccompCondition& c, Label pass, Label fail) {
    Label next = pass;
    if (low(c.mask) != 0) {
      next = assembler_.jump(BPF_JEQ, low(c.value), next, fail);
      next = assembler_.load(low_offset(c.arg), assembler_.mask(low(c.mask), next));
    }
    if (wide_ && high(c.mask) != 0) {
      next = assembler_.jump(BPF_JEQ, high(c.value), next, fail);
      next = assembler_.load(high_offset(c.arg), assembler_.mask(high(c.mask), next));
    }
    return next;
  }

  // `comparison` of the low halves decides when the high halves are equal.
  Label ordered(std::uint16_t comparison, const SeccompCondition& c, Label pass, Label fail) {
    Label next =
        assembler_.load(low_offset(c.arg), assembler_.jump(comparison, low(c.value), pass, fail));
    if (!wide_) return next;
    if (high(c.value) == 0) {  // not equal is greater
      next = assembler_.jump(BPF_JEQ, 0, next, pass);
    } else {
      next = assembler_.jump(BPF_JEQ, high(c.value), next, fail);
      next = assembler_.jump(BPF_JGT, high(c.value), pass, next);
    }
    return assembler_.load(high_offset(c.arg), next);
  }

  SeccompAssembler& assembler_;
  bool wide_;
};

bool is_single_equal(const SeccompAbiRule& rule) {
  return rule.count == 1 && rule.conditions[0].compare == Compare::kEqual;
}

// Start of the run of rules up to `last` that equal_run() can take together.
std::size_t run_start(const std::vector<SeccompAbiRule>& rules, std::size_t last) {
  std::size_t first = last - 1;
  if (!is_single_equal(rules[first])) return first;
  const SeccompCondition& sample = rules[first].conditions[0];
  while (first > 0 && is_single_equal(rules[first - 1]) &&
         rules[first - 1].conditions[0].arg == sample.arg &&
         high(rules[first - 1].conditions[0].value) == high(sample.value))
    --first;
  return first;
}

}  // namespace

std::optional<SeccompAbiRule> rule_for_abi(const SeccompProfileRule& rule, RegisterWidth width,
                                           std::uint32_t multiplexed) {
  const std::uint64_t greatest = width == RegisterWidth::k64 ? ~std::uint64_t{0} : kLowHalf;
  SeccompAbiRule result;
  result.action = rule.action;
  if (multiplexed != 0)
    result.conditions[result.count++] = {0, Compare::kEqual, greatest, multiplexed};
  for (SeccompCondition condition : rule.conditions) {
    // The arguments of a multiplexed call are in memory; the registers hold something else.
    if (multiplexed != 0 && condition.arg == 0) continue;
    condition.mask &= greatest;
    condition.value &= greatest;
    const Truth truth = truth_of(condition, greatest);
    if (truth == Truth::kNever) return std::nullopt;
    if (truth == Truth::kSometimes) result.conditions[result.count++] = condition;
  }
  return result;
}

void order_rules(std::vector<SeccompAbiRule>& rules) {
  for (std::uint32_t i = 0; i < rules.size(); ++i) rules[i].position = i;
  std::sort(rules.begin(), rules.end(), comes_first);
}

bool contradict(const std::vector<SeccompAbiRule>& rules) {
  for (std::size_t i = 1; i < rules.size(); ++i)
    if (same_conditions(rules[i - 1], rules[i]) && rules[i - 1].action != rules[i].action)
      return true;
  return false;
}

Label assemble_rules(SeccompAssembler& assembler, const std::vector<SeccompAbiRule>& rules,
                     RegisterWidth width, std::uint32_t otherwise) {
  BlockWriter writer(assembler, width);
  Label next = assembler.ret(otherwise);
  for (std::size_t last = rules.size(); last > 0;) {
    const std::size_t first = run_start(rules, last);
    next = last - first > 1 ? writer.equal_run(&rules[first], &rules[first] + (last - first), next)
                            : writer.rule(rules[first], next);
    last = first;
  }
  return next;
}

}  // namespace caisson::plan

#include "plan/seccomp_assembler.h"

#include <linux/filter.h>

namespace caisson::plan {

namespace {

constexpr std::uint32_t kReach = 255;
constexpr std::uint16_t kReturn = BPF_RET | BPF_K;

}  // namespace

SeccompAssembler::Label SeccompAssembler::push(BpfInstruction instruction) {
  reversed_.push_back(instruction);
  return static_cast<Label>(reversed_.size() - 1);
}

bool SeccompAssembler::is_return(Label label) const { return reversed_[label].code == kReturn; }

SeccompAssembler::Label SeccompAssembler::ret(std::uint32_t action) {
  for (const Return& known : returns_)
    if (known.action == action) return known.label;
  returns_.push_back({action, push({kReturn, 0, 0, action})});
  return returns_.back().label;
}

SeccompAssembler::Label SeccompAssembler::relay(Label target) {
  if (!is_return(target)) return push({BPF_JMP | BPF_JA, 0, 0, distance(target)});
  const std::uint32_t action = reversed_[target].k;
  const Label copy = push({kReturn, 0, 0, action});
  for (Return& known : returns_)
    if (known.action == action) known.label = copy;
  return copy;
}

SeccompAssembler::Label SeccompAssembler::jump(std::uint16_t comparison, std::uint32_t k,
                                               Label on_true, Label on_false) {
  if (on_true == on_false) return on_true;
  // A relay for the second target moves the jump one further away from the first.
  if (distance(on_true) + 1 > kReach) on_true = relay(on_true);
  if (distance(on_false) > kReach) on_false = relay(on_false);
  return push({static_cast<std::uint16_t>(BPF_JMP | comparison | BPF_K),
               static_cast<std::uint8_t>(distance(on_true)),
               static_cast<std::uint8_t>(distance(on_false)), k});
}

SeccompAssembler::Label SeccompAssembler::push_before(BpfInstruction instruction, Label next) {
  if (is_return(next)) return next;  // nobody looks at the accumulator any more
  if (distance(next) != 0) (void)relay(next);
  return push(instruction);
}

SeccompAssembler::Label SeccompAssembler::load(std::uint32_t offset, Label next) {
  return push_before({BPF_LD | BPF_W | BPF_ABS, 0, 0, offset}, next);
}

SeccompAssembler::Label SeccompAssembler::mask(std::uint32_t k, Label next) {
  if (k == ~std::uint32_t{0}) return next;
  return push_before({BPF_ALU | BPF_AND | BPF_K, 0, 0, k}, next);
}

std::vector<BpfInstruction> SeccompAssembler::take(Label entry) {
  // Only a program without any decision starts at a return that may stand further back.
  if (distance(entry) != 0) (void)relay(entry);
  return {reversed_.rbegin(), reversed_.rend()};
}

}  // namespace caisson::plan

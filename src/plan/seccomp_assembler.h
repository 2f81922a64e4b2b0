// Puts a classic BPF program together from its end to its start.
//
// Jumps go forward only, so whoever jumps is written after its targets and knows every distance.
// A target out of reach of a conditional jump (255 instructions) gets a relay: a copy of a return,
// a long jump to anything else.
#pragma once

#include <cstdint>
#include <vector>

#include "plan/plan.h"

namespace caisson::plan {

class SeccompAssembler {
 public:
  using Label = std::uint32_t;  // an instruction written before

  SeccompAssembler() { reversed_.reserve(1024); }

  // A return of `action`; the same one again while there is one.
  Label ret(std::uint32_t action);
  // `comparison` is BPF_JEQ, BPF_JGT or BPF_JGE, of the accumulator with `k`.
  Label jump(std::uint16_t comparison, std::uint32_t k, Label on_true, Label on_false);
  // Loads the word at `offset` of seccomp_data and goes on at `next`.
  Label load(std::uint32_t offset, Label next);
  Label mask(std::uint32_t k, Label next);

  std::size_t size() const { return reversed_.size(); }
  // The program that starts at `entry`, which must be the instruction written last.
  std::vector<BpfInstruction> take(Label entry);

 private:
  struct Return {
    std::uint32_t action;
    Label label;
  };
  Label push(BpfInstruction instruction);
  Label push_before(BpfInstruction instruction, Label next);
  Label relay(Label target);
  bool is_return(Label label) const;
  // Instructions between one that is written next and `label`.
  std::uint32_t distance(Label label) const {
    return static_cast<std::uint32_t>(reversed_.size()) - label - 1;
  }

  std::vector<BpfInstruction> reversed_;
  std::vector<Return> returns_;  // the nearest one of each action
};

}  // namespace caisson::plan

// arm64: the general registers in the order of struct user_pt_regs (<asm/ptrace.h>).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace caisson::sandbox::abi {

struct Registers {
  std::array<std::uint64_t, 31> x{};
  std::uint64_t sp = 0, pc = 0, pstate = 0;
  std::uint64_t tpidr = 0;
  std::uint64_t orig_x0 = 0;  // the first argument, before the result took its place

  std::uint64_t syscall_number() const { return x[8]; }
  std::uint64_t argument(int index) const {
    return index == 0 ? orig_x0 : x[static_cast<std::size_t>(index)];
  }
  void set_result(std::int64_t result) { x[0] = static_cast<std::uint64_t>(result); }
  std::int64_t result() const { return static_cast<std::int64_t>(x[0]); }
  std::uint64_t instruction_pointer() const { return pc; }
  void set_instruction_pointer(std::uint64_t address) { pc = address; }
  std::uint64_t stack_pointer() const { return sp; }
  void set_stack_pointer(std::uint64_t address) { sp = address; }
  // The processor traps behind the next instruction (SPSR.SS).
  void set_single_step(bool on) {
    constexpr std::uint64_t kStepFlag = 1U << 21;
    pstate = on ? pstate | kStepFlag : pstate & ~kStepFlag;
  }
  void set_thread_pointer(std::uint64_t address) { tpidr = address; }
  friend bool operator==(const Registers&, const Registers&) = default;
  void restart_syscall() {
    x[0] = orig_x0;
    pc -= 4;
  }
  // The same with another number and no arguments (restart_syscall(2)).
  void restart_as(std::uint64_t number) {
    x[8] = number;
    pc -= 4;
  }
};

}  // namespace caisson::sandbox::abi

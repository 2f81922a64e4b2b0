// x86-64: the general registers in the order of struct user_regs_struct (<sys/user.h>), without the
// segment selectors, which no 64-bit program can choose.
#pragma once

#include <cstdint>

namespace caisson::sandbox::abi {

struct Registers {
  std::uint64_t r15 = 0, r14 = 0, r13 = 0, r12 = 0, rbp = 0, rbx = 0, r11 = 0, r10 = 0, r9 = 0,
                r8 = 0, rax = 0, rcx = 0, rdx = 0, rsi = 0, rdi = 0;
  std::uint64_t rip = 0, eflags = 0x202, rsp = 0;
  std::uint64_t fs_base = 0, gs_base = 0;
  // The number of the system call that is being answered; rax may already hold its result.
  std::uint64_t orig_rax = ~std::uint64_t{0};

  std::uint64_t syscall_number() const { return orig_rax; }
  // Argument 0 to 5.
  std::uint64_t argument(int index) const {
    switch (index) {
      case 0: return rdi;
      case 1: return rsi;
      case 2: return rdx;
      case 3: return r10;
      case 4: return r8;
      default: return r9;
    }
  }
  void set_result(std::int64_t result) { rax = static_cast<std::uint64_t>(result); }
  std::int64_t result() const { return static_cast<std::int64_t>(rax); }
  std::uint64_t instruction_pointer() const { return rip; }
  void set_instruction_pointer(std::uint64_t address) { rip = address; }
  std::uint64_t stack_pointer() const { return rsp; }
  void set_stack_pointer(std::uint64_t address) { rsp = address; }
  // The processor traps behind the next instruction.
  void set_single_step(bool on) {
    constexpr std::uint64_t kTrapFlag = 0x100;
    eflags = on ? eflags | kTrapFlag : eflags & ~kTrapFlag;
  }
  void set_thread_pointer(std::uint64_t address) { fs_base = address; }
  friend bool operator==(const Registers&, const Registers&) = default;
  // Makes the system call instruction run once more with the same number.
  void restart_syscall() {
    rax = orig_rax;
    rip -= 2;
  }
  // The same with another number and no arguments (restart_syscall(2)).
  void restart_as(std::uint64_t number) {
    rax = number;
    rip -= 2;
  }
};

}  // namespace caisson::sandbox::abi

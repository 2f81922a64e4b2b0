#include "sandbox/platform/signal_frame.h"

namespace caisson::sandbox::platform {
namespace {

struct Pair {
  std::uint64_t abi::Registers::* ours;
  int frame;
};
using abi::Registers;
constexpr Pair kPairs[] = {
    {&Registers::r8, REG_R8},   {&Registers::r9, REG_R9},   {&Registers::r10, REG_R10},
    {&Registers::r11, REG_R11}, {&Registers::r12, REG_R12}, {&Registers::r13, REG_R13},
    {&Registers::r14, REG_R14}, {&Registers::r15, REG_R15}, {&Registers::rdi, REG_RDI},
    {&Registers::rsi, REG_RSI}, {&Registers::rbp, REG_RBP}, {&Registers::rbx, REG_RBX},
    {&Registers::rdx, REG_RDX}, {&Registers::rax, REG_RAX}, {&Registers::rcx, REG_RCX},
    {&Registers::rsp, REG_RSP}, {&Registers::rip, REG_RIP}, {&Registers::eflags, REG_EFL},
};

}  // namespace

void copy_registers(Registers& to, const greg_t (&from)[NGREG]) {
  for (const Pair& pair : kPairs) to.*pair.ours = static_cast<std::uint64_t>(from[pair.frame]);
  to.orig_rax = ~std::uint64_t{0};
}

void copy_registers(Registers& to, const CallRecord& from) {
  to.r15 = from.r15, to.r14 = from.r14, to.r13 = from.r13, to.r12 = from.r12;
  to.rbp = from.rbp, to.rbx = from.rbx, to.r11 = from.r11, to.r10 = from.r10;
  to.r9 = from.r9, to.r8 = from.r8, to.rax = from.rax, to.rcx = from.rcx;
  to.rdx = from.rdx, to.rsi = from.rsi, to.rdi = from.rdi, to.rip = from.rip;
  to.eflags = from.eflags, to.rsp = from.rsp;
  to.orig_rax = ~std::uint64_t{0};
}

void copy_registers(SignalFrame& to, const Registers& from) {
  for (const Pair& pair : kPairs) to.registers[pair.frame] = static_cast<greg_t>(from.*pair.ours);
}

}  // namespace caisson::sandbox::platform

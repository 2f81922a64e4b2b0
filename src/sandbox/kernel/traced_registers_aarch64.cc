#if defined(__aarch64__)

#include <asm/ptrace.h>
#include <linux/audit.h>

#include <algorithm>
#include <cstring>

#include "sandbox/kernel/traced_registers.h"

namespace caisson::sandbox::kernel {
namespace {

constexpr std::uint64_t kFlags = 0xf0000000;  // of pstate: N, Z, C, V

user_pt_regs to_user(const abi::Registers& from) {
  user_pt_regs to{};
  std::copy(from.x.begin(), from.x.end(), to.regs);
  to.sp = from.sp, to.pc = from.pc, to.pstate = from.pstate;
  return to;
}

}  // namespace

std::vector<std::byte> general_registers(const abi::Registers& registers) {
  user_pt_regs set = to_user(registers);
  std::vector<std::byte> bytes(sizeof set);
  std::memcpy(bytes.data(), &set, sizeof set);
  return bytes;
}

ErrnoOr<> set_general_registers(abi::Registers& registers, std::span<const std::byte> set) {
  user_pt_regs from = to_user(registers);
  std::memcpy(&from, set.data(), std::min(set.size(), sizeof from));
  std::copy(std::begin(from.regs), std::end(from.regs), registers.x.begin());
  registers.sp = from.sp, registers.pc = from.pc;
  registers.pstate = (registers.pstate & ~kFlags) | (from.pstate & kFlags);
  return {};
}

// The number of a call is an ordinary register here.
void forget_call(abi::Registers& registers) { registers.x[8] = ~std::uint64_t{0}; }
bool is_in_call(const abi::Registers& registers) {
  return static_cast<std::int32_t>(registers.x[8]) >= 0;
}
std::uint32_t call_architecture() { return AUDIT_ARCH_AARCH64; }

}  // namespace caisson::sandbox::kernel

#endif

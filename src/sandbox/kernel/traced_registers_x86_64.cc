#if defined(__x86_64__)

#include <linux/audit.h>
#include <sys/user.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "sandbox/kernel/traced_registers.h"

namespace caisson::sandbox::kernel {
namespace {

constexpr std::uint64_t kCodeSelector = 0x33, kDataSelector = 0x2b;  // of every 64-bit program
constexpr std::uint64_t kAddressEnd = std::uint64_t{1} << 47;
// What debuggers may change of the flags (FLAG_MASK of Linux).
constexpr std::uint64_t kFlags = 0x54dd5;

user_regs_struct to_user(const abi::Registers& from) {
  user_regs_struct to{};
  to.r15 = from.r15, to.r14 = from.r14, to.r13 = from.r13, to.r12 = from.r12;
  to.rbp = from.rbp, to.rbx = from.rbx, to.r11 = from.r11, to.r10 = from.r10;
  to.r9 = from.r9, to.r8 = from.r8, to.rax = from.rax, to.rcx = from.rcx;
  to.rdx = from.rdx, to.rsi = from.rsi, to.rdi = from.rdi, to.orig_rax = from.orig_rax;
  to.rip = from.rip, to.eflags = from.eflags, to.rsp = from.rsp;
  to.fs_base = from.fs_base, to.gs_base = from.gs_base;
  to.cs = kCodeSelector, to.ss = kDataSelector;
  return to;
}

}  // namespace

std::vector<std::byte> general_registers(const abi::Registers& registers) {
  user_regs_struct set = to_user(registers);
  std::vector<std::byte> bytes(sizeof set);
  std::memcpy(bytes.data(), &set, sizeof set);
  return bytes;
}

ErrnoOr<> set_general_registers(abi::Registers& registers, std::span<const std::byte> set) {
  user_regs_struct from = to_user(registers);
  std::memcpy(&from, set.data(), std::min(set.size(), sizeof from));
  if (from.fs_base >= kAddressEnd || from.gs_base >= kAddressEnd)
    return std::unexpected(Errno{EIO});
  abi::Registers& to = registers;
  to.r15 = from.r15, to.r14 = from.r14, to.r13 = from.r13, to.r12 = from.r12;
  to.rbp = from.rbp, to.rbx = from.rbx, to.r11 = from.r11, to.r10 = from.r10;
  to.r9 = from.r9, to.r8 = from.r8, to.rax = from.rax, to.rcx = from.rcx;
  to.rdx = from.rdx, to.rsi = from.rsi, to.rdi = from.rdi, to.orig_rax = from.orig_rax;
  to.rip = from.rip, to.rsp = from.rsp;
  to.eflags = (to.eflags & ~kFlags) | (from.eflags & kFlags);
  to.fs_base = from.fs_base, to.gs_base = from.gs_base;
  return {};
}

void forget_call(abi::Registers& registers) { registers.orig_rax = ~std::uint64_t{0}; }
bool is_in_call(const abi::Registers& registers) {
  return static_cast<std::int64_t>(registers.orig_rax) >= 0;
}
std::uint32_t call_architecture() { return AUDIT_ARCH_X86_64; }

}  // namespace caisson::sandbox::kernel

#endif

// System call names and numbers of the ABIs that a seccomp filter can meet on the machines we run
// on.
#pragma once

#include <cstdint>
#include <string_view>

namespace caisson::plan {

enum class Abi : std::uint8_t { kX86_64, kI386, kX32, kAarch64, kArm };
inline constexpr int kAbiCount = 5;

// x32 calls carry this bit in the number that the kernel shows to filters; the table leaves it out.
inline constexpr std::uint32_t kX32Bit = 0x40000000;
// Numbers from here on are ARM's private calls (cacheflush, set_tls ...), no part of the growing
// list.
inline constexpr std::int32_t kArmPrivateBase = 0x0f0000;

struct SyscallEntry {
  char text[32];  // zero-padded; in place, so that the table needs no relocations at start
  std::int32_t numbers[kAbiCount];  // by Abi; -1: the ABI has no such call
  // i386 reaches this call also through socketcall(2) (1..99: its first argument) or ipc(2)
  // (100 + its first argument); 0: it doesn't.
  std::int32_t i386_multiplexed;

  std::string_view name() const { return text; }
  std::int32_t number(Abi abi) const { return numbers[static_cast<int>(abi)]; }
};

// Null for a name that no ABI knows.
const SyscallEntry* find_syscall(std::string_view name);
// Empty for a number without a name. x32 numbers without kX32Bit. Linear: for messages only.
std::string_view syscall_name(Abi abi, std::int32_t number);

}  // namespace caisson::plan

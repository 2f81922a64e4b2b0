#include "sandbox/platform/call_site.h"

#include <sys/syscall.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace caisson::sandbox::platform {
namespace {

// Those that begin or end programs and threads or change what a record lacks, and those that send
// signals: mostly to the caller itself, for whose handler a signal frame would be made after all.
constexpr std::uint32_t kNeedFrames[] = {SYS_rt_sigreturn,
                                         SYS_clone,
                                         SYS_clone3,
                                         SYS_fork,
                                         SYS_vfork,
                                         SYS_execve,
                                         SYS_execveat,
                                         SYS_exit,
                                         SYS_exit_group,
                                         SYS_arch_prctl,
                                         SYS_kill,
                                         SYS_tkill,
                                         SYS_tgkill,
                                         SYS_rt_sigqueueinfo,
                                         SYS_rt_tgsigqueueinfo,
                                         SYS_rt_sigsuspend};
constexpr std::byte kMovToEax{0xb8}, kJump{0xe9};
constexpr std::byte kSyscall[] = {std::byte{0x0f}, std::byte{0x05}};

}  // namespace

std::optional<std::uint32_t> number_of_site(std::span<const std::byte, kSiteSize> code) {
  if (code[0] != kMovToEax || !std::ranges::equal(code.last<2>(), kSyscall)) return std::nullopt;
  std::uint32_t number = 0;
  std::memcpy(&number, code.data() + 1, sizeof number);
  if (std::ranges::find(kNeedFrames, number) != std::end(kNeedFrames)) return std::nullopt;
  return number;
}

std::array<std::byte, kJumpSize> first_instruction(std::uint32_t number) {
  std::array<std::byte, kJumpSize> code{kMovToEax};
  std::memcpy(code.data() + 1, &number, sizeof number);
  return code;
}

std::optional<std::array<std::byte, kJumpSize>> jump_to(std::uint64_t site,
                                                        std::uint64_t trampoline) {
  auto distance = static_cast<std::int64_t>(trampoline - site - kJumpSize);
  auto near = static_cast<std::int32_t>(distance);
  if (near != distance) return std::nullopt;
  std::array<std::byte, kJumpSize> jump{kJump};
  std::memcpy(jump.data() + 1, &near, sizeof near);
  return jump;
}

Trampoline make_trampoline(std::uint32_t place, std::uint64_t behind, std::uint32_t number) {
  constexpr std::uint32_t kData = offsetof(Trampoline, behind), kLoadSize = 7, kGoSize = 6;
  Trampoline made{};
  std::memset(made.code, 0xcc, sizeof made.code);
  made.behind = behind;
  made.number = number;
  const std::uint8_t load[] = {0x4c, 0x8d, 0x1d};  // lea DATA(%rip), %r11
  const std::uint8_t go[] = {0xff, 0x25};          // jmp *HEAD(%rip)
  std::uint32_t to_data = kData - kLoadSize;
  std::uint32_t to_head = 0U - (place * kTrampolineSize + kLoadSize + kGoSize);
  std::memcpy(made.code, load, sizeof load);
  std::memcpy(made.code + 3, &to_data, sizeof to_data);
  std::memcpy(made.code + kLoadSize, go, sizeof go);
  std::memcpy(made.code + kLoadSize + 2, &to_head, sizeof to_head);
  return made;
}

}  // namespace caisson::sandbox::platform

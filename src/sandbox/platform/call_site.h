// Call sites: places in guest code that make a system call as libraries and compilers write it,
// "mov $NUMBER, %eax; syscall", and what they become. Only the first instruction is replaced, by a
// jump to a trampoline: the second stays what it is, for those who jump to it and for calls that
// are restarted. Nobody can be between the two halves of one instruction, so that such a change is
// safe as soon as it is one store.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "sandbox/platform/layout.h"

namespace caisson::sandbox::platform {

inline constexpr std::size_t kSiteSize = 7, kJumpSize = 5;

// The system call's number if these bytes, which end behind the system call instruction, are a site
// whose number is nothing but an ordinary call: those that make or end threads and programs, or
// return from signal handlers, need a whole signal frame.
std::optional<std::uint32_t> number_of_site(std::span<const std::byte, kSiteSize> code);

// "mov $number, %eax"
std::array<std::byte, kJumpSize> first_instruction(std::uint32_t number);

// The jump from `site` to `trampoline`; none: it is too far away.
std::optional<std::array<std::byte, kJumpSize>> jump_to(std::uint64_t site,
                                                        std::uint64_t trampoline);

// Whether the jump at `site` is within one aligned word, which is stored at once.
constexpr bool is_one_store(std::uint64_t site) { return site % 8 + kJumpSize <= 8; }

// A trampoline at `place` of an island, for the call that ends at `behind`.
Trampoline make_trampoline(std::uint32_t place, std::uint64_t behind, std::uint32_t number);

// Which system call instructions trap often, seen by one thread.
class HotSites {
 public:
  static constexpr std::uint32_t kHot = 24;

  // True once, when the call that ends at `behind` was counted kHot times.
  bool count(std::uint64_t behind) {
    Entry& entry = entries_[(behind ^ behind >> 12) % entries_.size()];
    if (entry.behind != behind) entry = {behind, 0};
    if (entry.count > kHot) return false;
    return ++entry.count > kHot;
  }

 private:
  struct Entry {
    std::uint64_t behind = 0;
    std::uint32_t count = 0;
  };
  std::array<Entry, 64> entries_{};
};

}  // namespace caisson::sandbox::platform

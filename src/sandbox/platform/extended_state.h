// The processor's extended state (floating point and vector registers) in the form that signal
// frames have: an XSAVE image whose software-reserved bytes say how long it is, and a closing mark.
// From the host kernel: arch/x86/include/uapi/asm/sigcontext.h, struct _fpx_sw_bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace caisson::sandbox::platform {

// What an image says about itself.
struct ExtendedLayout {
  std::uint64_t features = 0;  // XCR0's bits, as far as user programs have them
  std::uint32_t size = 0;      // of the XSAVE image, without the mark

  std::size_t whole_size() const { return size + sizeof(std::uint32_t); }
};

// What this processor and kernel use, found by making an image of the caller's own state.
ExtendedLayout host_extended_layout();

// What an image says about itself, which must fit into `image`.
ErrnoOr<ExtendedLayout> described_layout(std::span<const std::byte> image);

// Writes what describes an image, and the mark, into it; `image` has whole_size() bytes.
void describe_extended_state(const ExtendedLayout& layout, std::span<std::byte> image);
// The initial state, as after execve(2).
void init_extended_state(const ExtendedLayout& layout, std::span<std::byte> image);
// Copies a guest's image into `to` if its sizes and features are such as we have.
ErrnoOr<> copy_extended_state(const ExtendedLayout& layout, std::span<const std::byte> image,
                              std::span<std::byte> to);

}  // namespace caisson::sandbox::platform

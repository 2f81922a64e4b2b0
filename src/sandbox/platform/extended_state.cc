#include "sandbox/platform/extended_state.h"

#include <asm/sigcontext.h>
#include <cpuid.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace caisson::sandbox::platform {
namespace {

constexpr std::size_t kLegacySize = 512;  // FXSAVE, whose last 48 bytes are software's
constexpr std::size_t kHeaderSize = 64;
constexpr std::size_t kSoftwareAt = kLegacySize - sizeof(_fpx_sw_bytes);
constexpr std::size_t kControlWordAt = 0, kMxcsrAt = 24;
constexpr std::uint16_t kInitialControlWord = 0x37f;
constexpr std::uint32_t kInitialMxcsr = 0x1f80;
// Of the state components, what is in no user's frame unless asked for: AMX tiles.
constexpr std::uint64_t kOnDemand = std::uint64_t{1} << 18;

_fpx_sw_bytes software_bytes(std::span<const std::byte> image) {
  _fpx_sw_bytes bytes;
  std::memcpy(&bytes, image.data() + kSoftwareAt, sizeof bytes);
  return bytes;
}

}  // namespace

ExtendedLayout host_extended_layout() {
  std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  __cpuid(1, eax, ebx, ecx, edx);
  constexpr std::uint32_t kOsXsave = 1U << 27;
  if ((ecx & kOsXsave) == 0) return {.features = 3, .size = kLegacySize};
  std::uint32_t low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  ExtendedLayout layout{(std::uint64_t{high} << 32 | low) & ~kOnDemand, kLegacySize + kHeaderSize};
  for (std::uint32_t component = 2; component < 63; ++component) {
    if ((layout.features >> component & 1) == 0) continue;
    __cpuid_count(0xd, component, eax, ebx, ecx, edx);  // size and offset of a component
    layout.size = std::max(layout.size, eax + ebx);
  }
  return layout;
}

ErrnoOr<ExtendedLayout> described_layout(std::span<const std::byte> image) {
  if (image.size() < kLegacySize + kHeaderSize) return std::unexpected(Errno{EINVAL});
  _fpx_sw_bytes bytes = software_bytes(image);
  ExtendedLayout layout{bytes.xfeatures, bytes.xstate_size};
  if (bytes.magic1 != FP_XSTATE_MAGIC1 || layout.size < kLegacySize + kHeaderSize ||
      layout.size > image.size() || layout.whole_size() > image.size())
    return std::unexpected(Errno{EINVAL});
  return layout;
}

void describe_extended_state(const ExtendedLayout& layout, std::span<std::byte> image) {
  _fpx_sw_bytes bytes{};
  bytes.magic1 = FP_XSTATE_MAGIC1;
  bytes.extended_size = static_cast<std::uint32_t>(layout.whole_size());
  bytes.xfeatures = layout.features;
  bytes.xstate_size = layout.size;
  std::memcpy(image.data() + kSoftwareAt, &bytes, sizeof bytes);
  std::uint32_t mark = FP_XSTATE_MAGIC2;
  std::memcpy(image.data() + layout.size, &mark, sizeof mark);
}

void init_extended_state(const ExtendedLayout& layout, std::span<std::byte> image) {
  std::ranges::fill(image, std::byte{0});
  std::memcpy(image.data() + kControlWordAt, &kInitialControlWord, sizeof kInitialControlWord);
  std::memcpy(image.data() + kMxcsrAt, &kInitialMxcsr, sizeof kInitialMxcsr);
  describe_extended_state(layout, image);
}

ErrnoOr<> copy_extended_state(const ExtendedLayout& layout, std::span<const std::byte> image,
                              std::span<std::byte> to) {
  if (image.size() < kLegacySize + kHeaderSize) return std::unexpected(Errno{EINVAL});
  _fpx_sw_bytes bytes = software_bytes(image);
  bool fits = bytes.magic1 == FP_XSTATE_MAGIC1 && bytes.xstate_size <= layout.size &&
              bytes.xstate_size >= kLegacySize + kHeaderSize && bytes.xstate_size <= image.size() &&
              (bytes.xfeatures & ~layout.features) == 0;
  if (!fits) return std::unexpected(Errno{EINVAL});
  std::ranges::fill(to, std::byte{0});
  std::memcpy(to.data(), image.data(), bytes.xstate_size);
  describe_extended_state(layout, to);
  return {};
}

}  // namespace caisson::sandbox::platform

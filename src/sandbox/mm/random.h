// Random bits from the host's kernel: for places of mappings, AT_RANDOM and the like.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace caisson::sandbox::mm {

void fill_random(std::span<std::byte> bytes);
std::uint64_t random_u64();

}  // namespace caisson::sandbox::mm

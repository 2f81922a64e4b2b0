// Where mappings go that do not ask for a place: the areas of an address space as Linux lays them
// out (arch/x86/mm/mmap.c, mm/mmap.c), and the search for a gap.
#pragma once

#include <cstdint>
#include <optional>

#include "sandbox/mm/mapping.h"

namespace caisson::sandbox::mm {

constexpr std::uint64_t kLowestAddress = 65536;  // vm.mmap_min_addr
// Nothing is placed this near below a mapping that grows down.
constexpr std::uint64_t kStackGuardGap = 256 * kPageSize;

struct AddressLayout {
  std::uint64_t limit = 0;       // first address above everything
  std::uint64_t stack_top = 0;   // first address above the initial stack
  std::uint64_t map_top = 0;     // mappings are placed downwards from here ...
  std::uint64_t map_bottom = 0;  // ... or, when none fits or `bottom_up`, upwards from here
  bool bottom_up = false;        // the layout for unlimited stacks and ADDR_COMPAT_LAYOUT
};

// `random`: bits that decide; 0: the same places each time.
struct LayoutRequest {
  std::uint64_t limit = 0;
  std::uint64_t stack_limit = 8ULL << 20;  // RLIMIT_STACK, ~0: unlimited
  std::uint64_t random_stack = 0, random_map = 0;
  bool bottom_up = false;
};
AddressLayout make_layout(const LayoutRequest& request);

// The first address below `mapping` that may be used: without a stack's guard gap.
std::uint64_t gap_end_below(const Mapping& mapping);

struct GapSearch {
  std::uint64_t length = 0;
  std::uint64_t alignment = kPageSize;
  std::uint64_t low = 0, high = 0;  // the result lies in [low, high)
};
struct Gap {
  std::uint64_t address = 0;
  // No page is free between here and the search's `high`.
  std::uint64_t full_from = 0;
};
std::optional<Gap> find_gap_down(const MappingTree& tree, const GapSearch& search);
std::optional<std::uint64_t> find_gap_up(const MappingTree& tree, const GapSearch& search);

// Whether [address, address + length) is free and keeps clear of stacks above it.
bool is_free(const MappingTree& tree, std::uint64_t address, std::uint64_t length);

}  // namespace caisson::sandbox::mm

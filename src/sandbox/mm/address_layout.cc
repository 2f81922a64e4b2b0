#include "sandbox/mm/address_layout.h"

#include <algorithm>
#include <iterator>

namespace caisson::sandbox::mm {
namespace {

constexpr std::uint64_t kStackRandomMask = 0x3fffff;        // pages: 16 GiB
constexpr std::uint64_t kMapRandomMask = (1ULL << 28) - 1;  // vm.mmap_rnd_bits: 1 TiB
constexpr std::uint64_t kLeastStackGap = 128ULL << 20;

}  // namespace

AddressLayout make_layout(const LayoutRequest& request) {
  AddressLayout layout;
  layout.limit = request.limit;
  // A small address space has less to choose from.
  std::uint64_t most_random = page_down(request.limit / 16);
  std::uint64_t stack_random = (request.random_stack & kStackRandomMask) * kPageSize % most_random;
  std::uint64_t map_random = (request.random_map & kMapRandomMask) * kPageSize % most_random;
  layout.stack_top = page_down(request.limit - stack_random);
  std::uint64_t most = request.limit / 6 * 5;
  std::uint64_t pad = kStackRandomMask * kPageSize + kStackGuardGap;
  std::uint64_t gap = request.stack_limit > most ? most : request.stack_limit + pad;
  gap = std::clamp(gap, kLeastStackGap, most);
  layout.map_top = page_down(request.limit - gap - map_random);
  layout.map_bottom = page_down(request.limit / 3 + map_random);
  layout.bottom_up = request.bottom_up || request.stack_limit == ~std::uint64_t{0};
  return layout;
}

std::uint64_t gap_end_below(const Mapping& mapping) {
  if (!mapping.grows_down) return mapping.begin;
  return mapping.begin > kStackGuardGap ? mapping.begin - kStackGuardGap : 0;
}

std::optional<Gap> find_gap_down(const MappingTree& tree, const GapSearch& search) {
  auto above = tree.first_above(search.high);
  std::uint64_t gap_end = search.high;
  if (above != tree.end()) gap_end = std::min(gap_end, gap_end_below(above->second));
  std::uint64_t full_from = 0;  // 0: no gap was seen
  for (auto at = above;;) {
    bool last = at == tree.begin();
    std::uint64_t gap_begin = last ? search.low : std::max(std::prev(at)->second.end, search.low);
    if (gap_end > gap_begin) {
      if (full_from == 0) full_from = gap_end;
      std::uint64_t room = gap_end - gap_begin;
      std::uint64_t address =
          room >= search.length ? (gap_end - search.length) & ~(search.alignment - 1) : 0;
      if (address >= gap_begin && room >= search.length) {
        bool is_first = full_from == gap_end && address + search.length == gap_end;
        return Gap{address, is_first ? address : full_from};
      }
    }
    if (last || gap_begin <= search.low) return std::nullopt;
    --at;
    gap_end = std::min(gap_end, gap_end_below(at->second));
  }
}

std::optional<std::uint64_t> find_gap_up(const MappingTree& tree, const GapSearch& search) {
  std::uint64_t mask = search.alignment - 1;
  std::uint64_t address = (search.low + mask) & ~mask;
  for (auto at = tree.first_above(address);; ++at) {
    std::uint64_t gap_end =
        at == tree.end() ? search.high : std::min(search.high, gap_end_below(at->second));
    if (gap_end >= address && gap_end - address >= search.length) return address;
    if (at == tree.end() || at->second.end >= search.high) return std::nullopt;
    address = std::max(address, (at->second.end + mask) & ~mask);
  }
}

bool is_free(const MappingTree& tree, std::uint64_t address, std::uint64_t length) {
  auto above = tree.first_above(address);
  return above == tree.end() || gap_end_below(above->second) >= address + length;
}

}  // namespace caisson::sandbox::mm

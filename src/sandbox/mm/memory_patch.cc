// Where the platform may change the guest's code so that calls cost less: in the text of programs
// and libraries, which are private mappings of files that nobody can write.
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

#include "sandbox/mm/memory_map.h"

namespace caisson::sandbox::mm {
namespace {

constexpr std::size_t kMostIslands = 64;
constexpr std::uint64_t kReach = platform::AddressSpace::kIslandReach;
constexpr std::uint64_t kIslandSize = platform::AddressSpace::kIslandSize;

bool is_text(const Mapping& mapping) {
  return mapping.file && !mapping.anonymous() && !mapping.shared && !mapping.special &&
         mapping.protection == (PROT_READ | PROT_EXEC);
}

bool is_near(std::uint64_t island, std::uint64_t site) {
  return island > site ? island + kIslandSize - site < kReach : site - island < kReach;
}

}  // namespace

void MemoryMap::speed_up(platform::Thread& via, std::uint64_t site) {
  Locked lock(mutex_);
  const Mapping* text = tree_.find(site - 1);
  if (text == nullptr || !is_text(*text) || site - text->begin < 16 || site > text->backed_end)
    return;
  // Best effort: a site that stays what it is works as well.
  (void)patch(via, site, *text);
}

ErrnoOr<> MemoryMap::patch(platform::Thread& via, std::uint64_t site, const Mapping& text) {
  platform::PatchRequest request{.site = site,
                                 .island = 0,
                                 .begin = text.begin,
                                 .length = text.backed_end - text.begin,
                                 .protection = text.protection};
  for (auto island = islands_.rbegin(); island != islands_.rend(); ++island) {
    if (!is_near(*island, site)) continue;
    request.island = *island;
    ErrnoOr<> done = space_->patch(via, request);
    if (done || done.error().value != ENOSPC) return done;
  }
  TRY(add_island(via, site, text));
  request.island = islands_.back();
  return space_->patch(via, request);
}

// Below the text: nothing grows there, neither a heap nor, as a rule, what is mapped next.
ErrnoOr<> MemoryMap::add_island(platform::Thread& via, std::uint64_t site, const Mapping& text) {
  if (islands_.size() == kMostIslands || tree_.size() >= kMostMappings)
    return std::unexpected(Errno{ENOMEM});
  GapSearch search{.length = kIslandSize, .alignment = kPageSize};
  search.low = std::max(kLowestAddress, site > kReach ? site - kReach + kPageSize : 0);
  search.high = text.begin;
  auto gap = find_gap_down(tree_, search);
  if (!gap) return std::unexpected(Errno{ENOMEM});
  TRY(space_->add_island(via, gap->address));
  Mapping island;
  island.begin = gap->address;
  island.end = island.backed_end = gap->address + kIslandSize;
  island.protection = island.max_protection = PROT_READ | PROT_EXEC;
  island.special = island.sealed = true;
  island.name = "[calls]";
  tree_.insert(std::move(island));
  islands_.push_back(gap->address);
  return {};
}

}  // namespace caisson::sandbox::mm

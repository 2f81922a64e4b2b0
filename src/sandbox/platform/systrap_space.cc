#include "sandbox/platform/systrap_space.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "sandbox/platform/call_site.h"

namespace caisson::sandbox::platform {
namespace {

// The two aligned words in which the code of a site may lie.
struct Words {
  std::uint64_t address = 0;
  std::array<std::uint64_t, 2> values{};

  std::byte* at(std::uint64_t site) {
    return reinterpret_cast<std::byte*>(values.data()) + (site - address);
  }
};

using Instruction = std::array<std::byte, kJumpSize>;

// Where `copy`, which begins at `address`, has the instruction `old` at `site`, or the part of it
// that is in the copy, it gets `original`.
void replace_in_copy(std::uint64_t address, std::span<std::byte> copy, std::uint64_t site,
                     const Instruction& old, const Instruction& original) {
  std::uint64_t begin = std::max(address, site);
  std::uint64_t end = std::min(address + copy.size(), site + kJumpSize);
  if (begin >= end) return;
  auto part = copy.subspan(begin - address, end - begin);
  if (std::ranges::equal(part, std::span(old).subspan(begin - site, part.size())))
    std::ranges::copy(std::span(original).subspan(begin - site, part.size()), part.begin());
}

}  // namespace

ErrnoOr<std::unique_ptr<StubThread>> SystrapSpace::take_thread(std::uint32_t index,
                                                               std::uint32_t ready) {
  Fd listener = TRY(process().take_descriptor(static_cast<int>(ready) - 1));
  auto thread = std::make_unique<SystrapThread>(*this, index, std::move(listener), *context_);
  TRY(thread->begin());
  return thread;
}

Ref<StubSpace> SystrapSpace::make_sibling(std::unique_ptr<StubProcess> process) {
  auto sibling =
      make_ref<SystrapSpace>(Ref<StubFamily>::share(&family()), std::move(process), context_);
  Locked lock(islands_mutex_);
  sibling->islands_ = islands_;
  return sibling;
}

ErrnoOr<> SystrapSpace::add_island(Thread& via, std::uint64_t address) {
  if (!context_->islands) return std::unexpected(Errno{ENOSYS});
  Ref<Island> island = TRY(context_->islands->take());
  MapRequest request;
  request.address = address;
  request.length = kIslandSize;
  request.protection = PROT_READ | PROT_EXEC;
  request.shared = true;
  request.fd = context_->islands->file().number();
  request.offset = island->offset();
  TRY(map(&via, request));
  Locked lock(islands_mutex_);
  islands_[address] = std::move(island);
  return {};
}

Ref<Island> SystrapSpace::island_at(std::uint64_t address) {
  Locked lock(islands_mutex_);
  auto found = islands_.find(address & ~(kIslandSize - 1));
  return found != islands_.end() ? found->second : nullptr;
}

std::optional<IslandCall> SystrapSpace::call_of_trampoline(std::uint64_t address) {
  Ref<Island> island = island_at(address);
  if (!island) return std::nullopt;
  return island->call_at(address % kIslandSize);
}

void SystrapSpace::undo_patches(std::uint64_t address, std::span<std::byte> copy) {
  Locked lock(islands_mutex_);
  for (const auto& [at, island] : islands_) {
    std::uint32_t place = 0;
    for (const IslandCall& call : island->calls()) {
      std::uint64_t site = call.behind - kSiteSize;
      auto jump = jump_to(site, at + std::uint64_t{++place} * kTrampolineSize);
      if (jump) replace_in_copy(address, copy, site, *jump, first_instruction(call.number));
    }
  }
}

ErrnoOr<> SystrapSpace::patch(Thread& via, const PatchRequest& request) {
  std::uint64_t site = request.site - kSiteSize;
  std::array<std::byte, kSiteSize> code{};
  if (TRY(read(site, code)) != code.size()) return std::unexpected(Errno{EFAULT});
  auto number = number_of_site(code);
  Ref<Island> island = island_at(request.island);
  // While the words of a jump are stored one after the other nobody may run through it.
  bool safe = is_one_store(site) || threads() == 1;
  if (!number || !island || !safe) return std::unexpected(Errno{EINVAL});
  auto place = island->place_for(request.site, *number);
  if (!place) return std::unexpected(Errno{ENOSPC});
  auto& thread = static_cast<SystrapThread&>(via);
  TRY(protect(&via, request.begin, request.length, PROT_READ | PROT_WRITE | PROT_EXEC));
  auto replaced = replace(thread, site, request.island + std::uint64_t{*place} * kTrampolineSize);
  TRY(protect(&via, request.begin, request.length, request.protection));
  return replaced;
}

ErrnoOr<> SystrapSpace::replace(SystrapThread& via, std::uint64_t site, std::uint64_t trampoline) {
  auto jump = jump_to(site, trampoline);
  if (!jump) return std::unexpected(Errno{ERANGE});
  Words before{.address = site & ~std::uint64_t{7}};
  std::size_t words = is_one_store(site) ? 1 : 2;
  auto bytes = std::as_writable_bytes(std::span(before.values)).first(words * 8);
  if (TRY(read(before.address, bytes)) != bytes.size()) return std::unexpected(Errno{EFAULT});
  Words after = before;
  std::memcpy(after.at(site), jump->data(), jump->size());
  for (std::size_t i = 0; i < words; ++i) {
    std::uint64_t found =
        TRY(via.swap_long(before.address + i * 8, before.values[i], after.values[i]));
    // Somebody writes there. What is half a jump then is that somebody's.
    if (found != before.values[i]) return std::unexpected(Errno{EAGAIN});
  }
  return {};
}

}  // namespace caisson::sandbox::platform

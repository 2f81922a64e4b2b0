// An address space of systrap: how its threads are taken over, and its patched sites.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>

#include "base/mutex.h"
#include "sandbox/platform/islands.h"
#include "sandbox/platform/stub_space.h"
#include "sandbox/platform/systrap_thread.h"

namespace caisson::sandbox::platform {

class SystrapSpace final : public StubSpace {
 public:
  SystrapSpace(Ref<StubFamily> family, std::unique_ptr<StubProcess> process,
               Ref<SystrapContext> context)
      : StubSpace(std::move(family), std::move(process)), context_(std::move(context)) {}

  ErrnoOr<> add_island(Thread& via, std::uint64_t address) override;
  ErrnoOr<> patch(Thread& via, const PatchRequest& request) override;
  void undo_patches(std::uint64_t address, std::span<std::byte> copy) override;
  // What the trampoline at this address is for; none: there is none.
  std::optional<IslandCall> call_of_trampoline(std::uint64_t address);

 protected:
  ErrnoOr<std::unique_ptr<StubThread>> take_thread(std::uint32_t index,
                                                   std::uint32_t ready) override;
  Ref<StubSpace> make_sibling(std::unique_ptr<StubProcess> process) override;

 private:
  Ref<Island> island_at(std::uint64_t address);
  ErrnoOr<> replace(SystrapThread& via, std::uint64_t site, std::uint64_t trampoline);

  Ref<SystrapContext> context_;
  Mutex islands_mutex_;
  std::map<std::uint64_t, Ref<Island>> islands_;  // by address
};

}  // namespace caisson::sandbox::platform

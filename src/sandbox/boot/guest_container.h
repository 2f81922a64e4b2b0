// A container of the sandbox, put together from its plan: its part of the kernel and what its files
// need beside it. The first one is made at the start, others when they join (server.h).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "gofer/client.h"
#include "plan/plan.h"
#include "sandbox/boot/filesystems.h"
#include "sandbox/boot/gofer_files.h"
#include "sandbox/boot/image.h"
#include "sandbox/kernel/kernel.h"
#include "sandbox/net/network.h"

namespace caisson::sandbox::boot {

// What all containers of one sandbox have together.
struct SharedParts {
  kernel::Kernel& kernel;
  fs::MachineFacts facts;
  Ref<fs::FileMemory> memory;
  Ref<net::Network> network;
};

struct GuestContainer {
  Ref<kernel::Container> container;
  std::unique_ptr<gofer::Client> gofer;  // null: it has none
  std::vector<std::unique_ptr<GoferFiles>> gofer_files;
  std::vector<OverlayPlace> overlays;
  PlannedFilesystems planned;  // of the first one, until it runs
};

struct ContainerParts {
  const plan::Plan& plan;
  std::vector<Fd> places;  // see descriptors.h
  Fd gofer;                // a client's end; invalid: none
};

// Adds it to the kernel. `first`: the sandbox's first container, whose namespaces the plan may ask
// for; null: this one is the first.
Result<std::unique_ptr<GuestContainer>> make_guest_container(const SharedParts& shared,
                                                             ContainerParts parts,
                                                             const kernel::Container* first);

// What the container's guests read of their limits from now on.
void tell_limits(kernel::Container& container, const plan::GuestLimits& limits);

// Of its overlays in memory. EOPNOTSUPP: it has none.
ErrnoOr<std::vector<plan::GuestChange>> changes_of(const GuestContainer& guest);

}  // namespace caisson::sandbox::boot

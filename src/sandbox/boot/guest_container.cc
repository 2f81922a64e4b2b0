#include "sandbox/boot/guest_container.h"

#include <cerrno>

#include "sandbox/boot/descriptors.h"
#include "sandbox/boot/mounts.h"
#include "sandbox/fs/overlay/changes.h"
#include "sandbox/kernel/ipc_namespace.h"

namespace caisson::sandbox::boot {
namespace {

// The gofer knows the places that are there by their order.
void use_gofer(GuestContainer& guest, Fd socket, const std::vector<Fd>& places) {
  guest.gofer_files.resize(places.size());
  if (!socket) return;
  guest.gofer = std::make_unique<gofer::Client>(std::move(socket));
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (places[i]) guest.gofer_files[i] = std::make_unique<GoferFiles>(*guest.gofer, number++);
  }
}

Ref<kernel::Container> make_container(const SharedParts& shared, const plan::Plan& plan,
                                      const kernel::Container* first) {
  const auto& sandbox = *plan.sandbox;
  bool own_pids = first == nullptr || sandbox.own_pids;
  auto pids = own_pids ? make_ref<kernel::PidNamespace>(nullptr) : first->pids;
  auto container = make_ref<kernel::Container>(plan.id, std::move(pids));
  container->uts = first == nullptr || sandbox.own_names
                       ? make_ref<kernel::UtsNamespace>(plan.hostname, plan.domainname)
                       : first->uts;
  container->ipc = first == nullptr || sandbox.own_ipc
                       ? Ref<kernel::OpaqueNamespace>(make_ref<kernel::IpcNamespace>())
                       : first->ipc;
  container->network = shared.network;
  tell_limits(*container, sandbox.limits);
  return container;
}

plan::GuestChange::Kind kind_of(fs::OverlayChange change) {
  switch (change) {
    case fs::OverlayChange::kAdded: return plan::GuestChange::Kind::kAdded;
    case fs::OverlayChange::kDeleted: return plan::GuestChange::Kind::kDeleted;
    case fs::OverlayChange::kChanged: break;
  }
  return plan::GuestChange::Kind::kChanged;
}

}  // namespace

Result<std::unique_ptr<GuestContainer>> make_guest_container(const SharedParts& shared,
                                                             ContainerParts parts,
                                                             const kernel::Container* first) {
  auto guest = std::make_unique<GuestContainer>();
  guest->container = make_container(shared, parts.plan, first);
  use_gofer(*guest, std::move(parts.gofer), parts.places);
  Filesystems filesystems =
      Filesystems::create(shared.kernel, guest->container, shared.facts, shared.memory);
  std::vector<fs::HostFiles*> helpers;
  for (const auto& files : guest->gofer_files) helpers.push_back(files.get());
  filesystems.set_helpers(std::move(helpers));
  Dispenser dispenser(std::move(parts.places), host_places(parts.plan));
  guest->container->mounts = TRY(build_mounts(parts.plan, dispenser, filesystems));
  if (first == nullptr)
    guest->planned = number_filesystems(*guest->container, filesystems.unnamed());
  guest->overlays = filesystems.take_overlays();
  shared.kernel.add_container(guest->container);
  return guest;
}

void tell_limits(kernel::Container& container, const plan::GuestLimits& limits) {
  auto& told = *container.limits;
  told.memory_bytes = limits.memory_bytes;
  told.cpu_quota_us = limits.cpu_quota_us;
  told.cpu_period_us = limits.cpu_period_us;
  told.cpu_weight = limits.cpu_weight;
  told.processors = limits.processors;
  told.processes = limits.processes;
}

ErrnoOr<std::vector<plan::GuestChange>> changes_of(const GuestContainer& guest) {
  if (guest.overlays.empty()) return std::unexpected(Errno{EOPNOTSUPP});
  std::vector<plan::GuestChange> changes;
  for (const auto& place : guest.overlays) {
    std::string base = place.target == "/" ? "/" : cat(place.target, "/");
    auto listed = fs::list_changes(*place.overlay, [&](fs::OverlayChange change, std::string path) {
      changes.push_back({kind_of(change), base + path});
    });
    // An overlay of a file has no names of its own.
    if (!listed && listed.error().value != ENOTDIR) return std::unexpected(listed.error());
  }
  return changes;
}

}  // namespace caisson::sandbox::boot

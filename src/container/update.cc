// Where the resources of a container live: as they were at its creation in the configuration, which
// stays verbatim what its creator wrote, and since the first update in resources.json, whole.
// Commands that need the present ones ask present_resources().
#include "plan/update.h"

#include "container/api.h"
#include "container/container.h"
#include "container/errors.h"
#include "container/sandbox.h"
#include "plan/sandbox.h"
#include "spec/oci_config.h"
#include "spec/oci_writer.h"
#include "sys/file.h"

namespace caisson::container {
namespace {

constexpr const char* kResourcesFile = "resources.json";

Result<spec::Resources> resources_of(const Container& container) {
  auto text = read_in_folder(container.folder, kResourcesFile);
  if (text) return spec::read_oci_resources(*text, kResourcesFile);
  if (text.error().value != ENOENT) {
    return std::unexpected(
        Error(text.error()).doing("read ", container.folder.path, "/", kResourcesFile));
  }
  spec::ContainerSpec spec;
  TRY(read_spec(container, spec));
  return spec.linux_part ? std::move(spec.linux_part->resources) : spec::Resources{};
}

Result<> save_resources(const Container& container, const spec::Resources& resources) {
  Fd dir = TRY(make_folder(container.folder));
  TRY_CTX(sys::write_atomically(dir, kResourcesFile, spec::write_oci_resources(resources)),
          "write ", container.folder.path, "/", kResourcesFile);
  return {};
}

// One that waits for its start is told by its plan.
Result<> tell_guests(Context& context, const Container& container,
                     const spec::Resources& resources) {
  if (!in_sandbox(container) || container.status == Status::kCreated) return {};
  return TRY(reach_sandbox(context, container))->set_limits(plan::guest_limits(resources));
}

}  // namespace

Result<spec::Resources> present_resources(Context& context, std::string_view id) {
  return resources_of(TRY(look_at(context, id)));
}

Result<> update(Context& context, std::string_view id, const spec::Resources& change) {
  auto container = TRY(open_for_change(context, id));
  if (!is_alive(container.status)) {
    return std::unexpected(
        wrong_state(ESRCH, "container not running").doing("container ", quoted(id)));
  }
  const plan::CgroupLocations& cgroups = container.state.cgroups;
  const auto present = TRY(resources_of(container));
  const auto host = TRY(context.executor.host_facts(false));
  const auto stats = TRY(context.executor.stats(cgroups));
  plan::Options options;
  options.id = container.state.id;
  options.rootless = context.rootless;
  const auto update =
      TRY(plan::compile_update({present, change, cgroups, stats, container.state.systemd_scope,
                                container.state.systemd_user},
                               host, options));
  for (const auto& notice : update.notices) {
    if (context.warn) context.warn(notice);
  }
  return context.executor.update(update.cgroups, [&]() -> Result<> {
    TRY(save_resources(container, update.resources));
    return tell_guests(context, container, update.resources);
  });
}

}  // namespace caisson::container

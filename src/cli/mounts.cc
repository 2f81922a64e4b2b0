// caisson mount, caisson unmount, caisson-oci mounts.
#include <unistd.h>

#include "base/text.h"
#include "cli/caller.h"
#include "cli/commands.h"
#include "cli/session.h"
#include "cli/verbs.h"
#include "spec/command_line.h"
#include "spec/oci_config.h"
#include "sys/file.h"

namespace caisson::cli {
namespace {

constexpr std::size_t kFileLimit = std::size_t{16} << 20;

constexpr OptionSpec kMountOptions[] = {
    {"tmpfs", 0, "PLACE[:OPTIONS]", "an empty file system in memory, with options like size=64m"},
};

Result<int> run_mount(Context& context, const Arguments& arguments) {
  spec::RunOptions options;
  const auto& operands = arguments.operands();
  options.volumes.assign(operands.begin() + 1, operands.end());
  for (auto text : arguments.all("tmpfs")) options.tmpfs.emplace_back(text);
  if (options.volumes.empty() && options.tmpfs.empty()) {
    return std::unexpected(usage_error(context.command_name(), "no mount was given"));
  }
  const auto caller = TRY(look_at_caller());
  std::vector<spec::Mount> mounts;
  TRY(spec::add_mounts(options, caller.cwd, mounts));
  Session session = TRY(Session::open(context));
  const std::string name(operands[0]);
  TRY(container::add_mounts(session.containers(), name, mounts));
  TRY(print_done(arguments, "mount", name, Plain::kName));
  return 0;
}

Result<int> run_unmount(Context& context, const Arguments& arguments) {
  container::Strings places;
  const auto& operands = arguments.operands();
  for (std::size_t i = 1; i < operands.size(); ++i) {
    if (!operands[i].starts_with('/')) {
      return std::unexpected(
          Error::invalid(cat("the place ", quoted(operands[i]), " is not an absolute path"))
              .code("option.value")
              .cure("name the place in the container, for example /data"));
    }
    places.emplace_back(operands[i]);
  }
  Session session = TRY(Session::open(context));
  const std::string name(operands[0]);
  TRY(container::remove_mounts(session.containers(), name, places));
  TRY(print_done(arguments, "unmount", name, Plain::kName));
  return 0;
}

Result<std::vector<spec::Mount>> read_file(std::string_view name) {
  if (name == "-") {
    std::string text = TRY_CTX(sys::read_all(FdRef(STDIN_FILENO), kFileLimit), "read the mounts");
    return spec::read_oci_mounts(text, "standard input");
  }
  std::string path(name);
  std::string text =
      TRY_CTX(sys::read_file(sys::kCwd, path.c_str(), kFileLimit), "read the mounts ", path);
  return spec::read_oci_mounts(text, path);
}

Result<int> run_oci_mounts(Context& context, const Arguments& arguments) {
  const auto& operands = arguments.operands();
  const bool adds = operands[0] == "add";
  if (!adds && operands[0] != "remove") {
    return std::unexpected(usage_error(
        context.command_name(), cat("unknown command ", operands[0], ": add or remove is meant")));
  }
  const auto mounts = TRY(read_file(operands[2]));
  Session session = TRY(Session::open(context));
  if (adds) {
    TRY(container::add_mounts(session.containers(), operands[1], mounts));
    return 0;
  }
  container::Strings places;
  for (const auto& mount : mounts) places.push_back(mount.destination);
  TRY(container::remove_mounts(session.containers(), operands[1], places));
  return 0;
}

}  // namespace

const Command kMountCommand{
    .name = "mount",
    .group = "Acting",
    .operands = "[options] NAME [SOURCE:PLACE[:ro]]...",
    .summary = "Mount directories of this machine in a container that runs",
    .details =
        "As --volume and --tmpfs of run do for new ones. All of them are mounted, or none. They "
        "go\n"
        "with the container, or before it by unmount.",
    .examples =
        "caisson mount web ./data:/data:ro\n"
        "caisson mount --tmpfs /scratch:size=64m web",
    .options = kMountOptions,
    .shared_options = kJsonOption,
    .min_operands = 1,
    .run = run_mount,
};

const Command kUnmountCommand{
    .name = "unmount",
    .group = "Acting",
    .operands = "[options] NAME PLACE...",
    .summary = "Take mounts from a container that runs",
    .details =
        "Processes that have files open there keep them. Several places are taken from the last "
        "to\n"
        "the first.",
    .examples = "caisson unmount web /data /scratch",
    .options = {},
    .shared_options = kJsonOption,
    .min_operands = 2,
    .run = run_unmount,
};

const Command kOciMountsCommand{
    .name = "mounts",
    .group = "Life cycle",
    .operands = "add|remove ID FILE",
    .summary = "Add mounts to a container that runs, or take some from it",
    .details =
        "FILE holds a mounts array as in a config.json, or an object with one; - is standard "
        "input.\n"
        "Bind mounts and file systems of type tmpfs can be added, all of them or none. What is to "
        "be\n"
        "removed is found by its destination, the last one first.",
    .examples =
        "caisson-oci mounts add web mounts.json\n"
        "echo '[{\"destination\": \"/data\"}]' | caisson-oci mounts remove web -",
    .options = {},
    .shared_options = {},
    .min_operands = 3,
    .max_operands = 3,
    .run = run_oci_mounts,
};

}  // namespace caisson::cli

// caisson-oci features, spec: what this runtime can do, and a first config.json.
#include "base/text.h"
#include "cli/commands.h"
#include "library/features.h"
#include "spec/default_spec.h"
#include "spec/oci_writer.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::cli {
namespace {

constexpr OptionSpec kSpecOptions[] = {
    {"bundle", 'b', "DIR", "directory for config.json (default: the current one)"},
    {"config", 'f', "FILE", "name of the file (default config.json)"},
    {"rootless", 0, "", "for an ordinary user"},
};

Result<int> run_features(Context&, const Arguments&) {
  TRY(print(library::features_json("    ") + "\n"));
  return 0;
}

Result<int> run_spec(Context&, const Arguments& arguments) {
  std::string directory(arguments.value_or("bundle", "."));
  std::string path = cat(directory, "/", arguments.value_or("config", "config.json"));
  auto spec = spec::default_oci_spec(arguments.flag("rootless"), sys::geteuid(), sys::getegid());
  // With cgroup v1, those who go on from this file expect none and may add their own.
  if (spec.linux_part && !sys::faccessat(sys::kCwd, "/sys/fs/cgroup/cgroup.controllers", F_OK)) {
    std::erase_if(spec.linux_part->namespaces, [](const spec::Namespace& entry) {
      return entry.kind == spec::NamespaceKind::kCgroup;
    });
  }
  auto file = sys::openat(sys::kCwd, path.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0666);
  if (!file && file.error().value == EEXIST) {
    return std::unexpected(Error::with_cause(EEXIST, "file already exists")
                               .doing("write ", path)
                               .cure("remove it first, or name another --bundle DIR"));
  }
  if (!file) return std::unexpected(Error(file.error()).doing("make ", path));
  TRY_CTX(sys::write_all(*file, spec::write_oci_config(spec) + "\n"), "write ", path);
  return 0;
}

}  // namespace

const Command kOciFeaturesCommand{
    .name = "features",
    .group = "About",
    .operands = {},
    .summary = "Print what this runtime supports, as JSON",
    .details = {},
    .examples = {},
    .options = {},
    .shared_options = {},
    .max_operands = 0,
    .run = run_features,
};

const Command kOciSpecCommand{
    .name = "spec",
    .group = "About",
    .operands = "[options]",
    .summary = "Write a first config.json for a bundle",
    .details = {},
    .examples =
        "caisson-oci spec --bundle ./bundle\n"
        "caisson-oci spec --rootless",
    .options = kSpecOptions,
    .shared_options = {},
    .max_operands = 0,
    .run = run_spec,
};

}  // namespace caisson::cli

// caisson-oci features, spec: what this runtime can do, and a first config.json.
#include <algorithm>

#include "base/text.h"
#include "cli/caller.h"
#include "cli/commands.h"
#include "cli/doctor.h"
#include "formats/json.h"
#include "plan/mount_options.h"
#include "plan/process_tables.h"
#include "plan/seccomp_profile.h"
#include "spec/default_spec.h"
#include "spec/oci_config.h"
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

using Words = std::vector<std::string_view>;

Words supported_capabilities() {
  auto names = spec::capability_names();
  auto last = parse_number<std::size_t>(first_line("/proc/sys/kernel/cap_last_cap"));
  std::size_t count = last ? std::min(*last + 1, names.size()) : names.size();
  return {names.begin(), names.begin() + static_cast<std::ptrdiff_t>(count)};
}

void write_seccomp(formats::JsonWriter& json) {
  json.key("seccomp").begin_object().field("enabled", true);
  json.field("actions", plan::seccomp_action_names());
  json.field("operators", plan::seccomp_operator_names());
  json.field("archs", plan::seccomp_architecture_names());
  json.field("knownFlags", plan::seccomp_flag_names());
  json.field("supportedFlags", plan::seccomp_flag_names()).end_object();
}

void write_switch(formats::JsonWriter& json, std::string_view name, bool enabled) {
  json.key(name).begin_object().field("enabled", enabled).end_object();
}

void write_linux(formats::JsonWriter& json) {
  json.key("linux").begin_object();
  json.field("namespaces",
             Words{"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"});
  json.field("capabilities", supported_capabilities());
  json.key("cgroup").begin_object().field("v1", true).field("v2", true).field("systemd", true);
  json.field("systemdUser", true).field("rdma", true).end_object();
  write_seccomp(json);
  write_switch(json, "apparmor", true);
  write_switch(json, "selinux", true);
  json.key("intelRdt").begin_object().field("enabled", true).field("schemata", true);
  json.field("monitoring", true).end_object();
  json.key("memoryPolicy").begin_object();
  json.field("modes", plan::known_memory_policy_modes());
  json.field("flags", plan::known_memory_policy_flags()).end_object();
  json.key("mountExtensions").begin_object();
  write_switch(json, "idmap", true);
  json.end_object();
  write_switch(json, "netDevices", true);
  json.end_object();
}

Result<int> run_features(Context&, const Arguments&) {
  std::string out;
  formats::JsonWriter json(out, "    ");
  json.begin_object().field("ociVersionMin", "1.0.0").field("ociVersionMax", spec::kOciVersion);
  json.field("hooks", Words{"prestart", "createRuntime", "createContainer", "startContainer",
                            "poststart", "poststop"});
  json.field("mountOptions", plan::known_mount_options());
  write_linux(json);
  json.key("annotations").begin_object().field("org.caisson.version", CAISSON_VERSION).end_object();
  json.field("potentiallyUnsafeConfigAnnotations",
             Words{spec::kRootAnnotation, "run.oci.hooks.", "run.oci.keep_original_groups",
                   "run.oci.pidfd_receiver", "run.oci.seccomp.receiver"});
  json.end_object();
  TRY(print(out + "\n"));
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

#include "library/features.h"

#include <algorithm>
#include <vector>

#include "base/text.h"
#include "formats/json.h"
#include "plan/mount_options.h"
#include "plan/process_tables.h"
#include "plan/seccomp_profile.h"
#include "spec/default_spec.h"
#include "spec/oci_config.h"
#include "spec/oci_writer.h"
#include "sys/file.h"

namespace caisson::library {
namespace {

using Words = std::vector<std::string_view>;

Words supported_capabilities() {
  auto names = spec::capability_names();
  auto text = sys::read_file(sys::kCwd, "/proc/sys/kernel/cap_last_cap").value_or(std::string());
  auto last = parse_number<std::size_t>(trim(text));
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

}  // namespace

std::string features_json(std::string_view indent) {
  std::string out;
  formats::JsonWriter json(out, indent);
  json.begin_object().field("ociVersionMin", "1.0.0").field("ociVersionMax", spec::kOciVersion);
  json.field("hooks", Words{"prestart", "createRuntime", "createContainer", "startContainer",
                            "poststart", "poststop"});
  json.field("mountOptions", plan::known_mount_options());
  write_linux(json);
  json.key("annotations").begin_object().field("org.caisson.version", CAISSON_VERSION).end_object();
  json.field(
      "potentiallyUnsafeConfigAnnotations",
      Words{spec::kRootAnnotation, "org.criu.config", "run.oci.hooks.",
            "run.oci.keep_original_groups", "run.oci.pidfd_receiver", "run.oci.seccomp.receiver"});
  json.end_object();
  return out;
}

}  // namespace caisson::library

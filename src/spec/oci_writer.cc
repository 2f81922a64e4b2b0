#include "spec/oci_writer.h"

#include "spec/oci_config.h"
#include "spec/oci_writer_fields.h"

namespace caisson::spec {

static void write_value(JsonWriter& json, const User& user) {
  json.begin_object();
  put(json, "uid", user.uid);
  put(json, "gid", user.gid);
  put(json, "umask", user.umask);
  put_unless_default(json, "additionalGids", user.additional_gids);
  json.end_object();
}

static void write_value(JsonWriter& json, const ConsoleSize& size) {
  json.begin_object().field("height", size.height).field("width", size.width).end_object();
}

static void write_value(JsonWriter& json, const Capabilities& capabilities) {
  json.begin_object();
  put_unless_default(json, "bounding", capabilities.bounding);
  put_unless_default(json, "effective", capabilities.effective);
  put_unless_default(json, "inheritable", capabilities.inheritable);
  put_unless_default(json, "permitted", capabilities.permitted);
  put_unless_default(json, "ambient", capabilities.ambient);
  json.end_object();
}

static void write_value(JsonWriter& json, const Rlimit& limit) {
  json.begin_object().field("type", limit.type);
  json.field("hard", limit.hard).field("soft", limit.soft).end_object();
}

static void write_value(JsonWriter& json, const Scheduler& scheduler) {
  json.begin_object();
  put(json, "policy", scheduler.policy);
  put_unless_default(json, "nice", scheduler.nice);
  put_unless_default(json, "priority", scheduler.priority);
  put_unless_default(json, "flags", scheduler.flags);
  put_unless_default(json, "runtime", scheduler.runtime);
  put_unless_default(json, "deadline", scheduler.deadline);
  put_unless_default(json, "period", scheduler.period);
  json.end_object();
}

static void write_value(JsonWriter& json, const IoPriority& priority) {
  json.begin_object().field("class", priority.io_class);
  json.field("priority", priority.priority).end_object();
}

static void write_value(JsonWriter& json, const ExecCpuAffinity& affinity) {
  json.begin_object();
  put_unless_default(json, "initial", affinity.initial);
  put_unless_default(json, "final", affinity.final_set);
  json.end_object();
}

static void write_value(JsonWriter& json, const Process& process) {
  json.begin_object();
  put_unless_default(json, "terminal", process.terminal);
  put(json, "consoleSize", process.console_size);
  put(json, "user", process.user);
  put(json, "args", process.args);
  put_unless_default(json, "env", process.env);
  put(json, "cwd", process.cwd);
  put(json, "capabilities", process.capabilities);
  put_unless_default(json, "rlimits", process.rlimits);
  put_unless_default(json, "noNewPrivileges", process.no_new_privileges);
  put(json, "apparmorProfile", process.apparmor_profile);
  put(json, "oomScoreAdj", process.oom_score_adj);
  put(json, "scheduler", process.scheduler);
  put(json, "selinuxLabel", process.selinux_label);
  put(json, "ioPriority", process.io_priority);
  put(json, "execCPUAffinity", process.exec_cpu_affinity);
  json.end_object();
}

static void write_value(JsonWriter& json, const Root& root) {
  json.begin_object().field("path", root.path);
  put_unless_default(json, "readonly", root.readonly);
  json.end_object();
}

static void write_value(JsonWriter& json, const Mount& mount) {
  json.begin_object().field("destination", mount.destination);
  put_unless_default(json, "type", mount.type);
  put_unless_default(json, "source", mount.source);
  put_unless_default(json, "options", mount.options);
  put_unless_default(json, "uidMappings", mount.uid_mappings);
  put_unless_default(json, "gidMappings", mount.gid_mappings);
  json.end_object();
}

static void write_value(JsonWriter& json, const Hook& hook) {
  json.begin_object().field("path", hook.path);
  put_unless_default(json, "args", hook.args);
  put(json, "env", hook.env);
  put(json, "timeout", hook.timeout);
  json.end_object();
}

static void write_value(JsonWriter& json, const Hooks& hooks) {
  json.begin_object();
  put_unless_default(json, "prestart", hooks.prestart);
  put_unless_default(json, "createRuntime", hooks.create_runtime);
  put_unless_default(json, "createContainer", hooks.create_container);
  put_unless_default(json, "startContainer", hooks.start_container);
  put_unless_default(json, "poststart", hooks.poststart);
  put_unless_default(json, "poststop", hooks.poststop);
  json.end_object();
}

static void write_value(JsonWriter& json, const ContainerSpec& spec) {
  auto annotations = spec.annotations;
  annotations.erase(std::string(kRootAnnotation));
  if (spec.root_source == RootSource::kMachineView) {
    annotations[std::string(kRootAnnotation)] = kMachineViewRoot;
  }
  json.begin_object();
  put(json, "ociVersion",
      spec.oci_version.empty() ? kOciVersion : std::string_view(spec.oci_version));
  put(json, "process", spec.process);
  put(json, "root", spec.root);
  put_unless_default(json, "hostname", spec.hostname);
  put_unless_default(json, "domainname", spec.domainname);
  put_unless_default(json, "mounts", spec.mounts);
  put_unless_default(json, "hooks", spec.hooks);
  put_unless_default(json, "annotations", annotations);
  put(json, "linux", spec.linux_part);
  json.end_object();
}

void write_value(JsonWriter& json, const IdMapping& mapping) {
  json.begin_object().field("containerID", mapping.container_id);
  json.field("hostID", mapping.host_id).field("size", mapping.size).end_object();
}

namespace {

template <typename T>
std::string write_whole(const T& value) {
  std::string out;
  JsonWriter json(out, "\t");
  write_value(json, value);
  out += '\n';
  return out;
}

}  // namespace

std::string write_oci_config(const ContainerSpec& spec) { return write_whole(spec); }
std::string write_oci_process(const Process& process) { return write_whole(process); }
std::string write_oci_resources(const Resources& resources) { return write_whole(resources); }

}  // namespace caisson::spec

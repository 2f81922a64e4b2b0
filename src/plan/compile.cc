#include "plan/compile.h"

#include <cerrno>

#include "base/text.h"
#include "plan/passes.h"

namespace caisson::plan {
namespace {

const spec::Linux& linux_of(const spec::ContainerSpec& spec, const spec::Linux& empty) {
  return spec.linux_part ? *spec.linux_part : empty;
}

// Interfaces of the host can be given away by the host's root only.
Result<> plan_net_devices(const Input& in, const NamespacePlan& namespaces, Plan& plan) {
  if (in.os.net_devices.empty()) return {};
  if (in.options.rootless || !in.host.privileged) {
    return std::unexpected(
        Error::with_cause(EPERM, "network devices are not supported for rootless containers")
            .code("host.unprivileged")
            .where("linux.netDevices")
            .cure("Run as root, or leave the field out."));
  }
  if (namespaces.of(NamespaceKind::kNetwork).action == NamespaceAction::kKeep) {
    return std::unexpected(invalid("unable to move network devices without a NET namespace")
                               .where("linux.netDevices")
                               .cure("Add {\"type\": \"network\"} to linux.namespaces."));
  }
  plan.net_devices = in.os.net_devices;
  return {};
}

// The two older fields first, and of the first one no line that the second one replaces.
std::string schemata_of(const spec::IntelRdt& rdt) {
  std::string out;
  for (auto line : split(rdt.l3_cache_schema, '\n')) {
    bool replaced = !rdt.mem_bw_schema.empty() && line.starts_with("MB:");
    if (!line.empty() && !replaced) append(out, line, '\n');
  }
  if (!rdt.mem_bw_schema.empty()) append(out, rdt.mem_bw_schema, '\n');
  for (const auto& line : rdt.schemata) append(out, line, '\n');
  return out;
}

Result<std::optional<ResctrlPlan>> plan_resctrl(const Input& in) {
  if (!in.os.intel_rdt) return std::nullopt;
  const spec::IntelRdt& rdt = *in.os.intel_rdt;
  if (in.options.rootless || !in.host.privileged) {
    return std::unexpected(Error::with_cause(EPERM, "classes of service are for root only")
                               .code("host.unprivileged")
                               .where("linux.intelRdt")
                               .cure("Run as root, or leave the field out."));
  }
  ResctrlPlan plan;
  plan.schemata = schemata_of(rdt);
  plan.shared = !rdt.clos_id.empty();
  plan.must_exist = plan.shared && plan.schemata.empty();
  plan.group = plan.shared ? rdt.clos_id : in.options.id;
  if (plan.group == "/") plan.group.clear();
  if (rdt.enable_monitoring) plan.monitoring_group = in.options.id;
  return plan;
}

}  // namespace

Error unsupported(std::string cause) {
  return Error::with_cause(ENOTSUP, std::move(cause)).code("host.unsupported");
}

Error invalid(std::string cause) { return Error::invalid(std::move(cause)).code("spec.invalid"); }

Result<Plan> compile(const spec::ContainerSpec& spec, const HostFacts& host,
                     const Options& options) {
  Plan plan;
  const spec::Linux empty;
  const Input in{spec, linux_of(spec, empty), host, options, plan.notices};
  plan.id = options.id;
  plan.bundle = spec.bundle;
  plan.namespaces = TRY(plan_namespaces(in));
  plan.mounts = TRY(plan_mounts(in, plan.namespaces));
  plan.cgroup = TRY(plan_cgroup(in, plan.namespaces));
  plan.hostname = spec.hostname;
  plan.domainname = spec.domainname;
  plan.sysctls = TRY(plan_sysctls(in));
  TRY(plan_net_devices(in, plan.namespaces, plan));
  plan.resctrl = TRY(plan_resctrl(in));
  if (spec.process) {
    plan.process = TRY(plan_process(in, *spec.process, plan.namespaces));
    // For processes that join later, not for the first one.
    plan.process.cpus_initial.clear();
    plan.process.cpus_final.clear();
  }
  plan.hooks = spec.hooks;
  plan.annotations = spec.annotations;
  TRY(plan_sandbox(in, plan));
  return plan;
}

Result<ProcessPlan> compile_process(const spec::ContainerSpec& spec, const spec::Process& process,
                                    const HostFacts& host, const Options& options,
                                    Strings* notices) {
  Strings unheard;
  const spec::Linux empty;
  const Input in{spec, linux_of(spec, empty), host, options,
                 notices == nullptr ? unheard : *notices};
  const NamespacePlan namespaces = TRY(plan_namespaces(in));
  return plan_process(in, process, namespaces);
}

Result<Plan> compile_mounts(const spec::ContainerSpec& spec, const std::vector<spec::Mount>& mounts,
                            const HostFacts& host, const Options& options) {
  Plan plan;
  const spec::Linux empty;
  const Input in{spec, linux_of(spec, empty), host, options, plan.notices};
  plan.mounts = TRY(plan_live_mounts(in, TRY(plan_namespaces(in)), mounts));
  return plan;
}

Plan compile_unmounts(const spec::ContainerSpec& spec, const Strings& destinations) {
  Plan plan;
  for (std::size_t i = destinations.size(); i-- > 0;) {
    MountStep step;
    step.op = MountOp::kUnmount;
    step.target = target_path(spec, destinations[i]);
    step.if_missing = IfMissing::kFail;
    step.origin = cat("mounts[", i, "]");
    plan.mounts.steps.push_back(std::move(step));
  }
  return plan;
}

}  // namespace caisson::plan

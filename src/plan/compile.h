// The compiler: ContainerSpec + HostFacts -> Plan. Pure: no system calls, no clock, no environment.
// All that can be wrong with the input is found here, before anything on the host is touched.
#pragma once

#include <string>

#include "base/result.h"
#include "plan/host_facts.h"
#include "plan/plan.h"
#include "spec/container_spec.h"

namespace caisson::plan {

struct Options {
  std::string id;
  bool no_pivot = false;
  bool no_new_keyring = false;
  bool no_cgroups = false;     // the container stays in the caller's
  bool rootless = false;       // limits of an ordinary user are notices where the spec allows it
  bool systemd_scope = false;  // cgroupsPath reads SLICE:PREFIX:NAME, a unit of systemd
  std::string cgroup_parent;   // for specs without cgroupsPath: "/caisson"
  std::string default_cgroup_name;  // usually the id
  // Agent for seccomp notifications when the spec names none: path of its socket.
  std::string seccomp_receiver;
  // Directory of the host with the socket notify.sock for the program's readiness; empty: none.
  std::string notify_directory;
};

Result<Plan> compile(const spec::ContainerSpec& spec, const HostFacts& host,
                     const Options& options);

// Whether the container's limit leaves no room for work in its name, see CgroupPlan::tight_memory.
bool has_tight_memory(const spec::ContainerSpec& spec);

// The process part alone, for exec into a running container. `notices`, when given, takes what is
// worth saying.
Result<ProcessPlan> compile_process(const spec::ContainerSpec& spec, const spec::Process& process,
                                    const HostFacts& host, const Options& options,
                                    Strings* notices = nullptr);

// Steps alone: further mounts for a running container of this spec. What shows the namespaces of
// the process that mounts it (proc and its like) is refused.
Result<Plan> compile_mounts(const spec::ContainerSpec& spec, const std::vector<spec::Mount>& mounts,
                            const HostFacts& host, const Options& options);
// Steps alone: what is mounted on these places goes, the last one first.
Plan compile_unmounts(const spec::ContainerSpec& spec, const Strings& destinations);

}  // namespace caisson::plan

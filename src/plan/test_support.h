// Specs and hosts that the tests of this folder share. Test code only.
#pragma once

#include <string>

#include "plan/compile.h"
#include "plan/host_facts.h"
#include "spec/container_spec.h"

namespace caisson::plan::testing {

// What `runc spec` writes: root.path "rootfs", all the default mounts, five namespaces and a cgroup
// namespace, device rules that deny everything.
spec::ContainerSpec default_spec();
// The same as `runc spec --rootless` has it: a user namespace with one id, no network namespace.
spec::ContainerSpec rootless_spec();

// Root of the initial user namespace, with the cgroups of the mode.
HostFacts root_host(CgroupMode mode);
// User 1000 on a v2 host without delegated cgroups.
HostFacts user_host();

// Nothing set. Out of line: sanitized builds with GCC take the empty optionals of a local one for
// uninitialized memory (-Wmaybe-uninitialized).
spec::Resources no_limits();

// A view of this machine running sh, as the command line asks for it; in a user namespace with one
// id or without.
spec::ContainerSpec view_spec(bool user_namespace);
// One file system for all but what every machine mounts; usr-merged.
void add_simple_mounts(HostFacts& host);
// /home and a data disk of their own, a read-only medium, a mounted file, a directory hidden by a
// later mount, a FUSE file system of somebody else.
void add_many_mounts(HostFacts& host);

Options test_options();

}  // namespace caisson::plan::testing

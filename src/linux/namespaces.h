// Namespaces and id maps, the parent's side: what must be opened or written from outside.
#pragma once

#include <vector>

#include "base/result.h"
#include "linux/child.h"
#include "plan/executor.h"
#include "plan/plan.h"

namespace caisson::linux {

// CLONE_NEW* of a kind.
int clone_flag(plan::NamespaceKind kind);
// "network", as linux.namespaces[].type calls it.
std::string_view namespace_name(plan::NamespaceKind kind);

// Opens the namespaces that the plan joins and checks that each is one of its kind; the user
// namespace comes first, as the others may need its rights.
Result<std::vector<JoinNamespace>> open_joined(const plan::NamespacePlan& plan);

// The namespaces in which the process differs from us, the user namespace first; entering an equal
// user namespace is an error, and entering the others for nothing needs rights that a rootless
// caller may lack.
ErrnoOr<std::vector<JoinNamespace>> open_differing(const plan::ProcessHandle& init);

// Writes the id maps of `pid` (kDirect), or has newuidmap(1) and newgidmap(1) do it (kHelpers).
Result<> write_id_maps(int pid, const plan::IdMapPlan& ids);

// A user namespace with these maps, for an idmapped mount. Nothing runs in it.
Result<Fd> make_id_map_namespace(const std::vector<plan::IdMapping>& uid,
                                 const std::vector<plan::IdMapping>& gid);

}  // namespace caisson::linux

// Namespaces by clone(2), unshare(2) and setns(2).
#pragma once

#include <cstdint>

#include "base/result.h"
#include "sandbox/kernel/task.h"

namespace caisson::sandbox::kernel {

// Whether the caller may have the new namespaces of these CLONE_NEW* flags. EPERM; EINVAL: kinds
// that the sandbox has not (user, time).
ErrnoOr<> check_namespace_flags(const Task& caller, std::uint64_t flags);
// Gives `to` (a child, or the caller itself) the caller's namespaces, new ones by `flags`.
void copy_namespaces(Task& caller, Task& to, std::uint64_t flags);
// unshare(2): of namespaces and of what clone(2) shared.
ErrnoOr<> unshare(Task& caller, std::uint64_t flags);

}  // namespace caisson::sandbox::kernel

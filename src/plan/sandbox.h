// The sandbox's part of planning. A container behind this wall has two plans: its own, which the
// kernel in user space carries out (mounts, process), and that of its jail, which the host's kernel
// carries out: where that user-space kernel runs itself, with nothing in reach.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "plan/plan.h"
#include "spec/container_spec.h"

namespace caisson::plan {

// The annotations that choose the wall and what belongs to it. Values:
//   org.caisson.wall          namespaces | sandbox
//   org.caisson.platform      systrap | systrap,nopatch (guest code is not changed) | ptrace
//   org.caisson.file-access   exclusive | shared: the root, see FileAccess
//   org.caisson.file-access-mounts  the same for bind mounts
//   org.caisson.overlay       none | memory[,size=BYTES] | /DIRECTORY: where writes to the root go
//   org.caisson.sandbox       the container in whose sandbox this one is to run
//   org.caisson.strace        /FILE of the host that takes a log of the system calls
//   org.caisson.strace-calls  the calls that it takes: NAME[,NAME]...
inline constexpr std::string_view kWallAnnotation = "org.caisson.wall";
inline constexpr std::string_view kPlatformAnnotation = "org.caisson.platform";
inline constexpr std::string_view kFileAccessAnnotation = "org.caisson.file-access";
inline constexpr std::string_view kMountAccessAnnotation = "org.caisson.file-access-mounts";
inline constexpr std::string_view kOverlayAnnotation = "org.caisson.overlay";
inline constexpr std::string_view kSandboxAnnotation = "org.caisson.sandbox";
inline constexpr std::string_view kStraceAnnotation = "org.caisson.strace";
inline constexpr std::string_view kStraceCallsAnnotation = "org.caisson.strace-calls";

// Whether a description asks for the sandbox.
bool wants_sandbox(const spec::ContainerSpec& spec);

// What a container with these resources is told of them.
GuestLimits guest_limits(const spec::Resources& resources);

// The plan of the jail around the kernel of `plan`'s sandbox: its own namespaces, the container's
// cgroups and limits, an empty read-only root, no capabilities but those that the gofer begins
// with. `args` of the process are for the executor to fill.
Plan jail_of(const Plan& plan);

// The folder of the host that takes what is written to the root; empty: none.
std::string overlay_folder(const std::map<std::string, std::string>& annotations);

// Name of the control socket of a container's sandbox, in the state directory.
std::string sandbox_socket_name(std::string_view id);
// ... and of the file that takes what its kernel leaves to be known, the calls that it lacked. It
// lies in the container's folder (container::folder_path()), and goes with that.
std::string sandbox_notes_name(std::string_view id);

}  // namespace caisson::plan

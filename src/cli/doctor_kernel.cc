// What the kernel offers: probed by calls that change nothing, never judged by its version.
#include <linux/seccomp.h>

#include "base/text.h"
#include "cli/doctor.h"
#include "sys/call.h"
#include "sys/file.h"
#include "sys/mount.h"
#include "sys/process.h"

namespace caisson::cli {
namespace {

struct Probe {
  std::string_view check;
  bool found;
  Health without;
  std::string_view since;  // version of the kernel, for the cure
  std::string_view effect;
};

bool overlay_is_known() {
  auto text = sys::read_file(sys::kCwd, "/proc/filesystems", 1 << 20);
  if (text && text->find("\toverlay\n") != std::string::npos) return true;
  // A module that is loaded on the first use: opening a context loads it.
  return sys::fsopen("overlay").has_value();
}

}  // namespace

void check_kernel(std::vector<Finding>& findings) {
  auto name = sys::uname();
  findings.push_back(
      {"kernel",
       Health::kOk,
       cat("Linux ", std::string_view(name.release), " on ", std::string_view(name.machine)),
       {}});
  constexpr auto kNeeded = Health::kMissing;
  constexpr auto kWanted = Health::kLimited;
  const Probe probes[] = {
      {"clone3", sys::has_call(SYS_clone3, nullptr, 0), kNeeded, "5.3",
       "processes are made with it"},
      {"pidfd", sys::has_call(SYS_pidfd_open, -1, 0), kNeeded, "5.3", "processes are held by it"},
      {"openat2", sys::has_call(SYS_openat2, -1, nullptr, nullptr, 0), kNeeded, "5.6",
       "paths inside containers are walked with it"},
      {"new mount API", sys::has_call(SYS_fsopen, nullptr, ~0U), kNeeded, "5.2",
       "mounts are made with it"},
      {"mount_setattr", sys::has_call(SYS_mount_setattr, -1, nullptr, ~0U, nullptr, 0), kNeeded,
       "5.12", "mounts get their flags and id maps by it"},
      {"close_range", sys::has_call(SYS_close_range, 1U, 0U, 0U), kNeeded, "5.9",
       "descriptors are kept out of containers by it"},
      {"seccomp filters", sys::has_seccomp_action(SECCOMP_RET_ERRNO), kWanted, "4.14",
       "no system call filter is possible"},
      {"overlay", overlay_is_known(), kNeeded, "3.18",
       "a view of this machine is made of overlays"},
      {"time namespaces", sys::faccessat(sys::kCwd, "/proc/self/ns/time", F_OK).has_value(),
       kWanted, "5.6", "clocks cannot be shifted"},
      {"cgroup namespaces", sys::faccessat(sys::kCwd, "/proc/self/ns/cgroup", F_OK).has_value(),
       kWanted, "4.6", "containers see the paths of their cgroups on this machine"},
  };
  for (const auto& probe : probes) {
    if (probe.found) {
      findings.push_back({probe.check, Health::kOk, "there", {}});
    } else {
      findings.push_back({probe.check, probe.without, cat("not there: ", probe.effect),
                          cat("use Linux ", probe.since, " or newer, with this built in")});
    }
  }
}

}  // namespace caisson::cli

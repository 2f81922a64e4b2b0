// User namespaces and what hangs on them, tried out in children that end at once.
#include "base/text.h"
#include "cli/caller.h"
#include "cli/doctor.h"
#include "library/state_root.h"
#include "sys/file.h"
#include "sys/mount.h"
#include "sys/process.h"

namespace caisson::cli {
namespace {

// Runs `trial` in a child with new namespaces; its errno, 0 when it went well. The child maps its
// id as a container of an ordinary user does.
template <typename Trial>
int in_child(std::uint64_t flags, Trial trial) {
  std::uint32_t uid = sys::geteuid(), gid = sys::getegid();
  auto child = sys::fork_with_pidfd(flags);
  if (!child) return child.error().value;
  if (child->pid == 0) {
    if ((flags & CLONE_NEWUSER) != 0) {
      (void)sys::write_control(sys::kCwd, "/proc/self/setgroups", "deny");
      (void)sys::write_control(sys::kCwd, "/proc/self/uid_map", cat("0 ", uid, " 1"));
      (void)sys::write_control(sys::kCwd, "/proc/self/gid_map", cat("0 ", gid, " 1"));
    }
    sys::exit_process(trial());
  }
  auto ended = sys::wait_pidfd(child->pidfd);
  if (!ended) return ended.error().value;
  return ended->code == CLD_EXITED ? ended->status : EINTR;
}

constexpr unsigned long kRecursivePrivate = 0x4000 | 0x40000;  // MS_REC | MS_PRIVATE

int nothing() { return 0; }

// The errno of mounting an overlay as a user namespace's root may.
int try_overlay() {
  auto failed = [](const auto& result) { return result ? 0 : result.error().value; };
  if (int error = failed(sys::mount("none", "/", nullptr, kRecursivePrivate, nullptr)))
    return error;
  auto tmpfs = sys::fsopen("tmpfs");
  if (!tmpfs) return tmpfs.error().value;
  if (int error = failed(sys::fsconfig_create(*tmpfs))) return error;
  auto layers = sys::fsmount(*tmpfs, 0);
  if (!layers) return layers.error().value;
  if (int error = failed(sys::move_mount_at(*layers, sys::kCwd, "/tmp"))) return error;
  for (const char* name : {"/tmp/l", "/tmp/u", "/tmp/w"}) {
    if (int error = failed(sys::mkdirat(sys::kCwd, name, 0700))) return error;
  }
  auto overlay = sys::fsopen("overlay");
  if (!overlay) return overlay.error().value;
  for (auto [key, value] : {std::pair{"lowerdir", "/tmp/l"}, std::pair{"upperdir", "/tmp/u"},
                            std::pair{"workdir", "/tmp/w"}, std::pair{"userxattr", ""}}) {
    auto set = *value == '\0' ? sys::fsconfig_flag(*overlay, key)
                              : sys::fsconfig_string(*overlay, key, value);
    if (!set) return set.error().value;
  }
  return failed(sys::fsconfig_create(*overlay));
}

struct Cause {
  std::string what, cure;
};

Cause why_no_user_namespace(int error) {
  if (first_line("/proc/sys/user/max_user_namespaces") == "0") {
    return {"user namespaces are limited to 0", "sysctl user.max_user_namespaces=15000"};
  }
  if (first_line("/proc/sys/kernel/unprivileged_userns_clone") == "0") {
    return {"user namespaces are for root only", "sysctl kernel.unprivileged_userns_clone=1"};
  }
  if (first_line("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1") {
    return {"AppArmor restricts user namespaces to programs with a profile",
            "install the AppArmor profile of caisson, or "
            "sysctl kernel.apparmor_restrict_unprivileged_userns=0"};
  }
  if (error == ENOSPC) {
    return {"too many user namespaces, or nested too deep",
            "sysctl user.max_user_namespaces=15000"};
  }
  return {cat("the kernel refuses: ", errno_text(error)),
          "look for a seccomp filter or a security module around this shell"};
}

void check_user_namespaces(std::vector<Finding>& findings, Health without) {
  int error = in_child(CLONE_NEWUSER, nothing);
  if (error == 0) {
    findings.push_back({"user namespaces", Health::kOk, "may be made", {}});
    bool restricted = first_line("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1";
    int mount_error = in_child(CLONE_NEWUSER | CLONE_NEWNS, [] {
      auto made = sys::mount("none", "/", nullptr, kRecursivePrivate, nullptr);
      return made ? 0 : made.error().value;
    });
    if (mount_error != 0) {
      Cause cause = restricted ? why_no_user_namespace(mount_error)
                               : Cause{cat("mounting in one fails: ", errno_text(mount_error)),
                                       "look for a security module around this shell"};
      findings.push_back({"mounts of users", without, cause.what, cause.cure});
      return;
    }
    error = in_child(CLONE_NEWUSER | CLONE_NEWNS, try_overlay);
    if (error == 0) {
      findings.push_back(
          {"overlay of users", Health::kOk, "may be mounted in a user namespace", {}});
    } else {
      findings.push_back({"overlay of users", without,
                          cat("overlay cannot be mounted in a user namespace: ", errno_text(error)),
                          "use Linux 5.11 or newer"});
    }
    return;
  }
  Cause cause = why_no_user_namespace(error);
  findings.push_back({"user namespaces", without, cause.what, cause.cure});
}

bool has_line_for(const char* path, std::string_view user, std::uint32_t uid) {
  auto text = sys::read_file(sys::kCwd, path, 1 << 20);
  if (!text) return false;
  for (auto line : split(*text, '\n')) {
    auto name = split_once(line, ':').first;
    if (!name.empty() && (name == user || name == cat(uid))) return true;
  }
  return false;
}

bool in_path(std::string_view program) {
  for (std::string_view dir : {"/usr/bin/", "/bin/", "/usr/local/bin/", "/usr/sbin/"}) {
    if (sys::faccessat(sys::kCwd, cat(dir, program).c_str(), X_OK)) return true;
  }
  return false;
}

void check_id_ranges(std::vector<Finding>& findings) {
  std::uint32_t uid = sys::geteuid();
  std::string user;
  if (auto accounts = read_accounts({})) user = spec::user_name(accounts->passwd, uid);
  bool ranges = has_line_for("/etc/subuid", user, uid) && has_line_for("/etc/subgid", user, uid);
  bool helpers = in_path("newuidmap") && in_path("newgidmap");
  if (ranges && helpers) {
    findings.push_back(
        {"id ranges", Health::kOk, "newuidmap and lines in /etc/subuid, /etc/subgid", {}});
    return;
  }
  findings.push_back(
      {"id ranges", Health::kLimited,
       cat(helpers ? "no lines for you in /etc/subuid and /etc/subgid"
                   : "newuidmap is not installed",
           ": bundles that map more than your own id cannot start; \"run\" needs none"),
       helpers ? cat("as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ",
                     user.empty() ? "YOU" : user)
               : "install the package uidmap (or shadow-utils)"});
}

}  // namespace

void check_namespaces(std::vector<Finding>& findings) {
  bool privileged = library::is_privileged();
  findings.push_back(
      {"privilege",
       privileged ? Health::kOk : Health::kLimited,
       privileged ? "root with CAP_SYS_ADMIN"
                  : "an ordinary user: containers have one user, and limits only where cgroups are "
                    "delegated",
       {}});
  check_user_namespaces(findings, privileged ? Health::kLimited : Health::kMissing);
  if (!privileged) return check_id_ranges(findings);
  int error =
      in_child(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS, nothing);
  if (error == 0) {
    findings.push_back({"namespaces", Health::kOk, "pid, network, ipc, uts and mount", {}});
  } else {
    findings.push_back({"namespaces", Health::kMissing,
                        cat("the kernel refuses new ones: ", errno_text(error)),
                        "look for a seccomp filter or a container around this shell"});
  }
}

}  // namespace caisson::cli

// cgroups, security modules, room for state: what lies around the kernel.
#include <linux/magic.h>
#include <sys/resource.h>

#include "base/text.h"
#include "cli/caller.h"
#include "cli/doctor.h"
#include "cli/state_root.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::cli {
namespace {

constexpr std::uint64_t kLowSpace = std::uint64_t{16} << 20;
constexpr std::uint64_t kFewDescriptors = 256;

std::string parent_of(const std::string& path) {
  auto slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

// The path of this process in the hierarchy with `controllers` ("" is v2's).
std::string own_cgroup(std::string_view controllers) {
  auto text = sys::read_file(sys::kCwd, "/proc/self/cgroup", 1 << 20);
  if (!text) return {};
  for (auto line : split(*text, '\n')) {
    auto [number, rest] = split_once(line, ':');
    auto [names, path] = split_once(rest, ':');
    if (names == controllers && !path.empty()) return std::string(path);
  }
  return {};
}

bool writable(const std::string& path) {
  return sys::faccessat(sys::kCwd, path.c_str(), W_OK, AT_EACCESS).has_value();
}

Finding unified_finding() {
  std::string own = cat("/sys/fs/cgroup", own_cgroup(""));
  std::string controllers = first_line("/sys/fs/cgroup/cgroup.controllers");
  std::string found = cat("v2, controllers: ", controllers.empty() ? "none" : controllers);
  if (sys::geteuid() == 0 ? writable("/sys/fs/cgroup") : writable(own)) {
    return {"cgroups", Health::kOk, found, {}};
  }
  return {"cgroups", Health::kLimited,
          cat(found, "; not writable: limits are refused, containers run"),
          "start caisson in a delegated scope: systemd-run --user --scope -p Delegate=yes ..."};
}

Finding separate_finding(bool hybrid) {
  std::string found, blocked;
  for (auto name : {"memory", "cpu", "pids", "devices", "freezer", "cpuset", "blkio"}) {
    std::string path = cat("/sys/fs/cgroup/", name);
    if (!sys::faccessat(sys::kCwd, path.c_str(), F_OK)) continue;
    append(found, found.empty() ? "" : " ", name);
    if (!writable(path)) append(blocked, blocked.empty() ? "" : " ", name);
  }
  std::string text = cat(hybrid ? "v1 and v2 side by side" : "v1",
                         ", controllers: ", found.empty() ? "none" : found);
  if (found.empty()) {
    return {"cgroups", Health::kLimited, text, "mount the controllers, or boot with cgroup v2"};
  }
  if (blocked.empty()) return {"cgroups", Health::kOk, text, {}};
  return {"cgroups", Health::kLimited,
          cat(text, "; not writable: limits are refused, containers run"),
          "run caisson as root, or boot with cgroup v2 and delegate"};
}

void check_security_modules(std::vector<Finding>& findings) {
  std::string apparmor = first_line("/sys/module/apparmor/parameters/enabled");
  bool selinux = sys::faccessat(sys::kCwd, "/sys/fs/selinux/enforce", F_OK).has_value();
  std::string found = apparmor == "Y" ? "AppArmor" : "";
  if (selinux) append(found, found.empty() ? "" : ", ", "SELinux");
  findings.push_back({"security modules", Health::kOk, found.empty() ? "none" : found, {}});
}

void check_state_root(const Context& context, std::vector<Finding>& findings) {
  std::string place = context.root;
  while (place != "/" && !sys::faccessat(sys::kCwd, place.c_str(), F_OK)) place = parent_of(place);
  if (!writable(place)) {
    findings.push_back({"state directory", Health::kMissing, cat(place, " is not writable"),
                        "set XDG_RUNTIME_DIR, or choose another place with --root DIR"});
    return;
  }
  auto info = sys::statfs(place.c_str());
  std::uint64_t free =
      info ? static_cast<std::uint64_t>(info->f_bavail) * static_cast<std::uint64_t>(info->f_bsize)
           : 0;
  if (free < kLowSpace) {
    findings.push_back({"state directory", Health::kLimited,
                        cat(context.root, ", only ", human_size(free), " free"),
                        "make room, or choose another place with --root DIR"});
    return;
  }
  findings.push_back(
      {"state directory", Health::kOk, cat(context.root, ", ", human_size(free), " free"), {}});
}

void check_descriptors(std::vector<Finding>& findings) {
  auto limit = sys::getrlimit(RLIMIT_NOFILE).value_or(rlimit64{});
  bool few = limit.rlim_cur < kFewDescriptors;
  findings.push_back({"open files", few ? Health::kLimited : Health::kOk,
                      cat("limit of ", limit.rlim_cur), few ? "ulimit -n 1024" : ""});
}

void check_terminals(std::vector<Finding>& findings) {
  bool there = sys::faccessat(sys::kCwd, "/dev/pts/ptmx", F_OK).has_value() ||
               sys::faccessat(sys::kCwd, "/dev/ptmx", F_OK).has_value();
  findings.push_back({"terminals", there ? Health::kOk : Health::kLimited,
                      there ? "/dev/pts" : "no /dev/pts here: containers still get their own",
                      there ? "" : "mount -t devpts devpts /dev/pts"});
}

void check_runtime_dir(std::vector<Finding>& findings) {
  if (sys::geteuid() == 0) return;
  const char* path = std::getenv("XDG_RUNTIME_DIR");
  if (path != nullptr && writable(path)) {
    findings.push_back({"XDG_RUNTIME_DIR", Health::kOk, path, {}});
    return;
  }
  findings.push_back({"XDG_RUNTIME_DIR", Health::kLimited,
                      cat(path == nullptr ? "not set" : "not writable", ": state is kept in ",
                          default_state_root(Face::kPeople, "caisson")),
                      "log in through PAM (loginctl enable-linger helps services)"});
}

}  // namespace

std::string first_line(const char* path) {
  auto text = sys::read_file(sys::kCwd, path, 1 << 16);
  return text ? std::string(trim(split_once(*text, '\n').first)) : std::string();
}

void check_cgroups(std::vector<Finding>& findings) {
  auto top = sys::statfs("/sys/fs/cgroup");
  if (!top) {
    findings.push_back({"cgroups", Health::kLimited,
                        "/sys/fs/cgroup is not there: no limits, no pause, no statistics",
                        "mount -t cgroup2 none /sys/fs/cgroup"});
    return;
  }
  auto is_v2 = [](const struct statfs& info) {
    return static_cast<std::uint64_t>(info.f_type) == CGROUP2_SUPER_MAGIC;
  };
  if (is_v2(*top)) {
    findings.push_back(unified_finding());
    return;
  }
  auto below = sys::statfs("/sys/fs/cgroup/unified");
  findings.push_back(separate_finding(below && is_v2(*below)));
}

void check_surroundings(const Context& context, std::vector<Finding>& findings) {
  check_security_modules(findings);
  check_runtime_dir(findings);
  check_state_root(context, findings);
  check_terminals(findings);
  check_descriptors(findings);
}

}  // namespace caisson::cli

#include "spec/validate.h"

#include "spec/oci_config.h"
#include "spec/validate_parts.h"

namespace caisson::spec {

namespace {

// Both are "leave as it is" to the kernel's calls.
constexpr std::uint32_t kNoId = 0xffffffff;
// __NEW_UTS_LEN of linux/utsname.h
constexpr std::size_t kLongestHostname = 64;

Result<> check_user(const User& user, const Place& place) {
  if (user.uid == kNoId) return (place / "uid").refuse(user.uid, " is no user id");
  if (user.gid == kNoId) return (place / "gid").refuse(user.gid, " is no group id");
  for (std::size_t i = 0; i < user.additional_gids.size(); ++i) {
    if (user.additional_gids[i] != kNoId) continue;
    return (place / "additionalGids")[i].refuse(kNoId, " is no group id");
  }
  return {};
}

Result<> check_rlimits(const std::vector<Rlimit>& rlimits, const Place& place) {
  for (std::size_t i = 0; i < rlimits.size(); ++i) {
    const auto& limit = rlimits[i];
    if (limit.soft > limit.hard) {
      return place[i].refuse("the soft limit ", limit.soft, " is above the hard limit ",
                             limit.hard);
    }
    for (std::size_t j = 0; j < i; ++j) {
      if (rlimits[j].type == limit.type) {
        return place[i].refuse(limit.type, " is set twice, first in rlimits[", j, "]");
      }
    }
  }
  return {};
}

// sched_setattr(2): each policy has fields of its own. A nice value beside a policy that has none
// is what other runtimes take, and the kernel ignores it.
Result<> check_scheduler(const Scheduler& scheduler, const Place& place) {
  const auto& policy = scheduler.policy;
  const bool realtime = policy == "SCHED_FIFO" || policy == "SCHED_RR";
  const bool deadline = policy == "SCHED_DEADLINE";
  if (scheduler.priority != 0 && !realtime) {
    return (place / "priority")
        .refuse("only SCHED_FIFO and SCHED_RR take a priority, not ", policy);
  }
  if (scheduler.priority == 0 && realtime) {
    return (place / "priority").refuse(policy, " needs a priority from 1 to 99");
  }
  if (!deadline && (scheduler.runtime | scheduler.deadline | scheduler.period) != 0) {
    return place.refuse("only SCHED_DEADLINE takes runtime, deadline and period, not ", policy);
  }
  if (deadline && (scheduler.runtime == 0 || scheduler.deadline < scheduler.runtime ||
                   (scheduler.period != 0 && scheduler.period < scheduler.deadline))) {
    return place.refuse("SCHED_DEADLINE needs 0 < runtime <= deadline <= period, found ",
                        scheduler.runtime, ", ", scheduler.deadline, ", ", scheduler.period);
  }
  return {};
}

Result<> check_root(const ContainerSpec& spec, const Place& place) {
  if (spec.root_source == RootSource::kMachineView) {
    if (!spec.root || spec.root->path.empty()) return {};
    return (place / "root" / "path").refuse("a view of this machine has no root path");
  }
  if (!spec.root) return (place / "root").refuse("a container needs a root file system");
  if (spec.root->path.empty()) return (place / "root" / "path").refuse("the path is empty");
  return {};
}

Result<> check_mounts(const std::vector<Mount>& mounts, const Place& place) {
  for (std::size_t i = 0; i < mounts.size(); ++i) {
    const auto& mount = mounts[i];
    if (mount.destination.empty()) return (place[i] / "destination").refuse("the path is empty");
    TRY(check_mappings(mount.uid_mappings, mount.gid_mappings, place[i]));
  }
  return {};
}

Result<> check_host_names(const ContainerSpec& spec, const Place& place) {
  struct Named {
    std::string_view field, value;
  };
  for (const auto& [field, value] :
       {Named{"hostname", spec.hostname}, Named{"domainname", spec.domainname}}) {
    if (value.empty()) continue;
    if (value.size() > kLongestHostname) {
      return (place / field)
          .refuse(value.size(), " bytes are too long: allowed are ", kLongestHostname);
    }
    if (!spec.linux_part || find_namespace(*spec.linux_part, NamespaceKind::kUts) == nullptr) {
      return (place / field).refuse("needs a uts namespace: it would change the name of the host");
    }
  }
  return {};
}

}  // namespace

bool climbs(std::string_view path) {
  for (auto component : split(path, '/')) {
    if (component == "..") return true;
  }
  return false;
}

Result<> check_process(const Process& process, const Place& place) {
  if (process.args.empty()) return (place / "args").refuse("there is no program to run");
  // Engines make a status of 127 of these words.
  if (process.args[0].empty()) {
    return (place / "args")[0].refuse(
        "exec: \"\": executable file not found in $PATH: the program's name is empty");
  }
  if (!process.cwd.starts_with('/')) {
    return (place / "cwd")
        .refuse("the working directory must be absolute, found ", quoted(process.cwd));
  }
  TRY(check_user(process.user, place / "user"));
  TRY(check_rlimits(process.rlimits, place / "rlimits"));
  if (process.scheduler) TRY(check_scheduler(*process.scheduler, place / "scheduler"));
  return {};
}

Result<> validate(const ContainerSpec& spec, std::string_view file_name) {
  const Place top(file_name);
  TRY(check_root(spec, top));
  if (spec.process) TRY(check_process(*spec.process, top / "process"));
  TRY(check_mounts(spec.mounts, top / "mounts"));
  TRY(check_host_names(spec, top));
  if (spec.linux_part) TRY(check_linux(*spec.linux_part, top / "linux"));
  return {};
}

Result<> validate_process(const Process& process, std::string_view file_name) {
  return check_process(process, Place(file_name));
}

Result<> validate_resources(const Resources& resources, std::string_view file_name) {
  return check_resources(resources, Place(file_name, "linux.resources"));
}

}  // namespace caisson::spec

#include "linux/cgroup.h"

#include <algorithm>

#include "linux/cgroup_files.h"
#include "linux/cgroup_mark.h"
#include "linux/device_program.h"
#include "sys/file.h"

namespace caisson::linux {
namespace {

// One directory of the plan on its way into the set.
struct Target {
  const plan::CgroupDirectory* step = nullptr;
  std::string path;
  bool existed = false;
  bool made = false;
  bool skipped = false;
  std::string not_enabled;  // v2: why controllers are missing, for errors
};

using Targets = std::vector<Target>;

Error creation_error(Errno error, const Target& target) {
  const char* cure = "Choose another linux.cgroupsPath.";
  if (error.value == EACCES || error.value == EPERM) {
    cure =
        "Run as root, or have the cgroup delegated to this user: systemd-run --user --scope -p "
        "Delegate=yes COMMAND.";
  } else if (error.value == EROFS) {
    cure = "Mount the cgroup file system writable.";
  } else if (error.value == ENOENT) {
    cure = "Mount the hierarchy, or leave out the limits that need it.";
  } else if (error.value == EAGAIN) {
    cure = "Raise cgroup.max.descendants or cgroup.max.depth of its parents.";
  }
  return Error(error)
      .step("cgroup")
      .doing("make cgroup ", target.path)
      .cure(cure)
      .code("cgroup.create");
}

// --- before anything is made ---

Result<> refuse_used(const Target& target) {
  std::vector<int> members;
  TRY_CTX(collect_processes(target.path, members), "list the processes of ", target.path);
  sort_unique(members);
  if (!members.empty()) {
    return std::unexpected(Error::with_cause(EBUSY, cat("container's cgroup is not empty: ",
                                                        members.size(), " process(es) found"))
                               .step("cgroup")
                               .doing("use cgroup ", target.path)
                               .where("linux.cgroupsPath")
                               .cure("Choose another path, or end what runs there (first: process ",
                                     members.front(), ").")
                               .code("cgroup.used"));
  }
  auto frozen = cgroup_frozen({{target.step->controllers, target.path, target.step->v2}});
  if (frozen.value_or(false)) {
    return std::unexpected(Error::with_cause(EBUSY, "container's cgroup unexpectedly frozen")
                               .step("cgroup")
                               .doing("use cgroup ", target.path)
                               .where("linux.cgroupsPath")
                               .cure("Thaw it or choose another path.")
                               .code("cgroup.used"));
  }
  return {};
}

Result<Targets> look(const plan::CgroupPlan& plan, Hierarchies hierarchies) {
  Targets targets;
  targets.reserve(plan.directories.size());
  for (const auto& step : plan.directories) {
    bool meant =
        hierarchies == Hierarchies::kAll || step.v2 == (hierarchies == Hierarchies::kUnified);
    if (!meant) continue;
    Target& target = targets.emplace_back();
    target.step = &step;
    target.path = step.path == "/" ? step.mount_point : cat(step.mount_point, step.path);
    target.existed = sys::faccessat(sys::kCwd, target.path.c_str(), F_OK).has_value();
    if (target.existed) TRY(refuse_used(target));
  }
  return targets;
}

Result<> register_undo(const Targets& targets, plan::UndoLog& undo) {
  std::vector<plan::Undo> undos;
  for (const auto& target : targets) {
    if (!target.existed) undos.push_back({plan::Undo::Kind::kRemoveCgroup, target.path});
  }
  if (undos.empty()) return {};
  return undo.record(undos);
}

// --- making ---

ErrnoOr<> make_parent(const std::string& path, const plan::CgroupDirectory& step) {
  // Never the mount point itself: made in what stands around it, it would be no cgroup.
  if (path.size() <= step.mount_point.size()) return std::unexpected(Errno{ENOENT});
  auto made = sys::mkdirat(sys::kCwd, path.c_str(), 0755);
  if (!made && is_gone(made.error())) {
    TRY(make_parent(split_path(path).first, step));
    made = sys::mkdirat(sys::kCwd, path.c_str(), 0755);
  }
  if (!made && made.error().value == EEXIST) return {};
  TRY(made);
  mark(path);
  if (step.inherit_cpuset) {
    TRY(inherit_cpuset(path, step.mount_point));
    let_children_inherit_cpuset(path);
  }
  return {};
}

ErrnoOr<> make_directory(const Target& target) {
  // The parent may go between our making it and using it, with the last container that was in it.
  constexpr int kAttempts = 16;
  for (int attempt = 0;; ++attempt) {
    auto made = sys::mkdirat(sys::kCwd, target.path.c_str(), 0755);
    if (made || !is_gone(made.error()) || attempt == kAttempts) return made;
    auto parent = make_parent(split_path(target.path).first, *target.step);
    if (!parent && !is_gone(parent.error())) return parent;
  }
}

Result<> make(Target& target) {
  if (target.existed) return {};
  auto made = make_directory(target);
  target.made = made.has_value();
  if (made && target.step->inherit_cpuset) {
    made = inherit_cpuset(target.path, target.step->mount_point);
  }
  if (made) return {};
  if (!target.step->required && is_refusal(made.error().value)) {
    target.skipped = true;
    return {};
  }
  return std::unexpected(creation_error(made.error(), target));
}

// --- limits ---

bool is_tolerated(int errno_value) {
  switch (errno_value) {
    case ENOENT:
    case EINVAL:
    case EOPNOTSUPP:
    case EACCES:
    case EPERM:
    case EROFS:
    case ENODEV:
    case ERANGE: return true;
    default: return false;
  }
}

// v1 keeps what is in use, where v2 calls the OOM killer.
std::string busy_cause(const LimitTarget& target, const plan::CgroupWrite& write) {
  if (write.file != "memory.limit_in_bytes") return {};
  auto number = [&](std::string_view file) {
    return read_control(target.path, file).value_or("unknown");
  };
  return cat("unable to set memory limit to ", write.value,
             " (current usage: ", number("memory.usage_in_bytes"),
             ", peak usage: ", number("memory.max_usage_in_bytes"), ")");
}

// The part about one controller of what enable_controllers() said.
std::string_view reason_of(std::string_view controller, std::string_view reasons) {
  for (auto each : split(reasons, ';')) {
    if (trim(each).starts_with(cat(controller, " in "))) return trim(each);
  }
  return reasons;
}

Error write_error(Errno error, const LimitTarget& target, const plan::CgroupWrite& write) {
  std::string cause, cure;
  const std::string controller(split_once(write.file, '.').first);
  switch (error.value) {
    case ENOENT:
      cause =
          target.not_enabled.empty()
              ? cat("this kernel has no ", write.file, ": no such file or directory")
              : cat("the controller is not enabled: ", reason_of(controller, target.not_enabled));
      cure = target.step.v2 ? cat("Enable ", controller,
                                  " in cgroup.subtree_control of the parents (systemd: "
                                  "Delegate=yes), or leave the limit out.")
                            : "Leave the limit out, or use a kernel that has it.";
      break;
    case EINVAL:
    case ERANGE:
      cause = cat("the kernel does not accept ", quoted(write.value));
      cure = "Correct the value; a parent's limits bound it as well.";
      break;
    case ENODEV:
      cause = cat("no such device: ", quoted(write.value));
      cure = "Name a whole disk that exists (lsblk), not a partition.";
      break;
    case EBUSY:
      cause = busy_cause(target, write);
      cure = "Give a limit above what is in use.";
      break;
    case EACCES:
    case EPERM:
      cure = "A parent's limit forbids it, or the cgroup is not delegated to this user.";
      break;
    case EROFS: cure = "Mount the cgroup file system writable."; break;
    case EOPNOTSUPP: cure = "Leave the limit out: this kernel does not support it."; break;
    default: cure = "Correct the value or leave the limit out."; break;
  }
  Error result = cause.empty() ? Error(error) : Error::with_cause(error.value, std::move(cause));
  result = std::move(result)
               .step("cgroup")
               .doing("write ", quoted(write.value), " to ", target.path, '/', write.file)
               .cure(cure)
               .code("cgroup.limit");
  return write.field.empty() ? std::move(result) : std::move(result).where(write.field);
}

struct Written {
  ErrnoOr<> done;
  bool alternative = false;  // the write's other file was tried
};

Written try_write(const LimitTarget& target, const plan::CgroupWrite& write) {
  auto written = write_control(target.path, write.file, write.value);
  if (written || written.error().value != ENOENT || write.alternative_file.empty()) {
    return {written};
  }
  return {write_control(target.path, write.alternative_file, write.alternative_value), true};
}

Error failed_write(const Written& written, const LimitTarget& target,
                   const plan::CgroupWrite& write) {
  if (!written.alternative) return write_error(written.done.error(), target, write);
  plan::CgroupWrite tried = write;
  tried.file = write.alternative_file;
  tried.value = write.alternative_value;
  return write_error(written.done.error(), target, tried);
}

// The writes that were put off, again and again while that gets one of them done.
Result<> apply_again(const LimitTarget& target, std::vector<const plan::CgroupWrite*> left) {
  while (!left.empty()) {
    const std::size_t before = left.size();
    Written last;
    std::erase_if(left, [&](const plan::CgroupWrite* write) {
      Written written = try_write(target, *write);
      if (!written.done) last = written;
      return written.done.has_value();
    });
    if (left.size() == before) {
      return std::unexpected(failed_write(last, target, *left.back()));
    }
  }
  return {};
}

// --- the open ends ---

// Adds an existing directory to the set. A refused one is skipped unless it is required.
Result<> open_target(Target& target, CgroupSet& set) {
  const bool v2 = target.step->v2;
  auto opened = v2 ? sys::openat(sys::kCwd, target.path.c_str(), O_RDONLY | O_DIRECTORY)
                   : sys::openat(sys::kCwd, cat(target.path, "/tasks").c_str(), O_WRONLY);
  if (!opened) {
    if (target.step->required || !is_refusal(opened.error().value)) {
      return std::unexpected(creation_error(opened.error(), target));
    }
    target.skipped = true;
    return {};
  }
  if (v2) {
    set.unified_fd = opened->number();
  } else {
    bool devices = lists_controller(target.step->controllers, "devices");
    if (devices) set.devices_task_fd = opened->number();
    if (!devices) set.task_fds.push_back(opened->number());
  }
  set.held.push_back(*std::move(opened));
  set.locations.push_back({target.step->controllers, target.path, v2});
  set.directories.push_back(target.step);
  set.not_enabled.push_back(target.not_enabled);
  return {};
}

Result<> apply_devices(const plan::CgroupPlan& plan, const CgroupSet& set) {
  if (!plan.device_rules) return {};
  for (const auto& location : set.locations) {
    if (location.v2 || !lists_controller(location.controllers, "devices")) continue;
    return apply_device_files(location.directory, plan.devices);
  }
  if (set.unified_fd >= 0) return set_device_program(FdRef(set.unified_fd), plan.devices);
  return std::unexpected(
      Error::with_cause(EOPNOTSUPP, "no cgroup hierarchy of this host takes them")
          .doing("apply the device rules")
          .where("linux.resources.devices")
          .cure("Mount the v1 devices hierarchy or cgroup v2; in a container, start the outer one "
                "with \"-v /sys/fs/cgroup\".")
          .code("cgroup.devices"));
}

Result<> build(Targets& targets, const std::optional<std::uint32_t>& owner, CgroupSet& set) {
  for (Target& target : targets) {
    TRY(make(target));
    if (target.skipped) continue;
    if (target.step->v2) {
      target.not_enabled = enable_controllers(target.path, target.step->mount_point,
                                              target.step->enable_controllers);
      if (owner) TRY_CTX(hand_over(target.path, *owner), "hand cgroup ", target.path, " over");
    }
    TRY(open_target(target, set));
  }
  return {};
}

void take_back(const Targets& targets) {
  for (std::size_t i = targets.size(); i-- > 0;) {
    if (targets[i].made) (void)remove_cgroup(targets[i].path);
  }
}

}  // namespace

Result<> apply_writes(const LimitTarget& target) {
  std::vector<const plan::CgroupWrite*> put_off;
  for (const auto& write : target.step.writes) {
    const Written written = try_write(target, write);
    if (written.done) continue;
    if (write.optional && is_tolerated(written.done.error().value)) continue;
    if (!write.again || written.done.error().value != EINVAL) {
      return std::unexpected(failed_write(written, target, write));
    }
    put_off.push_back(&write);
  }
  return apply_again(target, std::move(put_off));
}

Result<> make_cgroups(const plan::CgroupPlan& plan, Hierarchies hierarchies, plan::UndoLog& undo,
                      CgroupSet& set) {
  Targets targets = TRY(look(plan, hierarchies));
  TRY(register_undo(targets, undo));
  auto built = build(targets, plan.owner, set);
  if (!built) take_back(targets);
  return built;
}

Result<> make_scope_cgroups(const plan::CgroupPlan& plan, int pid, plan::UndoLog& undo,
                            CgroupSet& set) {
  Targets targets;
  std::vector<plan::Undo> undos;
  targets.reserve(plan.directories.size());
  for (const auto& step : plan.directories) {
    Target& target = targets.emplace_back();
    target.step = &step;
    target.path = cat(step.mount_point, step.path);
    target.existed = sys::faccessat(sys::kCwd, target.path.c_str(), F_OK).has_value();
    undos.push_back({plan::Undo::Kind::kRemoveCgroup, target.path});
  }
  TRY(undo.record(undos));
  auto built = build(targets, plan.owner, set);
  if (!built) {
    take_back(targets);
    return built;
  }
  for (std::size_t i = 0; i < set.locations.size(); ++i) {
    if (set.locations[i].v2) continue;
    TRY_CTX(write_control(set.locations[i].directory, "cgroup.procs", cat(pid)), "move init to ",
            set.locations[i].directory);
  }
  return {};
}

Result<> limit_cgroups(const plan::CgroupPlan& plan, const CgroupSet& set) {
  if (plan.directories.empty()) return {};
  for (std::size_t i = 0; i < set.locations.size(); ++i) {
    TRY(apply_writes({*set.directories[i], set.locations[i].directory, set.not_enabled[i]}));
  }
  return {};
}

Result<> limit_devices(const plan::CgroupPlan& plan, const CgroupSet& set) {
  if (plan.directories.empty()) return {};
  auto devices = apply_devices(plan, set);
  if (!devices) return std::unexpected(std::move(devices).error().step("cgroup"));
  return {};
}

}  // namespace caisson::linux

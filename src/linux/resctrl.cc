#include "linux/resctrl.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "base/text.h"
#include "linux/mountinfo.h"
#include "sys/file.h"

namespace caisson::linux {
namespace {

Error group_error(Errno error, std::string_view what, const std::string& path) {
  return Error(error).doing(what, " ", path).where("linux.intelRdt").step("resctrl");
}

bool exists(const std::string& path) {
  return sys::faccessat(sys::kCwd, path.c_str(), F_OK).has_value();
}

// "L3:0=7f0;1=1f": the resource, then values by domain.
std::string_view resource_of(std::string_view line) { return trim(split_once(line, ':').first); }

std::optional<std::string_view> value_of(std::string_view line, std::string_view domain) {
  for (auto entry : split(split_once(line, ':').second, ';')) {
    auto [name, value] = split_once(entry, '=');
    if (trim(name) == domain) return trim(value);
  }
  return std::nullopt;
}

// Bandwidth is a decimal number, everything else a bit mask in hexadecimal.
bool same_value(std::string_view resource, std::string_view one, std::string_view other) {
  int base = resource.starts_with("MB") || resource.ends_with("MBA") ? 10 : 16;
  auto first = parse_number<std::uint64_t>(one, base);
  auto second = parse_number<std::uint64_t>(other, base);
  return first && second ? *first == *second : one == other;
}

bool line_agrees(std::string_view file, std::string_view wanted) {
  auto resource = resource_of(wanted);
  for (auto line : split(file, '\n')) {
    if (resource_of(line) != resource) continue;
    return std::ranges::all_of(split(split_once(wanted, ':').second, ';'), [&](auto entry) {
      auto [domain, value] = split_once(entry, '=');
      if (trim(domain).empty()) return true;
      auto there = value_of(line, trim(domain));
      return there && same_value(resource, *there, trim(value));
    });
  }
  return false;
}

Result<> make_group(const std::string& path, plan::UndoLog& undo) {
  TRY(undo.record({{plan::Undo::Kind::kRemoveResctrlGroup, path}}));
  auto made = sys::mkdirat(sys::kCwd, path.c_str(), 0755);
  if (made) return {};
  Error error = group_error(made.error(), "make resctrl group", path);
  if (made.error().value == ENOSPC) {
    error = std::move(error).cure(
        "the processor has no class of service left; remove one that is "
        "not used, or share one by closID");
  }
  return std::unexpected(std::move(error));
}

Result<> write_schemata(const std::string& group, std::string_view schemata,
                        const std::string& mount_point) {
  auto written = sys::write_control(sys::kCwd, cat(group, "/schemata").c_str(), schemata);
  if (written) return {};
  auto status = sys::read_file(sys::kCwd, cat(mount_point, "/info/last_cmd_status").c_str());
  Error error = group_error(written.error(), "write", cat(group, "/schemata"));
  auto reason = status ? trim(*status) : std::string_view();
  if (reason.empty() || reason == "ok") return std::unexpected(std::move(error));
  return std::unexpected(
      Error::with_cause(written.error().value,
                        cat(reason, " (", errno_text(written.error().value), ")"))
          .doing("write ", group, "/schemata")
          .where("linux.intelRdt")
          .step("resctrl"));
}

Result<> check_schemata(const std::string& group, std::string_view wanted) {
  std::string path = cat(group, "/schemata");
  auto file = sys::read_file(sys::kCwd, path.c_str());
  if (!file) return std::unexpected(group_error(file.error(), "read", path));
  if (schemata_agree(*file, wanted)) return {};
  return std::unexpected(
      Error::with_cause(EEXIST, "the class of service exists with other schemata than those given")
          .doing("use resctrl group ", group)
          .where("linux.intelRdt.closID")
          .cure("give its own schemata or none, or another closID")
          .step("resctrl"));
}

Result<> prepare_class(const plan::ResctrlPlan& plan, const std::string& group,
                       const std::string& mount_point, plan::UndoLog& undo) {
  if (exists(group)) {
    if (!plan.shared) {
      return std::unexpected(
          Error::with_cause(EEXIST, "a class of service of the container's name exists")
              .doing("make resctrl group ", group)
              .where("linux.intelRdt")
              .cure("remove it with rmdir, or name it in closID")
              .step("resctrl"));
    }
    return plan.schemata.empty() ? Result<>{} : check_schemata(group, plan.schemata);
  }
  if (plan.must_exist) {
    return std::unexpected(
        Error::with_cause(ENOENT, "no such class of service, and no schemata to make it with")
            .doing("use resctrl group ", group)
            .where("linux.intelRdt.closID")
            .cure("make it beforehand, or give schemata")
            .step("resctrl"));
  }
  TRY(make_group(group, undo));
  return plan.schemata.empty() ? Result<>{} : write_schemata(group, plan.schemata, mount_point);
}

}  // namespace

Result<std::string> resctrl_mount_point() {
  auto text = TRY_CTX(sys::read_file(sys::kCwd, "/proc/self/mountinfo"), "read the mounts");
  for (auto& each : visible_mounts(TRY(parse_mountinfo(text)))) {
    if (each.mount.fs_type == "resctrl") return std::move(each.mount.mount_point);
  }
  return std::unexpected(Error::with_cause(ENOTSUP, "no resctrl file system is mounted")
                             .where("linux.intelRdt")
                             .cure("mount it (mount -t resctrl resctrl /sys/fs/resctrl), if this "
                                   "processor has such resources; or leave the field out")
                             .code("host.unsupported")
                             .step("resctrl"));
}

Result<plan::Strings> make_resctrl_groups(const plan::ResctrlPlan& plan,
                                          const std::string& mount_point, plan::UndoLog& undo) {
  std::string group = plan.group.empty() ? mount_point : cat(mount_point, "/", plan.group);
  TRY(prepare_class(plan, group, mount_point, undo));
  plan::Strings groups{group};
  if (plan.monitoring_group.empty()) return groups;
  std::string monitoring = cat(group, "/mon_groups/", plan.monitoring_group);
  TRY(make_group(monitoring, undo));
  groups.push_back(std::move(monitoring));
  return groups;
}

Result<> join_resctrl_groups(const plan::Strings& groups, int pid) {
  for (const auto& group : groups) {
    std::string path = cat(group, "/tasks");
    auto joined = sys::write_control(sys::kCwd, path.c_str(), cat(pid));
    if (!joined) return std::unexpected(group_error(joined.error(), "join", path));
  }
  return {};
}

Result<> remove_resctrl_group(const std::string& directory) {
  auto tasks = sys::read_file(sys::kCwd, cat(directory, "/tasks").c_str());
  if (tasks && !trim(*tasks).empty()) return {};
  auto removed = sys::unlinkat(sys::kCwd, directory.c_str(), AT_REMOVEDIR);
  if (removed || removed.error().value == ENOENT) return {};
  return std::unexpected(group_error(removed.error(), "remove resctrl group", directory));
}

bool schemata_agree(std::string_view file, std::string_view wanted) {
  return std::ranges::all_of(split(wanted, '\n'), [&](auto line) {
    return trim(line).empty() || line_agrees(file, trim(line));
  });
}

}  // namespace caisson::linux

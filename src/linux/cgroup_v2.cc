#include <algorithm>

#include "linux/cgroup_files.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::linux {
namespace {

// Every parent of `directory`, from the mount point down.
std::vector<std::string> parents_of(const std::string& directory, const std::string& mount_point) {
  std::vector<std::string> parents;
  for (auto at = split_path(directory).first; at.size() >= mount_point.size();) {
    parents.push_back(at);
    if (at.size() == mount_point.size()) break;
    at = split_path(at).first;
  }
  std::ranges::reverse(parents);
  return parents;
}

std::vector<std::string> missing_controllers(const std::string& directory,
                                             std::span<const std::string> wanted) {
  auto text = read_control(directory, "cgroup.controllers");
  auto present = split(text ? std::string_view(*text) : std::string_view(), ' ');
  std::vector<std::string> missing;
  for (const auto& name : wanted) {
    if (!contains(present, name)) missing.push_back(name);
  }
  return missing;
}

std::string_view reason(int errno_value) {
  switch (errno_value) {
    case EBUSY: return "EBUSY (processes live in it itself)";
    case EOPNOTSUPP: return "EOPNOTSUPP (it is a threaded cgroup)";
    case ENOENT: return "ENOENT (its own parent does not have the controller)";
    default: return errno_name(errno_value);
  }
}

// cgroups(7), "no internal processes": a cgroup with processes of its own hands down no
// controllers; those that work on threads (pids, cpu) it would, but then its children take no
// process any more. The root of the hierarchy is exempt, and looks like it by having no type.
bool has_own_processes(const std::string& directory) {
  if (read_control(directory, "cgroup.type").value_or("threaded") == "threaded") return false;
  auto members = read_control(directory, "cgroup.procs");
  return members && !members->empty();
}

// The first reason for each controller is the one to know: what lies below follows from it.
void note_failure(std::string& failures, std::string_view controller, const std::string& parent,
                  int errno_value) {
  for (auto known : split(failures, ';')) {
    if (trim(known).starts_with(cat(controller, " in "))) return;
  }
  append(failures, failures.empty() ? "" : "; ", controller, " in ", parent, ": ",
         reason(errno_value));
}

// All at once, since it is one trip through the kernel's locks; one by one when that fails.
void enable_in(const std::string& parent, const std::vector<std::string>& controllers,
               std::string& failures) {
  auto text = read_control(parent, "cgroup.subtree_control");
  auto enabled = split(text ? std::string_view(*text) : std::string_view(), ' ');
  std::vector<std::string> missing;
  for (const auto& name : controllers) {
    if (!contains(enabled, name)) missing.push_back(name);
  }
  if (missing.empty()) return;
  if (has_own_processes(parent)) {
    for (const auto& name : missing) note_failure(failures, name, parent, EBUSY);
    return;
  }
  if (write_control(parent, "cgroup.subtree_control", cat('+', join(missing, " +")))) return;
  for (const auto& name : missing) {
    auto written = write_control(parent, "cgroup.subtree_control", cat('+', name));
    if (!written) note_failure(failures, name, parent, written.error().value);
  }
}

// A cgroup below a threaded one is "domain invalid" and takes no process until it is threaded too.
void join_threaded_parent(const std::string& directory) {
  auto type = read_control(directory, "cgroup.type");
  if (type && *type == "domain invalid") (void)write_control(directory, "cgroup.type", "threaded");
}

ErrnoOr<bool> read_frozen(FdRef events) {
  TRY(sys::call(SYS_lseek, events.number(), 0, SEEK_SET));
  std::string text = TRY(sys::read_all(events));
  return keyed_number(text, "frozen") == 1;
}

Error freeze_timeout(const std::string& directory, bool frozen) {
  if (frozen) {
    return Error::with_cause(ETIMEDOUT, "not all processes stood still in time; they run again")
        .doing("freeze ", directory)
        .cure("Look for processes in state D (uninterruptible wait) and try again.")
        .code("cgroup.freeze");
  }
  return Error::with_cause(ETIMEDOUT, "a parent cgroup is frozen")
      .doing("thaw ", directory)
      .cure("Write 0 to cgroup.freeze of its parents.")
      .code("cgroup.freeze");
}

}  // namespace

std::string enable_controllers(const std::string& directory, const std::string& mount_point,
                               std::span<const std::string> controllers) {
  auto missing = missing_controllers(directory, controllers);
  if (missing.empty()) return {};
  std::string failures;
  for (const auto& parent : parents_of(directory, mount_point)) {
    enable_in(parent, missing, failures);
  }
  join_threaded_parent(directory);
  return failures;
}

ErrnoOr<> hand_over(const std::string& directory, std::uint32_t uid) {
  constexpr std::uint32_t kSameGroup = UINT32_MAX;
  // Before Linux 4.15 the list was in documents only.
  const std::string files = read_control("/sys/kernel/cgroup", "delegate")
                                .value_or("cgroup.procs\ncgroup.subtree_control\ncgroup.threads");
  TRY(sys::fchownat(sys::kCwd, directory.c_str(), uid, kSameGroup));
  for (std::string_view file : split(files, '\n')) {
    auto done = sys::fchownat(sys::kCwd, cat(directory, '/', file).c_str(), uid, kSameGroup);
    // Of a controller that is not enabled here.
    if (!done && done.error().value != ENOENT) return done;
  }
  return {};
}

Result<> set_frozen_v2(const std::string& directory, bool frozen, const Deadline& deadline) {
  const char* what = frozen ? "freeze " : "thaw ";
  // Opened first: the change that the poll waits for must not come before it.
  Fd events = TRY_CTX(sys::openat(sys::kCwd, cat(directory, "/cgroup.events").c_str(), O_RDONLY),
                      what, directory);
  TRY_CTX(write_control(directory, "cgroup.freeze", frozen ? "1" : "0"), what, directory);
  for (;;) {
    if (TRY_CTX(read_frozen(events), what, directory) == frozen) return {};
    if (deadline.passed()) {
      if (frozen) (void)write_control(directory, "cgroup.freeze", "0");
      return std::unexpected(freeze_timeout(directory, frozen));
    }
    pollfd entry{events.number(), POLLPRI, 0};
    TRY_CTX(sys::poll(std::span(&entry, 1), deadline.left_ms()), what, directory);
  }
}

}  // namespace caisson::linux

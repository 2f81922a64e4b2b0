#include "linux/cgroup_files.h"

#include <dirent.h>
#include <linux/magic.h>
#include <time.h>

#include <algorithm>

#include "linux/cgroup.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::linux {
namespace {

// Descriptors that may be open at once while processes are signalled.
constexpr std::size_t kSignalBatch = 256;

// Names of the cgroups directly in `dir`. A directory of cgroupfs counts 2 links and one for each
// directory in it, so that the usual case, none, takes no listing.
ErrnoOr<std::vector<std::string>> nested_names(FdRef dir) {
  std::vector<std::string> names;
  if (TRY(sys::fstat(dir)).st_nlink == 2) return names;
  for (auto& entry : TRY(sys::list_directory_types(dir))) {
    if (entry.type == DT_DIR) names.push_back(std::move(entry.name));
  }
  return names;
}

ErrnoOr<Fd> open_directory(FdRef dir, const char* name) {
  return sys::openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

// Calls enter(dir) for every cgroup, parents first, and leave(parent, name) for every nested one
// when all below it is done. Goes up by ".." and holds one descriptor, since a container that may
// write to its cgroup can nest deeper than descriptors or a path could reach.
template <typename Enter, typename Leave>
ErrnoOr<> walk(Fd dir, Enter enter, Leave leave) {
  struct Level {
    std::vector<std::string> names;
    std::size_t next = 0;
  };
  std::vector<Level> levels;
  TRY(enter(FdRef(dir)));
  levels.push_back({TRY(nested_names(dir))});
  for (;;) {
    Level& level = levels.back();
    if (level.next == level.names.size()) {
      levels.pop_back();
      if (levels.empty()) return {};
      dir = TRY(open_directory(dir, ".."));
      TRY(leave(FdRef(dir), levels.back().names[levels.back().next - 1].c_str()));
      continue;
    }
    auto child = open_directory(dir, level.names[level.next++].c_str());
    if (!child && is_gone(child.error())) continue;
    if (!child) return std::unexpected(child.error());
    dir = *std::move(child);
    TRY(enter(FdRef(dir)));
    auto names = nested_names(dir);
    if (!names && !is_gone(names.error())) return std::unexpected(names.error());
    levels.push_back({names ? *std::move(names) : std::vector<std::string>()});
  }
}

ErrnoOr<> add_members(FdRef dir, std::vector<int>& out) {
  auto text = sys::read_file(dir, "cgroup.procs");
  if (!text) {
    // EOPNOTSUPP: a threaded cgroup, whose processes are listed by the one that is its domain.
    if (is_gone(text.error()) || text.error().value == EOPNOTSUPP) return {};
    return std::unexpected(text.error());
  }
  for (auto line : split(*text, '\n')) {
    auto pid = parse_number<int>(line);
    if (pid && *pid > 0) out.push_back(*pid);  // 0: in a pid namespace that we don't see
  }
  return {};
}

}  // namespace

ErrnoOr<CgroupFs> cgroup_fs(FdRef file) {
  auto type = TRY(sys::fstatfs(file)).f_type;
  if (type == CGROUP2_SUPER_MAGIC) return CgroupFs::kV2;
  if (type == CGROUP_SUPER_MAGIC) return CgroupFs::kV1;
  return CgroupFs::kNone;
}

bool lists_controller(std::string_view controllers, std::string_view name) {
  return contains(split(controllers, ','), name);
}

std::pair<std::string, std::string> split_path(const std::string& path) {
  auto slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

bool is_clean_absolute(std::string_view path) {
  if (path.size() < 2 || path[0] != '/') return false;
  for (auto part : split(path.substr(1), '/')) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return true;
}

ErrnoOr<std::string> read_control(const std::string& directory, std::string_view file) {
  std::string text = TRY(sys::read_file(sys::kCwd, cat(directory, '/', file).c_str()));
  return std::string(trim(text));
}

ErrnoOr<> write_control(const std::string& directory, std::string_view file,
                        std::string_view value) {
  return sys::write_control(sys::kCwd, cat(directory, '/', file).c_str(), value);
}

std::optional<std::uint64_t> keyed_number(std::string_view text, std::string_view key) {
  for (auto line : split(text, '\n')) {
    auto [name, value] = split_once(line, ' ');
    if (name == key) return parse_number<std::uint64_t>(trim(value));
  }
  return std::nullopt;
}

ErrnoOr<> collect_processes(const std::string& directory, std::vector<int>& out) {
  auto dir = open_directory(sys::kCwd, directory.c_str());
  if (!dir && is_gone(dir.error())) return {};
  if (!dir) return std::unexpected(dir.error());
  return walk(
      *std::move(dir), [&](FdRef at) { return add_members(at, out); },
      [](FdRef, const char*) { return ErrnoOr<>(); });
}

void sort_unique(std::vector<int>& ids) {
  std::ranges::sort(ids);
  auto rest = std::ranges::unique(ids);
  ids.erase(rest.begin(), rest.end());
}

ErrnoOr<> remove_nested_cgroups(FdRef dir, const Deadline& deadline) {
  auto on_entry = [&](FdRef) -> ErrnoOr<> {
    if (deadline.passed()) return std::unexpected(Errno{ETIMEDOUT});
    return {};
  };
  auto on_leave = [](FdRef parent, const char* name) -> ErrnoOr<> {
    auto removed = sys::unlinkat(parent, name, AT_REMOVEDIR);
    // EBUSY: what was killed in it is still ending; the caller comes again.
    if (removed || is_gone(removed.error()) || removed.error().value == EBUSY) return {};
    return removed;
  };
  return walk(TRY(open_directory(dir, ".")), on_entry, on_leave);
}

Result<std::size_t> signal_members(const plan::CgroupLocations& cgroups, int signal) {
  struct Target {
    int pid;
    Fd pidfd;
  };
  const std::vector<int> members = TRY(cgroup_processes(cgroups));
  const int self = sys::getpid();
  Result<> outcome;
  for (std::size_t at = 0; at < members.size(); at += kSignalBatch) {
    auto batch = std::span(members).subspan(at, std::min(kSignalBatch, members.size() - at));
    std::vector<Target> targets;
    for (int pid : batch) {
      if (pid == self) continue;
      auto pidfd = sys::pidfd_open(pid);
      if (pidfd) targets.push_back({pid, *std::move(pidfd)});
    }
    // A number may have passed to a stranger between listing and opening. Who is listed again is
    // either the opened process, or the opened one has ended and the signal reaches nobody.
    const std::vector<int> present = TRY(cgroup_processes(cgroups));
    for (const Target& target : targets) {
      if (!std::ranges::binary_search(present, target.pid)) continue;
      auto sent = sys::pidfd_send_signal(target.pidfd, signal);
      if (sent || sent.error().value == ESRCH || !outcome) continue;
      outcome = std::unexpected(Error(sent.error())
                                    .doing("send signal ", signal, " to process ", target.pid)
                                    .cure("Run as the user who started the container, or as root.")
                                    .code("cgroup.kill"));
    }
  }
  TRY(std::move(outcome));
  return members.size();
}

bool is_refusal(int errno_value) {
  return errno_value == EACCES || errno_value == EPERM || errno_value == EROFS ||
         errno_value == ENOENT;
}

void sleep_ns(std::int64_t ns) {
  timespec time{ns / 1'000'000'000, ns % 1'000'000'000};
  (void)sys::call(SYS_nanosleep, &time, nullptr);
}

}  // namespace caisson::linux

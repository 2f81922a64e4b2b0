#include "linux/namespaces.h"

#include <linux/nsfs.h>
#include <sys/ioctl.h>

#include "sys/file.h"
#include "sys/process.h"

namespace caisson::linux {
namespace {

using plan::IdMapping;
using plan::NamespaceAction;
using plan::NamespaceKind;

constexpr int kHelperTimeoutMs = 10'000;

std::string map_text(const std::vector<IdMapping>& mappings) {
  std::string text;
  for (const auto& mapping : mappings) {
    append(text, mapping.container_id, " ", mapping.host_id, " ", mapping.size, "\n");
  }
  return text;
}

Result<JoinNamespace> open_namespace(const plan::NamespaceStep& step) {
  auto name = namespace_name(step.kind);
  Fd fd = TRY_CTX(sys::openat(sys::kCwd, step.path.c_str(), O_RDONLY), "open ", name, " namespace ",
                  step.path);
  auto type = sys::call(SYS_ioctl, fd.number(), NS_GET_NSTYPE);
  if (!type) {
    return std::unexpected(Error::with_cause(EINVAL, "it is not a namespace")
                               .doing("join ", name, " namespace ", step.path)
                               .cure("name a file below /proc/PID/ns or a bind mount of one"));
  }
  if (*type != clone_flag(step.kind)) {
    return std::unexpected(Error::with_cause(EINVAL, "it is a namespace of another kind")
                               .doing("join ", name, " namespace ", step.path)
                               .cure("correct the type or the path in linux.namespaces"));
  }
  JoinNamespace join;
  join.kind = step.kind;
  join.clone_flag = clone_flag(step.kind);
  join.fd = std::move(fd);
  return join;
}

// Runs `HELPER PID ID HOST SIZE ...` and waits for it.
Result<> run_map_helper(const char* helper, int pid, const std::vector<IdMapping>& mappings) {
  std::vector<std::string> words{helper, cat(pid)};
  for (const auto& mapping : mappings) {
    words.push_back(cat(mapping.container_id));
    words.push_back(cat(mapping.host_id));
    words.push_back(cat(mapping.size));
  }
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::vector<std::string> places{cat("/usr/bin/", helper), cat("/usr/sbin/", helper),
                                  cat("/usr/local/bin/", helper)};
  char* environment[] = {nullptr};
  auto child = TRY_CTX(sys::fork_with_pidfd(), "start ", helper);
  if (child.pid == 0) {
    for (const auto& place : places) sys::raw(SYS_execve, place.c_str(), argv.data(), environment);
    sys::exit_process(127);
  }
  bool ended = TRY(sys::wait_readable(child.pidfd, kHelperTimeoutMs));
  if (!ended) (void)sys::pidfd_send_signal(child.pidfd, SIGKILL);
  auto status = TRY(sys::wait_pidfd(child.pidfd));
  if (!ended) return std::unexpected(Error(Errno{ETIMEDOUT}).doing("wait for ", helper));
  if (status.shell_status() == 0) return {};
  Error error = Error::with_cause(
      EPERM, status.shell_status() == 127 ? "the program is not installed"
                                          : cat("it refused, exit status ", status.shell_status()));
  return std::unexpected(std::move(error)
                             .doing("map ids by ", helper)
                             .cure("install uidmap and give the user a range in /etc/subuid and "
                                   "/etc/subgid (usermod --add-subuids), or map one id only")
                             .code("idmap.helper"));
}

Result<> write_map(int pid, const char* file, std::string_view text) {
  std::string path = cat("/proc/", pid, "/", file);
  TRY_CTX(sys::write_control(sys::kCwd, path.c_str(), text), "write ", path);
  return {};
}

}  // namespace

int clone_flag(NamespaceKind kind) {
  switch (kind) {
    case NamespaceKind::kPid: return CLONE_NEWPID;
    case NamespaceKind::kNetwork: return CLONE_NEWNET;
    case NamespaceKind::kMount: return CLONE_NEWNS;
    case NamespaceKind::kIpc: return CLONE_NEWIPC;
    case NamespaceKind::kUts: return CLONE_NEWUTS;
    case NamespaceKind::kUser: return CLONE_NEWUSER;
    case NamespaceKind::kCgroup: return CLONE_NEWCGROUP;
    case NamespaceKind::kTime: return 0x80;  // CLONE_NEWTIME
  }
  return 0;
}

std::string_view namespace_name(NamespaceKind kind) {
  constexpr std::string_view kNames[] = {"pid", "network", "mount",  "ipc",
                                         "uts", "user",    "cgroup", "time"};
  return kNames[static_cast<std::size_t>(kind)];
}

Result<std::vector<JoinNamespace>> open_joined(const plan::NamespacePlan& plan) {
  std::vector<JoinNamespace> joins;
  for (bool user : {true, false}) {
    for (const auto& step : plan.steps) {
      bool wanted = step.action == NamespaceAction::kJoin;
      if (!wanted || (step.kind == NamespaceKind::kUser) != user) continue;
      joins.push_back(TRY(open_namespace(step)));
    }
  }
  return joins;
}

ErrnoOr<std::vector<JoinNamespace>> open_differing(const plan::ProcessHandle& init) {
  constexpr std::pair<NamespaceKind, const char*> kFiles[] = {
      {NamespaceKind::kUser, "user"},     {NamespaceKind::kMount, "mnt"},
      {NamespaceKind::kPid, "pid"},       {NamespaceKind::kNetwork, "net"},
      {NamespaceKind::kIpc, "ipc"},       {NamespaceKind::kUts, "uts"},
      {NamespaceKind::kCgroup, "cgroup"}, {NamespaceKind::kTime, "time"}};
  std::vector<JoinNamespace> joins;
  Fd theirs =
      TRY(sys::openat(sys::kCwd, cat("/proc/", init.pid, "/ns").c_str(), O_PATH | O_DIRECTORY));
  Fd ours = TRY(sys::openat(sys::kCwd, "/proc/self/ns", O_PATH | O_DIRECTORY));
  for (auto [kind, file] : kFiles) {
    auto fd = sys::openat(theirs, file, O_RDONLY);
    if (!fd && fd.error().value == ENOENT) continue;
    if (!fd) return std::unexpected(fd.error());
    auto their_id = TRY(sys::fstat(*fd));
    auto own_id = TRY(sys::fstatat(ours, file));
    if (their_id.st_ino == own_id.st_ino) continue;
    joins.push_back({kind, clone_flag(kind), std::move(*fd)});
  }
  // /proc/PID may have been another process: the pidfd tells whether ours is still alive.
  TRY(sys::pidfd_send_signal(init.pidfd, 0));
  return joins;
}

Result<> write_id_maps(int pid, const plan::IdMapPlan& ids) {
  if (ids.method == plan::IdMapMethod::kHelpers) {
    TRY(run_map_helper("newuidmap", pid, ids.uid));
    return run_map_helper("newgidmap", pid, ids.gid);
  }
  if (ids.deny_setgroups) TRY(write_map(pid, "setgroups", "deny"));
  TRY(write_map(pid, "uid_map", map_text(ids.uid)));
  return write_map(pid, "gid_map", map_text(ids.gid));
}

Result<Fd> make_id_map_namespace(const std::vector<IdMapping>& uid,
                                 const std::vector<IdMapping>& gid) {
  auto child = TRY_CTX(sys::fork_with_pidfd(CLONE_NEWUSER), "make a user namespace for an id map");
  if (child.pid == 0) {
    for (;;) sys::raw(SYS_pause);
  }
  plan::IdMapPlan ids;
  ids.method = plan::IdMapMethod::kDirect;
  ids.uid = uid;
  ids.gid = gid;
  auto written = write_id_maps(child.pid, ids);
  ErrnoOr<Fd> ns = std::unexpected(Errno{EIO});
  if (written) ns = sys::openat(sys::kCwd, cat("/proc/", child.pid, "/ns/user").c_str(), O_RDONLY);
  (void)sys::pidfd_send_signal(child.pidfd, SIGKILL);
  (void)sys::wait_pidfd(child.pidfd);
  if (!written) return std::unexpected(std::move(written).error().doing("id map of a mount"));
  return TRY_CTX(std::move(ns), "open the user namespace of an id map");
}

}  // namespace caisson::linux

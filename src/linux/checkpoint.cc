#include "linux/checkpoint.h"

#include <sys/stat.h>

#include <algorithm>

#include "linux/cgroup.h"
#include "linux/criu_mounts.h"
#include "linux/criu_session.h"
#include "linux/criu_streams.h"
#include "linux/namespaces.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::linux {
namespace {

using formats::criu::Kind;
using formats::criu::Options;
using plan::CheckpointRequest;
using plan::NamespaceAction;
using plan::NamespaceKind;

constexpr int kFreezerTimeoutMs = 10'000;

Error unsupported(std::string cause, std::string_view option, std::string_view cure) {
  return Error::with_cause(EOPNOTSUPP, std::move(cause))
      .doing("save the container")
      .where(option)
      .cure(cure)
      .code("criu.unsupported");
}

// Looked up before the container is touched.
Result<> check_features(const CriuSession& session, const plan::CriuOptions& options) {
  bool tracks = options.pre_dump || !options.parent_path.empty();
  if (!tracks && !options.lazy_pages) return {};
  auto has = TRY(criu_features(session.program, {tracks, options.lazy_pages}));
  if (tracks && !has.memory_tracking) {
    return std::unexpected(unsupported(
        "this kernel does not track changes of memory (CONFIG_MEM_SOFT_DIRTY)",
        options.pre_dump ? "--pre-dump" : "--parent-path", "save the container in one step"));
  }
  if (options.lazy_pages && !has.lazy_pages) {
    return std::unexpected(unsupported("this kernel or CRIU has no lazy migration (userfaultfd)",
                                       "--lazy-pages", "leave --lazy-pages out"));
  }
  return {};
}

Result<> check_parent(const CriuSession& session, const plan::CriuOptions& options) {
  if (options.parent_path.empty()) return {};
  auto parent =
      sys::openat(session.images, options.parent_path.c_str(), O_RDONLY | O_DIRECTORY | O_PATH);
  if (parent) return {};
  return std::unexpected(Error(parent.error())
                             .doing("invalid --parent-path: ", options.parent_path)
                             .cure("it is relative to --image-path: \"../previous\"")
                             .code("option.value"));
}

// Namespaces that the container did not make stay where they are.
Result<> add_namespaces(const plan::NamespacePlan& plan, int pid, Options& out) {
  struct Kept {
    NamespaceKind kind;
    std::string_view name, key;
  };
  constexpr Kept kKept[] = {{NamespaceKind::kNetwork, "net", "extRootNetNS"},
                            {NamespaceKind::kPid, "pid", "extRootPidNS"}};
  for (const auto& kept : kKept) {
    if (plan.of(kept.kind).action != NamespaceAction::kJoin) continue;
    std::string path = cat("/proc/", pid, "/ns/", kept.name);
    auto info = TRY_CTX(sys::fstatat(sys::kCwd, path.c_str()), "look at ", path);
    out.external.push_back(cat(kept.name, "[", info.st_ino, "]:", kept.key));
  }
  return {};
}

std::string freezer_of(const plan::CgroupLocations& cgroups) {
  for (const auto& location : cgroups) {
    auto controllers = split(location.controllers, ',');
    if (std::ranges::find(controllers, "freezer") != controllers.end()) return location.directory;
  }
  for (const auto& location : cgroups) {
    auto freezes =
        sys::faccessat(sys::kCwd, cat(location.directory, "/cgroup.freeze").c_str(), F_OK);
    if (location.v2 && freezes) return location.directory;
  }
  return {};
}

Result<Options> dump_options(const CheckpointRequest& request, const CriuSession& session) {
  const auto& options = *request.options;
  Options out = session.base_options(options);
  const int pid = request.init->pid;
  out.pid = pid;
  out.root = request.plan->mounts.root.path;
  out.leave_running = options.leave_running;
  out.tcp_skip_in_flight = options.tcp_skip_in_flight;
  out.link_remap = options.link_remap;
  out.freeze_cgroup = freezer_of(request.cgroups);
  out.page_server_address = options.page_server_address;
  out.page_server_port = options.page_server_port;
  out.parent_img = options.parent_path;
  out.track_mem = options.pre_dump || !options.parent_path.empty();
  TRY(add_namespaces(request.plan->namespaces, pid, out));
  if (options.pre_dump) return out;
  auto externals = TRY(plan::external_mounts(*request.plan, request.plan->cgroup));
  out.ext_mnt = TRY(mounts_to_save(pid, *request.plan, externals));
  auto streams = TRY(read_streams(pid, TRY(read_mounts(cat(pid)))));
  out.external.insert(out.external.end(), streams.external.begin(), streams.external.end());
  TRY(write_descriptors(session.images, streams.names));
  return out;
}

// Whoever asked for lazy pages waits for this before fetching them.
void say_ready(int& status_fd) {
  if (status_fd < 0) return;
  (void)sys::write(FdRef(status_fd), "", 1);
  Fd(std::exchange(status_fd, -1)).reset();
}

Result<> run_criu(const CriuSession& session, const formats::criu::Request& dump,
                  const plan::CriuOptions& options) {
  CriuChild child;
  child.new_session = !options.shell_job;
  auto worker = TRY(CriuWorker::start(session.program, child));
  int status_fd = options.status_fd;
  auto notify = [&](const formats::criu::Reply& event, std::span<Fd>) -> Result<> {
    if (event.script == "status-ready") say_ready(status_fd);
    return {};
  };
  // How long its memory is asked for is up to whoever fetches it.
  int silence_ms = options.lazy_pages ? -1 : kCriuSilenceMs;
  TRY(session.run(worker, dump, notify, silence_ms, "save the container"));
  return {};
}

}  // namespace

Result<> checkpoint_container(const CheckpointRequest& request) {
  const auto& options = *request.options;
  auto session = TRY(CriuSession::open(options, "dump.log", true));
  TRY(check_parent(session, options));
  TRY(check_features(session, options));
  formats::criu::Request dump;
  dump.kind = options.pre_dump ? Kind::kPreDump : Kind::kDump;
  dump.options = TRY(dump_options(request, session));
  // CRIU stops the processes by itself, and waits for ever for what a freezer holds.
  const bool paused = cgroup_frozen(request.cgroups).value_or(false);
  if (paused) TRY(cgroup_thaw(request.cgroups, kFreezerTimeoutMs));
  auto done = run_criu(session, dump, options);
  if (!done) {
    // It takes back what it did, unless it died.
    (void)cgroup_thaw(request.cgroups, kFreezerTimeoutMs);
  }
  if (!paused || (done && !options.leave_running && !options.pre_dump)) return done;
  auto frozen = cgroup_freeze(request.cgroups, kFreezerTimeoutMs);
  if (done) return frozen;
  return done;
}

}  // namespace caisson::linux

#include "linux/executor.h"

#include <cstring>

#include "linux/cgroup.h"
#include "linux/checkpoint.h"
#include "linux/child_report.h"
#include "linux/early_network.h"
#include "linux/host_facts.h"
#include "linux/listener.h"
#include "linux/resctrl.h"
#include "linux/scope.h"
#include "sys/file.h"
#include "sys/mount.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace caisson::linux {
namespace {

using plan::CgroupLocations;

Result<> ignore_missing(ErrnoOr<> done, std::string_view what, const std::string& target) {
  if (done || done.error().value == ENOENT || done.error().value == EINVAL) return {};
  return std::unexpected(Error(done.error()).doing(what, " ", target));
}

class LinuxExecutor final : public plan::Executor {
 public:
  void expect_new_network() override { early_network_.emplace(); }
  Result<plan::HostFacts> host_facts(bool for_view) override { return read_host_facts(for_view); }
  Result<plan::HostFacts> process_facts() override { return read_process_facts(); }

  Result<plan::CreateResult> create(plan::CreateRequest& request) override {
    auto created = create_container(request, early_network_ ? &*early_network_ : nullptr);
    early_network_.reset();
    return created;
  }
  Result<plan::ProcessHandle> exec(plan::ExecRequest& request) override {
    return exec_in_container(request);
  }

  Result<> change_mounts(const plan::MountChange& change) override {
    return change_container_mounts(change);
  }

  Result<> start(const plan::StartRequest& request) override {
    FdRef state_dir(request.state_dir);
    auto connection = sys::connect_unix(state_dir, request.start_socket.c_str());
    if (!connection) {
      return std::unexpected(Error(connection.error())
                                 .doing("reach the container's waiting init")
                                 .cure("it has ended or was started already; see its state"));
    }
    // The name goes first: whoever finds it gone knows that the start was tried.
    (void)sys::unlinkat(state_dir, request.start_socket.c_str());
    for (;;) {
      bool answered = TRY_CTX(sys::wait_readable(*connection, request.timeout_ms),
                              "wait for the container's init");
      if (!answered) {
        return std::unexpected(
            Error(Errno{ETIMEDOUT}).doing("start the container's program").step("exec"));
      }
      auto message = TRY_CTX(sys::receive_message(*connection, sizeof(LaunchReport)),
                             "hear from the container's init");
      if (message.data.size() != sizeof(LaunchReport)) return {};  // closed by a successful execve
      LaunchReport report;
      std::memcpy(&report, message.data.data(), sizeof report);
      bool listens = report.what == LaunchWhat::kListener && !message.fds.empty();
      if (!listens) return std::unexpected(launch_error(report, report.program));
      TRY(pass_listener_on(message.fds[0], request.init_pid, FdRef(request.init_pidfd),
                           request.timeout_ms, request.on_listener));
    }
  }

  Result<> checkpoint(const plan::CheckpointRequest& request) override {
    return checkpoint_container(request);
  }
  Result<plan::CreateResult> restore(plan::RestoreRequest& request) override {
    return restore_container(request);
  }

  Result<std::vector<int>> processes(const CgroupLocations& cgroups) override {
    return cgroup_processes(cgroups);
  }
  Result<> kill_all(const CgroupLocations& cgroups, int signal) override {
    return cgroup_kill_all(cgroups, signal);
  }
  Result<> freeze(const CgroupLocations& cgroups, int timeout_ms) override {
    return cgroup_freeze(cgroups, timeout_ms);
  }
  Result<> thaw(const CgroupLocations& cgroups, int timeout_ms) override {
    return cgroup_thaw(cgroups, timeout_ms);
  }
  Result<bool> frozen(const CgroupLocations& cgroups) override { return cgroup_frozen(cgroups); }
  std::uint64_t oom_kills(const CgroupLocations& cgroups) override {
    return cgroup_oom_kills(cgroups);
  }
  Result<plan::Stats> stats(const CgroupLocations& cgroups) override {
    return cgroup_stats(cgroups);
  }
  Result<plan::Usage> usage(const CgroupLocations& cgroups) override {
    return cgroup_usage(cgroups);
  }
  Result<std::unique_ptr<plan::MemoryWatch>> watch_memory(const CgroupLocations& cgroups) override {
    return watch_memory_of(cgroups);
  }
  Result<> update(const plan::CgroupUpdate& update,
                  const std::function<Result<>()>& commit) override {
    return update_cgroups(update, commit);
  }

  Result<> undo(const plan::Undo& change) override {
    switch (change.kind) {
      case plan::Undo::Kind::kRemoveCgroup: return remove_cgroup(change.target);
      case plan::Undo::Kind::kUnlink:
        return ignore_missing(sys::unlinkat(sys::kCwd, change.target.c_str()), "remove",
                              change.target);
      case plan::Undo::Kind::kRemoveDirectory:
        return ignore_missing(sys::unlinkat(sys::kCwd, change.target.c_str(), AT_REMOVEDIR),
                              "remove", change.target);
      case plan::Undo::Kind::kUnmount:
        return ignore_missing(
            sys::umount(change.target.c_str(), MNT_DETACH | 8 /* UMOUNT_NOFOLLOW */), "unmount",
            change.target);
      case plan::Undo::Kind::kStopUnit: return stop_unit(change.target);
      case plan::Undo::Kind::kRemoveResctrlGroup: return remove_resctrl_group(change.target);
    }
    return {};
  }

 private:
  std::optional<EarlyNetwork> early_network_;
};

}  // namespace

std::unique_ptr<plan::Executor> make_executor() { return std::make_unique<LinuxExecutor>(); }

}  // namespace caisson::linux

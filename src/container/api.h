// The life of containers: one free function per verb. What cli/ calls; nothing else needs to be
// included from this folder, but log.h to read logs.
//
// Every function is bounded in time (hooks without a timeout, the program itself in the foreground
// and wait(-1) excepted), serialises itself with other commands on the same container, and first
// repairs what a killed command left: a half-made container is removed, a container whose
// supervisor died gets a new one.
//
// Errors carry texts that engines match and a code():
//   container.missing  ENOENT  "container does not exist"
//   container.exists   EEXIST  "container with given ID already exists"
//   container.id       EINVAL  "invalid container ID format"
//   container.state    EBUSY   the verb does not fit the status; ESRCH: "container not running"
//   container.locked   EBUSY   another command holds it
//   container.broken   EIO     its folder can't be read
//   hook.failed        ECANCELED or ETIME  a hook failed or took too long
// All other codes come from spec, plan and the executor.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "container/state.h"
#include "plan/executor.h"
#include "spec/container_spec.h"

namespace caisson::container {

using Strings = std::vector<std::string>;

struct Context {
  plan::Executor& executor;
  std::string root;  // absolute path of the directory that holds what is kept of containers
  bool rootless = false;
  plan::Timeline* timeline = nullptr;
  // Receives what is worth saying and is no error: notices of the plan, failed poststop hooks.
  std::function<void(std::string_view)> warn;
  std::function<void(std::string_view)> debug;  // what --debug shows; may be empty
  int lock_timeout_ms = 10'000;
  // This process is a host with threads, memory and children of its own, which outlives the call:
  // locks belong to calls, no daemon is forked (RunMode::kSupervised is an error, a container whose
  // supervisor died gets no new one), exits that are collected here are noted for those who ask
  // later.
  bool embedded = false;
  // Whether new processes may run in our memory until they execute their program: see
  // plan::CreateRequest.
  bool share_memory = true;
  // Test aid: this process kills itself with SIGKILL when it reaches the step of this name
  // ("create:execute"). Names: fault_steps() in fault.h. Empty outside tests.
  std::string fault_step;
};

// "[A-Za-z0-9_+.-]+", at most 255 bytes, not "." or "..".
Result<> check_id(std::string_view id);
// A name nobody uses: 12 hexadecimal digits.
std::string random_id();
// Absolute path of the container's folder, which is there when something is in it.
std::string folder_path(const Context& context, std::string_view id);

// --- create, start, run

struct CreateOptions {
  std::string id;
  std::string bundle;  // absolute path as shown by `state`; empty without a bundle
  const spec::ContainerSpec* spec = nullptr;
  // Kept verbatim in the journal; later commands read this copy only. For specs that
  // come from a command line: spec::write_oci_config() of it.
  std::string_view config_text;
  std::string pid_file;        // path; written by rename, decimal, no newline
  std::string console_socket;  // path of a listening stream socket that takes the pty master
  std::string pidfd_socket;    // the same for the pidfd of init
  int preserve_fds = 0;        // descriptors 3..2+n go into the container
  bool no_pivot = false;
  bool no_cgroups = false;
  bool systemd_scope = false;  // cgroupsPath names a unit of systemd, see plan::Options
  bool no_new_keyring = false;
  std::string cgroup_parent;        // see plan::Options
  std::string default_cgroup_name;  // empty: the id
  std::string seccomp_receiver;     // see plan::Options
  // Socket of the service manager (sd_notify(3)) that hears when the program is ready; empty: none.
  std::string notify_socket;
  plan::Stdio stdio;  // create and a foreground run; -1: the caller's
  // run() only: the processes come from images (checkpoint()), and nothing is executed.
  const plan::CriuOptions* restore = nullptr;
  Strings extra_env;
  std::map<std::string, std::string> labels;
  std::string wall = "namespaces";
};

struct CreateResult {
  int pid = 0;
  Fd pidfd;
};
// An engine's `create`: init waits for start(). Nobody of ours remains. On failure nothing remains.
// A terminal needs `console_socket`.
Result<CreateResult> create(Context& context, const CreateOptions& options);

// Lets a created container run its program, then runs the poststart hooks. With `notify_socket`
// (see CreateOptions) it returns when the program says that it is ready, or has ended.
Result<> start(Context& context, std::string_view id, const std::string& notify_socket = {});

enum class RunMode {
  kForeground,  // until the program ends; signals and terminal are passed on
  kSupervised,  // returns when the program runs; a supervisor of ours stays with it
  kDetached,    // returns when the program runs; nobody of ours stays (an engine's `run --detach`)
};

struct RunOptions {
  CreateOptions create;
  RunMode mode = RunMode::kForeground;
  bool remove_on_exit = true;    // false: `--keep`
  bool end_with_caller = false;  // kForeground: the program does not outlive this process
  std::uint64_t log_limit = 10 * 1024 * 1024;  // bytes of `log` before it becomes `log.1`
};

struct RunResult {
  int pid = 0;
  Exit exit;  // kForeground only
  Fd pidfd;   // kDetached only
};
// An Error means that the program never ran (or a poststart hook failed) and nothing remains.
// kSupervised: standard input is /dev/null, output goes to the log, a terminal (spec's
// process.terminal) is held by the supervisor. kForeground with a terminal: the caller's terminal
// is put in raw mode and proxied, and `console_socket` is an error.
Result<RunResult> run(Context& context, const RunOptions& options);

// --- looking

struct Snapshot {
  State state;
  Status status = Status::kStopped;
  std::optional<Exit> exit;  // when stopped and somebody saw it, or it is known to be lost
  int pid() const { return status == Status::kStopped ? 0 : state.init.pid; }
};
Result<Snapshot> query(Context& context, std::string_view id);

struct ListEntry {
  std::string id;
  // Exactly one of the two. A container that can't be read is no failure of the listing.
  std::optional<Snapshot> snapshot;
  std::string problem;
};
// Sorted by id. A missing root directory is an empty list.
Result<std::vector<ListEntry>> list(Context& context);

// The OCI state of `runc state` and hooks: ociVersion, id, pid, status, bundle, rootfs, created,
// annotations, owner. `indent` as for formats::JsonWriter; no newline at the end.
std::string state_json(const Snapshot& snapshot, std::string_view indent = "  ");

// Pids of all processes, in the caller's pid namespace; of a sandbox, in the container. None of a
// stopped container.
Result<std::vector<int>> processes(Context& context, std::string_view id);
// What runs in a container whose kernel is its sandbox's, with the ids that it has there, by pid.
// None of others, nor of one that has not been started.
Result<std::vector<plan::GuestProcess>> guest_processes(Context& context, std::string_view id);
Result<plan::Stats> stats(Context& context, std::string_view id);
Result<plan::Usage> usage(Context& context, std::string_view id);

struct WatchOptions {
  std::int64_t interval_ms = 5000;
  // Every interval.
  std::function<Result<>(const plan::Usage&)> on_usage;
  // Each time that the kernel had to kill for lack of memory. Before the return, always.
  std::function<Result<>()> on_out_of_memory;
};
// Reports until the container ends, or one of the functions fails.
Result<> watch(Context& context, std::string_view id, const WatchOptions& options);

// The configuration of the container, verbatim.
Result<std::string> config_text(Context& context, std::string_view id);

// Waits for the end; -1: no bound, ETIMEDOUT after it. The Exit may be one that is lost. `pidfd` of
// init, for who has it: with it the end is known even when somebody else collected the process.
Result<Exit> wait(Context& context, std::string_view id, int timeout_ms = -1,
                  FdRef pidfd = FdRef(-1));

struct Change {
  enum class Kind { kAdded, kChanged, kDeleted };
  Kind kind{};
  std::string path;  // absolute, inside the container
  friend bool operator==(const Change&, const Change&) = default;
};
// What a container on a machine view changed, or one whose sandbox keeps its changes, sorted by
// path. An error when nobody holds the changes any more (code "diff.gone") or they are not kept
// apart ("diff.unsupported").
Result<std::vector<Change>> diff(Context& context, std::string_view id);

// --- acting

// "TERM", "sigterm", "15", "RTMIN+3", "SIGRTMAX-1". "0" is a number and allowed.
Result<int> parse_signal(std::string_view text);

// `all`: every process of the container, and a stopped one is no error.
Result<> kill(Context& context, std::string_view id, int signal, bool all = false);
// `signal`, then SIGKILL when it did not end within `grace_ms`. Waits for the end.
Result<Exit> stop(Context& context, std::string_view id, int signal, int grace_ms);
Result<> pause(Context& context, std::string_view id);
Result<> resume(Context& context, std::string_view id);

// Mounts for a container that has not ended, all of them or none; and mounts that it loses, by
// their places in the container. Its configuration stays what it was.
Result<> add_mounts(Context& context, std::string_view id, const std::vector<spec::Mount>& mounts);
Result<> remove_mounts(Context& context, std::string_view id, const Strings& destinations);

// Changes the limits of a created, running or paused container: what is absent in `change` stays.
// On failure everything is as before.
Result<> update(Context& context, std::string_view id, const spec::Resources& change);
// The resources of a container as they are now, updates included.
Result<spec::Resources> present_resources(Context& context, std::string_view id);

// Removes a stopped or merely created container and everything of it. `force`: kills a running one
// first, and a missing one is no error.
Result<> remove(Context& context, std::string_view id, bool force = false);

// Saves a running or paused container as images, from which run() makes it again. The container is
// removed by that, unless it is to go on running.
Result<> checkpoint(Context& context, std::string_view id, const plan::CriuOptions& options);

// Window size of the terminal that a supervisor holds.
Result<> resize(Context& context, std::string_view id, int rows, int columns);

struct ExecOptions {
  // A whole process (`--process FILE`); otherwise the container's own one with the changes below.
  std::optional<spec::Process> process;
  Strings args;
  Strings env;  // added to the container's; "NAME=value"
  std::string cwd;
  std::string user;  // "uid", "uid:gid", or names of the container's passwd and group; empty: as is
  std::vector<std::uint32_t> additional_gids;
  std::optional<bool> terminal;
  std::optional<bool> no_new_privileges;
  std::optional<std::string> apparmor_profile, selinux_label;
  Strings capabilities;  // "CAP_NET_ADMIN": added to the bounding, effective and permitted sets
  Strings cgroups;       // "[controllers:]path" below the container's own
  bool detach = false;
  bool ignore_paused = false;
  std::string pid_file, console_socket, pidfd_socket;
  std::string seccomp_receiver;  // see plan::Options
  int preserve_fds = 0;
  bool no_new_keyring = false;
  plan::Stdio stdio;
};

struct ExecResult {
  int pid = 0;
  Exit exit;  // unless detached
  Fd pidfd;   // detached only
};
Result<ExecResult> exec(Context& context, std::string_view id, const ExecOptions& options);

}  // namespace caisson::container

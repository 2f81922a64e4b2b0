// What is known of a container between two commands: the journal and `exit` in its folder.
//
// The State is written under the container's lock by the verbs that change it; `exit` is written
// once, by whoever watches init. Readers need no lock: one is appended to, the other renamed.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "plan/executor.h"

namespace caisson::container {

enum class Status { kCreating, kCreated, kRunning, kPaused, kStopped };
// "creating", "created", "running", "paused", "stopped"
std::string_view status_name(Status status);
// Whether there are processes that a verb can act on: neither stopped nor still being made.
constexpr bool is_alive(Status status) {
  return status != Status::kStopped && status != Status::kCreating;
}

// How far the container came, as its commands noted it. What it *is* is computed (Status).
enum class Progress {
  kCreating,  // a create is under way, or was killed
  kCreated,   // init waits
  kStarting,  // init was told to go on; nobody noted that it did
  kStarted,   // the program was executed
};

// A process for good: its pid is only meant while the start time matches, on the same boot.
struct ProcessId {
  int pid = 0;
  std::uint64_t start_time = 0;  // field 22 of /proc/PID/stat
  friend bool operator==(const ProcessId&, const ProcessId&) = default;
};

// How init ended.
struct Exit {
  bool known = false;  // false: it ended while nobody watched, and the kernel can't tell any more
  int code = 0;        // 0..255 when `signal` is 0
  int signal = 0;
  bool oom = false;     // the kernel's OOM killer was at work in its cgroup
  std::int64_t at = 0;  // nanoseconds since the epoch
  // As a shell reports it: the code, or 128 + signal; 255 when not known.
  int shell_status() const { return !known ? 255 : signal != 0 ? 128 + signal : code; }
  friend bool operator==(const Exit&, const Exit&) = default;
};

// One overlay of a machine view: changes to what stands at `target` are in the folder `name`.
struct Layer {
  std::string name;
  std::string target;  // inside the container
  std::string source;  // the same before the changes, on the host
  friend bool operator==(const Layer&, const Layer&) = default;
};

struct State {
  int version = 1;
  std::string id;
  std::string oci_version;
  std::string bundle, rootfs;
  Progress progress = Progress::kCreating;
  ProcessId init;  // pid 0: none yet
  std::string boot_id;
  std::int64_t created = 0;  // nanoseconds since the epoch
  std::map<std::string, std::string> annotations;
  std::map<std::string, std::string> labels;  // for people; not part of the OCI state
  std::uint32_t owner = 0;                    // uid
  plan::CgroupLocations cgroups;
  std::string systemd_scope;  // unit that is its cgroup; empty: none
  bool systemd_user = false;  // of the user's own systemd
  std::string wall;           // "namespaces"
  std::string sandbox;        // the container whose sandbox it runs in; empty: its own, or none
  std::vector<std::string> command;
  bool terminal = false;
  bool remove_on_exit = false;
  // A process of ours that watches init: the supervisor, or the command in the foreground. pid 0:
  // none was wanted (an engine watches).
  ProcessId supervisor;
  bool logged = false;  // output goes to the file `log` of the folder
  std::uint64_t log_limit = 0;
  int layers_fd = -1;  // number of the layers' directory in `layers_holder`
  ProcessId layers_holder;
  std::vector<Layer> layers;
  bool paused_early = false;   // frozen before it was started; `start` is to be refused
  bool guests_paused = false;  // a sandbox: its kernel was told to let nothing run
  bool hooks_begun = false;    // a hook ran: poststop hooks are due at the end
  std::vector<std::string> resctrl_groups;  // directories, see plan::CreateResult
  // Agent that gets the listener of init's seccomp filter; empty: none.
  std::string seccomp_agent, seccomp_metadata;
};

std::string to_json(const State& state);
// `name` is what errors call the text.
Result<State> parse_state(std::string_view text, std::string_view name);
std::string to_json(const Exit& exit);
Result<Exit> parse_exit(std::string_view text, std::string_view name);

}  // namespace caisson::container

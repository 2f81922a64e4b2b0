// The options of `run` as data, and what container they describe. Pure: whatever it takes to know
// of the machine comes in as CallerFacts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "spec/accounts.h"
#include "spec/container_spec.h"

namespace caisson::spec {

enum class NetworkMode { kNone, kHost };
enum class SeccompMode { kDefault, kUnconfined, kGiven };

struct RunOptions {
  std::string id;
  Strings command;
  std::string rootfs;  // absolute; empty: a view of this machine
  std::string user;    // "USER[:GROUP]"; empty: see from_run_options
  std::string workdir, hostname;
  Strings env;      // "NAME=value", or "NAME" to take the caller's; later ones win
  Strings volumes;  // "SRC[:DST][:options]"
  Strings tmpfs;    // "DST[:options]"
  Strings cap_add, cap_drop;
  NetworkMode network = NetworkMode::kNone;
  std::string memory, memory_swap;  // "64m", "-1"
  std::string cpus;                 // "1.5"
  std::string pids;
  bool terminal = false;
  bool read_only = false;
  bool new_privileges = false;
  SeccompMode seccomp = SeccompMode::kDefault;
  std::optional<Seccomp> seccomp_profile;  // for kGiven
  Strings annotations;                     // "NAME=value"
};

struct CallerFacts {
  std::uint32_t uid = 0, gid = 0;
  std::vector<std::uint32_t> groups;
  bool privileged = false;  // may give other ids than his own to processes
  Strings env;
  std::string cwd;
  AccountFiles accounts;  // of the root that the container will have
};

// A view of this machine runs as the caller in the caller's directory; another root file system as
// its root in "/". An ordinary user gets a user namespace in which his own id is the only one: as
// itself, or as root (the default for another root file system).
Result<ContainerSpec> from_run_options(const RunOptions& options, const CallerFacts& caller);

struct Volume {
  std::string source, destination;  // both absolute
  Strings options;
};
// The mounts of --tmpfs and --volume.
Result<> add_mounts(const RunOptions& options, std::string_view cwd, std::vector<Mount>& mounts);

// One --volume; relative sources are below `cwd`.
Result<Volume> parse_volume(std::string_view text, std::string_view cwd);

// "1.5" -> 150000 (microseconds of each 100 ms). Empty when not a positive decimal number.
std::optional<std::int64_t> parse_cpus(std::string_view text);

// "net_admin", "CAP_NET_ADMIN" -> "CAP_NET_ADMIN"; unknown names are an error with the nearest one.
Result<std::string> capability_name(std::string_view text);

}  // namespace caisson::spec

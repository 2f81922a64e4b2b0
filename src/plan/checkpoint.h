// Checkpoint and restore by CRIU: what an executor is asked for, and what of a plan's mounts lies
// outside of the container, so that it is neither saved nor made anew but bound again.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "plan/plan.h"

namespace caisson::plan {

enum class CriuCgroups { kSoft, kFull, kStrict, kIgnore };
enum class CriuNetworkLock { kDefault, kIptables, kNftables, kSkip };

// What the caller chooses, by CRIU's own names (criu(8)).
struct CriuOptions {
  std::string program = "criu";  // searched for in PATH when it is a mere name
  std::string config_file;       // of CRIU; empty: none
  std::string image_path;        // directory of the images
  std::string work_path;    // directory of the log and of statistics; empty: that of the images
  std::string parent_path;  // images of a pre-dump, relative to image_path
  bool leave_running = false;
  bool pre_dump = false;  // memory only
  bool tcp_established = false, tcp_close = false, tcp_skip_in_flight = false;
  bool ext_unix_sk = false, shell_job = false, file_locks = false, link_remap = false;
  bool auto_dedup = false, lazy_pages = false;
  std::string page_server_address;  // empty: the images' directory takes the memory
  std::uint16_t page_server_port = 0;
  int status_fd = -1;  // lazy_pages: gets a zero byte when the page server is ready
  CriuCgroups cgroups = CriuCgroups::kSoft;
  CriuNetworkLock network_lock = CriuNetworkLock::kDefault;
  std::string lsm_profile, lsm_mount_context;  // restore
};

// A mount inside a container that shows something of the host.
struct ExternalMount {
  std::string name;        // the plan's target: what the images call it
  std::string source;      // on the host
  bool recursive = false;  // with what is mounted below the source
};

// Those of a plan, in its order, and the root (name ""). `cgroups`: the plan's own, or where
// systemd put them. An error for what no restore could make again: a machine view (its changes are
// in memory of the kernel that no image takes), mounts with an id map.
Result<std::vector<ExternalMount>> external_mounts(const Plan& plan, const CgroupPlan& cgroups);

// The part of the plan's steps that makes mount points, with a tmpfs for every file system: what is
// below it is in the images.
MountPlan mount_point_plan(const MountPlan& plan);

}  // namespace caisson::plan

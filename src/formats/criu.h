// The messages that CRIU's service mode takes and sends (criu swrk; criu.org/RPC,
// images/rpc.proto): as bytes and as values. Field names are CRIU's own, so that its manual
// explains them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace caisson::formats::criu {

enum class Kind : std::uint8_t {  // criu_req_type
  kEmpty = 0,
  kDump = 1,
  kRestore = 2,
  kPreDump = 4,
  kNotify = 6,
  kFeatureCheck = 9,
  kVersion = 10,
};

enum class CgroupMode : std::uint8_t { kIgnore = 0, kSoft = 3, kFull = 4, kStrict = 5 };
enum class NetworkLock : std::uint8_t { kDefault = 0, kIptables = 1, kNftables = 2, kSkip = 3 };

struct KeyValue {
  std::string key, value;
};
struct InheritedFd {
  std::string key;
  int fd = -1;  // number in CRIU's own process
};

// Empty, false and -1: left to CRIU's default.
struct Options {
  int images_dir_fd = -1, work_dir_fd = -1;  // numbers in the process that asks
  int pid = 0;
  bool leave_running = false, ext_unix_sk = false, tcp_established = false, tcp_close = false;
  bool tcp_skip_in_flight = false, evasive_devices = false, shell_job = false, file_locks = false;
  bool track_mem = false, auto_dedup = false, link_remap = false, rst_sibling = false;
  bool lazy_pages = false, orphan_pts_master = false, notify_scripts = false;
  bool skip_file_rwx_check = false;
  int log_level = 0;
  std::string log_file, root, parent_img, freeze_cgroup, config_file;
  std::string lsm_profile, lsm_mount_context;
  std::string page_server_address;  // empty: none
  int page_server_port = 0;
  std::vector<KeyValue> ext_mnt;  // mount point to name, or name to source
  std::vector<std::string> external;
  std::vector<KeyValue> cg_root;  // controller to path
  std::vector<KeyValue> join_ns;  // kind to file
  std::vector<InheritedFd> inherit_fd;
  std::uint32_t empty_ns = 0;  // CLONE_NEW*
  int status_fd = -1;
  std::optional<CgroupMode> manage_cgroups_mode;
  NetworkLock network_lock = NetworkLock::kDefault;
};

struct Request {
  Kind kind = Kind::kEmpty;
  std::optional<Options> options{};
  std::optional<bool> notify_success{};                      // kNotify: the answer
  bool ask_memory_tracking = false, ask_lazy_pages = false;  // kFeatureCheck
};
std::string encode(const Request& request);

struct Reply {
  Kind kind = Kind::kEmpty;
  bool success = false;
  int restored_pid = 0;
  std::string script;  // kNotify: "setup-namespaces", "post-restore"...
  int notify_pid = 0;  // the same: of the root task, 0 where CRIU does not say
  int error_number = 0;
  std::string error_message;
  bool memory_tracking = false, lazy_pages = false;  // kFeatureCheck
  int version = 0;                                   // kVersion: 31701 is 3.17.1
};
// Nothing for what is no reply. Fields and kinds that we don't know are left out.
std::optional<Reply> decode(std::string_view bytes);

}  // namespace caisson::formats::criu

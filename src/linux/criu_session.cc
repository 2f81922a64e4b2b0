#include "linux/criu_session.h"

#include "linux/criu_log.h"
#include "sys/file.h"

namespace caisson::linux {
namespace {

using formats::criu::CgroupMode;
using formats::criu::NetworkLock;
using formats::criu::Options;

constexpr int kLogLevel = 4;

CgroupMode cgroup_mode(plan::CriuCgroups mode) {
  switch (mode) {
    case plan::CriuCgroups::kSoft: return CgroupMode::kSoft;
    case plan::CriuCgroups::kFull: return CgroupMode::kFull;
    case plan::CriuCgroups::kStrict: return CgroupMode::kStrict;
    case plan::CriuCgroups::kIgnore: break;
  }
  return CgroupMode::kIgnore;
}

NetworkLock network_lock(plan::CriuNetworkLock lock) {
  switch (lock) {
    case plan::CriuNetworkLock::kDefault: return NetworkLock::kDefault;
    case plan::CriuNetworkLock::kIptables: return NetworkLock::kIptables;
    case plan::CriuNetworkLock::kNftables: return NetworkLock::kNftables;
    case plan::CriuNetworkLock::kSkip: break;
  }
  return NetworkLock::kSkip;
}

Result<Fd> open_directory(const std::string& path, bool make, std::string_view option) {
  if (make) TRY_CTX(sys::make_directories(path, 0700), "make directory ", path);
  auto opened = sys::openat(sys::kCwd, path.c_str(), O_RDONLY | O_DIRECTORY);
  if (opened) return std::move(*opened);
  return std::unexpected(
      Error(opened.error()).doing("open directory ", path).where(option).code("option.value"));
}

Error failure(const formats::criu::Reply& reply, const std::string& log_path,
              std::string_view doing) {
  auto log = sys::read_file(sys::kCwd, log_path.c_str());
  std::string errors = log ? last_criu_errors(*log) : std::string();
  if (errors.empty()) errors = reply.error_message;
  if (errors.empty()) errors = cat("it gives no reason, errno ", reply.error_number);
  std::string_view cure = criu_cure(errors);
  return Error::with_cause(reply.error_number > 0 ? reply.error_number : EIO,
                           cat("criu failed: ", errors))
      .doing(doing)
      .cure(cure, cure.empty() ? "" : "; ", "all that CRIU says is in ", log_path)
      .code("criu.failed");
}

}  // namespace

Result<CriuSession> CriuSession::open(const plan::CriuOptions& options, std::string_view log_file,
                                      bool make) {
  CriuSession session;
  session.program = TRY(find_criu(options.program));
  session.version = TRY(check_criu(session.program));
  session.images = TRY(open_directory(options.image_path, make, "--image-path"));
  bool apart = !options.work_path.empty();
  if (apart) session.work = TRY(open_directory(options.work_path, true, "--work-path"));
  session.log_path = cat(apart ? options.work_path : options.image_path, "/", log_file);
  return session;
}

Result<> CriuSession::move_to(const plan::CriuOptions& options, const CriuWorker& worker) {
  std::string root = cat("/proc/", worker.pid(), "/root");
  images = TRY(open_directory(root + options.image_path, false, "--image-path"));
  if (work.valid()) work = TRY(open_directory(root + options.work_path, false, "--work-path"));
  return {};
}

Options CriuSession::base_options(const plan::CriuOptions& options) const {
  Options out;
  out.images_dir_fd = images.number();
  out.work_dir_fd = work.valid() ? work.number() : -1;
  out.log_level = kLogLevel;
  out.log_file = log_path.substr(log_path.rfind('/') + 1);
  out.config_file = options.config_file;
  out.notify_scripts = true;
  out.orphan_pts_master = true;
  out.tcp_established = options.tcp_established;
  out.tcp_close = options.tcp_close;
  out.ext_unix_sk = options.ext_unix_sk;
  out.shell_job = options.shell_job;
  out.file_locks = options.file_locks;
  out.auto_dedup = options.auto_dedup;
  out.lazy_pages = options.lazy_pages;
  out.manage_cgroups_mode = cgroup_mode(options.cgroups);
  out.network_lock = network_lock(options.network_lock);
  // Network devices are made by whoever made them first: engines, hooks, linux.netDevices.
  out.empty_ns = CLONE_NEWNET;
  return out;
}

Result<formats::criu::Reply> CriuSession::run(CriuWorker& worker,
                                              const formats::criu::Request& request,
                                              const CriuWorker::NotifyFunction& notify,
                                              int silence_ms, std::string_view doing) const {
  auto reply = worker.run(request, notify, silence_ms);
  if (!reply) return std::unexpected(std::move(reply).error().doing(doing));
  if (!reply->success) return std::unexpected(failure(*reply, log_path, doing));
  return reply;
}

}  // namespace caisson::linux

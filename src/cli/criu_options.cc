#include "cli/criu_options.h"

#include <fcntl.h>

#include "base/text.h"
#include "sys/file.h"

namespace caisson::cli {
namespace {

std::unexpected<Error> refuse(std::string cause, std::string_view option, std::string_view value,
                              std::string_view cure) {
  return std::unexpected(Error::invalid(std::move(cause))
                             .where("--", option, " ", value)
                             .cure(cure)
                             .code("option.value"));
}

// Paths in state and logs shall mean the same wherever they are read.
Result<std::string> absolute(std::string_view path) {
  if (path.starts_with('/')) return std::string(path);
  auto here = sys::readlink(sys::kCwd, "/proc/self/cwd");
  if (!here) return std::unexpected(Error(here.error()).doing("find the current directory"));
  return cat(*here, here->ends_with('/') ? "" : "/", path);
}

Result<plan::CriuCgroups> cgroup_mode(std::string_view text) {
  struct Name {
    std::string_view name;
    plan::CriuCgroups mode;
  };
  constexpr Name kNames[] = {{"", plan::CriuCgroups::kSoft},
                             {"soft", plan::CriuCgroups::kSoft},
                             {"full", plan::CriuCgroups::kFull},
                             {"strict", plan::CriuCgroups::kStrict},
                             {"ignore", plan::CriuCgroups::kIgnore}};
  for (const auto& entry : kNames) {
    if (entry.name == text) return entry.mode;
  }
  return refuse("invalid manage-cgroups-mode value", "manage-cgroups-mode", text,
                "it is soft, full, strict or ignore");
}

Result<plan::CriuNetworkLock> network_lock(std::string_view text) {
  struct Name {
    std::string_view name;
    plan::CriuNetworkLock lock;
  };
  constexpr Name kNames[] = {{"", plan::CriuNetworkLock::kDefault},
                             {"iptables", plan::CriuNetworkLock::kIptables},
                             {"nftables", plan::CriuNetworkLock::kNftables},
                             {"skip", plan::CriuNetworkLock::kSkip}};
  for (const auto& entry : kNames) {
    if (entry.name == text) return entry.lock;
  }
  return refuse("invalid network-lock value", "network-lock", text,
                "it is iptables, nftables or skip");
}

// "10.0.0.2:27277", "[::1]:27277"
Result<> read_page_server(std::string_view text, plan::CriuOptions& out) {
  if (text.empty()) return {};
  auto colon = text.rfind(':');
  std::string_view address = colon == text.npos ? std::string_view() : text.substr(0, colon);
  if (address.starts_with('[') && address.ends_with(']')) {
    address = address.substr(1, address.size() - 2);
  }
  auto port =
      colon == text.npos ? std::nullopt : parse_number<std::uint16_t>(text.substr(colon + 1));
  if (address.empty() || !port || *port == 0) {
    return refuse("Use --page-server ADDRESS:PORT to specify page server", "page-server", text,
                  "give an address and a port, as in 192.0.2.1:27277");
  }
  out.page_server_address = address;
  out.page_server_port = *port;
  return {};
}

Result<int> read_status_fd(const Arguments& arguments) {
  auto text = arguments.value("status-fd");
  if (!text || *text == "-1") return -1;
  auto number = parse_number<int>(*text);
  auto flags = number && *number >= 0 ? sys::call(SYS_fcntl, *number, F_GETFL)
                                      : std::unexpected(Errno{EBADF});
  bool writable = flags && (*flags & O_ACCMODE) != O_RDONLY;
  if (writable) return *number;
  return refuse("not a descriptor that is open for writing", "status-fd", *text,
                "give the number of one that the caller opened");
}

Result<> check_empty_namespaces(const Arguments& arguments) {
  for (auto name : arguments.all("empty-ns")) {
    if (name != "network") {
      return refuse(cat("namespace ", quoted(name), " is not supported"), "empty-ns", name,
                    "only network can be left empty");
    }
  }
  return {};
}

// Relative to the directory of the images, so that both can be moved together.
Result<std::string> read_parent(const Arguments& arguments) {
  auto path = arguments.value_or("parent-path", "");
  if (!path.starts_with('/')) return std::string(path);
  return refuse("--parent-path must be relative", "parent-path", path,
                "give it as seen from --image-path: ../previous");
}

}  // namespace

Result<plan::CriuOptions> read_criu_options(const Context& context, const Arguments& arguments) {
  plan::CriuOptions out;
  if (!context.criu.empty()) out.program = context.criu;
  out.image_path = TRY(absolute(arguments.value_or("image-path", "checkpoint")));
  auto work = arguments.value_or("work-path", "");
  if (!work.empty()) out.work_path = TRY(absolute(work));
  out.parent_path = TRY(read_parent(arguments));
  out.leave_running = arguments.flag("leave-running");
  out.pre_dump = arguments.flag("pre-dump");
  out.tcp_established = arguments.flag("tcp-established");
  out.tcp_close = arguments.flag("tcp-close");
  out.tcp_skip_in_flight = arguments.flag("tcp-skip-in-flight");
  out.ext_unix_sk = arguments.flag("ext-unix-sk");
  out.shell_job = arguments.flag("shell-job");
  out.file_locks = arguments.flag("file-locks");
  out.link_remap = arguments.flag("link-remap");
  out.auto_dedup = arguments.flag("auto-dedup");
  out.lazy_pages = arguments.flag("lazy-pages");
  TRY(read_page_server(arguments.value_or("page-server", ""), out));
  out.status_fd = TRY(read_status_fd(arguments));
  out.cgroups = TRY(cgroup_mode(arguments.value_or("manage-cgroups-mode", "")));
  out.network_lock = TRY(network_lock(arguments.value_or("network-lock", "")));
  TRY(check_empty_namespaces(arguments));
  out.lsm_profile = arguments.value_or("lsm-profile", "");
  out.lsm_mount_context = arguments.value_or("lsm-mount-context", "");
  return out;
}

std::string criu_config_file(const Context& context,
                             const std::map<std::string, std::string>& annotations) {
  auto named = annotations.find("org.criu.config");
  if (named != annotations.end()) return named->second;
  constexpr const char* kRunc = "/etc/criu/runc.conf";
  constexpr const char* kCrun = "/etc/criu/crun.conf";
  bool crun = context.face == Face::kEngine && context.dialect == Dialect::kCrun;
  if (crun && sys::faccessat(sys::kCwd, kCrun, F_OK)) return kCrun;
  return sys::faccessat(sys::kCwd, kRunc, F_OK) ? kRunc : std::string();
}

Result<> save_by_criu(const Context& context, Session& session, const std::string& name,
                      plan::CriuOptions& options) {
  auto snapshot = TRY(container::query(session.containers(), name));
  options.config_file = criu_config_file(context, snapshot.state.annotations);
  return container::checkpoint(session.containers(), name, options);
}

}  // namespace caisson::cli

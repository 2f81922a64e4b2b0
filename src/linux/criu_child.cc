#include "linux/criu_child.h"

#include <string_view>

#include "sys/event.h"
#include "sys/file.h"
#include "sys/mount.h"
#include "sys/process.h"

extern char** environ;

namespace caisson::linux {
namespace {

constexpr unsigned long kBind = 1UL << 12;       // MS_BIND
constexpr unsigned long kRecursive = 1UL << 14;  // MS_REC
constexpr unsigned long kPrivate = 1UL << 18;    // MS_PRIVATE
constexpr unsigned long kSlave = 1UL << 19;      // MS_SLAVE

// Where descriptors wait while the low numbers are given out.
constexpr int kParked = 100;

// CRIU moves into the root and lets the old one go, which asks for a mount.
ErrnoOr<> enter_own_mounts(const char* root) {
  TRY(sys::unshare(CLONE_NEWNS));
  // Binds that follow the host do so through this namespace.
  TRY(sys::mount(nullptr, "/", nullptr, kRecursive | kSlave, nullptr));
  TRY(sys::mount(root, root, nullptr, kBind | kRecursive, nullptr));
  return sys::mount(nullptr, root, nullptr, kRecursive | kPrivate, nullptr);
}

ErrnoOr<> place(int from, int to) {
  if (from < 0) return {};
  return sys::dup3(FdRef(from), to, 0);
}

ErrnoOr<int> park(int fd) {
  if (fd < 0) return -1;
  return TRY(sys::dup_cloexec(FdRef(fd), kParked)).release();
}

// All are copied out of the way first: one's number may be another's place.
ErrnoOr<> arrange_descriptors(const CriuChild& child, int& report) {
  constexpr std::size_t kMost = 64;
  int parked[kMost] = {};
  int stdio[3] = {-1, -1, -1};
  if (child.inherited.size() > kMost) return std::unexpected(Errno{E2BIG});
  int socket = TRY(park(child.socket));
  report = TRY(park(report));
  for (int i = 0; i < 3; ++i) stdio[i] = TRY(park(child.stdio[i]));
  for (std::size_t i = 0; i < child.inherited.size(); ++i) {
    parked[i] = TRY(park(child.inherited[i]));
  }
  for (int i = 0; i < 3; ++i) TRY(place(stdio[i], i));
  TRY(place(socket, kCriuSocket));
  int next = kFirstInherited;
  for (std::size_t i = 0; i < child.inherited.size(); ++i) TRY(place(parked[i], next++));
  return sys::close_range(static_cast<unsigned>(next), ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
}

ErrnoOr<> become_criu(const CriuChild& child, int& report) {
  for (int tasks : child.task_fds) TRY(sys::write(FdRef(tasks), "0", 1));
  if (child.new_session) TRY(sys::setsid());
  if (child.end_with_parent) TRY(sys::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
  if (child.root != nullptr) TRY(enter_own_mounts(child.root));
  TRY(sys::signal_mask(SIG_SETMASK, sys::SignalSet()));
  TRY(arrange_descriptors(child, report));
  const char* argv[] = {"criu", "swrk", "3", nullptr};
  return sys::call_void(SYS_execve, child.program, argv, environ);
}

ErrnoOr<> set_up_network(const NetworkChild& child) {
  TRY(sys::setns(FdRef(child.network), CLONE_NEWNET));
  if (child.loopback_up) TRY(bring_loopback_up());
  // What stands below /proc/sys/net is that of whoever looks.
  Fd base = TRY(sys::openat(sys::kCwd, "/proc/sys", O_PATH | O_DIRECTORY));
  for (const auto& sysctl : *child.sysctls) {
    if (!sysctl.path.starts_with("net/")) continue;
    Fd file = TRY(sys::openat2(base, sysctl.path.c_str(), O_WRONLY,
                               RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS));
    TRY(sys::write(file, sysctl.value.data(), sysctl.value.size()));
  }
  return {};
}

ErrnoOr<> make_mount_points(ChildContext& context) {
  sys::raw(SYS_umask, 0);
  TRY(sys::unshare(CLONE_NEWNS));
  context.report->step = ChildStep::kRoot;
  TRY(prepare_root(context));
  context.report->step = ChildStep::kMounts;
  return run_mounts(context, false);
}

}  // namespace

void run_criu_child(const CriuChild& child) {
  int report = child.report;
  auto done = become_criu(child, report);
  int error = done ? 0 : done.error().value;
  (void)sys::write(FdRef(report), &error, sizeof error);
  sys::exit_process(1);
}

void run_mount_point_child(ChildContext& context) {
  auto done = make_mount_points(context);
  if (!done) context.report->error = done.error().value;
  sys::exit_process(done ? 0 : 1);
}

void run_network_child(const NetworkChild& child) {
  auto done = set_up_network(child);
  sys::exit_process(done ? 0 : done.error().value & 0xff);
}

}  // namespace caisson::linux

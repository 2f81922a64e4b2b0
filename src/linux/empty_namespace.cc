#include "linux/empty_namespace.h"

#include <linux/nsfs.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/ioctl.h>

#include <cstdint>

#include "base/text.h"
#include "sys/event.h"
#include "sys/file.h"
#include "sys/mount.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace caisson::linux {
namespace {

// The copy of a mount takes about 2.5 us with its end; the detour about 40 us.
constexpr std::size_t kMany = 128;

constexpr const char* kFolder = "/run/caisson-mounts";
constexpr const char* kName = "empty";
constexpr int kTimeoutMs = 5000;
constexpr long kNsfsMagic = 0x6e736673;
constexpr unsigned long kBind = 1UL << 12;       // MS_BIND
constexpr unsigned long kRecursive = 1UL << 14;  // MS_REC
constexpr unsigned long kPrivate = 1UL << 18;    // MS_PRIVATE

// listmount(2), Linux 6.8.
struct ListRequest {
  std::uint32_t size = 24;
  std::uint32_t spare = 0;
  std::uint64_t mount = ~std::uint64_t{0};  // LSMT_ROOT
  std::uint64_t after = 0;
};

// Ours alone, so that what is found there was put there by us.
ErrnoOr<Fd> open_private_folder() {
  auto made = sys::mkdirat(sys::kCwd, kFolder, 0700);
  if (!made && made.error().value != EEXIST) return std::unexpected(made.error());
  Fd folder = TRY(sys::openat(sys::kCwd, kFolder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  auto info = TRY(sys::fstat(folder));
  bool ours = info.st_uid == 0 && (info.st_mode & 0777U) == 0700;
  if (!ours) return std::unexpected(Errno{EPERM});
  return folder;
}

// What is bound to the file, when it is a mount namespace.
ErrnoOr<Fd> open_bound(FdRef folder) {
  Fd file = TRY(sys::openat(folder, kName, O_RDONLY | O_NOFOLLOW));
  auto filesystem = TRY(sys::fstatfs(file));
  if (filesystem.f_type != kNsfsMagic) return std::unexpected(Errno{ENOENT});
  if (TRY(sys::call(SYS_ioctl, file.number(), NS_GET_NSTYPE)) != CLONE_NEWNS) {
    return std::unexpected(Errno{EINVAL});
  }
  return file;
}

// In a process with a mount namespace of its own: lets go of everything.
ErrnoOr<> empty_own_namespace() {
  TRY(sys::mount(nullptr, "/", nullptr, kRecursive | kPrivate, nullptr));
  Fd filesystem = TRY(sys::fsopen("tmpfs"));
  TRY(sys::fsconfig_string(filesystem, "source", "caisson-empty"));
  TRY(sys::fsconfig_string(filesystem, "mode", "0555"));
  TRY(sys::fsconfig_create(filesystem));
  Fd tree = TRY(sys::fsmount(filesystem, MOUNT_ATTR_RDONLY));
  TRY(sys::move_mount_at(tree, sys::kCwd, kFolder));
  TRY(sys::fchdir(tree));
  TRY(sys::pivot_root(".", "."));
  return sys::umount(".", MNT_DETACH);
}

[[noreturn]] void hold_empty_namespace(FdRef ready) {
  (void)sys::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (!empty_own_namespace()) sys::exit_process(1);
  (void)sys::send_message(ready, "R");
  // Until the other end is closed.
  char word;
  (void)sys::read(ready, &word, 1);
  sys::exit_process(0);
}

ErrnoOr<> bind_new_namespace(const std::string& path) {
  auto sockets = TRY(sys::socket_pair());
  auto holder = TRY(sys::fork_with_pidfd(CLONE_NEWNS));
  if (holder.pid == 0) {
    sockets.first.reset();
    hold_empty_namespace(sockets.second);
  }
  sockets.second.reset();
  ErrnoOr<> bound = std::unexpected(Errno{ETIMEDOUT});
  if (sys::wait_readable(sockets.first, kTimeoutMs).value_or(false)) {
    auto message = sys::receive_message(sockets.first, 1);
    bool ready = message && message->data == "R";
    bound = !ready ? std::unexpected(Errno{EPERM})
                   : sys::mount(cat("/proc/", holder.pid, "/ns/mnt").c_str(), path.c_str(), nullptr,
                                kBind, nullptr);
  }
  (void)sys::pidfd_send_signal(holder.pidfd, SIGKILL);
  (void)sys::wait_pidfd(holder.pidfd);
  return bound;
}

// The kernel refuses to bind a namespace that it takes for older than the one it is bound in
// (mnt_ns_loop()), and it compares identifiers that each processor hands out from a range of its
// own: what does not work from one processor works from another.
ErrnoOr<> bind_from_some_processor(const std::string& path) {
  cpu_set_t allowed;
  TRY(sys::call(SYS_sched_getaffinity, 0, sizeof allowed, &allowed));
  ErrnoOr<> bound = bind_new_namespace(path);
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (bound || bound.error().value != EINVAL) break;
    if (!CPU_ISSET(cpu, &allowed)) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (!sys::call(SYS_sched_setaffinity, 0, sizeof one, &one)) continue;
    bound = bind_new_namespace(path);
  }
  (void)sys::call(SYS_sched_setaffinity, 0, sizeof allowed, &allowed);
  return bound;
}

ErrnoOr<Fd> make(FdRef folder) {
  // Whoever comes second does not wait: the next start will find it.
  TRY(sys::call(SYS_flock, folder.number(), LOCK_EX | LOCK_NB));
  if (auto bound = open_bound(folder)) return bound;
  (void)TRY(sys::openat(folder, kName, O_RDONLY | O_CREAT | O_NOFOLLOW, 0600));
  TRY(bind_from_some_processor(cat(kFolder, "/", kName)));
  return open_bound(folder);
}

}  // namespace

bool has_many_mounts() {
  constexpr long kListmount = 458;
  std::uint64_t ids[kMany];
  ListRequest request;
  auto count = sys::call(kListmount, &request, ids, kMany, 0);
  return count && *count == static_cast<long>(kMany);
}

Fd empty_mount_namespace() {
  auto folder = open_private_folder();
  if (!folder) return {};
  auto bound = open_bound(*folder);
  if (!bound) bound = make(*folder);
  return bound ? std::move(*bound) : Fd();
}

}  // namespace caisson::linux

#include "sandbox/platform/listener.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include <cerrno>

#include "sys/process.h"

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif

namespace caisson::sandbox::platform {
namespace {

constexpr std::uint64_t kSyncWakeUp = 1;  // SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP

}  // namespace

Listener::Listener(Fd listener) : fd_(std::move(listener)) { wake_here(true); }

void Listener::wake_here(bool here) {
  // An older kernel wakes as it likes; hand-overs are slower then.
  (void)sys::call_void(SYS_ioctl, fd_.number(), SECCOMP_IOCTL_NOTIF_SET_FLAGS,
                       here ? kSyncWakeUp : 0);
}

ErrnoOr<seccomp_notif> Listener::receive() {
  for (;;) {
    // Before Linux 6.11 only poll(2) learns that the other side has gone.
    pollfd ready{fd_.number(), POLLIN, 0};
    TRY(sys::poll({&ready, 1}, -1));
    if ((ready.revents & POLLIN) == 0) return std::unexpected(Errno{ESRCH});
    seccomp_notif notice{};
    auto received = sys::call_void(SYS_ioctl, fd_.number(), SECCOMP_IOCTL_NOTIF_RECV, &notice);
    if (received) return notice;
    // ENOENT: whoever waited was killed meanwhile.
    int error = received.error().value;
    if (error != EINTR && error != ENOENT) return std::unexpected(received.error());
  }
}

ErrnoOr<> Listener::respond(const seccomp_notif_resp& response) {
  return sys::call_void(SYS_ioctl, fd_.number(), SECCOMP_IOCTL_NOTIF_SEND, &response);
}
ErrnoOr<> Listener::answer(std::uint64_t id, std::int64_t value) {
  return respond({.id = id, .val = value, .error = 0, .flags = 0});
}
ErrnoOr<> Listener::let_through(std::uint64_t id) {
  return respond({.id = id, .val = 0, .error = 0, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE});
}
ErrnoOr<> Listener::refuse(std::uint64_t id, int error) {
  return respond({.id = id, .val = 0, .error = -error, .flags = 0});
}

ErrnoOr<> Listener::add_descriptor(std::uint64_t id, int file, int target) {
  seccomp_notif_addfd added{};
  added.id = id;
  added.flags = SECCOMP_ADDFD_FLAG_SETFD;
  added.srcfd = static_cast<__u32>(file);
  added.newfd = static_cast<__u32>(target);
  added.newfd_flags = O_CLOEXEC;
  return sys::call_void(SYS_ioctl, fd_.number(), SECCOMP_IOCTL_NOTIF_ADDFD, &added);
}

}  // namespace caisson::sandbox::platform

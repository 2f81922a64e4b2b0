// What socket calls have in common: sockets by descriptor, addresses and control messages in guest
// memory, waiting.
#pragma once

#include <cerrno>
#include <cstdint>
#include <optional>
#include <span>

#include "sandbox/kernel/kernel.h"
#include "sandbox/kernel/task.h"
#include "sandbox/net/message.h"
#include "sandbox/net/socket.h"
#include "sandbox/syscalls/socket_requester.h"
#include "sandbox/syscalls/table.h"

namespace caisson::sandbox::syscalls {

// EBADF, ENOTSOCK.
ErrnoOr<Ref<net::Socket>> socket_of(Task& task, int fd);
// EINVAL, EFAULT.
ErrnoOr<net::Address> load_address(Task& task, std::uint64_t address, std::int32_t length);
// Writes as much as there is room for, and how long it is.
ErrnoOr<> store_address(Task& task, const net::Address& from, std::uint64_t address,
                        UserPtr<std::int32_t> length);

// The guest's struct msghdr.
struct MessageHeader {
  std::uint64_t name = 0;
  std::int32_t name_length = 0;
  std::uint32_t padding = 0;
  std::uint64_t segments = 0, segment_count = 0;
  std::uint64_t control = 0, control_length = 0;
  std::uint32_t flags = 0, padding_end = 0;
};
static_assert(sizeof(MessageHeader) == 56);

// EMSGSIZE, EINVAL, EFAULT.
ErrnoOr<vfs::IoBuffer> load_segments(Task& task, const MessageHeader& header);

// SCM_RIGHTS and SCM_CREDENTIALS out of a control buffer, which is read once. EINVAL, EBADF, EPERM,
// ESRCH, ENOBUFS, EFAULT.
ErrnoOr<net::Ancillary> load_control(TaskRequester& requester, const net::Endpoint& endpoint,
                                     const MessageHeader& header);
// Hands over what came with a message; returns the flags to add (MSG_CTRUNC). `header` is updated.
int store_control(TaskRequester& requester, const net::Endpoint& endpoint, net::Received& received,
                  MessageHeader& header, bool close_on_exec);

// How a call waits: until a deadline, or not at all.
struct Patience {
  bool none = false;
  kernel::Deadline deadline;
};
// SO_RCVTIMEO or SO_SNDTIMEO from now on.
Patience patience_of(Task& task, bool nonblocking, std::int64_t timeout_ns);

// Calls `attempt` until it gives something else than EAGAIN. A call with a timeout is not restarted
// after a signal (signal(7)).
template <typename Attempt>
auto attempt_patiently(Task& task, net::Endpoint& endpoint, vfs::ReadyMask mask,
                       const Patience& patience, Attempt attempt) -> decltype(attempt()) {
  if (patience.none) return attempt();
  auto result = kernel::wait_until_done(task, endpoint.queue(), mask, patience.deadline, attempt);
  if (!result && result.error() == kernel::kRestart && patience.deadline)
    return std::unexpected(Errno{EINTR});
  return result;
}

// socket_messages.cc
Value sys_sendto(Task& task, const Arguments& arguments);
Value sys_recvfrom(Task& task, const Arguments& arguments);
Value sys_sendmsg(Task& task, const Arguments& arguments);
Value sys_recvmsg(Task& task, const Arguments& arguments);
Value sys_sendmmsg(Task& task, const Arguments& arguments);
Value sys_recvmmsg(Task& task, const Arguments& arguments);

}  // namespace caisson::sandbox::syscalls

// System calls on sockets: making, naming, connecting them, and their options.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>

#include "sandbox/syscalls/socket_guest.h"

namespace caisson::sandbox::syscalls {

namespace {

constexpr int kTypeMask = 0xf;  // of socket(2)'s type argument; the rest are flags
constexpr int kPeerGroups = 59;

std::uint32_t file_flags(int flags) {
  return static_cast<std::uint32_t>(O_RDWR | ((flags & SOCK_NONBLOCK) != 0 ? O_NONBLOCK : 0));
}

bool known_flags(int flags) { return (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) == 0; }

ErrnoOr<Ref<net::Socket>> make_socket(TaskRequester& requester, int domain, int type,
                                      int protocol) {
  Task& task = requester.task();
  if (!known_flags(type & ~kTypeMask)) return std::unexpected(Errno{EINVAL});
  net::Network* network = task.network ? task.network->network() : nullptr;
  if (network == nullptr) return std::unexpected(Errno{EAFNOSUPPORT});
  auto endpoint =
      TRY(net::create_endpoint(*network, domain, type & kTypeMask, protocol, requester));
  return network->sockets().make_file(std::move(endpoint), file_flags(type), task.credentials());
}

Value sys_socket(Task& task, const Arguments& arguments) {
  TaskRequester requester(task);
  int type = arguments.i32(1);
  auto socket = TRY(make_socket(requester, arguments.i32(0), type, arguments.i32(2)));
  return TRY(task.add_file(std::move(socket), (type & SOCK_CLOEXEC) != 0));
}

Value sys_socketpair(Task& task, const Arguments& arguments) {
  TaskRequester requester(task);
  int domain = arguments.i32(0), type = arguments.i32(1), protocol = arguments.i32(2);
  auto first = TRY(make_socket(requester, domain, type, protocol));
  auto second = TRY(make_socket(requester, domain, type, protocol));
  TRY(first->endpoint().pair(second->endpoint(), requester));
  bool close_on_exec = (type & SOCK_CLOEXEC) != 0;
  std::array<std::int32_t, 2> fds{};
  fds[0] = TRY(task.add_file(std::move(first), close_on_exec));
  auto added = task.add_file(std::move(second), close_on_exec);
  if (added) fds[1] = *added;
  ErrnoOr<> stored = added ? arguments.pointer<std::int32_t>(3).store(
                                 task.memory(), std::span<const std::int32_t>(fds))
                           : std::unexpected(added.error());
  if (stored) return 0;
  (void)task.files().close(fds[0], &task);  // they were never told to the guest
  if (added) (void)task.files().close(fds[1], &task);
  return std::unexpected(stored.error());
}

Value sys_bind(Task& task, const Arguments& arguments) {
  auto socket = TRY(socket_of(task, arguments.i32(0)));
  auto address = TRY(load_address(task, arguments.u64(1), arguments.i32(2)));
  TaskRequester requester(task);
  TRY(socket->endpoint().bind(address, requester));
  return 0;
}

Value sys_listen(Task& task, const Arguments& arguments) {
  auto socket = TRY(socket_of(task, arguments.i32(0)));
  TaskRequester requester(task);
  TRY(socket->endpoint().listen(arguments.i32(1), requester));
  return 0;
}

Value accept_with(Task& task, const Arguments& arguments, int flags) {
  if (!known_flags(flags)) return std::unexpected(Errno{EINVAL});
  auto listener = TRY(socket_of(task, arguments.i32(0)));
  net::Endpoint& endpoint = listener->endpoint();
  Patience patience =
      patience_of(task, listener->nonblocking(), endpoint.options().receive_timeout_ns.load());
  auto accepted = TRY(attempt_patiently(task, endpoint, POLLIN, patience,
                                        [&] { return endpoint.accept(patience.none); }));
  auto socket = endpoint.network().sockets().make_file(std::move(accepted), file_flags(flags),
                                                       task.credentials());
  if (arguments.u64(1) != 0) {
    auto peer = socket->endpoint().peer_address();
    if (!peer) return std::unexpected(Errno{ECONNABORTED});
    TRY(store_address(task, *peer, arguments.u64(1), arguments.pointer<std::int32_t>(2)));
  }
  return TRY(task.add_file(std::move(socket), (flags & SOCK_CLOEXEC) != 0));
}

Value sys_accept(Task& task, const Arguments& arguments) { return accept_with(task, arguments, 0); }

Value sys_accept4(Task& task, const Arguments& arguments) {
  return accept_with(task, arguments, arguments.i32(3));
}

Value sys_connect(Task& task, const Arguments& arguments) {
  auto socket = TRY(socket_of(task, arguments.i32(0)));
  auto address = TRY(load_address(task, arguments.u64(1), arguments.i32(2)));
  TaskRequester requester(task);
  net::Endpoint& endpoint = socket->endpoint();
  Patience patience =
      patience_of(task, socket->nonblocking(), endpoint.options().send_timeout_ns.load());
  auto connected = attempt_patiently(task, endpoint, POLLOUT, patience,
                                     [&] { return endpoint.connect(address, requester); });
  if (connected) return 0;
  Errno error = connected.error();
  bool goes_on = error.value == EINPROGRESS || error.value == EALREADY;
  if (!goes_on || patience.none) return std::unexpected(error);
  auto finished = attempt_patiently(task, endpoint, POLLOUT, patience,
                                    [&] { return endpoint.finish_connect(); });
  if (!finished)
    return std::unexpected(finished.error().value == EAGAIN ? error : finished.error());
  return 0;
}

Value sys_getsockname(Task& task, const Arguments& arguments) {
  auto socket = TRY(socket_of(task, arguments.i32(0)));
  auto address = TRY(socket->endpoint().local_address());
  TRY(store_address(task, address, arguments.u64(1), arguments.pointer<std::int32_t>(2)));
  return 0;
}

Value sys_getpeername(Task& task, const Arguments& arguments) {
  auto socket = TRY(socket_of(task, arguments.i32(0)));
  auto address = TRY(socket->endpoint().peer_address());
  TRY(store_address(task, address, arguments.u64(1), arguments.pointer<std::int32_t>(2)));
  return 0;
}

Value sys_shutdown(Task& task, const Arguments& arguments) {
  auto socket = TRY(socket_of(task, arguments.i32(0)));
  int how = arguments.i32(1);
  if (how < SHUT_RD || how > SHUT_RDWR) return std::unexpected(Errno{EINVAL});
  TRY(socket->endpoint().shutdown(how));
  return 0;
}

Value sys_setsockopt(Task& task, const Arguments& arguments) {
  constexpr std::size_t kLongest = 4096;  // no option that is known here takes more
  auto socket = TRY(socket_of(task, arguments.i32(0)));
  int level = arguments.i32(1), name = arguments.i32(2), length = arguments.i32(4);
  if (length < 0) return std::unexpected(Errno{EINVAL});
  std::vector<std::byte> value(std::min(static_cast<std::size_t>(length), kLongest));
  // Of a value that is longer than the option only the beginning need be there.
  if (!value.empty()) value.resize(TRY(task.memory().read(arguments.u64(3), value)));
  TaskRequester requester(task);
  if (level == SOL_SOCKET)
    TRY(socket->endpoint().set_socket_option(name, value, requester));
  else
    TRY(socket->endpoint().set_protocol_option(level, name, value, requester));
  return 0;
}

Value sys_getsockopt(Task& task, const Arguments& arguments) {
  auto socket = TRY(socket_of(task, arguments.i32(0)));
  int level = arguments.i32(1), name = arguments.i32(2);
  auto length_pointer = arguments.pointer<std::int32_t>(4);
  std::int32_t length = TRY(length_pointer.load(task.memory()));
  if (length < 0) return std::unexpected(Errno{EINVAL});
  auto room = static_cast<std::uint32_t>(length);
  TaskRequester requester(task);
  net::Endpoint& endpoint = socket->endpoint();
  std::string value =
      TRY(level == SOL_SOCKET ? endpoint.socket_option(name, room, requester)
                              : endpoint.protocol_option(level, name, room, requester));
  auto size = static_cast<std::int32_t>(value.size());
  if (level == SOL_SOCKET && name == kPeerGroups && size > length) {
    TRY(length_pointer.store(task.memory(), size));
    return std::unexpected(Errno{ERANGE});
  }
  size = std::min(size, length);
  auto bytes = std::as_bytes(std::span(value)).first(static_cast<std::size_t>(size));
  if (size != 0) TRY(arguments.pointer<std::byte>(3).store(task.memory(), bytes));
  TRY(length_pointer.store(task.memory(), size));
  return 0;
}

constexpr std::string_view kFamilies =
    "AF_UNIX, AF_INET and AF_INET6 (loopback, or the host's network), AF_NETLINK ROUTE";

constexpr Entry kEntries[] = {
    {SYS_socket, "socket", sys_socket, Level::kPartial, kFamilies},
    {SYS_socketpair, "socketpair", sys_socketpair},
    {SYS_bind, "bind", sys_bind},
    {SYS_listen, "listen", sys_listen},
    {SYS_accept, "accept", sys_accept},
    {SYS_accept4, "accept4", sys_accept4},
    {SYS_connect, "connect", sys_connect},
    {SYS_getsockname, "getsockname", sys_getsockname},
    {SYS_getpeername, "getpeername", sys_getpeername},
    {SYS_sendto, "sendto", sys_sendto},
    {SYS_recvfrom, "recvfrom", sys_recvfrom},
    {SYS_sendmsg, "sendmsg", sys_sendmsg},
    {SYS_recvmsg, "recvmsg", sys_recvmsg},
    {SYS_sendmmsg, "sendmmsg", sys_sendmmsg},
    {SYS_recvmmsg, "recvmmsg", sys_recvmmsg},
    {SYS_shutdown, "shutdown", sys_shutdown},
    {SYS_setsockopt, "setsockopt", sys_setsockopt, Level::kPartial,
     "no socket filters; see socket(2)"},
    {SYS_getsockopt, "getsockopt", sys_getsockopt},
};

}  // namespace

std::span<const Entry> socket_calls() { return kEntries; }

}  // namespace caisson::sandbox::syscalls

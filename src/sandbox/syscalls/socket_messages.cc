// send(2) and recv(2) with their variants.
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <csignal>

#include "sandbox/syscalls/socket_guest.h"

namespace caisson::sandbox::syscalls {

namespace {

constexpr std::uint64_t kMaxTransfer = 0x7ffff000;  // MAX_RW_COUNT
constexpr std::uint32_t kMaxMessages = 1024;        // UIO_MAXIOV

void raise_broken_pipe(Task& task) {
  kernel::SignalInfo info;
  info.signal = SIGPIPE;
  info.code = SI_USER;
  info.pid = task.group().id();
  info.uid = task.credentials().uid;
  (void)task.kernel().signal_task(task, info);  // at most: is pending already
}

bool nonblocking(const net::Socket& socket, int flags) {
  return socket.nonblocking() || (flags & MSG_DONTWAIT) != 0;
}

// Streams are sent to their end, unless that is not to be waited for.
Value send_all(Task& task, net::Socket& socket, net::SendRequest& request) {
  net::Endpoint& endpoint = socket.endpoint();
  Patience patience =
      patience_of(task, request.nonblocking, endpoint.options().send_timeout_ns.load());
  std::int64_t total = 0;
  for (;;) {
    auto sent = attempt_patiently(task, endpoint, POLLOUT, patience,
                                  [&] { return endpoint.send(request); });
    if (!sent && total != 0) return total;
    if (!sent) {
      bool raise = sent.error().value == EPIPE && endpoint.is_stream();
      if (raise && (request.flags & MSG_NOSIGNAL) == 0) raise_broken_pipe(task);
      return std::unexpected(sent.error());
    }
    total += static_cast<std::int64_t>(*sent);
    if (!endpoint.is_stream() || request.nonblocking || request.data.remaining() == 0) return total;
  }
}

// How many bytes of a stream are waited for.
std::uint64_t wanted_bytes(const net::Endpoint& endpoint, const net::ReceiveRequest& request) {
  std::uint64_t room = request.data.remaining();
  if (!endpoint.is_stream()) return 0;
  if ((request.flags & MSG_WAITALL) != 0) return room;
  auto low_water = static_cast<std::uint64_t>(endpoint.options().receive_low_water.load());
  return std::min(low_water, room);
}

ErrnoOr<net::Received> receive_wanted(Task& task, net::Socket& socket,
                                      net::ReceiveRequest& request) {
  net::Endpoint& endpoint = socket.endpoint();
  Patience patience =
      patience_of(task, request.nonblocking, endpoint.options().receive_timeout_ns.load());
  auto attempt = [&] { return endpoint.receive(request); };
  std::uint64_t wanted = wanted_bytes(endpoint, request);
  auto received = attempt_patiently(task, endpoint, POLLIN, patience, attempt);
  if (!received) return received;
  bool more = !patience.none && (request.flags & MSG_PEEK) == 0 && received->bytes != 0;
  while (more && received->bytes < wanted && !received->ends_wait_all) {
    auto next = attempt_patiently(task, endpoint, POLLIN, patience, attempt);
    if (!next || next->bytes == 0) break;
    received->bytes += next->bytes;
    received->flags |= next->flags;
    received->ends_wait_all = next->ends_wait_all;
    for (auto& file : next->ancillary.rights) received->ancillary.rights.push_back(std::move(file));
  }
  return received;
}

Value send_message(Task& task, net::Socket& socket, UserPtr<MessageHeader> pointer, int flags) {
  auto header = TRY(pointer.load(task.memory()));
  if (header.name_length < 0) return std::unexpected(Errno{EINVAL});
  auto name_length =
      std::min(header.name_length, static_cast<std::int32_t>(net::Address::kCapacity));
  net::Address to;
  bool named = header.name != 0 && name_length != 0;
  if (named) to = TRY(load_address(task, header.name, name_length));
  auto data = TRY(load_segments(task, header));
  TaskRequester requester(task);
  net::SendRequest request{.data = data,
                           .requester = requester,
                           .to = named ? &to : nullptr,
                           .flags = flags,
                           .nonblocking = nonblocking(socket, flags),
                           .ancillary = TRY(load_control(requester, socket.endpoint(), header))};
  return send_all(task, socket, request);
}

Value receive_message(Task& task, net::Socket& socket, UserPtr<MessageHeader> pointer, int flags) {
  auto header = TRY(pointer.load(task.memory()));
  if (header.name_length < 0) return std::unexpected(Errno{EINVAL});
  auto data = TRY(load_segments(task, header));
  TaskRequester requester(task);
  net::ReceiveRequest request{.data = data,
                              .requester = requester,
                              .flags = flags,
                              .nonblocking = nonblocking(socket, flags)};
  auto received = receive_wanted(task, socket, request);
  if (!received) return std::unexpected(received.error());
  if (header.name != 0) {
    net::Address from = received->from.value_or(net::Address());
    constexpr std::uint64_t kLengthOffset = offsetof(MessageHeader, name_length);
    TRY(store_address(task, from, header.name,
                      UserPtr<std::int32_t>(pointer.address() + kLengthOffset)));
  }
  bool close_on_exec = (flags & MSG_CMSG_CLOEXEC) != 0;
  int added = store_control(requester, socket.endpoint(), *received, header, close_on_exec);
  auto told = static_cast<std::uint32_t>(received->flags | added | (flags & MSG_CMSG_CLOEXEC));
  constexpr std::uint64_t kFlagsOffset = offsetof(MessageHeader, flags);
  constexpr std::uint64_t kControlOffset = offsetof(MessageHeader, control_length);
  TRY(UserPtr<std::uint32_t>(pointer.address() + kFlagsOffset).store(task.memory(), told));
  TRY(UserPtr<std::uint64_t>(pointer.address() + kControlOffset)
          .store(task.memory(), header.control_length));
  return static_cast<std::int64_t>(received->bytes);
}

// The address of message `index` in an array of struct mmsghdr, and of its length there.
struct MessageSlot {
  UserPtr<MessageHeader> header;
  UserPtr<std::uint32_t> length;
  MessageSlot(std::uint64_t array, std::uint32_t index)
      : header(array + index * kSize), length(array + index * kSize + sizeof(MessageHeader)) {}
  static constexpr std::uint64_t kSize = 64;
};

// The timeout of recvmmsg(2), which is looked at between messages only.
ErrnoOr<kernel::Deadline> load_timeout(Task& task, UserPtr<timespec> pointer) {
  if (!pointer) return std::nullopt;
  auto time = TRY(pointer.load(task.memory()));
  if (time.tv_sec < 0 || time.tv_nsec < 0 || time.tv_nsec >= 1'000'000'000)
    return std::unexpected(Errno{EINVAL});
  constexpr std::int64_t kLongest = 1LL << 32;  // seconds; all the same to a guest
  std::int64_t seconds = std::min<std::int64_t>(time.tv_sec, kLongest);
  return task.kernel().monotonic_ns() + seconds * 1'000'000'000 + time.tv_nsec;
}

ErrnoOr<> store_time_left(Task& task, UserPtr<timespec> pointer, kernel::Deadline deadline) {
  if (!pointer) return {};
  std::int64_t left = std::max<std::int64_t>(*deadline - task.kernel().monotonic_ns(), 0);
  timespec time{.tv_sec = left / 1'000'000'000, .tv_nsec = left % 1'000'000'000};
  return pointer.store(task.memory(), time);
}

}  // namespace

Value sys_sendto(Task& task, const Arguments& arguments) {
  auto socket = TRY(socket_of(task, arguments.i32(0)));
  vfs::IoBuffer data(task.memory(), arguments.u64(1), std::min(arguments.u64(2), kMaxTransfer));
  net::Address to;
  bool named = arguments.u64(4) != 0;
  if (named) to = TRY(load_address(task, arguments.u64(4), arguments.i32(5)));
  TaskRequester requester(task);
  int flags = arguments.i32(3);
  net::SendRequest request{.data = data,
                           .requester = requester,
                           .to = named && !to.empty() ? &to : nullptr,
                           .flags = flags,
                           .nonblocking = nonblocking(*socket, flags),
                           .ancillary = {}};
  return send_all(task, *socket, request);
}

Value sys_recvfrom(Task& task, const Arguments& arguments) {
  auto socket = TRY(socket_of(task, arguments.i32(0)));
  vfs::IoBuffer data(task.memory(), arguments.u64(1), std::min(arguments.u64(2), kMaxTransfer));
  TaskRequester requester(task);
  int flags = arguments.i32(3);
  net::ReceiveRequest request{.data = data,
                              .requester = requester,
                              .flags = flags,
                              .nonblocking = nonblocking(*socket, flags)};
  auto received = receive_wanted(task, *socket, request);
  if (!received) return std::unexpected(received.error());
  if (arguments.u64(4) != 0)
    TRY(store_address(task, received->from.value_or(net::Address()), arguments.u64(4),
                      arguments.pointer<std::int32_t>(5)));
  return static_cast<std::int64_t>(received->bytes);
}

Value sys_sendmsg(Task& task, const Arguments& arguments) {
  auto socket = TRY(socket_of(task, arguments.i32(0)));
  return send_message(task, *socket, arguments.pointer<MessageHeader>(1), arguments.i32(2));
}

Value sys_recvmsg(Task& task, const Arguments& arguments) {
  auto socket = TRY(socket_of(task, arguments.i32(0)));
  return receive_message(task, *socket, arguments.pointer<MessageHeader>(1), arguments.i32(2));
}

Value sys_sendmmsg(Task& task, const Arguments& arguments) {
  auto socket = TRY(socket_of(task, arguments.i32(0)));
  std::uint32_t count = std::min(arguments.u32(2), kMaxMessages);
  std::uint32_t done = 0;
  for (; done < count; ++done) {
    MessageSlot slot(arguments.u64(1), done);
    auto sent = send_message(task, *socket, slot.header, arguments.i32(3));
    ErrnoOr<> told;
    if (sent) told = slot.length.store(task.memory(), static_cast<std::uint32_t>(*sent));
    if (sent && told) continue;
    if (done != 0) break;
    return std::unexpected(sent ? told.error() : sent.error());
  }
  return done;
}

Value sys_recvmmsg(Task& task, const Arguments& arguments) {
  auto socket = TRY(socket_of(task, arguments.i32(0)));
  auto timeout = arguments.pointer<timespec>(4);
  kernel::Deadline deadline = TRY(load_timeout(task, timeout));
  if (int error = socket->endpoint().take_error()) return std::unexpected(Errno{error});
  std::uint32_t count = std::min(arguments.u32(2), kMaxMessages);
  int flags = arguments.i32(3);
  std::uint32_t done = 0;
  while (done < count) {
    MessageSlot slot(arguments.u64(1), done);
    auto received = receive_message(task, *socket, slot.header, flags & ~MSG_WAITFORONE);
    ErrnoOr<> told;
    if (received) told = slot.length.store(task.memory(), static_cast<std::uint32_t>(*received));
    if (!received || !told) {
      Errno error = received ? told.error() : received.error();
      if (done == 0) return std::unexpected(error);
      // Told by the next call; a signal interrupts nothing that was done.
      if (error.value < 512 && error.value != EAGAIN) socket->endpoint().set_error(error.value);
      break;
    }
    ++done;
    if ((flags & MSG_WAITFORONE) != 0) flags |= MSG_DONTWAIT;
    if (deadline && task.kernel().monotonic_ns() >= *deadline) break;
  }
  if (deadline) TRY(store_time_left(task, timeout, deadline));
  return done;
}

}  // namespace caisson::sandbox::syscalls

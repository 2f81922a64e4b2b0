// Control messages (cmsg(3)) between guest memory and sockets.
#include <linux/capability.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "sandbox/syscalls/socket_guest.h"

namespace caisson::sandbox::syscalls {

namespace {

struct ControlHeader {  // struct cmsghdr
  std::uint64_t length = 0;
  std::int32_t level = 0, type = 0;
};
static_assert(sizeof(ControlHeader) == 16);

constexpr std::uint64_t kMaxControl = 131072;  // net.core.optmem_max
constexpr std::size_t kMaxRights = 253;        // SCM_MAX_FD

std::uint64_t aligned(std::uint64_t length) { return (length + 7) & ~std::uint64_t{7}; }

ErrnoOr<> add_rights(Task& task, std::span<const std::byte> data, net::Ancillary& ancillary) {
  std::size_t count = data.size() / sizeof(std::int32_t);
  if (count > kMaxRights || ancillary.rights.size() + count > kMaxRights)
    return std::unexpected(Errno{EINVAL});
  for (std::size_t i = 0; i < count; ++i) {
    std::int32_t fd;
    std::memcpy(&fd, data.data() + i * sizeof fd, sizeof fd);
    ancillary.rights.push_back(TRY(task.file(fd)));
  }
  return {};
}

// Who a sender may claim to be: one of its own ids, unless it has the capability for more.
ErrnoOr<> add_credentials(TaskRequester& requester, std::span<const std::byte> data,
                          net::Ancillary& ancillary) {
  ucred claimed;
  if (data.size() != sizeof claimed) return std::unexpected(Errno{EINVAL});
  std::memcpy(&claimed, data.data(), sizeof claimed);
  const vfs::Credentials& own = requester.credentials();
  bool itself = claimed.pid == requester.task().group().id();
  bool uid = claimed.uid == own.uid || claimed.uid == own.euid || claimed.uid == own.suid;
  bool gid = claimed.gid == own.gid || claimed.gid == own.egid || claimed.gid == own.sgid;
  if (!(itself || own.has(CAP_SYS_ADMIN)) || !(uid || own.has(CAP_SETUID)) ||
      !(gid || own.has(CAP_SETGID)))
    return std::unexpected(Errno{EPERM});
  net::ProcessCredentials credentials{
      .process = requester.process(), .uid = claimed.uid, .gid = claimed.gid};
  if (!itself) credentials.process = TRY(process_with_id(requester.task(), claimed.pid));
  ancillary.credentials = std::move(credentials);
  return {};
}

// Writes control messages one after another, the last one perhaps cut off.
class ControlWriter {
 public:
  ControlWriter(vfs::Memory& memory, const MessageHeader& header)
      : memory_(memory),
        next_(header.control),
        room_(header.control == 0 ? 0 : header.control_length) {}

  bool has_buffer() const { return next_ != 0; }
  std::uint64_t room() const { return room_; }
  std::uint64_t used() const { return used_; }
  bool truncated() const { return truncated_; }
  void set_truncated() { truncated_ = true; }

  void put(int level, int type, std::span<const std::byte> data) {
    std::uint64_t length = sizeof(ControlHeader) + data.size();
    if (room_ < sizeof(ControlHeader)) {
      truncated_ = true;
      return;
    }
    if (room_ < length) {
      truncated_ = true;
      length = room_;
    }
    ControlHeader header{.length = length, .level = level, .type = type};
    bool stored = UserPtr<ControlHeader>(next_).store(memory_, header).has_value() &&
                  UserPtr<std::byte>(next_ + sizeof header)
                      .store(memory_, data.first(length - sizeof header))
                      .has_value();
    if (!stored) return;  // as if it had not been there; Linux tells nobody either
    std::uint64_t space = std::min(room_, aligned(sizeof header + data.size()));
    next_ += space;
    room_ -= space;
    used_ += space;
  }

 private:
  vfs::Memory& memory_;
  std::uint64_t next_, room_, used_ = 0;
  bool truncated_ = false;
};

// As many descriptors as there is room for; the others are closed.
void put_rights(Task& task, std::vector<Ref<vfs::File>>& rights, bool close_on_exec,
                ControlWriter& writer) {
  std::size_t fit = 0;
  if (writer.room() > sizeof(ControlHeader))
    fit = (writer.room() - sizeof(ControlHeader)) / sizeof(std::int32_t);
  std::vector<std::int32_t> numbers;
  for (auto& file : rights) {
    if (numbers.size() == fit) break;
    auto fd = task.add_file(file, close_on_exec);
    if (!fd) break;
    numbers.push_back(*fd);
  }
  if (!numbers.empty())
    writer.put(SOL_SOCKET, SCM_RIGHTS, std::as_bytes(std::span<const std::int32_t>(numbers)));
  if (numbers.size() < rights.size()) writer.set_truncated();
}

}  // namespace

ErrnoOr<net::Ancillary> load_control(TaskRequester& requester, const net::Endpoint& endpoint,
                                     const MessageHeader& header) {
  net::Ancillary ancillary;
  if (header.control_length > kMaxControl) return std::unexpected(Errno{ENOBUFS});
  std::vector<std::byte> bytes(header.control_length);
  if (bytes.empty()) return ancillary;
  Task& task = requester.task();
  TRY(UserPtr<std::byte>(header.control).load(task.memory(), std::span<std::byte>(bytes)));
  std::span<const std::byte> rest(bytes);
  while (rest.size() >= sizeof(ControlHeader)) {
    ControlHeader control;
    std::memcpy(&control, rest.data(), sizeof control);
    if (control.length < sizeof control || control.length > rest.size())
      return std::unexpected(Errno{EINVAL});
    auto data = rest.subspan(sizeof control, control.length - sizeof control);
    rest = rest.subspan(std::min<std::size_t>(rest.size(), aligned(control.length)));
    if (control.level != SOL_SOCKET) continue;
    bool is_unix = endpoint.domain() == AF_UNIX;
    if (control.type == SCM_RIGHTS && is_unix)
      TRY(add_rights(task, data, ancillary));
    else if (control.type == SCM_CREDENTIALS && (is_unix || endpoint.domain() == AF_NETLINK))
      TRY(add_credentials(requester, data, ancillary));
    else
      return std::unexpected(Errno{EINVAL});
  }
  return ancillary;
}

int store_control(TaskRequester& requester, const net::Endpoint& endpoint, net::Received& received,
                  MessageHeader& header, bool close_on_exec) {
  ControlWriter writer(requester.task().memory(), header);
  net::Ancillary& ancillary = received.ancillary;
  if (ancillary.credentials) {
    const net::ProcessCredentials& sender = *ancillary.credentials;
    int id = sender.process ? sender.process->id_for(*requester.process()) : 0;
    ucred credentials{.pid = id, .uid = sender.uid, .gid = sender.gid};
    writer.put(SOL_SOCKET, SCM_CREDENTIALS, std::as_bytes(std::span(&credentials, 1)));
  }
  for (const auto& [level, type, bytes] : endpoint.control_messages(received))
    writer.put(level, type, std::as_bytes(std::span(bytes)));
  if (!ancillary.rights.empty())
    put_rights(requester.task(), ancillary.rights, close_on_exec, writer);
  header.control_length = writer.used();
  return writer.truncated() ? MSG_CTRUNC : 0;
}

}  // namespace caisson::sandbox::syscalls

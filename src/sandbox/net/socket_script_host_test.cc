// Scripts of sockets on the host's kernel and on ours (socket_script_test.h).
#include <linux/sockios.h>

#include <array>

#include "sandbox/net/socket_script_test.h"

namespace caisson::sandbox::net {

namespace {

class HostScript final : public Script {
 public:
  HostScript() {
    char pattern[] = "/tmp/caisson-sockets-XXXXXX";
    folder_ = ::mkdtemp(pattern);
  }
  ~HostScript() override {
    for (int fd : fds_)
      if (fd >= 0) ::close(fd);
    std::string command = "rm -rf " + folder_;
    (void)!std::system(command.c_str());  // NOLINT: a test's own folder
  }

 protected:
  int open(int domain, int type, int protocol) override {
    return keep(::socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
  }
  std::string open_pair(int type) override {
    int fds[2];
    if (::socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0) return error(errno);
    keep(fds[0]);
    keep(fds[1]);
    return "ok";
  }
  int do_bind(int s, const Address& address) override {
    return result(::bind(fd(s), data(address), address.length()));
  }
  int do_listen(int s, int backlog) override { return result(::listen(fd(s), backlog)); }
  int do_connect(int s, const Address& address) override {
    return result(::connect(fd(s), data(address), address.length()));
  }
  int do_accept(int s) override {
    return keep(::accept4(fd(s), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  }
  Address do_local(int s) override {
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    ::getsockname(fd(s), reinterpret_cast<sockaddr*>(&storage), &length);
    return Address(std::as_bytes(std::span(&storage, 1)).first(length));
  }
  std::string do_name(int s, bool peer) override {
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    auto* address = reinterpret_cast<sockaddr*>(&storage);
    int got =
        peer ? ::getpeername(fd(s), address, &length) : ::getsockname(fd(s), address, &length);
    if (got < 0) return error(errno);
    return describe(Address(std::as_bytes(std::span(&storage, 1)).first(length)));
  }
  std::string do_send(int s, const std::string& bytes, int flags, const std::optional<Address>& to,
                      const std::vector<int>& rights, bool credentials) override {
    iovec segment{.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
    alignas(cmsghdr) std::array<char, 1024> control{};
    msghdr message{};
    message.msg_iov = &segment;
    message.msg_iovlen = 1;
    if (to) {
      message.msg_name = const_cast<sockaddr*>(data(*to));
      message.msg_namelen = to->length();
    }
    if (!rights.empty() || credentials) {
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      if (credentials) {
        ucred own{.pid = ::getpid(), .uid = ::geteuid(), .gid = ::getegid()};
        header->cmsg_type = SCM_CREDENTIALS;
        header->cmsg_len = CMSG_LEN(sizeof own);
        std::memcpy(CMSG_DATA(header), &own, sizeof own);
      } else {
        std::vector<int> numbers;
        for (int slot : rights) numbers.push_back(fd(slot));
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(numbers.size() * sizeof(int));
        std::memcpy(CMSG_DATA(header), numbers.data(), numbers.size() * sizeof(int));
      }
      message.msg_controllen = (header->cmsg_len + 7) & ~std::size_t{7};
    }
    ssize_t sent = ::sendmsg(fd(s), &message, flags | MSG_NOSIGNAL);
    return sent < 0 ? error(errno) : cat(sent);
  }
  std::string do_receive(int s, std::size_t length, int flags) override {
    std::string bytes(length, '\0');
    sockaddr_storage from{};
    iovec segment{.iov_base = bytes.data(), .iov_len = bytes.size()};
    alignas(cmsghdr) std::array<char, 2048> control{};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof from;
    message.msg_iov = &segment;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ssize_t got = ::recvmsg(fd(s), &message, flags | MSG_CMSG_CLOEXEC);
    if (got < 0) return error(errno);
    std::string text = cat(
        got, " ", bytes.substr(0, std::min<std::size_t>(static_cast<std::size_t>(got), length)));
    text += flag_text(message.msg_flags);
    text += cat(" from ",
                describe(Address(std::as_bytes(std::span(&from, 1)).first(message.msg_namelen))));
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header))
      text += control_text(*header);
    return text;
  }
  int do_shutdown(int s, int how) override { return result(::shutdown(fd(s), how)); }
  int do_poll(int s) override {
    pollfd entry{.fd = fd(s), .events = static_cast<short>(0x3fff), .revents = 0};
    ::poll(&entry, 1, 0);
    return entry.revents;
  }
  void do_close(int s) override {
    ::close(fd(s));
    fds_[static_cast<std::size_t>(s)] = -1;
  }
  int do_set(int s, int level, int name, const std::string& value) override {
    return result(
        ::setsockopt(fd(s), level, name, value.data(), static_cast<socklen_t>(value.size())));
  }
  std::string do_get(int s, int level, int name, std::size_t length) override {
    std::string value(length, '\0');
    auto size = static_cast<socklen_t>(length);
    if (::getsockopt(fd(s), level, name, value.data(), &size) < 0) return error(errno);
    value.resize(size);
    return option_text(value);
  }
  std::string do_ioctl(int s, unsigned long request) override {
    int value = 0;
    return ::ioctl(fd(s), request, &value) < 0 ? error(errno) : cat(value);
  }
  std::string path_prefix() const override { return folder_ + "/"; }
  std::string abstract_prefix() const override {
    return cat('\0', "caisson-test-", ::getpid(), "-");
  }

 private:
  int fd(int slot) const { return slot < 0 ? -1 : fds_[static_cast<std::size_t>(slot)]; }
  static const sockaddr* data(const Address& address) {
    return reinterpret_cast<const sockaddr*>(address.bytes().data());
  }
  static int result(int value) { return value < 0 ? -errno : value; }
  int keep(int fd) {
    if (fd < 0) return -errno;
    fds_.push_back(fd);
    return static_cast<int>(fds_.size()) - 1;
  }
  std::string control_text(const cmsghdr& header) {
    std::size_t size = header.cmsg_len - CMSG_LEN(0);
    if (header.cmsg_level == SOL_SOCKET && header.cmsg_type == SCM_RIGHTS) {
      const auto* numbers = reinterpret_cast<const int*>(CMSG_DATA(&header));
      for (std::size_t i = 0; i < size / sizeof(int); ++i) keep(numbers[i]);
      return cat(" rights ", size / sizeof(int));
    }
    if (header.cmsg_level == SOL_SOCKET && header.cmsg_type == SCM_CREDENTIALS) {
      ucred sender;
      std::memcpy(&sender, CMSG_DATA(&header), sizeof sender);
      return cat(" credentials ", sender.pid == ::getpid() ? "own" : "none", " ", sender.uid, " ",
                 sender.gid);
    }
    return cat(" control ", header.cmsg_level, " ", header.cmsg_type, " ", size);
  }

  std::vector<int> fds_;
  std::string folder_;
};

class OwnScript final : public Script {
 public:
  explicit OwnScript(bool of_host) : net_(of_host) {}

 protected:
  int open(int domain, int type, int protocol) override {
    auto socket = net_.socket(domain, type, protocol);
    return socket ? keep(*socket) : -socket.error().value;
  }
  std::string open_pair(int type) override {
    auto first = net_.socket(AF_UNIX, type);
    auto second = net_.socket(AF_UNIX, type);
    if (!first || !second) return error(first.error().value);
    auto paired = (*first)->endpoint().pair((*second)->endpoint(), net_);
    keep(*first);
    keep(*second);
    return paired ? "ok" : error(paired.error().value);
  }
  int do_bind(int s, const Address& address) override { return result(at(s).bind(address, net_)); }
  int do_listen(int s, int backlog) override { return result(at(s).listen(backlog, net_)); }
  int do_connect(int s, const Address& address) override {
    return result(at(s).connect(address, net_));
  }
  int do_accept(int s) override {
    auto accepted = at(s).accept(true);
    if (!accepted) return -accepted.error().value;
    return keep(
        net_.network().sockets().make_file(*accepted, O_RDWR | O_NONBLOCK, net_.credentials()));
  }
  Address do_local(int s) override { return MUST(at(s).local_address()); }
  std::string do_name(int s, bool peer) override {
    auto address = peer ? at(s).peer_address() : at(s).local_address();
    return address ? describe(*address) : error(address.error().value);
  }
  std::string do_send(int s, const std::string& bytes, int flags, const std::optional<Address>& to,
                      const std::vector<int>& rights, bool credentials) override {
    auto data = vfs::IoBuffer::of(std::as_bytes(std::span(bytes)));
    SendRequest request{.data = data,
                        .requester = net_,
                        .to = to ? &*to : nullptr,
                        .flags = flags | MSG_NOSIGNAL,
                        .nonblocking = true,
                        .ancillary = {}};
    for (int slot : rights) request.ancillary.rights.push_back(sockets_[std::size_t(slot)]);
    if (credentials)
      request.ancillary.credentials =
          ProcessCredentials{.process = net_.process(), .uid = ::geteuid(), .gid = ::getegid()};
    auto sent = at(s).send(request);
    return sent ? cat(*sent) : error(sent.error().value);
  }
  std::string do_receive(int s, std::size_t length, int flags) override {
    std::string bytes(length, '\0');
    auto data = vfs::IoBuffer::of(std::as_writable_bytes(std::span(bytes)));
    ReceiveRequest request{.data = data, .requester = net_, .flags = flags, .nonblocking = true};
    auto received = at(s).receive(request);
    if (!received) return error(received.error().value);
    std::string text =
        cat(received->bytes, " ", bytes.substr(0, std::min(received->bytes, length)),
            flag_text(received->flags), " from ", describe(received->from.value_or(Address())));
    if (received->ancillary.credentials) {
      const auto& sender = *received->ancillary.credentials;
      text +=
          cat(" credentials ", sender.process ? "own" : "none", " ", sender.uid, " ", sender.gid);
    }
    for (const auto& control : at(s).control_messages(*received))
      text += cat(" control ", control.level, " ", control.type, " ", control.bytes.size());
    if (!received->ancillary.rights.empty())
      text += cat(" rights ", received->ancillary.rights.size());
    for (auto& file : received->ancillary.rights)
      keep(Ref<Socket>::share(vfs::file_as<Socket>(*file)));
    return text;
  }
  int do_shutdown(int s, int how) override { return result(at(s).shutdown(how)); }
  int do_poll(int s) override { return static_cast<int>(at(s).ready()); }
  void do_close(int s) override { sockets_[static_cast<std::size_t>(s)] = nullptr; }
  int do_set(int s, int level, int name, const std::string& value) override {
    auto bytes = std::as_bytes(std::span(value));
    return result(level == SOL_SOCKET ? at(s).set_socket_option(name, bytes, net_)
                                      : at(s).set_protocol_option(level, name, bytes, net_));
  }
  std::string do_get(int s, int level, int name, std::size_t length) override {
    auto room = static_cast<std::uint32_t>(length);
    auto value = level == SOL_SOCKET ? at(s).socket_option(name, room, net_)
                                     : at(s).protocol_option(level, name, room, net_);
    if (!value) return error(value.error().value);
    return option_text(value->substr(0, length));
  }
  std::string do_ioctl(int s, unsigned long request) override {
    int value = 0;
    auto done = sockets_[static_cast<std::size_t>(s)]->ioctl(
        net_.caller(), static_cast<std::uint32_t>(request),
        reinterpret_cast<std::uint64_t>(&value));
    return done ? cat(value) : error(done.error().value);
  }
  std::string path_prefix() const override { return "/"; }
  std::string abstract_prefix() const override { return std::string("\0test-", 6); }

 private:
  Endpoint& at(int slot) { return sockets_[static_cast<std::size_t>(slot)]->endpoint(); }
  static int result(const ErrnoOr<>& outcome) { return outcome ? 0 : -outcome.error().value; }
  int keep(Ref<Socket> socket) {
    sockets_.push_back(std::move(socket));
    return static_cast<int>(sockets_.size()) - 1;
  }

  TestNetwork net_;
  std::vector<Ref<Socket>> sockets_;
};

}  // namespace

void expect_same(const std::function<void(Script&)>& script) {
  HostScript host;
  OwnScript own(false);
  script(host);
  script(own);
  EXPECT_EQ(own.text(), host.text());
}

void expect_same_by_host(const std::function<void(Script&)>& script) {
  HostScript host;
  OwnScript own(true);
  script(host);
  script(own);
  EXPECT_EQ(own.text(), host.text());
}

}  // namespace caisson::sandbox::net

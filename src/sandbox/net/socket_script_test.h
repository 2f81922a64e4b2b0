// For tests: scripts of socket calls that run on our sockets and on those of this host's kernel,
// each step noted as a line of text. Both must note the same.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/text.h"
#include "sandbox/net/net_fixture_test.h"

namespace caisson::sandbox::net {

// Names of addresses in scripts:
//   "p/NAME" a path, "a/NAME" abstract, "auto" only the family, "unspec" AF_UNSPEC
//   "4/127.0.0.1/A" and "6/::1/A" with the port that was noted as A; "0" asks for any port, digits
//   are that port
class Script {
 public:
  virtual ~Script() = default;

  int socket(int domain, int type, int protocol = 0) {
    note("socket", made(open(domain, type, protocol)));
    return last_;
  }
  void pair(int type) { note("pair", open_pair(type)); }
  void bind(int s, const std::string& name) { note("bind", outcome(do_bind(s, address(name)))); }
  void listen(int s, int backlog) { note("listen", outcome(do_listen(s, backlog))); }
  void connect(int s, const std::string& name) {
    note("connect", outcome(do_connect(s, address(name))));
  }
  int accept(int s) {
    note("accept", made(do_accept(s)));
    return last_;
  }
  void local(int s) { note("local", do_name(s, false)); }
  void peer(int s) { note("peer", do_name(s, true)); }
  void send(int s, const std::string& bytes, int flags = 0, const std::string& to = "") {
    std::optional<Address> address_to;
    if (!to.empty()) address_to = address(to);
    note("send", do_send(s, bytes, flags, address_to, {}, false));
  }
  void send_rights(int s, const std::string& bytes, const std::vector<int>& rights) {
    note("send rights", do_send(s, bytes, 0, std::nullopt, rights, false));
  }
  void send_credentials(int s, const std::string& bytes) {
    note("send credentials", do_send(s, bytes, 0, std::nullopt, {}, true));
  }
  void receive(int s, std::size_t length, int flags = 0) {
    note("receive", do_receive(s, length, flags));
  }
  void fill(int s, std::size_t size) { note("fill", do_fill(s, size)); }
  void shutdown(int s, int how) { note("shutdown", outcome(do_shutdown(s, how))); }
  void poll(int s) { note("poll", poll_text(do_poll(s))); }
  void close(int s) {
    do_close(s);
    note("close", "");
  }
  void set(int s, int level, int name, int value) {
    set_bytes(s, level, name, option_bytes(value));
  }
  void set_bytes(int s, int level, int name, const std::string& value) {
    note("set", outcome(do_set(s, level, name, value)));
  }
  void get(int s, int level, int name, std::size_t length = 64) {
    note("get", do_get(s, level, name, length));
  }
  void pending(int s) { note("pending", do_ioctl(s, FIONREAD)); }
  void unsent(int s) { note("unsent", do_ioctl(s, TIOCOUTQ)); }
  // Notes the port of a socket under a name.
  void note_port(int s, const std::string& tag) { ports_[tag] = port_of(do_local(s)); }

  const std::string& text() const { return text_; }

 protected:
  virtual int open(int domain, int type, int protocol) = 0;  // a slot, or a negated errno
  virtual std::string open_pair(int type) = 0;
  virtual int do_bind(int s, const Address& address) = 0;
  virtual int do_listen(int s, int backlog) = 0;
  virtual int do_connect(int s, const Address& address) = 0;
  virtual int do_accept(int s) = 0;
  virtual std::string do_name(int s, bool peer) = 0;
  virtual Address do_local(int s) = 0;
  virtual std::string do_send(int s, const std::string& bytes, int flags,
                              const std::optional<Address>& to, const std::vector<int>& rights,
                              bool credentials) = 0;
  virtual std::string do_receive(int s, std::size_t length, int flags) = 0;
  virtual int do_shutdown(int s, int how) = 0;
  virtual int do_poll(int s) = 0;
  virtual void do_close(int s) = 0;
  virtual int do_set(int s, int level, int name, const std::string& value) = 0;
  virtual std::string do_get(int s, int level, int name, std::size_t length) = 0;
  virtual std::string do_ioctl(int s, unsigned long request) = 0;
  virtual std::string path_prefix() const = 0;
  virtual std::string abstract_prefix() const = 0;

  static std::string error(int number) { return std::string(errno_name(number)); }
  static std::string outcome(int result) { return result < 0 ? error(-result) : "0"; }

  std::string do_fill(int s, std::size_t size) {
    std::string bytes(size, 'x');
    int count = 0;
    for (;; ++count) {
      std::string result = do_send(s, bytes, 0, std::nullopt, {}, false);
      if (result[0] == 'E') return cat(count, " then ", result);
    }
  }

  std::string describe(const Address& address) const {
    if (address.empty()) return "none";
    switch (address.family()) {
      case AF_UNIX: {
        std::string name(address.tail());
        if (name.empty()) return "unnamed";
        std::string kind = name[0] == '\0' ? "a/" : "p/";
        std::string prefix = name[0] == '\0' ? abstract_prefix() : path_prefix();
        if (!name.starts_with(prefix)) return cat("autobound of ", address.length());
        name.erase(0, prefix.size());
        std::string shown = kind;
        for (char c : name) shown += c == '\0' ? '~' : c;
        return shown;
      }
      case AF_INET: {
        auto in = address.as<sockaddr_in>();
        char host[64];
        ::inet_ntop(AF_INET, &in.sin_addr, host, sizeof host);
        return cat("4/", host, "/", port_name(ntohs(in.sin_port)));
      }
      case AF_INET6: {
        auto in = address.as<sockaddr_in6>();
        char host[64];
        ::inet_ntop(AF_INET6, &in.sin6_addr, host, sizeof host);
        return cat("6/", host, "/", port_name(ntohs(in.sin6_port)));
      }
      default: return cat("family ", address.family());
    }
  }

  static std::string flag_text(int flags) {
    std::string text;
    if ((flags & MSG_TRUNC) != 0) text += " TRUNC";
    if ((flags & MSG_CTRUNC) != 0) text += " CTRUNC";
    if ((flags & MSG_EOR) != 0) text += " EOR";
    if ((flags & MSG_OOB) != 0) text += " OOB";
    return text;
  }

  static std::string option_text(const std::string& value) {
    std::string text = cat(value.size(), ":");
    for (char c : value) append(text, " ", static_cast<int>(static_cast<unsigned char>(c)));
    return text;
  }

  int last_ = -1;

 private:
  void note(const char* what, const std::string& result) {
    text_ += cat(what, " -> ", result, "\n");
  }
  std::string made(int slot) {
    last_ = slot;
    return slot < 0 ? error(-slot) : "ok";
  }

  Address address(const std::string& name) const {
    if (name == "auto") return Address::unix_name("");
    if (name == "unspec") {
      sockaddr_in any{};
      return Address::of(any);
    }
    if (name == "empty") return {};
    std::string rest = name.substr(2);
    if (name[0] == 'p') return Address::unix_name(path_prefix() + rest + '\0');
    if (name[0] == 'n') return Address::unix_name(path_prefix() + rest);  // no null byte
    if (name[0] == 'a') return Address::unix_name(abstract_prefix() + rest);
    auto slash = rest.find('/');
    std::string host = rest.substr(0, slash);
    std::uint16_t port = htons(port_named(rest.substr(slash + 1)));
    if (name[0] == '4') {
      sockaddr_in in{};
      in.sin_family = AF_INET;
      in.sin_port = port;
      ::inet_pton(AF_INET, host.c_str(), &in.sin_addr);
      return Address::of(in);
    }
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = port;
    ::inet_pton(AF_INET6, host.c_str(), &in.sin6_addr);
    return Address::of(in);
  }

  static std::uint16_t port_of(const Address& address) {
    return ntohs(address.family() == AF_INET ? address.as<sockaddr_in>().sin_port
                                             : address.as<sockaddr_in6>().sin6_port);
  }
  std::uint16_t port_named(const std::string& tag) const {
    auto found = ports_.find(tag);
    return found != ports_.end() ? found->second : parse_number<std::uint16_t>(tag).value_or(0);
  }
  std::string port_name(std::uint16_t port) const {
    for (const auto& [tag, number] : ports_)
      if (number == port) return tag;
    return port == 0 ? "0" : "some";
  }

  static std::string poll_text(int mask) {
    const std::pair<int, const char*> names[] = {{POLLIN, "IN "},         {POLLPRI, "PRI "},
                                                 {POLLOUT, "OUT "},       {POLLERR, "ERR "},
                                                 {POLLHUP, "HUP "},       {POLLRDHUP, "RDHUP "},
                                                 {POLLRDNORM, "RDNORM "}, {POLLWRNORM, "WRNORM "},
                                                 {POLLRDBAND, "RDBAND "}, {POLLWRBAND, "WRBAND "}};
    std::string text;
    for (const auto& [bit, name] : names)
      if ((mask & bit) != 0) text += name;
    return text;
  }

  std::string text_;
  std::map<std::string, std::uint16_t> ports_;
};

// Runs it on both and compares.
void expect_same(const std::function<void(Script&)>& script);
// The same with sockets of ours that are the host's.
void expect_same_by_host(const std::function<void(Script&)>& script);

}  // namespace caisson::sandbox::net

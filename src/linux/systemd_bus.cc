#include "linux/systemd_bus.h"

#include <cstdlib>
#include <vector>

#include "base/text.h"
#include "sys/event.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace caisson::linux {
namespace {

namespace dbus = formats::dbus;

constexpr std::string_view kSystemd = "org.freedesktop.systemd1";
constexpr std::string_view kManagerPath = "/org/freedesktop/systemd1";
constexpr std::string_view kManager = "org.freedesktop.systemd1.Manager";
constexpr std::string_view kBus = "org.freedesktop.DBus";
// As long as the bus itself waits for services.
constexpr int kReplyTimeoutMs = 25'000;
constexpr int kConnectTimeoutMs = 5'000;
constexpr std::size_t kMaxRememberedJobs = 1024;

struct Address {
  std::string text;     // "unix:path=..."
  bool direct = false;  // systemd itself, no bus between
};

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

std::vector<Address> addresses(bool user) {
  std::vector<Address> out;
  const char* variable = user ? "DBUS_SESSION_BUS_ADDRESS" : "DBUS_SYSTEM_BUS_ADDRESS";
  for (auto each : split(environment(variable), ';')) {
    if (!each.empty()) out.push_back({std::string(each), false});
  }
  if (!user) {
    out.push_back({"unix:path=/run/systemd/private", true});
    out.push_back({"unix:path=/run/dbus/system_bus_socket", false});
    return out;
  }
  std::string runtime(environment("XDG_RUNTIME_DIR"));
  if (runtime.empty()) runtime = cat("/run/user/", sys::geteuid());
  out.push_back({cat("unix:path=", runtime, "/systemd/private"), true});
  out.push_back({cat("unix:path=", runtime, "/bus"), false});
  return out;
}

// The value of a key of an address, with %XX taken back ("unix:path=/run/a%20b,guid=...").
std::string address_value(std::string_view address, std::string_view key) {
  auto [transport, rest] = split_once(address, ':');
  if (transport != "unix") return {};
  for (auto part : split(rest, ',')) {
    auto [name, value] = split_once(part, '=');
    if (name != key) continue;
    std::string out;
    for (std::size_t i = 0; i < value.size(); ++i) {
      auto code =
          value[i] == '%' ? parse_number<unsigned char>(value.substr(i + 1, 2), 16) : std::nullopt;
      out.push_back(code ? static_cast<char>(*code) : value[i]);
      if (code) i += 2;
    }
    return out;
  }
  return {};
}

Error no_systemd(bool user, const std::string& tried) {
  return Error::with_cause(ENOENT, cat("systemd does not answer", tried))
      .doing("connect to systemd of ", user ? "this user" : "this machine")
      .cure(
          user ? "log in as this user (XDG_RUNTIME_DIR=/run/user/UID), or \"loginctl enable-linger "
                 "USER\"; or leave --systemd-cgroup out"
               : "leave --systemd-cgroup out where systemd is not init")
      .code("systemd.absent");
}

Error timed_out(std::string_view what, const std::string& address) {
  return Error::with_cause(ETIMEDOUT, cat("no answer in time from ", address))
      .doing(what)
      .cure("see \"systemctl list-jobs\" and the journal for what it is busy with")
      .code("systemd.timeout");
}

// A message that cannot be one: systemd and the bus don't send such.
Error nonsense(std::string_view what, const std::string& address) {
  return Error::with_cause(EPROTO, cat("what came from ", address, " is no D-Bus message"))
      .doing(what)
      .code("systemd.protocol");
}

}  // namespace

// --- connecting

Result<SystemdBus> SystemdBus::connect(bool user) {
  std::string tried;
  // Root of a container with systemd in it is "a user" for us, and has no session.
  for (bool session : {true, false}) {
    if (session && !user) continue;
    for (const Address& address : addresses(session)) {
      auto bus = connect_to(address.text, address.direct);
      if (bus) return bus;
      append(tried, tried.empty() ? " (" : "; ", address.text, ": ", bus.error().cause());
    }
  }
  if (!tried.empty()) tried += ")";
  return std::unexpected(no_systemd(user, tried));
}

Result<SystemdBus> SystemdBus::connect_to(const std::string& address, bool direct) {
  SystemdBus bus;
  bus.address_ = address;
  bus.direct_ = direct;
  const std::string path = address_value(address, "path");
  if (path.empty()) {
    return std::unexpected(
        Error::with_cause(EAFNOSUPPORT, "not an address of the form unix:path=..."));
  }
  bus.socket_ = TRY_CTX(sys::connect_unix(path), "connect to ", path);
  TRY(bus.authenticate());
  if (!direct) TRY(bus.join_bus());
  return bus;
}

// The kernel's credentials of the socket say who we are; an EXTERNAL without a name leaves it at
// that, which also is right in a user namespace, where our own idea of our uid is not the bus's.
Result<> SystemdBus::authenticate() {
  constexpr std::string_view kHello{"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n", 29};
  TRY_CTX(sys::send_message(socket_, kHello), "greet ", address_);
  const auto deadline = Deadline::in_ms(kConnectTimeoutMs);
  // "DATA\r\nOK guid\r\n", then messages.
  for (;;) {
    const std::size_t ok = unread_.find("OK ");
    const std::size_t end = ok == unread_.npos ? unread_.npos : unread_.find("\r\n", ok);
    if (end != unread_.npos) {
      unread_.erase(0, end + 2);
      return {};
    }
    if (unread_.starts_with("REJECTED") || unread_.find("\nREJECTED") != unread_.npos ||
        unread_.size() > 4096) {
      return std::unexpected(
          Error::with_cause(EACCES, cat(address_, " does not let this user in")));
    }
    TRY(fill(deadline, "log in"));
  }
}

Result<> SystemdBus::join_bus() {
  dbus::Message hello;
  hello.destination = kBus;
  hello.path = "/org/freedesktop/DBus";
  hello.interface = kBus;
  hello.member = "Hello";
  TRY(send(hello));
  TRY(reply_to(hello.serial, "join the bus"));
  dbus::Message match = hello;
  match.member = "AddMatch";
  match.signature = "s";
  dbus::Writer rule;
  rule.string(cat("type='signal',sender='", kSystemd, "',interface='", kManager,
                  "',member='JobRemoved',path='", kManagerPath, "'"));
  match.body = rule.bytes();
  TRY(send(match));
  TRY(reply_to(match.serial, "ask for signals"));
  TRY(call("Subscribe", "", ""));
  return {};
}

// --- messages

Result<> SystemdBus::send(dbus::Message& message) {
  message.serial = ++serial_;
  TRY_CTX(sys::send_message(socket_, dbus::encode(message)), "write to ", address_);
  return {};
}

Result<> SystemdBus::fill(const Deadline& deadline, std::string_view what) {
  char buffer[16384];
  const bool ready = TRY_CTX(sys::wait_readable(socket_, deadline.left_ms()), what);
  if (!ready) return std::unexpected(timed_out(what, address_));
  const std::size_t got = TRY_CTX(sys::read(socket_, buffer, sizeof buffer), what);
  if (got == 0) {
    return std::unexpected(
        Error::with_cause(ECONNRESET, cat(address_, " closed the connection")).doing(what));
  }
  unread_.append(buffer, got);
  return {};
}

Result<dbus::Message> SystemdBus::receive(const Deadline& deadline, std::string_view what) {
  for (;;) {
    auto size = dbus::message_size(unread_);
    if (!size) return std::unexpected(nonsense(what, address_));
    if (*size != 0 && unread_.size() >= *size) {
      auto message = dbus::decode(std::string_view(unread_).substr(0, *size));
      unread_.erase(0, *size);
      if (!message) return std::unexpected(nonsense(what, address_));
      note_job(*message);
      return std::move(*message);
    }
    if (deadline.passed()) return std::unexpected(timed_out(what, address_));
    TRY(fill(deadline, what));
  }
}

void SystemdBus::note_job(const dbus::Message& message) {
  const bool removed = message.type == dbus::MessageType::kSignal &&
                       message.member == "JobRemoved" && message.interface == kManager &&
                       message.signature == "uoss";
  if (!removed) return;
  dbus::Reader body(message.body);
  (void)body.uint32();
  auto job = body.string();
  (void)body.string();
  auto result = body.string();
  if (!result) return;
  if (ended_.size() == kMaxRememberedJobs) ended_.erase(ended_.begin());
  ended_.emplace_back(*job, *result);
}

Result<dbus::Message> SystemdBus::reply_to(std::uint32_t serial, std::string_view what) {
  const auto deadline = Deadline::in_ms(kReplyTimeoutMs);
  for (;;) {
    dbus::Message message = TRY(receive(deadline, what));
    if (message.reply_serial != serial) continue;
    if (message.type == dbus::MessageType::kReply) return message;
    if (message.type != dbus::MessageType::kError) continue;
    std::string text;
    if (message.signature.starts_with('s')) text = dbus::Reader(message.body).string().value_or("");
    return std::unexpected(Error::with_cause(EREMOTEIO, cat(message.error_name, ": ", text))
                               .doing(what)
                               .code(message.error_name));
  }
}

Result<dbus::Message> SystemdBus::call(std::string_view method, std::string_view signature,
                                       std::string_view body) {
  dbus::Message message;
  message.destination = kSystemd;
  message.path = kManagerPath;
  message.interface = kManager;
  message.member = method;
  message.signature = signature;
  message.body = body;
  TRY(send(message));
  return reply_to(message.serial, cat("call ", method, " of systemd"));
}

Result<std::string> SystemdBus::wait_for_job(std::string_view job, int timeout_ms) {
  const auto deadline = Deadline::in_ms(timeout_ms);
  for (;;) {
    for (const auto& [ended, result] : ended_) {
      if (ended == job) return result;
    }
    TRY(receive(deadline, cat("wait for systemd's job ", job)));
  }
}

}  // namespace caisson::linux

// A connection to systemd's manager over D-Bus. Waits are bounded, and what was waited for is
// named.
//
// No libsystemd: its loading costs more than a whole container start, and five calls are needed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"
#include "formats/dbus.h"

namespace caisson::linux {

class SystemdBus {
 public:
  // `user`: the manager of the user's session. Its own socket first, which needs no daemon between;
  // DBUS_SYSTEM_BUS_ADDRESS and DBUS_SESSION_BUS_ADDRESS go before both.
  static Result<SystemdBus> connect(bool user);

  // Calls a method of org.freedesktop.systemd1.Manager. An error reply is an Error whose code() is
  // its name ("org.freedesktop.systemd1.UnitExists").
  Result<formats::dbus::Message> call(std::string_view method, std::string_view signature,
                                      std::string_view body);
  // Waits for the end of a job that a call() returned, and gives its result ("done", "failed").
  Result<std::string> wait_for_job(std::string_view job, int timeout_ms);

 private:
  SystemdBus() = default;
  static Result<SystemdBus> connect_to(const std::string& address, bool direct);
  Result<> authenticate();
  Result<> join_bus();
  Result<> send(formats::dbus::Message& message);
  Result<formats::dbus::Message> receive(const Deadline& deadline, std::string_view what);
  Result<formats::dbus::Message> reply_to(std::uint32_t serial, std::string_view what);
  Result<> fill(const Deadline& deadline, std::string_view what);
  void note_job(const formats::dbus::Message& message);

  Fd socket_;
  std::uint32_t serial_ = 0;
  std::string address_;  // for errors
  std::string unread_;
  bool direct_ = false;
  // Jobs that ended, oldest first: the signal may come before the reply that names the job.
  std::vector<std::pair<std::string, std::string>> ended_;
};

}  // namespace caisson::linux

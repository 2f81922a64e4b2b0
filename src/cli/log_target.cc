#include "cli/log_target.h"

#include <fcntl.h>
#include <syslog.h>
#include <unistd.h>

#include "base/text.h"
#include "sys/file.h"
#include "sys/socket.h"

namespace caisson::cli {
namespace {

constexpr std::string_view kJournalSocket = "/run/systemd/journal/socket";
constexpr std::string_view kSyslogSocket = "/dev/log";

// syslog(3) numbers; the journal uses the same.
int priority_of(Severity severity) {
  switch (severity) {
    case Severity::kError: return LOG_ERR;
    case Severity::kWarning: return LOG_WARNING;
    case Severity::kDebug: break;
  }
  return LOG_DEBUG;
}

bool append_to_file(const std::string& path, std::string_view line) {
  auto file = sys::openat(sys::kCwd, path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY, 0644);
  return file && sys::write_all(*file, line).has_value();
}

// Never waits: a full queue of the receiver loses the line.
bool send_datagram(std::string_view path, std::string_view data) {
  auto socket = sys::connect_unix(std::string(path), SOCK_DGRAM | SOCK_NONBLOCK);
  return socket && sys::send_message(*socket, data).has_value();
}

// A field of the journal's native protocol: NAME=value, or for values with newlines the name, the
// length in 64 bits little-endian and the value.
void append_field(std::string& out, std::string_view name, std::string_view value) {
  if (value.find('\n') == std::string_view::npos) {
    append(out, name, "=", value, "\n");
    return;
  }
  append(out, name, "\n");
  for (std::size_t length = value.size(), i = 0; i < 8; ++i, length >>= 8) {
    out += static_cast<char>(length & 0xff);
  }
  append(out, value, "\n");
}

}  // namespace

std::string_view severity_name(Severity severity) {
  switch (severity) {
    case Severity::kError: return "error";
    case Severity::kWarning: return "warning";
    case Severity::kDebug: break;
  }
  return "debug";
}

LogTarget parse_log_target(std::string_view text) {
  using Kind = LogTarget::Kind;
  constexpr struct {
    std::string_view prefix;
    Kind kind;
  } kPrefixes[] = {
      {"file:", Kind::kFile}, {"journald:", Kind::kJournal}, {"syslog:", Kind::kSyslog}};
  for (const auto& [prefix, kind] : kPrefixes) {
    if (text.starts_with(prefix)) return {kind, std::string(text.substr(prefix.size()))};
  }
  return {text.empty() ? Kind::kNone : Kind::kFile, std::string(text)};
}

std::string journal_datagram(std::string_view identifier, std::string_view program,
                             Severity severity, std::string_view message) {
  std::string out = cat("PRIORITY=", priority_of(severity), "\n");
  append_field(out, "MESSAGE", message);
  append_field(out, "ID", identifier);
  append_field(out, "SYSLOG_IDENTIFIER", program);
  return out;
}

std::string syslog_datagram(std::string_view identifier, int pid, Severity severity,
                            std::string_view message) {
  return cat("<", LOG_DAEMON | priority_of(severity), ">", identifier, "[", pid, "]: ", message);
}

bool write_log(const LogTarget& target, std::string_view program, Severity severity,
               std::string_view line, std::string_view message) {
  switch (target.kind) {
    case LogTarget::Kind::kNone: break;
    case LogTarget::Kind::kFile: return append_to_file(target.name, line);
    case LogTarget::Kind::kJournal:
      return send_datagram(kJournalSocket,
                           journal_datagram(target.name, program, severity, message));
    case LogTarget::Kind::kSyslog:
      return send_datagram(kSyslogSocket,
                           syslog_datagram(target.name, ::getpid(), severity, message));
  }
  return false;
}

}  // namespace caisson::cli

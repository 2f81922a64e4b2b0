// Where --log sends what is said: a file, systemd's journal or syslog. A line is one write(2) or
// one datagram, so that readers never see a part of it; what can't be written never fails a
// command.
#pragma once

#include <string>
#include <string_view>

namespace caisson::cli {

enum class Severity { kError, kWarning, kDebug };
// "error", "warning", "debug"
std::string_view severity_name(Severity severity);

struct LogTarget {
  enum class Kind { kNone, kFile, kJournal, kSyslog };
  Kind kind = Kind::kNone;
  std::string name;  // path, or the identifier of the lines

  bool given() const { return kind != Kind::kNone; }
};

// "PATH" and crun's "file:PATH", "journald:ID", "syslog:ID".
LogTarget parse_log_target(std::string_view text);

// `line` (with its newline) goes to a file; `message` to a journal or syslog, which have their own
// time and severity. False when it could not be written.
bool write_log(const LogTarget& target, std::string_view program, Severity severity,
               std::string_view line, std::string_view message);

// The datagrams, for tests.
std::string journal_datagram(std::string_view identifier, std::string_view program,
                             Severity severity, std::string_view message);
std::string syslog_datagram(std::string_view identifier, int pid, Severity severity,
                            std::string_view message);

}  // namespace caisson::cli

#include "cli/error_report.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "formats/json.h"
#include "sys/file.h"
#include "sys/tty.h"

namespace caisson::cli {
namespace {

// As logrus writes it where no terminal reads: seconds, and quotes where they are needed.
std::string logrus_line(Severity severity, std::string_view message, std::int64_t epoch_ns) {
  constexpr std::size_t kToSeconds = std::string_view("2026-03-01T09:08:07").size();
  std::string time = rfc3339(epoch_ns).substr(0, kToSeconds) + "Z";
  return cat("time=", quoted(time), " level=", severity_name(severity), " msg=", quoted(message),
             "\n");
}

std::string json_line(Severity severity, std::string_view message, std::int64_t epoch_ns) {
  std::string out;
  formats::JsonWriter json(out);
  json.begin_object().field("level", severity_name(severity)).field("msg", message);
  json.field("time", rfc3339(epoch_ns)).end_object();
  return out + "\n";
}

void to_stderr(std::string_view text) { (void)sys::write_all(FdRef(STDERR_FILENO), text); }

}  // namespace

std::string message_of(const Error& error) {
  std::string cause = error.cause();
  bool said = !error.step().empty() && error.doing().empty() && error.where().empty() &&
              cause.starts_with(cat(error.step(), ": "));
  return said ? cause : error.message();
}

std::string error_text(std::string_view program, const Error& error) {
  // Errors of the command line begin with the command as it was called.
  bool named = error.step().empty() && error.doing().starts_with(cat(program, " "));
  std::string out = cat(named ? "" : program, named ? "" : ": ", message_of(error), "\n");
  if (!error.cure().empty()) append(out, "  cure: ", error.cure(), "\n");
  return out;
}

std::string error_json(std::string_view message, std::string_view phase, const Error& error,
                       std::int64_t epoch_ns) {
  std::string out;
  formats::JsonWriter json(out);
  json.begin_object();
  json.field("level", "error");
  json.field("msg", message);
  json.field("time", rfc3339(epoch_ns));
  auto optional = [&](std::string_view key, std::string_view value) {
    if (!value.empty()) json.field(key, value);
  };
  optional("code", error.code());
  optional("phase", phase);
  optional("step", error.step());
  optional("object", error.doing());
  optional("where", error.where());
  json.field("cause", error.cause());
  optional("errno", errno_name(error.errno_value()));
  optional("cure", error.cure());
  json.end_object();
  out += '\n';
  return out;
}

void Reporter::failure(const Error& error, std::string_view command) const {
  std::int64_t now = realtime_ns();
  if (!engine_face) {
    std::string json = error_json(message_of(error), command, error, now);
    std::string text = error_text(program, error);
    bool as_json = format == LogFormat::kJson;
    bool logged = write_log(log, program, Severity::kError,
                            as_json ? json : logrus_line(Severity::kError, message_of(error), now),
                            message_of(error));
    return to_stderr(as_json && !logged ? json : text);
  }
  std::string message = dialect_message(
      dialect, cat(failure_prefix(dialect, command, error), message_of(error)), error);
  std::string json = error_json(message, command, error, now);
  // One line: callers count them.
  std::string readable =
      error.cure().empty() ? message : cat(message, " (cure: ", error.cure(), ")");
  std::string logrus = logrus_line(Severity::kError, readable, now);
  bool as_json = format == LogFormat::kJson;
  bool logged = write_log(log, program, Severity::kError, as_json ? json : logrus, message);
  if (as_json && !logged) return to_stderr(json);
  bool like_runc = program == "runc" && !log.given() && !sys::is_terminal(FdRef(STDERR_FILENO));
  to_stderr(like_runc ? logrus : readable + "\n");
}

void Reporter::say(Severity severity, std::string_view text) const {
  std::int64_t now = realtime_ns();
  std::string line = format == LogFormat::kJson ? json_line(severity, text, now)
                                                : logrus_line(severity, text, now);
  if (!write_log(log, program, severity, line, text)) to_stderr(line);
}

void Reporter::notice(std::string_view text) const {
  if (engine_face) {
    if (warnings || log.given()) say(Severity::kWarning, text);
    return;
  }
  if (quiet || format == LogFormat::kJson) return;
  to_stderr(cat(program, ": note: ", text, "\n"));
}

void Reporter::warn_always(std::string_view text) const {
  if (log.given()) say(Severity::kWarning, text);
  to_stderr(cat(text, "\n"));
}

void Reporter::trace(std::string_view text) const {
  if (debug && engine_face) say(Severity::kDebug, text);
}

Result<> print(std::string_view text) {
  TRY_CTX(sys::write_all(FdRef(STDOUT_FILENO), text), "write to stdout");
  return {};
}

}  // namespace caisson::cli

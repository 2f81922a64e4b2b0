#include "cli/error_report.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "formats/json.h"
#include "sys/file.h"

namespace caisson::cli {
namespace {

// The line in the log of a runtime without --log-format json.
std::string log_line(std::string_view message, std::int64_t epoch_ns) {
  return cat("time=", quoted(rfc3339(epoch_ns)), " level=error msg=", quoted(message), "\n");
}

// One write(2): readers of the log take it line by line while we append.
bool append_to_log(const std::string& path, std::string_view line) {
  auto file = sys::openat(sys::kCwd, path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY, 0644);
  return file && sys::write_all(*file, line).has_value();
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

std::string error_json(std::string_view message, const Error& error, std::int64_t epoch_ns) {
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

void Reporter::failure(const Error& error, std::string_view prefix) const {
  std::int64_t now = realtime_ns();
  std::string message = cat(prefix, message_of(error));
  bool logged = false;
  if (!log_path.empty()) {
    logged = append_to_log(log_path, format == LogFormat::kJson ? error_json(message, error, now)
                                                                : log_line(message, now));
  }
  if (format == LogFormat::kJson && !logged) return to_stderr(error_json(message, error, now));
  if (!engine_face) return to_stderr(error_text(program, error));
  // Engines show the first lines of stderr to their users as they are.
  std::string text = cat(message, "\n");
  if (!error.cure().empty()) append(text, "  cure: ", error.cure(), "\n");
  to_stderr(text);
}

void Reporter::notice(std::string_view text) const {
  if (quiet || engine_face || format == LogFormat::kJson) return;
  to_stderr(cat(program, ": note: ", text, "\n"));
}

Result<> print(std::string_view text) {
  TRY_CTX(sys::write_all(FdRef(STDOUT_FILENO), text), "write to stdout");
  return {};
}

}  // namespace caisson::cli

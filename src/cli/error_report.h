// The one place where a failure becomes output: text for people, a JSON line for programs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/dialect.h"
#include "cli/log_target.h"

namespace caisson::cli {

enum class LogFormat { kText, kJson };

// Error::message(), without the step where the cause begins with it: `exec: "x": not found`.
std::string message_of(const Error& error);

// "caisson: step: doing: where: cause\n" and, when there is one, "  cure: ...\n".
std::string error_text(std::string_view program, const Error& error);

// One JSON object and a newline: level, msg and time as every OCI runtime writes them, and the
// parts of the error (code, phase, step, object, where, cause, errno, cure) for who wants more.
// `phase` is the command that failed.
std::string error_json(std::string_view message, std::string_view phase, const Error& error,
                       std::int64_t epoch_ns);

// Where failures and notices go. Engines get every line once in the log and once, readable, on
// stderr, of which they show the first lines to their users.
struct Reporter {
  std::string program = "caisson";
  bool engine_face = false;
  Dialect dialect = Dialect::kRunc;
  LogFormat format = LogFormat::kText;
  LogTarget log;
  // What is said besides failures. crun says nothing more by default, runc warns.
  bool warnings = true, debug = false;
  bool quiet = false;

  // `command` is the one that failed, for engines. Never fails: what cannot be written to the log
  // still reaches stderr.
  void failure(const Error& error, std::string_view command = {}) const;
  // Something limited or skipped that does not stop the command.
  void notice(std::string_view text) const;
  // The same for what nobody may miss: it goes to stderr as well as to the log.
  void warn_always(std::string_view text) const;
  // What is done, for who asked with --debug.
  void trace(std::string_view text) const;

 private:
  void say(Severity severity, std::string_view text) const;
};

// Writes all of `text` to stdout. An Error when the reader went away or the disk is full.
Result<> print(std::string_view text);

}  // namespace caisson::cli

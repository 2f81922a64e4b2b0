// The one place where a failure becomes output: text for people, a JSON line for programs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace caisson::cli {

enum class LogFormat { kText, kJson };

// Error::message(), without the step where the cause begins with it: `exec: "x": not found`.
std::string message_of(const Error& error);

// "caisson: step: doing: where: cause\n" and, when there is one, "  cure: ...\n".
std::string error_text(std::string_view program, const Error& error);

// One JSON object and a newline: level, msg and time as every OCI runtime writes them, and the
// parts of the error (code, step, object, where, cause, errno, cure) for who wants more.
std::string error_json(std::string_view message, const Error& error, std::int64_t epoch_ns);

// Where failures and notices go.
struct Reporter {
  std::string program = "caisson";
  bool engine_face = false;
  LogFormat format = LogFormat::kText;
  bool format_given = false;
  std::string log_path;  // empty: stderr
  bool quiet = false;

  // `prefix` goes before the message: "runc create failed: ". Never fails: what cannot be written
  // to the log still reaches stderr.
  void failure(const Error& error, std::string_view prefix = {}) const;
  // Something limited or skipped that does not stop the command. Shown to people only.
  void notice(std::string_view text) const;
};

// Writes all of `text` to stdout. An Error when the reader went away or the disk is full.
Result<> print(std::string_view text);

}  // namespace caisson::cli

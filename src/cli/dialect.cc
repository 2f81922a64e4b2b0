#include "cli/dialect.h"

#include "base/text.h"

namespace caisson::cli {
namespace {

Error misuse(std::string cause) { return Error::invalid(std::move(cause)).code(kUsageCode); }

// "Is a directory" -> "is a directory", as Go's syscall package has it.
void lower_errno_text(std::string& message, const Error& error) {
  std::string_view text = errno_text(error.errno_value());
  if (text.size() < 2 || text[0] < 'A' || text[0] > 'Z') return;
  if (text[1] >= 'A' && text[1] <= 'Z') return;  // "RFS specific error"
  if (!message.ends_with(text)) return;
  char& first = message[message.size() - text.size()];
  first = static_cast<char>(first - 'A' + 'a');
}

// `exec: "x": executable file not found in $PATH` -> crun's words.
void take_crun_missing_program(std::string& message) {
  constexpr std::string_view kBegin = "exec: \"", kEnd = "\": executable file not found in $PATH";
  auto begin = message.find(kBegin), end = message.find(kEnd);
  if (begin == std::string::npos || end == std::string::npos || end < begin + kBegin.size()) return;
  auto name = message.substr(begin + kBegin.size(), end - begin - kBegin.size());
  message.replace(
      begin, end + kEnd.size() - begin,
      cat("executable file `", name, "` not found in $PATH: No such file or directory"));
}

// `exec: "/x": exec format error` -> `exec /x: exec format error`: where the program was found and
// execve(2) refused it, Go's wording has no quotes.
void take_go_exec_failure(std::string& message, const Error& error) {
  bool refused = error.code() == "exec.interpreter" || error.code() == "exec.format" ||
                 error.code() == "exec.crlf" || error.code() == "exec.architecture";
  auto begin = message.find("exec: \"");
  auto end = message.find("\": ", begin == std::string::npos ? 0 : begin);
  if (!refused || begin == std::string::npos || end == std::string::npos) return;
  message.erase(end, 1);
  message.erase(begin + 4, 1);
  message.erase(begin + 5, 1);
}

// Engines and their users look for these words, up to Docker's documentation.
void take_runc_mount_failure(std::string& message, const Error& error) {
  std::string step = cat(error.step(), ": ");
  auto begin = message.find(step);
  if (error.code() != "mount.failed" || begin == std::string::npos) return;
  message.replace(begin, step.size(), "error during container init: error mounting: ");
}

}  // namespace

Dialect dialect_of(std::string_view program) {
  return program == "crun" ? Dialect::kCrun : Dialect::kRunc;
}

Error unknown_engine_command(Dialect dialect, std::string_view name) {
  if (dialect == Dialect::kCrun) return misuse(cat("unknown command ", name));
  return misuse(cat("No help topic for '", name, "'"));
}

Error wrong_operand_count(Dialect dialect, std::string_view program, std::string_view command,
                          int count, int minimum, int maximum) {
  bool too_few = count < minimum;
  if (dialect == Dialect::kCrun) {
    if (too_few && count == 0) return misuse("please specify a ID for the container");
    return misuse(cat(program, ": `", command, "` requires a ", too_few ? "minimum" : "maximum",
                      " of ", too_few ? minimum : maximum, " arguments"));
  }
  std::string_view bound = minimum == maximum ? "exactly"
                           : too_few          ? "a minimum of"
                                              : "a maximum of";
  return misuse(cat(program, ": \"", command, "\" requires ", bound, " ",
                    too_few ? minimum : maximum, " argument(s)"));
}

std::string failure_prefix(Dialect dialect, std::string_view command, const Error& error) {
  if (dialect == Dialect::kCrun) return {};
  std::string prefix;
  if (command == "create" || command == "run" || command == "restore") {
    prefix = cat("runc ", command, " failed: ");
  } else if (command == "exec") {
    prefix = "exec failed: ";
  }
  bool of_container = error.code().starts_with("container.");
  if (!prefix.empty() && !error.step().empty() && !of_container)
    prefix += "unable to start container process: ";
  return prefix;
}

std::string dialect_message(Dialect dialect, std::string message, const Error& error) {
  if (dialect == Dialect::kCrun) {
    take_crun_missing_program(message);
  } else {
    lower_errno_text(message, error);
    take_runc_mount_failure(message, error);
    take_go_exec_failure(message, error);
  }
  return message;
}

}  // namespace caisson::cli

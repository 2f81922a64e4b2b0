// What engines and scripts know of the runtime that they were written for: the sentences, exit
// statuses and forms in which runc and crun differ. caisson-oci speaks runc's.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/args.h"

namespace caisson::cli {

enum class Dialect { kRunc, kCrun };

Dialect dialect_of(std::string_view program);

inline Wording wording_of(Dialect dialect) {
  return dialect == Dialect::kCrun ? Wording::kArgp : Wording::kGo;
}

// Exit statuses of a command line that can't be understood.
inline int bad_option_status(Dialect dialect) { return dialect == Dialect::kCrun ? 64 : 1; }
inline int unknown_command_status(Dialect dialect) { return dialect == Dialect::kCrun ? 1 : 3; }

Error unknown_engine_command(Dialect dialect, std::string_view name);
// `count` operands where `minimum` to `maximum` (-1: any number) are taken.
Error wrong_operand_count(Dialect dialect, std::string_view program, std::string_view command,
                          int count, int minimum, int maximum);

// What engines expect in front of a failure of `command`.
std::string failure_prefix(Dialect dialect, std::string_view command, const Error& error);
// The message of a failure as callers match it: runc's has Go's small letters at the start of the
// system's error texts, crun's its own sentence for a missing program.
std::string dialect_message(Dialect dialect, std::string message, const Error& error);

}  // namespace caisson::cli

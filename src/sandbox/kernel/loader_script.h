// The first line of a script: "#! interpreter [argument]" (execve(2), "Interpreter scripts").
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"

namespace caisson::sandbox::kernel {

constexpr std::size_t kScriptLineLimit = 256;  // bytes of the file that are looked at
constexpr int kScriptDepth = 5;                // interpreters that are scripts themselves

struct ScriptLine {
  std::string interpreter;
  std::optional<std::string> argument;  // the rest of the line, as one
};

bool has_script_magic(std::span<const std::byte> start);
// `start`: the file's first bytes, at most kScriptLineLimit. ENOEXEC: no such line, or one whose
// interpreter may be cut off.
ErrnoOr<ScriptLine> parse_script(std::span<const std::byte> start);

}  // namespace caisson::sandbox::kernel

#include "sandbox/kernel/loader_script.h"

#include <cerrno>
#include <string_view>

namespace caisson::sandbox::kernel {
namespace {

constexpr std::string_view kBlanks = " \t";
constexpr std::string_view kEnds{" \t\0", 3};  // what ends the interpreter's name

}  // namespace

bool has_script_magic(std::span<const std::byte> start) {
  return start.size() >= 2 && start[0] == std::byte{'#'} && start[1] == std::byte{'!'};
}

// fs/binfmt_script.c of Linux, to the byte: a file that is shorter than the limit is read as if
// zero bytes followed, and those end names too.
ErrnoOr<ScriptLine> parse_script(std::span<const std::byte> start) {
  if (!has_script_magic(start)) return std::unexpected(Errno{ENOEXEC});
  std::string padded(reinterpret_cast<const char*>(start.data()), start.size());
  padded.resize(kScriptLineLimit, '\0');
  std::string_view line = std::string_view(padded).substr(2);
  std::size_t end = line.find_first_of(std::string_view("\n\0", 2));
  if (end == std::string_view::npos || line[end] == '\0') {
    std::size_t name = line.find_first_not_of(kBlanks);
    bool is_cut =
        name == std::string_view::npos || line.find_first_of(kEnds, name) == std::string_view::npos;
    if (is_cut) return std::unexpected(Errno{ENOEXEC});
    end = line.size() - 1;
  }
  line = line.substr(0, end);
  line = line.substr(0, line.find_last_not_of(kBlanks) + 1);
  std::size_t begin = line.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return std::unexpected(Errno{ENOEXEC});
  line = line.substr(begin);
  std::size_t stop = line.find_first_of(kEnds);
  ScriptLine script;
  script.interpreter = line.substr(0, stop);
  if (script.interpreter.empty()) return std::unexpected(Errno{ENOEXEC});
  if (stop == std::string_view::npos || line[stop] == '\0') return script;
  std::string_view rest = line.substr(stop);
  rest = rest.substr(rest.find_first_not_of(kBlanks));
  script.argument = std::string(rest.substr(0, rest.find('\0')));
  return script;
}

}  // namespace caisson::sandbox::kernel

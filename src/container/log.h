// The log of a supervised container: one line per line of output, in the format of CRI:
//   2026-11-22T10:00:00.123456789Z stdout F text
// F ends a line of the program, P is a part of one that goes on in the next line of the same
// stream.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace caisson::container {

inline constexpr const char* kLogFile = "log";           // in the container's folder
inline constexpr const char* kOldLogFile = "log.1";      // what was rotated out, once
inline constexpr std::size_t kLogPartLimit = 16 * 1024;  // bytes of text in one line

struct LogLine {
  std::string_view time, stream, text;
  bool partial = false;
};
// A line without its newline; empty optional when it is none.
std::optional<LogLine> parse_log_line(std::string_view line);

// Writes the log in the folder `dir`. Holds nothing back: what does not end in a newline is written
// as a part at once, so that a killed writer loses nothing that it had read. Each write() is one
// write(2).
class LogWriter {
 public:
  // `limit`: bytes after which `log` becomes `log.1` (0: never).
  static Result<LogWriter> open(FdRef dir, std::uint64_t limit);
  // `stream` is "stdout" or "stderr".
  void write(std::string_view stream, std::string_view bytes);

 private:
  LogWriter(Fd dir, std::uint64_t limit) : dir_(std::move(dir)), limit_(limit) {}
  ErrnoOr<> open_file();
  void rotate();

  Fd dir_, file_;
  std::uint64_t limit_ = 0, size_ = 0;
};

}  // namespace caisson::container

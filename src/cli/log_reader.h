// Reads the log of a supervised container, and goes on reading while the container writes.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "container/api.h"
#include "container/log.h"

namespace caisson::cli {

using LogVisitor = std::function<Result<>(const container::LogLine&)>;

// The last `count` lines of the log, the rotated part included, oldest first; -1: all. Lines are
// without newline, as in the file.
Result<std::vector<std::string>> last_log_lines(const std::string& folder, long count);

// Everything from now on: `from` is what of the current file was read already. Ends when the
// container has stopped and its log is read to the end.
class LogFollower {
 public:
  // Opens before the first reading, so that no line is lost or doubled between the two.
  static Result<LogFollower> open(const std::string& folder);
  // Lines so far, of one stream or (empty) both; the last `count` whole ones at most (-1: all).
  Result<> read_past(long count, std::string_view stream, const LogVisitor& visit);
  Result<> follow(container::Context& containers, const std::string& name, const LogVisitor& visit);

 private:
  LogFollower() = default;
  Result<bool> read_more(const LogVisitor& visit);
  Result<bool> reopen_if_rotated();

  std::string folder_;
  Fd watch_, file_;
  std::string pending_;  // the begin of a line whose end is not written yet
};

}  // namespace caisson::cli

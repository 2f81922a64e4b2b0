// What --timeline shows: every step of a start with its begin and end.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plan/executor.h"

namespace caisson::cli {

// When a program began, as far as it can be told from inside: main, and before it the fork of the
// process, the kernel's execve(2), relocation, the start of libc.
struct ProgramStart {
  std::int64_t main_ns = 0;   // CLOCK_MONOTONIC; 0: nobody asked
  std::int64_t begin_ns = 0;  // the same, of the process; main_ns when that is not known
};
// To be called first thing in main. What came before is the processor time that the process has
// used and the time that it has waited for a processor: all of its life but for waits of other
// kinds, of which a program that is in memory has none. A process that was another program for a
// while is found out by its age, and its begin not known.
ProgramStart look_at_program_start();

class TimelineRecorder final : public plan::Timeline {
 public:
  // The step "before-main", when it is known, and "command" from main until now.
  TimelineRecorder(const ProgramStart& start, std::int64_t now_ns);
  void step(std::string_view track, std::string_view name, std::int64_t begin_ns,
            std::int64_t end_ns) override;

  // A line per step: times in milliseconds since the program began, and a bar; below, how much of
  // the time until `end_ns` is within a step.
  std::string bars(std::int64_t end_ns) const;
  // Chrome's trace event format, for chrome://tracing and Perfetto.
  std::string trace_events() const;

 private:
  struct Step {
    std::string track, name;
    std::int64_t begin_ns, end_ns;
  };
  std::vector<Step> sorted() const;
  std::int64_t covered_ns() const;
  std::int64_t begin_ns_;  // of the program
  std::vector<Step> steps_;
};

}  // namespace caisson::cli

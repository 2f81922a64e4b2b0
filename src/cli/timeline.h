// What --timeline shows: every step of a start with its begin and end.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plan/executor.h"

namespace caisson::cli {

class TimelineRecorder final : public plan::Timeline {
 public:
  TimelineRecorder();
  void step(std::string_view track, std::string_view name, std::int64_t begin_ns,
            std::int64_t end_ns) override;

  // A line per step: times in milliseconds since the program began, and a bar.
  std::string bars() const;
  // Chrome's trace event format, for chrome://tracing and Perfetto.
  std::string trace_events() const;

 private:
  struct Step {
    std::string track, name;
    std::int64_t begin_ns, end_ns;
  };
  std::vector<Step> sorted() const;
  std::int64_t begin_ns_;
  std::vector<Step> steps_;
};

}  // namespace caisson::cli

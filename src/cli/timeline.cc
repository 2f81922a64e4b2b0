#include "cli/timeline.h"

#include <algorithm>

#include "base/clock.h"
#include "base/text.h"
#include "cli/table.h"
#include "formats/json.h"

namespace caisson::cli {
namespace {

constexpr std::int64_t kBarWidth = 40;

// "1.234": milliseconds with three digits behind the point.
std::string milliseconds(std::int64_t ns) {
  std::int64_t us = std::max<std::int64_t>(ns, 0) / 1000;
  std::string fraction = cat(us % 1000);
  return cat(us / 1000, ".", std::string(3 - fraction.size(), '0'), fraction);
}

std::string microseconds(std::int64_t ns) {
  std::int64_t value = std::max<std::int64_t>(ns, 0);
  std::string fraction = cat(value % 1000);
  return cat(value / 1000, ".", std::string(3 - fraction.size(), '0'), fraction);
}

}  // namespace

TimelineRecorder::TimelineRecorder() : begin_ns_(monotonic_ns()) { steps_.reserve(64); }

void TimelineRecorder::step(std::string_view track, std::string_view name, std::int64_t begin_ns,
                            std::int64_t end_ns) {
  steps_.push_back({std::string(track), std::string(name), begin_ns, end_ns});
}

std::vector<TimelineRecorder::Step> TimelineRecorder::sorted() const {
  std::vector<Step> steps = steps_;
  std::ranges::stable_sort(steps, {}, &Step::begin_ns);
  return steps;
}

std::string TimelineRecorder::bars() const {
  std::vector<Step> steps = sorted();
  if (steps.empty()) return "timeline: no step was recorded\n";
  std::int64_t origin = std::min(begin_ns_, steps.front().begin_ns);
  std::int64_t end = std::ranges::max(steps, {}, &Step::end_ns).end_ns;
  std::int64_t whole = std::max<std::int64_t>(end - origin, 1);
  Table table({"TRACK", "STEP", "BEGIN", "TOOK", "ms"});
  for (const auto& step : steps) {
    auto left = (step.begin_ns - origin) * kBarWidth / whole;
    auto right = (step.end_ns - origin) * kBarWidth / whole;
    std::string bar(static_cast<std::size_t>(std::max<std::int64_t>(left, 0)), ' ');
    bar.append(static_cast<std::size_t>(std::max<std::int64_t>(right - left, 1)), '#');
    table.add({step.track, step.name, milliseconds(step.begin_ns - origin),
               milliseconds(step.end_ns - step.begin_ns), std::move(bar)});
  }
  return cat("timeline: ", milliseconds(whole), " ms\n", table.text());
}

std::string TimelineRecorder::trace_events() const {
  std::string out;
  formats::JsonWriter json(out);
  json.begin_object().key("traceEvents").begin_array();
  std::vector<std::string> tracks;
  for (const auto& step : sorted()) {
    auto track = std::ranges::find(tracks, step.track);
    auto number = track - tracks.begin() + 1;
    if (track == tracks.end()) {
      tracks.push_back(step.track);
      json.begin_object().field("name", "thread_name").field("ph", "M").field("pid", 1);
      json.field("tid", number).key("args").begin_object().field("name", step.track).end_object();
      json.end_object();
    }
    json.begin_object().field("name", step.name).field("cat", "start").field("ph", "X");
    json.field("pid", 1).field("tid", number);
    json.key("ts").raw(microseconds(step.begin_ns - begin_ns_));
    json.key("dur").raw(microseconds(step.end_ns - step.begin_ns)).end_object();
  }
  json.end_array().end_object();
  out += '\n';
  return out;
}

}  // namespace caisson::cli

#include "cli/timeline.h"

#include <algorithm>

#include "base/clock.h"
#include "base/text.h"
#include "cli/table.h"
#include "formats/json.h"
#include "sys/file.h"
#include "sys/process.h"

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

ProgramStart look_at_program_start() {
  constexpr std::int64_t kTickNs = 10'000'000;  // of /proc/PID/stat: USER_HZ is 100
  ProgramStart start;
  start.main_ns = start.begin_ns = monotonic_ns();
  auto run = sys::clock_ns(CLOCK_THREAD_CPUTIME_ID);
  auto since_boot = sys::clock_ns(CLOCK_BOOTTIME);
  auto ticks = sys::process_start_time(sys::getpid());
  if (!run || !since_boot || !ticks) return start;
  // "RUN DELAY SLICES"; the first is not up to date.
  auto text = sys::read_file(sys::kCwd, "/proc/self/schedstat").value_or(std::string());
  auto fields = split(text, ' ');
  auto delay = fields.size() > 1 ? parse_number<std::int64_t>(fields[1]) : std::nullopt;
  std::int64_t before = *run + delay.value_or(0);
  std::int64_t age = *since_boot - static_cast<std::int64_t>(*ticks) * kTickNs;
  if (age - before <= 2 * kTickNs) start.begin_ns -= before;
  return start;
}

TimelineRecorder::TimelineRecorder(const ProgramStart& start, std::int64_t now_ns)
    : begin_ns_(start.main_ns != 0 ? start.begin_ns : now_ns) {
  steps_.reserve(64);
  if (start.main_ns == 0) return;
  if (start.begin_ns != start.main_ns) {
    step("parent", "before-main", start.begin_ns, start.main_ns);
  }
  step("parent", "command", start.main_ns, now_ns);
}

void TimelineRecorder::step(std::string_view track, std::string_view name, std::int64_t begin_ns,
                            std::int64_t end_ns) {
  steps_.push_back({std::string(track), std::string(name), begin_ns, end_ns});
}

std::vector<TimelineRecorder::Step> TimelineRecorder::sorted() const {
  std::vector<Step> steps = steps_;
  std::ranges::stable_sort(steps, {}, &Step::begin_ns);
  return steps;
}

// Steps of several tracks, and steps within steps, count once.
std::int64_t TimelineRecorder::covered_ns() const {
  std::int64_t covered = 0, until = begin_ns_;
  for (const auto& step : sorted()) {
    if (step.end_ns <= until) continue;
    covered += step.end_ns - std::max(step.begin_ns, until);
    until = step.end_ns;
  }
  return covered;
}

std::string TimelineRecorder::bars(std::int64_t end_ns) const {
  std::vector<Step> steps = sorted();
  std::int64_t origin = begin_ns_;
  std::int64_t whole = std::max<std::int64_t>(end_ns - origin, 1);
  Table table({"TRACK", "STEP", "BEGIN", "TOOK", "ms"});
  for (const auto& step : steps) {
    auto left = (step.begin_ns - origin) * kBarWidth / whole;
    auto right = (step.end_ns - origin) * kBarWidth / whole;
    std::string bar(static_cast<std::size_t>(std::max<std::int64_t>(left, 0)), ' ');
    bar.append(static_cast<std::size_t>(std::max<std::int64_t>(right - left, 1)), '#');
    table.add({step.track, step.name, milliseconds(step.begin_ns - origin),
               milliseconds(step.end_ns - step.begin_ns), std::move(bar)});
  }
  return cat("timeline: ", milliseconds(whole), " ms\n", table.text(),
             "within steps: ", covered_ns() * 100 / whole, " %\n");
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

#include "cli/table.h"

#include <gtest/gtest.h>

#include "cli/timeline.h"

namespace caisson::cli {
namespace {

TEST(Table, AlignsColumnsByCharacters) {
  Table table({"NAME", "PID"});
  table.add({"wéb", "12"});
  table.add({"database", "3"});
  EXPECT_EQ(table.text(),
            "NAME       PID\n"
            "wéb        12\n"
            "database   3\n");
}

TEST(Table, HasAMinimumWidth) {
  Table table({"ID", "PID"}, 5);
  EXPECT_EQ(table.text(), "ID      PID\n");
}

TEST(Table, SaysAgesInTheLargestUnit) {
  EXPECT_EQ(human_age(1'500'000'000), "1 second");
  EXPECT_EQ(human_age(std::int64_t{125} * 1'000'000'000), "2 minutes");
  EXPECT_EQ(human_age(std::int64_t{90'000} * 1'000'000'000), "1 day");
  EXPECT_EQ(human_age(-5), "0 seconds");
}

TEST(Table, ShowsCommandsAsAShellReadsThem) {
  EXPECT_EQ(command_text({"sh", "-c", "echo hi", ""}, 60), "sh -c 'echo hi' ''");
  EXPECT_EQ(command_text({"printf", "\x1b[2J"}, 60), "printf '?[2J'");
  EXPECT_EQ(command_text({"abcdefghijkl"}, 8), "abcde...");
}

constexpr std::int64_t kMs = 1'000'000;

TEST(Timeline, DrawsBarsInOrderOfTheirBegin) {
  TimelineRecorder recorder({.main_ns = 2 * kMs, .begin_ns = 1 * kMs}, 3 * kMs);
  recorder.step("parent", "second", 9 * kMs, 10 * kMs);
  recorder.step("child", "first", 3 * kMs, 6 * kMs);
  std::string bars = recorder.bars(11 * kMs);
  EXPECT_EQ(bars.substr(0, bars.find('\n')), "timeline: 10.000 ms");
  EXPECT_LT(bars.find("before-main"), bars.find("command"));
  EXPECT_LT(bars.find("command"), bars.find("first"));
  EXPECT_LT(bars.find("first"), bars.find("second"));
  EXPECT_NE(bars.find("############\n"), std::string::npos);
}

TEST(Timeline, CountsStepsWithinStepsOnce) {
  TimelineRecorder recorder({.main_ns = 2 * kMs, .begin_ns = 1 * kMs}, 3 * kMs);
  recorder.step("child", "within", 4 * kMs, 5 * kMs);
  recorder.step("parent", "around", 3 * kMs, 6 * kMs);
  recorder.step("parent", "later", 9 * kMs, 10 * kMs);
  EXPECT_TRUE(recorder.bars(11 * kMs).ends_with("within steps: 60 %\n"));
}

TEST(Timeline, KnowsNothingOfWhatWasBeforeWhenTheProgramWasAnotherOne) {
  TimelineRecorder recorder({.main_ns = 2 * kMs, .begin_ns = 2 * kMs}, 3 * kMs);
  EXPECT_EQ(recorder.bars(4 * kMs).find("before-main"), std::string::npos);
}

TEST(Timeline, WritesTraceEvents) {
  TimelineRecorder recorder({}, 0);
  recorder.step("parent", "clone", 0, 1'500);
  std::string trace = recorder.trace_events();
  EXPECT_NE(trace.find(R"("name":"clone","cat":"start","ph":"X")"), std::string::npos);
  EXPECT_NE(trace.find(R"("dur":1.500)"), std::string::npos);
}

}  // namespace
}  // namespace caisson::cli

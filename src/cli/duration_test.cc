#include "cli/duration.h"

#include <gtest/gtest.h>

namespace caisson::cli {
namespace {

TEST(Duration, ReadsNumbersWithUnits) {
  EXPECT_EQ(parse_duration("5s"), 5'000'000'000);
  EXPECT_EQ(parse_duration("100ms"), 100'000'000);
  EXPECT_EQ(parse_duration("1m30s"), 90'000'000'000);
  EXPECT_EQ(parse_duration("1.5h"), 5'400'000'000'000);
  EXPECT_EQ(parse_duration(".5s"), 500'000'000);
  EXPECT_EQ(parse_duration("7us"), 7'000);
  EXPECT_EQ(parse_duration("\u00b5s"), std::nullopt);
  EXPECT_EQ(parse_duration("3\u00b5s"), 3'000);
  EXPECT_EQ(parse_duration("0"), 0);
  EXPECT_EQ(parse_duration("-1s"), -1'000'000'000);
}

TEST(Duration, RefusesTheRest) {
  for (const char* text : {"", "5", "s", "-", "5x", "5s5", "1..5s", ".s", "1h-5m", "9999999999h",
                           "5 s", "9223372036s1s"}) {
    EXPECT_EQ(parse_duration(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace caisson::cli

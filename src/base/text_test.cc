#include "base/text.h"

#include <limits>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/result.h"

namespace caisson {
namespace {

TEST(Text, CatJoinsMixedParts) { EXPECT_EQ(cat("a", 1, 'b', std::string("c"), true), "a1bctrue"); }

TEST(Text, ParseNumberTakesTheWholeTextOnly) {
  EXPECT_EQ(parse_number<int>("42"), 42);
  EXPECT_EQ(parse_number<int>("-1"), -1);
  EXPECT_FALSE(parse_number<int>("42 "));
  EXPECT_FALSE(parse_number<int>(""));
  EXPECT_FALSE(parse_number<std::uint8_t>("256"));
  EXPECT_FALSE(parse_number<unsigned>("-1"));
}

TEST(Text, ParseSizeKnowsBinarySuffixes) {
  EXPECT_EQ(parse_size("100"), 100);
  EXPECT_EQ(parse_size("64m"), 64 << 20);
  EXPECT_EQ(parse_size("1GiB"), 1 << 30);
  EXPECT_EQ(parse_size("2kb"), 2048);
  EXPECT_EQ(parse_size("7b"), 7);
  EXPECT_EQ(parse_size("2p"), std::int64_t{2} << 50);
  EXPECT_EQ(parse_size("1 g"), 1 << 30);
}

TEST(Text, ParseSizeRoundsFractionsDown) {
  EXPECT_EQ(parse_size("1.5g"), std::int64_t{3} << 29);
  EXPECT_EQ(parse_size("0.25KiB"), 256);
  EXPECT_EQ(parse_size("1.9"), 1);
  EXPECT_EQ(parse_size("0.3k"), 307);
  EXPECT_EQ(parse_size("8191.9999999999999999999p"), std::numeric_limits<std::int64_t>::max());
  for (const char* bad : {"1.", ".5g", "1.5.5g", "1,5g", "-1.5g", "1.5 ", "8192p", "1.x"}) {
    EXPECT_FALSE(parse_size(bad)) << bad;
  }
}

TEST(Text, KilledTextNamesTheSignal) {
  EXPECT_EQ(killed_text(31), "killed by signal 31 (bad system call)");
  EXPECT_EQ(killed_text(9), "killed by signal 9 (killed)");
}

TEST(Text, ParseSizeRefusesOthers) {
  for (auto bad : {"", "m", "1x", "-1", "9999999999g", "1mm", "7bb"})
    EXPECT_FALSE(parse_size(bad)) << bad;
}

TEST(Text, QuotedEscapesControls) { EXPECT_EQ(quoted("a\"\\\n\x01"), "\"a\\\"\\\\\\n\\x01\""); }

TEST(Text, NearestFindsSmallMistakesOnly) {
  EXPECT_EQ(nearest("strat", {"start", "state"}), "start");
  EXPECT_EQ(nearest("zzz", {"start", "state"}), "");
}

TEST(Clock, Rfc3339MatchesKnownInstants) {
  EXPECT_EQ(rfc3339(0), "1970-01-01T00:00:00.000000000Z");
  EXPECT_EQ(rfc3339(1'709'164'799'000'000'001), "2024-02-28T23:59:59.000000001Z");
  EXPECT_EQ(rfc3339(1'709'251'199'999'999'999), "2024-02-29T23:59:59.999999999Z");
}

Result<int> fails() { return std::unexpected(Errno{2}); }
Result<int> passes_on() { return TRY_CTX(fails(), "open ", "/x") + 1; }

TEST(Result, ContextsReadOutsideIn) {
  auto result = passes_on();
  ASSERT_FALSE(result);
  EXPECT_EQ(std::move(result).error().doing("start").step("mounts").message(),
            "mounts: start: open /x: No such file or directory");
}

}  // namespace
}  // namespace caisson

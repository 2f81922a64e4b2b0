#include "cli/args.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace caisson::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Words = std::vector<std::string_view>;

constexpr OptionSpec kOptions[] = {
    {"tty", 't', "", "a terminal"},           {"interactive", 'i', "", "input"},
    {"env", 'e', "NAME=VALUE", "a variable"}, {"detach", 'd', "", "background"},
    {"timeline", 0, "FILE", "times", true},   {"hidden", 0, "X", ""},
};
constexpr OptionSpec kShared[] = {{"json", 0, "", "print JSON"}};

Result<Arguments> parse(const Words& words, int raw_after = -1, bool single_dash_long = false) {
  return parse_arguments({.command = "caisson run",
                          .tables = {kOptions, kShared, {}},
                          .raw_after = raw_after,
                          .single_dash_long = single_dash_long},
                         words);
}

TEST(Arguments, TakesValuesBehindSpaceAndEqualsSign) {
  Words words = {"--env", "A=1", "--env=B=2", "-e", "C=3", "-eD=4", "-e=E=5"};
  auto arguments = parse(words);
  ASSERT_TRUE(arguments);
  EXPECT_THAT(arguments->all("env"), ElementsAre("A=1", "B=2", "C=3", "D=4", "E=5"));
  EXPECT_EQ(arguments->value("env"), "E=5");
}

TEST(Arguments, BundlesSwitchesWithOneValueAtTheEnd) {
  auto arguments = parse({"-itdeX=1", "name"});
  ASSERT_TRUE(arguments);
  EXPECT_TRUE(arguments->flag("interactive"));
  EXPECT_TRUE(arguments->flag("tty"));
  EXPECT_TRUE(arguments->flag("detach"));
  EXPECT_EQ(arguments->value("env"), "X=1");
  EXPECT_THAT(arguments->operands(), ElementsAre("name"));
}

TEST(Arguments, SwitchesTakeBooleansAndTheLastOneCounts) {
  auto arguments = parse({"--tty", "--tty=false", "--json=true"});
  ASSERT_TRUE(arguments);
  EXPECT_FALSE(arguments->flag("tty"));
  EXPECT_TRUE(arguments->has("tty"));
  EXPECT_TRUE(arguments->flag("json"));
  EXPECT_FALSE(parse({"--tty=maybe"}));
}

TEST(Arguments, OptionalValuesNeedTheEqualsSign) {
  auto arguments = parse({"--timeline", "x", "--timeline=out.json"});
  ASSERT_TRUE(arguments);
  EXPECT_THAT(arguments->all("timeline"), ElementsAre("", "out.json"));
  EXPECT_THAT(arguments->operands(), ElementsAre("x"));
}

TEST(Arguments, LeavesTheProgramsOwnWordsAlone) {
  auto run = parse({"-t", "ls", "-l", "--tty=false", "--", "x"}, 0);
  ASSERT_TRUE(run);
  EXPECT_THAT(run->operands(), ElementsAre("ls", "-l", "--tty=false", "--", "x"));
  EXPECT_TRUE(run->flag("tty"));
  auto separated = parse({"--", "-t", "--"}, 0);
  ASSERT_TRUE(separated);
  EXPECT_THAT(separated->operands(), ElementsAre("-t", "--"));
}

TEST(Arguments, DropsOneSeparatorBehindTheLastFixedOperand) {
  for (Words words : {Words{"web", "ls", "-t"}, Words{"web", "--", "ls", "-t"}}) {
    auto exec = parse(words, 1);
    ASSERT_TRUE(exec);
    EXPECT_THAT(exec->operands(), ElementsAre("web", "ls", "-t"));
  }
}

TEST(Arguments, TakesOptionsBehindOperandsWhereNothingIsRaw) {
  auto arguments = parse({"a", "--json", "b"});
  ASSERT_TRUE(arguments);
  EXPECT_TRUE(arguments->flag("json"));
  EXPECT_THAT(arguments->operands(), ElementsAre("a", "b"));
}

TEST(Arguments, TakesNegativeNumbersAndDashAsOperands) {
  auto arguments = parse({"-9", "-"});
  ASSERT_TRUE(arguments);
  EXPECT_THAT(arguments->operands(), ElementsAre("-9", "-"));
}

TEST(Arguments, UnderstandsLongNamesBehindOneDashForEngines) {
  auto arguments = parse({"-env", "A=1", "-tty", "-detach=false", "-it"}, -1, true);
  ASSERT_TRUE(arguments);
  EXPECT_EQ(arguments->value("env"), "A=1");
  EXPECT_TRUE(arguments->flag("interactive"));
  EXPECT_FALSE(arguments->flag("detach"));
}

TEST(Arguments, UnknownOptionsNameTheNearestOne) {
  auto arguments = parse({"--detahc"});
  ASSERT_FALSE(arguments);
  EXPECT_EQ(arguments.error().message(), "caisson run: unknown option --detahc");
  EXPECT_EQ(arguments.error().cure(), "did you mean --detach? see \"caisson run --help\"");
  EXPECT_EQ(arguments.error().code(), kUsageCode);
  EXPECT_THAT(parse({"-tx"}).error().message(), HasSubstr("unknown option -x in -tx"));
  auto hidden = parse({"--hiddne=1"});
  EXPECT_EQ(hidden.error().cure(), "see \"caisson run --help\"");
}

TEST(Arguments, MissingValuesAreNamed) {
  EXPECT_EQ(parse({"--env"}).error().message(), "caisson run: --env needs a value: NAME=VALUE");
  EXPECT_EQ(parse({"-e"}).error().message(), "caisson run: --env needs a value: NAME=VALUE");
}

TEST(Arguments, HelpEndsTheReading) {
  for (Words words : {Words{"--help", "--bad"}, Words{"-h", "--bad"}}) {
    auto arguments = parse(words);
    ASSERT_TRUE(arguments);
    EXPECT_TRUE(arguments->wants_help());
  }
  EXPECT_FALSE(parse({"x", "--help"}, 0)->wants_help());
}

std::string complaint(Wording wording, const Words& words) {
  auto arguments = parse_arguments({.command = "runc run",
                                    .tables = {kOptions, kShared, {}},
                                    .single_dash_long = true,
                                    .wording = wording},
                                   words);
  return arguments ? "none" : arguments.error().message();
}

TEST(Arguments, ComplainsInTheWordsThatCallersKnow) {
  EXPECT_EQ(complaint(Wording::kGo, {"--foo"}), "flag provided but not defined: -foo");
  EXPECT_EQ(complaint(Wording::kGo, {"--env"}), "flag needs an argument: -env");
  EXPECT_EQ(complaint(Wording::kGo, {"--tty=maybe"}),
            "invalid boolean value \"maybe\" for -tty: parse error");
  EXPECT_EQ(complaint(Wording::kArgp, {"--foo"}), "runc: unrecognized option '--foo'");
  EXPECT_EQ(complaint(Wording::kArgp, {"--env"}), "runc: option '--env' requires an argument");
}

}  // namespace
}  // namespace caisson::cli

#include "sandbox/kernel/loader_script.h"

#include <string_view>

#include <gtest/gtest.h>

namespace caisson::sandbox::kernel {
namespace {

ErrnoOr<ScriptLine> parse(std::string_view text) {
  return parse_script(std::as_bytes(std::span(text)));
}
std::string interpreter(std::string_view text) {
  auto line = parse(text);
  return line ? line->interpreter : "none";
}
std::string argument(std::string_view text) {
  auto line = parse(text);
  return line && line->argument ? *line->argument : "none";
}

TEST(ScriptLine, NamesItsInterpreter) {
  EXPECT_EQ(interpreter("#!/bin/sh\necho\n"), "/bin/sh");
  EXPECT_EQ(interpreter("#! \t/bin/sh \t\n"), "/bin/sh");
  EXPECT_EQ(interpreter("#!/bin/sh"), "/bin/sh");
  EXPECT_EQ(argument("#!/bin/sh\n"), "none");
}

TEST(ScriptLine, RestIsOneArgument) {
  EXPECT_EQ(argument("#!/usr/bin/env -S a b\t\n"), "-S a b");
  EXPECT_EQ(argument("#!/bin/sh  -e\n"), "-e");
}

TEST(ScriptLine, NobodyIsNoInterpreter) {
  for (std::string_view text : {"#!", "#!\n", "#! \t \n", "#", "", "x!/bin/sh\n", "!#/bin/sh\n"})
    EXPECT_FALSE(parse(text)) << text;
}

TEST(ScriptLine, ZeroByteEndsTheLine) {
  EXPECT_EQ(interpreter(std::string_view("#!/bin/sh\0x\n", 12)), "/bin/sh");
  EXPECT_EQ(argument(std::string_view("#!/bin/sh -x\0y\n", 15)), "-x");
}

TEST(ScriptLine, LongLineMustEndItsInterpretersName) {
  std::string name = "#!/" + std::string(300, 'x');
  EXPECT_FALSE(parse(std::string_view(name).substr(0, 256)));
  std::string with_argument = "#!/bin/sh " + std::string(300, 'x');
  EXPECT_EQ(interpreter(std::string_view(with_argument).substr(0, 256)), "/bin/sh");
  EXPECT_EQ(argument(std::string_view(with_argument).substr(0, 256)), std::string(245, 'x'));
}

TEST(ScriptLine, BlanksToTheEndAreNoName) {
  std::string blanks = "#!" + std::string(254, ' ');
  EXPECT_FALSE(parse(blanks));
}

}  // namespace
}  // namespace caisson::sandbox::kernel

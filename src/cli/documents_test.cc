// What is generated from the command table and kept in the tree is up to date, and the completion
// script does what a shell needs of it.
#include <array>
#include <cstdio>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "cli/help.h"
#include "sys/file.h"

namespace caisson::cli {
namespace {

using testing::HasSubstr;

std::string kept(std::string_view path) {
  auto text = sys::read_file(sys::kCwd, cat(CAISSON_SOURCE_DIR, "/", path).c_str());
  return text ? *text : std::string();
}

std::string output_of(const std::string& command) {
  std::string out;
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return out;
  std::array<char, 4096> buffer;
  while (std::size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    out.append(buffer.data(), got);
  }
  EXPECT_EQ(::pclose(pipe), 0) << command;
  return out;
}

// What bash offers for the last of `words`, one a line.
std::string completions(std::string_view words) {
  std::string script = cat(CAISSON_SOURCE_DIR, "/packaging/completion/caisson.bash");
  return output_of(cat("bash -c 'source ", script, "; COMP_WORDS=(", words,
                       "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _caisson; "
                       "printf \"%s\\n\" \"${COMPREPLY[@]}\"' 2>&1"));
}

TEST(Documents, CommandsPageIsWhatTheProgramPrints) {
  EXPECT_EQ(kept("docs/commands.md"), help_markdown()) << "write it: caisson help --markdown";
}

TEST(Documents, CompletionScriptIsWhatTheProgramPrints) {
  EXPECT_EQ(kept("packaging/completion/caisson.bash"), bash_completion())
      << "write it: caisson completion bash";
}

TEST(Completion, IsGoodBash) {
  output_of(cat("bash -n ", CAISSON_SOURCE_DIR, "/packaging/completion/caisson.bash"));
}

TEST(Completion, OffersVerbsAndOptions) {
  EXPECT_EQ(completions("caisson ru"), "run\n");
  EXPECT_EQ(completions("caisson --root /x st"), "stats\nstop\n");
  EXPECT_EQ(completions("caisson run --mem"), "--memory\n--memory-swap\n");
  EXPECT_EQ(completions("caisson oci cr"), "create\n");
  EXPECT_EQ(completions("caisson-oci create --no-p"), "--no-pivot\n");
  EXPECT_EQ(completions("caisson help expl"), "explain\n");
}

TEST(Completion, OffersProgramsWhereOneIsNamed) {
  EXPECT_THAT(completions("caisson run -it -- bas"), HasSubstr("bash\n"));
  EXPECT_THAT(completions("caisson run --name web bas"), HasSubstr("bash\n"));
  EXPECT_THAT(completions("caisson exec web bas"), HasSubstr("bash\n"));
}

TEST(Commands, HaveSummariesAndUniqueNames) {
  for (Face face : {Face::kPeople, Face::kEngine}) {
    std::set<std::string_view> names;
    for (const Command* command : commands(face)) {
      EXPECT_TRUE(names.insert(command->name).second) << command->name;
      EXPECT_FALSE(command->summary.empty()) << command->name;
      EXPECT_NE(command->run, nullptr) << command->name;
      EXPECT_EQ(find_command(face, command->name), command);
    }
  }
}

TEST(Commands, HaveNoOptionTwice) {
  for (Face face : {Face::kPeople, Face::kEngine}) {
    for (const Command* command : commands(face)) {
      std::set<std::string_view> names;
      std::set<char> letters;
      for (auto table : {command->options, command->shared_options}) {
        for (const auto& option : table) {
          EXPECT_TRUE(names.insert(option.name).second) << command->name << " " << option.name;
          if (option.letter == 0) continue;
          EXPECT_TRUE(letters.insert(option.letter).second)
              << command->name << " " << option.letter;
        }
      }
    }
  }
}

TEST(Commands, OfPeopleHaveExamples) {
  for (const Command* command : commands(Face::kPeople)) {
    EXPECT_THAT(command->examples, HasSubstr("caisson")) << command->name;
  }
}

TEST(Version, FirstLineIsWhatCallersMatch) {
  EXPECT_THAT(version_text("runc", "/run/x"), testing::StartsWith("runc version "));
  EXPECT_THAT(version_text("crun", "/run/x"), testing::StartsWith("crun version "));
  EXPECT_THAT(version_text("caisson-oci", "/run/x"), testing::StartsWith("caisson version "));
  EXPECT_THAT(version_text("runc", "/run/x"), HasSubstr("\ncommit: "));
  EXPECT_THAT(version_text("caisson", "/run/x"), HasSubstr("\nspec: 1.3.0\n"));
}

}  // namespace
}  // namespace caisson::cli

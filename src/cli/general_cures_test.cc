#include "cli/general_cures.h"

#include <gtest/gtest.h>

namespace caisson::cli {
namespace {

TEST(GeneralCures, NameTheLimitOfDescriptorsWhateverThePlaceSaid) {
  Error error = Error(Errno{EMFILE}).doing("make a cgroup").cure("choose another path");
  error = with_general_cure(std::move(error));
  EXPECT_EQ(error.cure(), "raise the limit of open files: ulimit -n 1024");
}

TEST(GeneralCures, KeepACureThatKnowsMore) {
  Error error = Error(Errno{EACCES}).doing("open x").cure("ask its owner");
  error = with_general_cure(std::move(error));
  EXPECT_EQ(error.cure(), "ask its owner");
}

TEST(GeneralCures, HelpWithMissingContainers) {
  Error error = Error::with_cause(ENOENT, "container does not exist").code("container.missing");
  error = with_general_cure(std::move(error));
  EXPECT_EQ(error.cure(), "\"caisson ps --all\" lists those that exist");
}

TEST(GeneralCures, AreNoneWhereNothingIsKnown) {
  Error error = with_general_cure(Error(Errno{EPIPE}));
  EXPECT_EQ(error.cure(), "");
}

}  // namespace
}  // namespace caisson::cli

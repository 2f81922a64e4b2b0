#include "plan/paths.h"

#include <gtest/gtest.h>

namespace caisson::plan {
namespace {

TEST(Paths, CleanPathsAreAbsoluteAndStayBelowTheRoot) {
  EXPECT_EQ(clean_path(""), "/");
  EXPECT_EQ(clean_path("/"), "/");
  EXPECT_EQ(clean_path("a/b"), "/a/b");
  EXPECT_EQ(clean_path("/a//b/./c/"), "/a/b/c");
  EXPECT_EQ(clean_path("/a/b/../c"), "/a/c");
  EXPECT_EQ(clean_path("/../../etc"), "/etc");
  EXPECT_EQ(clean_path("/a/.."), "/");
  EXPECT_EQ(clean_path("/a/..b/...c"), "/a/..b/...c");
}

TEST(Paths, BelowComparesWholeComponents) {
  EXPECT_TRUE(below("/proc/sys", "/proc"));
  EXPECT_FALSE(below("/process", "/proc"));
  EXPECT_FALSE(below("/proc", "/proc"));
  EXPECT_TRUE(at_or_below("/proc", "/proc"));
  EXPECT_TRUE(below("/proc", "/"));
  EXPECT_FALSE(below("/", "/"));
}

TEST(Paths, JoiningUsesOneSlash) {
  EXPECT_EQ(join_path("/", "a"), "/a");
  EXPECT_EQ(join_path("/a", "/b"), "/a/b");
  EXPECT_EQ(join_path("/a/", "b/c"), "/a/b/c");
}

TEST(Paths, ClimbsFindsWholeComponentsOnly) {
  EXPECT_TRUE(climbs("/a/../b"));
  EXPECT_TRUE(climbs(".."));
  EXPECT_FALSE(climbs("/a..b/..c"));
}

}  // namespace
}  // namespace caisson::plan

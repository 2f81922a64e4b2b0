#include "container/upper_diff.h"

#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "container/fake_executor.h"
#include "sys/file.h"

namespace caisson::container {

void PrintTo(const Change& change, std::ostream* out) {
  *out << "ACD"[static_cast<int>(change.kind)] << ' ' << change.path;
}

namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr auto kAdded = Change::Kind::kAdded;
constexpr auto kChanged = Change::Kind::kChanged;
constexpr auto kDeleted = Change::Kind::kDeleted;

class UpperDiffTest : public ::testing::Test {
 protected:
  ScratchDirectory scratch_;

  void file(const std::string& path, std::string_view text = "x") {
    auto slash = path.rfind('/');
    ASSERT_TRUE(sys::make_directories(scratch_ / path.substr(0, slash), 0755));
    ASSERT_TRUE(sys::write_atomically(sys::kCwd, (scratch_ / path).c_str(), text));
  }
  void directory(const std::string& path) {
    ASSERT_TRUE(sys::make_directories(scratch_ / path, 0755));
  }
  // False where extended attributes of users are not to be had.
  bool attribute(const std::string& path, const char* name, std::string_view value) {
    return ::setxattr((scratch_ / path).c_str(), name, value.data(), value.size(), 0) == 0;
  }
  std::vector<Change> changes(const std::string& target = "/") {
    directory("upper");
    directory("lower");
    auto upper = sys::openat(sys::kCwd, (scratch_ / "upper").c_str(), O_RDONLY | O_DIRECTORY);
    std::vector<Change> out;
    EXPECT_TRUE(diff_upper(*upper, scratch_ / "lower", target, out));
    std::ranges::sort(out, {}, &Change::path);
    return out;
  }
};

TEST_F(UpperDiffTest, NothingIsNothing) {
  file("lower/a");
  EXPECT_THAT(changes(), IsEmpty());
}

TEST_F(UpperDiffTest, TellsAddedFromChanged) {
  file("lower/etc/old");
  file("upper/etc/old");
  file("upper/etc/new");
  file("upper/fresh/deep");
  EXPECT_THAT(changes(), ElementsAre(Change{kChanged, "/etc"}, Change{kAdded, "/etc/new"},
                                     Change{kChanged, "/etc/old"}, Change{kAdded, "/fresh"},
                                     Change{kAdded, "/fresh/deep"}));
}

TEST_F(UpperDiffTest, PathsBeginWithTheTarget) {
  file("upper/a");
  EXPECT_THAT(changes("/home"), ElementsAre(Change{kAdded, "/home/a"}));
}

TEST_F(UpperDiffTest, WhiteoutDevicesAreDeletions) {
  file("lower/gone");
  directory("upper");
  if (::mknod((scratch_ / "upper/gone").c_str(), S_IFCHR | 0600, 0) != 0) GTEST_SKIP();
  ::mknod((scratch_ / "upper/never").c_str(), S_IFCHR | 0600, 0);
  EXPECT_THAT(changes(), ElementsAre(Change{kDeleted, "/gone"}));
}

TEST_F(UpperDiffTest, WhiteoutAttributesAreDeletions) {
  file("lower/gone");
  file("upper/gone", "");
  if (!attribute("upper/gone", "user.overlay.whiteout", "y")) GTEST_SKIP();
  EXPECT_THAT(changes(), ElementsAre(Change{kDeleted, "/gone"}));
}

TEST_F(UpperDiffTest, AnOpaqueDirectoryDeletesWhatItDoesNotHave) {
  file("lower/d/gone");
  file("lower/d/kept");
  file("lower/d/sub/inner");
  file("upper/d/kept");
  file("upper/d/new");
  directory("upper/d/sub");
  if (!attribute("upper/d", "user.overlay.opaque", "y")) GTEST_SKIP();
  EXPECT_THAT(changes(), ElementsAre(Change{kChanged, "/d"}, Change{kDeleted, "/d/gone"},
                                     Change{kChanged, "/d/kept"}, Change{kAdded, "/d/new"},
                                     Change{kChanged, "/d/sub"}, Change{kDeleted, "/d/sub/inner"}));
}

TEST_F(UpperDiffTest, AFileInThePlaceOfADirectoryIsAChange) {
  file("lower/d/inner");
  file("upper/d");
  EXPECT_THAT(changes(), ElementsAre(Change{kChanged, "/d"}));
}

TEST_F(UpperDiffTest, LinksAreNotFollowed) {
  directory("upper");
  ASSERT_TRUE(sys::symlinkat("/etc", sys::kCwd, (scratch_ / "upper/link").c_str()));
  EXPECT_THAT(changes(), ElementsAre(Change{kAdded, "/link"}));
}

}  // namespace
}  // namespace caisson::container

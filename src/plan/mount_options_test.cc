#include "plan/mount_options.h"

#include <sys/mount.h>

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"

namespace caisson::plan {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(MountOptions, EveryOptionOfTheSpecificationIsKnown) {
  // runtime-spec, config-linux, "Linux mount options".
  for (const char* word : {"async",        "atime",       "bind",           "defaults",
                           "dev",          "diratime",    "dirsync",        "exec",
                           "iversion",     "lazytime",    "loud",           "noatime",
                           "nodev",        "nodiratime",  "noexec",         "noiversion",
                           "nolazytime",   "norelatime",  "nostrictatime",  "nosuid",
                           "nosymfollow",  "private",     "ratime",         "rbind",
                           "rdev",         "rdiratime",   "relatime",       "remount",
                           "rexec",        "rnoatime",    "rnodev",         "rnodiratime",
                           "rnoexec",      "rnorelatime", "rnostrictatime", "rnosuid",
                           "rnosymfollow", "ro",          "rprivate",       "rrelatime",
                           "rro",          "rrw",         "rshared",        "rslave",
                           "rstrictatime", "rsuid",       "rsymfollow",     "runbindable",
                           "rw",           "shared",      "silent",         "slave",
                           "strictatime",  "suid",        "symfollow",      "sync",
                           "tmpcopyup",    "unbindable",  "idmap",          "ridmap",
                           "mand",         "nomand"}) {
    EXPECT_THAT(parse_mount_options({word}).data, IsEmpty()) << word;
    EXPECT_THAT(known_mount_options(), Contains(word));
  }
}

TEST(MountOptions, EveryWordThatIsSaidToBeKnownIsParsed) {
  Strings known = known_mount_options();
  EXPECT_TRUE(std::ranges::is_sorted(known));
  EXPECT_EQ(std::ranges::adjacent_find(known), known.end());
  EXPECT_THAT(parse_mount_options(known).data, IsEmpty());
}

TEST(MountOptions, TheLastWordOfAPairCounts) {
  auto options = parse_mount_options({"ro", "nosuid", "rw"});
  EXPECT_EQ(options.attr_set, std::uint64_t{MOUNT_ATTR_NOSUID});
  EXPECT_EQ(options.attr_clear, std::uint64_t{MOUNT_ATTR_RDONLY});
  EXPECT_EQ(parse_mount_options({"rw", "ro"}).attr_set, std::uint64_t{MOUNT_ATTR_RDONLY});
  EXPECT_EQ(parse_mount_options({"rw", "ro"}).attr_clear, 0U);
}

TEST(MountOptions, AccessTimeModesExcludeOneAnother) {
  auto options = parse_mount_options({"noatime", "strictatime"});
  EXPECT_EQ(options.attr_set, std::uint64_t{MOUNT_ATTR_STRICTATIME});
  EXPECT_EQ(options.attr_clear, std::uint64_t{MOUNT_ATTR__ATIME});
  EXPECT_EQ(parse_mount_options({"noatime", "nostrictatime"}).attr_set,
            std::uint64_t{MOUNT_ATTR_NOATIME});
  EXPECT_EQ(parse_mount_options({"noatime", "atime"}).attr_set, 0U);
  EXPECT_EQ(parse_mount_options({"noatime", "relatime"}).attr_set, 0U);
}

TEST(MountOptions, NoWordSetsAndClearsTheSameBit) {
  for (const std::string& first : known_mount_options()) {
    for (const std::string& second : known_mount_options()) {
      auto options = parse_mount_options({first, second});
      std::uint64_t atime = MOUNT_ATTR__ATIME;
      EXPECT_EQ(options.attr_set & options.attr_clear & ~atime, 0U) << first << ' ' << second;
      EXPECT_EQ(options.recursive_set & options.recursive_clear & ~atime, 0U)
          << first << ' ' << second;
      // mount_setattr(2): a new mode needs the whole field cleared.
      if ((options.attr_set & atime) != 0) {
        EXPECT_EQ(options.attr_clear & atime, atime) << first << ' ' << second;
      }
    }
  }
}

TEST(MountOptions, RecursiveFormsAreKeptApart) {
  auto options = parse_mount_options({"rro", "nosuid", "rexec"});
  EXPECT_EQ(options.recursive_set, std::uint64_t{MOUNT_ATTR_RDONLY});
  EXPECT_EQ(options.recursive_clear, std::uint64_t{MOUNT_ATTR_NOEXEC});
  EXPECT_EQ(options.attr_set, std::uint64_t{MOUNT_ATTR_NOSUID});
}

TEST(MountOptions, FlagsOfTheFileSystemCanBeTakenBack) {
  EXPECT_THAT(parse_mount_options({"sync", "lazytime", "async"}).superblock,
              ElementsAre("lazytime"));
  EXPECT_THAT(parse_mount_options({"sync", "sync"}).superblock, ElementsAre("sync"));
}

TEST(MountOptions, UnknownWordsAreForTheFileSystem) {
  auto options =
      parse_mount_options({"size=64m", "nr_inodes=1k,huge=never,ro", "context=\"a:b:c1,c2\""});
  EXPECT_THAT(options.data,
              ElementsAre(KeyValue{"size", "64m"}, KeyValue{"nr_inodes", "1k"},
                          KeyValue{"huge", "never"}, KeyValue{"context", "\"a:b:c1,c2\""}));
  EXPECT_EQ(options.attr_set, std::uint64_t{MOUNT_ATTR_RDONLY});
}

TEST(MountOptions, PropagationKeepsItsOrder) {
  EXPECT_THAT(parse_mount_options({"rslave", "shared"}).propagation,
              ElementsAre(Propagation{MS_SLAVE, true}, Propagation{MS_SHARED, false}));
  EXPECT_EQ(parse_propagation("rprivate"), (Propagation{MS_PRIVATE, true}));
  EXPECT_EQ(parse_propagation("ro").flag, 0U);
}

TEST(MountOptions, AttributeNamesReadLikeOptions) {
  EXPECT_EQ(attribute_names(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOATIME),
            "ro,noexec,noatime");
  EXPECT_EQ(attribute_names(0), "");
}

}  // namespace
}  // namespace caisson::plan

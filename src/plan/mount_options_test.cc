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

TEST(MountOptions, WordsOfCrun) {
  auto options =
      parse_mount_options({"copy-symlink", "dest-nofollow", "idmap=uids=0-1-2;gids=0-3-4"});
  EXPECT_TRUE(options.copy_symlink);
  EXPECT_TRUE(options.no_symlink_target);
  EXPECT_EQ(options.idmap, Idmap::kMount);
  EXPECT_EQ(options.idmap_text, "uids=0-1-2;gids=0-3-4");
  EXPECT_TRUE(options.data.empty());
  EXPECT_EQ(parse_mount_options({"ridmap=uids=0-1-2"}).idmap, Idmap::kTree);
}

TEST(MountOptions, RangesOfAnIdMap) {
  using Ranges = std::vector<IdMapping>;
  // The example of crun's manual: 3 is an id of the container, 4 what it is on the host.
  const Ranges own = {{0, 0, 1}, {1, 2, 1000}};
  EXPECT_EQ(parse_id_ranges("@1-3-10", own), (Ranges{{1, 4, 10}}));
  EXPECT_EQ(parse_id_ranges("1-3-10#20-5-1", own), (Ranges{{1, 3, 10}, {20, 5, 1}}));
  EXPECT_EQ(parse_id_ranges("@1-3-10#@20-5-1", own), (Ranges{{1, 4, 10}, {20, 6, 1}}));
  EXPECT_EQ(parse_id_ranges("@1-3-10", {}), (Ranges{{1, 3, 10}}));
  for (const char* bad : {"", "1-2", "1-2-3-4", "a-1-1", "1-2-0", "1-2-3#", "@1-5000-1"}) {
    EXPECT_FALSE(parse_id_ranges(bad, own)) << bad;
  }
}

}  // namespace
}  // namespace caisson::plan

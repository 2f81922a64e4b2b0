#include "linux/mountinfo.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace caisson::linux {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<int> visible_ids(std::string_view text) {
  auto mounts = parse_mountinfo(text);
  EXPECT_TRUE(mounts);
  std::vector<int> ids;
  for (const auto& info : visible_mounts(*mounts)) ids.push_back(info.mount.id);
  return ids;
}

TEST(MountInfo, ReadsALineWithAnyNumberOfOptionalFields) {
  auto mounts = parse_mountinfo(
      "36 35 98:0 /mnt1 /mnt2 ro,noatime master:1 propagate_from:2 - ext3 /dev/root "
      "rw,errors=continue\n"
      "37 35 0:1 / /x rw - tmpfs none rw\n");
  ASSERT_TRUE(mounts);
  ASSERT_EQ(mounts->size(), 2U);
  const auto& mount = (*mounts)[0].mount;
  EXPECT_EQ(mount.id, 36);
  EXPECT_EQ(mount.parent_id, 35);
  EXPECT_EQ(mount.root, "/mnt1");
  EXPECT_EQ(mount.mount_point, "/mnt2");
  EXPECT_TRUE(mount.readonly);
  EXPECT_EQ(mount.fs_type, "ext3");
  EXPECT_EQ(mount.source, "/dev/root");
  EXPECT_EQ((*mounts)[0].super_options, "rw,errors=continue");
  EXPECT_FALSE((*mounts)[1].mount.readonly);
}

TEST(MountInfo, ReplacesOctalEscapes) {
  EXPECT_EQ(unescape_octal("a\\040b\\011\\012\\134c"), "a b\t\n\\c");
  EXPECT_EQ(unescape_octal("\\04"), "\\04");
  EXPECT_EQ(unescape_octal("\\999\\"), "\\999\\");
  EXPECT_EQ(unescape_octal("\\777"), "\\777");
}

TEST(MountInfo, AFileSystemThatIsReadonlyMakesTheMountReadonly) {
  auto mounts = parse_mountinfo("1 2 0:1 / /x rw - squashfs /dev/loop0 ro\n");
  ASSERT_TRUE(mounts);
  EXPECT_TRUE((*mounts)[0].mount.readonly);
}

TEST(MountInfo, AcceptsAnEmptySource) {
  auto mounts = parse_mountinfo("1 2 0:1 / /x rw - tmpfs  rw\n");
  ASSERT_TRUE(mounts);
  EXPECT_EQ((*mounts)[0].mount.source, "");
  EXPECT_EQ((*mounts)[0].super_options, "rw");
}

TEST(MountInfo, RefusesWhatIsNoMountTable) {
  auto mounts = parse_mountinfo("hello world\n");
  ASSERT_FALSE(mounts);
  EXPECT_THAT(mounts.error().message(), HasSubstr("\"hello world\""));
  EXPECT_FALSE(parse_mountinfo("1 2 0:1 / /x rw shared:1\n"));
}

TEST(VisibleMounts, TheLastOfTwoOnOnePlaceIsSeen) {
  EXPECT_THAT(visible_ids("1 0 0:1 / / rw - ext4 a rw\n"
                          "2 1 0:2 / /dev rw - tmpfs b rw\n"
                          "3 2 0:3 / /dev/pts rw - devpts c rw\n"
                          "4 3 0:4 / /dev/pts rw - devpts d rw\n"),
              ElementsAre(1, 2, 4));
  EXPECT_THAT(visible_ids("1 0 0:1 / / rw - ext4 a rw\n"
                          "2 1 0:2 / /x rw - tmpfs b rw\n"
                          "3 1 0:3 / /x rw - tmpfs c rw\n"),
              ElementsAre(1, 3));
}

TEST(VisibleMounts, WhatStandsBelowACoveredDirectoryIsNotSeen) {
  EXPECT_THAT(visible_ids("1 0 0:1 / / rw - ext4 a rw\n"
                          "2 1 0:2 / /mnt/a rw - tmpfs b rw\n"
                          "3 1 0:3 / /mnt rw - tmpfs c rw\n"
                          "4 3 0:3 / /mnt/a rw - tmpfs d rw\n"),
              ElementsAre(1, 3, 4));
}

TEST(VisibleMounts, ARootThatIsNoMountHidesNothing) {
  EXPECT_THAT(visible_ids("5 9 0:1 / /proc rw - proc a rw\n"
                          "6 9 0:2 / /dev rw - tmpfs b rw\n"
                          "7 6 0:2 / /dev/shm rw - tmpfs b rw\n"),
              ElementsAre(5, 6, 7));
}

TEST(VisibleMounts, ALaterRootCoversTheEarlier) {
  EXPECT_THAT(visible_ids("1 1 0:1 / / rw - rootfs a rw\n"
                          "2 1 0:2 / / rw - ext4 b rw\n"
                          "3 2 0:3 / /proc rw - proc c rw\n"),
              ElementsAre(2, 3));
}

}  // namespace
}  // namespace caisson::linux

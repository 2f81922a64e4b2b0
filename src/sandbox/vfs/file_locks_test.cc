#include "sandbox/vfs/file_locks.h"

#include <cerrno>

#include <gtest/gtest.h>

namespace caisson::sandbox::vfs {
namespace {

int one, two;

RangeLock shared_lock(const void* owner, std::uint64_t begin, std::uint64_t last) {
  return {begin, last, false, owner, 1};
}
RangeLock exclusive_lock(const void* owner, std::uint64_t begin, std::uint64_t last) {
  return {begin, last, true, owner, 1};
}

TEST(FileLocks, SharedOnesStandBesideEachOther) {
  FileLocks locks;
  EXPECT_TRUE(locks.lock(shared_lock(&one, 0, 9)));
  EXPECT_TRUE(locks.lock(shared_lock(&two, 5, 15)));
  EXPECT_EQ(locks.lock(exclusive_lock(&one, 5, 5)).error().value, EAGAIN);
  EXPECT_TRUE(locks.lock(exclusive_lock(&one, 0, 4)));
}

TEST(FileLocks, ConflictNamesTheFirstInTheWay) {
  FileLocks locks;
  EXPECT_TRUE(locks.lock(exclusive_lock(&one, 10, 19)));
  EXPECT_FALSE(locks.conflict(shared_lock(&two, 0, 9)));
  EXPECT_FALSE(locks.conflict(shared_lock(&one, 0, 100)));
  auto held = locks.conflict(shared_lock(&two, 19, ~std::uint64_t{0}));
  ASSERT_TRUE(held);
  EXPECT_EQ(held->begin, 10U);
  EXPECT_EQ(held->last, 19U);
  EXPECT_TRUE(held->exclusive);
}

TEST(FileLocks, UnlockingTheMiddleLeavesBothEnds) {
  FileLocks locks;
  EXPECT_TRUE(locks.lock(exclusive_lock(&one, 0, 99)));
  locks.unlock(&one, 40, 59);
  EXPECT_TRUE(locks.lock(exclusive_lock(&two, 40, 59)));
  EXPECT_FALSE(locks.lock(exclusive_lock(&two, 39, 39)));
  EXPECT_FALSE(locks.lock(exclusive_lock(&two, 60, 60)));
}

TEST(FileLocks, NeighboursBecomeOne) {
  FileLocks locks;
  EXPECT_TRUE(locks.lock(exclusive_lock(&one, 0, 9)));
  EXPECT_TRUE(locks.lock(exclusive_lock(&one, 20, ~std::uint64_t{0})));
  EXPECT_TRUE(locks.lock(exclusive_lock(&one, 10, 19)));
  auto held = locks.conflict(shared_lock(&two, 5, 5));
  ASSERT_TRUE(held);
  EXPECT_EQ(held->begin, 0U);
  EXPECT_EQ(held->last, ~std::uint64_t{0});
}

TEST(FileLocks, AnExclusiveLockCanBecomeShared) {
  FileLocks locks;
  EXPECT_TRUE(locks.lock(exclusive_lock(&one, 0, 9)));
  EXPECT_TRUE(locks.lock(shared_lock(&one, 0, 9)));
  EXPECT_TRUE(locks.lock(shared_lock(&two, 0, 9)));
}

TEST(FileLocks, WholeFilesAreApartFromRanges) {
  FileLocks locks;
  EXPECT_TRUE(locks.lock(exclusive_lock(&one, 0, ~std::uint64_t{0})));
  EXPECT_TRUE(locks.lock_whole(&two, true));
  EXPECT_EQ(locks.lock_whole(&one, false).error().value, EAGAIN);
  EXPECT_TRUE(locks.lock_whole(&two, false));
  EXPECT_TRUE(locks.lock_whole(&one, false));
  EXPECT_EQ(locks.lock_whole(&two, true).error().value, EAGAIN);
  // The change of kind gave the old lock up.
  EXPECT_TRUE(locks.lock_whole(&one, true));
}

TEST(FileLocks, ReleaseTakesAllOfOneOwner) {
  FileLocks locks;
  EXPECT_TRUE(locks.lock(exclusive_lock(&one, 0, 5)));
  EXPECT_TRUE(locks.lock(exclusive_lock(&one, 10, 15)));
  EXPECT_TRUE(locks.lock(exclusive_lock(&two, 20, 25)));
  EXPECT_TRUE(locks.lock_whole(&one, true));
  locks.release(&one);
  EXPECT_TRUE(locks.lock(exclusive_lock(&two, 0, 25)));
  EXPECT_TRUE(locks.lock_whole(&two, true));
}

}  // namespace
}  // namespace caisson::sandbox::vfs

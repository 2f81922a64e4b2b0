#include <gtest/gtest.h>

#include "sandbox/mm/memory_fixture_test.h"

namespace caisson::sandbox::mm {
namespace {

constexpr int kReadWrite = PROT_READ | PROT_WRITE;
constexpr int kFixed = MREMAP_MAYMOVE | MREMAP_FIXED;
constexpr int kKeep = MREMAP_MAYMOVE | 4;  // MREMAP_DONTUNMAP
constexpr std::uint64_t kPlace = 0x20000000;

class Mremap : public MemoryTest {};

TEST_F(Mremap, WrongArgumentsAreInvalid) {
  std::uint64_t address = map(2 * kPageSize);
  EXPECT_TRUE(fails_with(remap(address, kPageSize, kPageSize, 8), EINVAL));
  EXPECT_TRUE(fails_with(remap(address + 1, kPageSize, kPageSize), EINVAL));
  EXPECT_TRUE(fails_with(remap(address, kPageSize, 0), EINVAL));
  EXPECT_TRUE(fails_with(remap(address, kPageSize, kPageSize, MREMAP_FIXED, kPlace), EINVAL));
  EXPECT_TRUE(fails_with(remap(address, kPageSize, kPageSize, kFixed, kPlace + 1), EINVAL));
  EXPECT_TRUE(fails_with(remap(address, kPageSize, kPageSize, kFixed, kFakeLimit), EINVAL));
  EXPECT_TRUE(fails_with(remap(address, 2 * kPageSize, kPageSize, kKeep), EINVAL));
  EXPECT_TRUE(fails_with(remap(address, 0, kPageSize, MREMAP_MAYMOVE), EINVAL));
}

TEST_F(Mremap, PlacesMustNotOverlap) {
  std::uint64_t address = map(4 * kPageSize);
  EXPECT_TRUE(fails_with(remap(address, 2 * kPageSize, 2 * kPageSize, kFixed, address + kPageSize),
                         EINVAL));
}

TEST_F(Mremap, NothingThereIsAFault) {
  EXPECT_TRUE(fails_with(remap(kPlace, kPageSize, 2 * kPageSize, MREMAP_MAYMOVE), EFAULT));
}

TEST_F(Mremap, SeveralMappingsAreAFault) {
  std::uint64_t address = map(2 * kPageSize);
  MUST(protect(address, kPageSize, PROT_READ));
  EXPECT_TRUE(fails_with(remap(address, 2 * kPageSize, 3 * kPageSize, MREMAP_MAYMOVE), EFAULT));
}

TEST_F(Mremap, ShrinksInPlace) {
  std::uint64_t address = map(3 * kPageSize);
  EXPECT_EQ(MUST(remap(address, 3 * kPageSize, kPageSize)), address);
  EXPECT_EQ(memory->usage().total, kPageSize);
  EXPECT_TRUE(in_step());
}

TEST_F(Mremap, GrowsInPlaceWhereThereIsRoom) {
  std::uint64_t address = map(kPageSize, kReadWrite, MAP_PRIVATE | MAP_ANONYMOUS, kPlace);
  MUST(put(address, "kept"));
  host->log.clear();
  EXPECT_EQ(MUST(remap(address, kPageSize, 3 * kPageSize)), address);
  EXPECT_EQ(host->log, (std::vector<std::string>{"map"}));
  EXPECT_EQ(bytes_at(address, 4), "kept");
  EXPECT_EQ(memory->mappings().size(), 1U);
  EXPECT_TRUE(in_step());
}

TEST_F(Mremap, MovesWhereThereIsNoRoom) {
  map(kPageSize, PROT_READ);
  std::uint64_t address = map(kPageSize);
  MUST(put(address, "kept"));
  EXPECT_TRUE(fails_with(remap(address, kPageSize, 2 * kPageSize), ENOMEM));
  std::uint64_t moved = MUST(remap(address, kPageSize, 2 * kPageSize, MREMAP_MAYMOVE));
  EXPECT_NE(moved, address);
  EXPECT_EQ(bytes_at(moved, 4), "kept");
  EXPECT_EQ(bytes_at(moved + kPageSize, 1), std::string(1, '\0'));
  EXPECT_EQ(bytes_at(address, 1), "EFAULT");
  EXPECT_TRUE(in_step());
}

TEST_F(Mremap, PartOfAMappingMoves) {
  std::uint64_t address = map(3 * kPageSize);
  MUST(put(address + kPageSize, "middle"));
  EXPECT_EQ(MUST(remap(address + kPageSize, kPageSize, kPageSize, kFixed, kPlace)), kPlace);
  EXPECT_EQ(bytes_at(kPlace, 6), "middle");
  EXPECT_EQ(memory->mappings().size(), 3U);
  EXPECT_TRUE(in_step());
}

TEST_F(Mremap, FixedReplacesWhatIsThere) {
  std::uint64_t from = map(kPageSize);
  std::uint64_t to = map(2 * kPageSize, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, kPlace);
  MUST(put(from, "moved"));
  MUST(remap(from, kPageSize, kPageSize, kFixed, to));
  EXPECT_EQ(bytes_at(to, 5), "moved");
  EXPECT_EQ(memory->mapping_at(to + kPageSize).protection, PROT_READ);
  EXPECT_TRUE(in_step());
}

TEST_F(Mremap, FixedCanShrinkAndGrowOnItsWay) {
  std::uint64_t from = map(3 * kPageSize);
  MUST(put(from, "moved"));
  MUST(remap(from, 3 * kPageSize, kPageSize, kFixed, kPlace));
  EXPECT_EQ(memory->usage().total, kPageSize);
  MUST(remap(kPlace, kPageSize, 4 * kPageSize, kFixed, 2 * kPlace));
  EXPECT_EQ(bytes_at(2 * kPlace, 5), "moved");
  EXPECT_EQ(memory->usage().total, 4 * kPageSize);
  EXPECT_TRUE(in_step());
}

TEST_F(Mremap, FixedKeepsOffTheLowestPages) {
  std::uint64_t from = map(kPageSize);
  EXPECT_TRUE(fails_with(remap(from, kPageSize, kPageSize, kFixed, 0), EPERM));
}

TEST_F(Mremap, OldPlaceMayStay) {
  std::uint64_t from = map(kPageSize);
  MUST(put(from, "moved"));
  std::uint64_t to = MUST(remap(from, kPageSize, kPageSize, kKeep));
  EXPECT_EQ(bytes_at(to, 5), "moved");
  EXPECT_EQ(bytes_at(from, 5), std::string(5, '\0'));
  EXPECT_EQ(memory->usage().total, 2 * kPageSize);
  EXPECT_TRUE(in_step());
}

TEST_F(Mremap, OldPlaceThatStaysCounts) {
  std::uint64_t from = map(kPageSize);
  limits.address_space = kPageSize;
  EXPECT_TRUE(fails_with(remap(from, kPageSize, kPageSize, kKeep), ENOMEM));
}

TEST_F(Mremap, SharedMemoryIsMappedOnceMoreByLengthZero) {
  std::uint64_t from = map(2 * kPageSize, kReadWrite, MAP_SHARED | MAP_ANONYMOUS);
  MUST(put(from, "common"));
  std::uint64_t second = MUST(remap(from, 0, 2 * kPageSize, MREMAP_MAYMOVE));
  EXPECT_EQ(bytes_at(second, 6), "common");
  MUST(put(second, "Common"));
  EXPECT_EQ(bytes_at(from, 6), "Common");
  EXPECT_TRUE(in_step());
}

TEST_F(Mremap, LimitsHoldForWhatIsMore) {
  std::uint64_t from = map(kPageSize, kReadWrite, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED);
  limits.locked = 2 * kPageSize;
  EXPECT_TRUE(fails_with(remap(from, kPageSize, 3 * kPageSize, MREMAP_MAYMOVE), EAGAIN));
  limits = {};
  limits.data = 2 * kPageSize;
  EXPECT_TRUE(fails_with(remap(from, kPageSize, 3 * kPageSize, MREMAP_MAYMOVE), ENOMEM));
}

TEST_F(Mremap, FileOffsetsGoAlong) {
  Ref<TestFile> source = file(4 * kPageSize);
  source->put(2 * kPageSize, "third");
  std::uint64_t from = map_file(source, kPageSize, PROT_READ, MAP_PRIVATE, kPageSize);
  map(kPageSize, PROT_NONE);
  std::uint64_t to = MUST(remap(from, kPageSize, 2 * kPageSize, kFixed, kPlace));
  EXPECT_EQ(bytes_at(to + kPageSize, 5), "third");
  EXPECT_EQ(memory->mapping_at(to).offset, kPageSize);
  EXPECT_TRUE(in_step());
}

TEST_F(Mremap, SeamsOfTheHostAreFound) {
  std::uint64_t from = map(8 * kPageSize);
  MUST(put(from, "first"));
  MUST(put(from + 7 * kPageSize, "last"));
  host->seam = from + 3 * kPageSize;
  MUST(remap(from, 8 * kPageSize, 8 * kPageSize, kFixed, kPlace));
  EXPECT_EQ(bytes_at(kPlace, 5), "first");
  EXPECT_EQ(bytes_at(kPlace + 7 * kPageSize, 4), "last");
  EXPECT_TRUE(in_step());
}

TEST_F(Mremap, WhatMovedGoesBackWhenTheRestCannot) {
  std::uint64_t from = map(8 * kPageSize);
  MUST(put(from, "first"));
  host->seam = from + 4 * kPageSize;
  host->fail_with = ENOMEM;
  host->orders_before_failure = 2;  // the whole, the first half; the second half then fails
  EXPECT_TRUE(fails_with(remap(from, 8 * kPageSize, 8 * kPageSize, kFixed, kPlace), ENOMEM));
  EXPECT_EQ(bytes_at(from, 5), "first");
  EXPECT_TRUE(in_step());
}

TEST_F(Mremap, RefusalOfTheHostIsNotClaimed) {
  map(kPageSize, PROT_READ);
  std::uint64_t from = map(kPageSize);
  for (int orders = 0; orders < 2; ++orders) {
    host->fail_with = ENOMEM;
    host->orders_before_failure = orders;
    EXPECT_TRUE(fails_with(remap(from, kPageSize, 2 * kPageSize, MREMAP_MAYMOVE), ENOMEM));
    EXPECT_TRUE(in_step());
  }
  EXPECT_EQ(memory->usage().total, 2 * kPageSize);
}

}  // namespace
}  // namespace caisson::sandbox::mm

// madvise, mlock and its family, msync, mincore, names of ranges.
#include <gtest/gtest.h>

#include "sandbox/mm/memory_fixture_test.h"

namespace caisson::sandbox::mm {
namespace {

constexpr int kReadWrite = PROT_READ | PROT_WRITE;

class Madvise : public MemoryTest {};

TEST_F(Madvise, WrongArgumentsAreInvalid) {
  std::uint64_t address = map(kPageSize);
  EXPECT_TRUE(fails_with(advise(address, kPageSize, 9999), EINVAL));
  EXPECT_TRUE(fails_with(advise(address + 1, kPageSize, MADV_NORMAL), EINVAL));
  EXPECT_TRUE(fails_with(advise(address, ~std::uint64_t{0}, MADV_NORMAL), EINVAL));
  EXPECT_TRUE(advise(address, 0, MADV_NORMAL));
}

TEST_F(Madvise, HolesAreToldAtTheEnd) {
  std::uint64_t address = map(3 * kPageSize);
  MUST(put(address + 2 * kPageSize, "x"));
  MUST(unmap(address + kPageSize, kPageSize));
  EXPECT_TRUE(fails_with(advise(address, 3 * kPageSize, MADV_DONTNEED), ENOMEM));
  EXPECT_EQ(bytes_at(address + 2 * kPageSize, 1), std::string(1, '\0'));
}

TEST_F(Madvise, DropsPrivateAndKeepsSharedMemory) {
  std::uint64_t own = map(kPageSize),
                common = map(kPageSize, kReadWrite, MAP_SHARED | MAP_ANONYMOUS);
  MUST(put(own, "own"));
  MUST(put(common, "common"));
  MUST(advise(own, kPageSize, MADV_DONTNEED));
  MUST(advise(common, kPageSize, MADV_DONTNEED));
  EXPECT_EQ(bytes_at(own, 3), std::string(3, '\0'));
  EXPECT_EQ(bytes_at(common, 6), "common");
}

TEST_F(Madvise, LockedMemoryIsNotDropped) {
  std::uint64_t address = map(kPageSize, kReadWrite, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED);
  for (int advice : {MADV_DONTNEED, MADV_FREE, MADV_COLD, MADV_PAGEOUT})
    EXPECT_TRUE(fails_with(advise(address, kPageSize, advice), EINVAL)) << advice;
  EXPECT_TRUE(advise(address, kPageSize, 24 /* MADV_DONTNEED_LOCKED */));
}

TEST_F(Madvise, FreeIsForPrivateAnonymousMemory) {
  EXPECT_TRUE(advise(map(kPageSize), kPageSize, MADV_FREE));
  EXPECT_TRUE(
      fails_with(advise(map_file(file(kPageSize), kPageSize), kPageSize, MADV_FREE), EINVAL));
  EXPECT_TRUE(fails_with(
      advise(map(kPageSize, kReadWrite, MAP_SHARED | MAP_ANONYMOUS), kPageSize, MADV_FREE),
      EINVAL));
}

TEST_F(Madvise, RemoveIsForSharedFiles) {
  Ref<TestFile> source = file(2 * kPageSize);
  source->put(kPageSize, "gone");
  std::uint64_t address = map_file(source, 2 * kPageSize, kReadWrite, MAP_SHARED);
  MUST(advise(address + kPageSize, kPageSize, MADV_REMOVE));
  EXPECT_EQ(bytes_at(address + kPageSize, 4), std::string(4, '\0'));
  EXPECT_TRUE(fails_with(advise(map(kPageSize), kPageSize, MADV_REMOVE), EINVAL));
  EXPECT_TRUE(fails_with(advise(map_file(source, kPageSize), kPageSize, MADV_REMOVE), EACCES));
  std::uint64_t read_only = map_file(file(kPageSize, O_RDONLY), kPageSize, PROT_READ, MAP_SHARED);
  EXPECT_TRUE(fails_with(advise(read_only, kPageSize, MADV_REMOVE), EACCES));
}

TEST_F(Madvise, RemoveWorksOnSharedAnonymousMemory) {
  std::uint64_t address = map(kPageSize, kReadWrite, MAP_SHARED | MAP_ANONYMOUS);
  MUST(put(address, "gone"));
  MUST(advise(address, kPageSize, MADV_REMOVE));
  EXPECT_EQ(bytes_at(address, 4), std::string(4, '\0'));
}

TEST_F(Madvise, ChildrenLackWhatIsNotToBeForked) {
  std::uint64_t address = map(2 * kPageSize);
  MUST(advise(address, kPageSize, MADV_DONTFORK));
  Ref<MemoryMap> child = MUST(memory->fork(*thread));
  EXPECT_EQ(child->mappings().size(), 1U);
  EXPECT_TRUE(in_step(child.get(), host->last_child));
  MUST(advise(address, kPageSize, MADV_DOFORK));
  EXPECT_EQ(memory->mappings().size(), 1U);
}

TEST_F(Madvise, ChildrenFindZeroesWhereItIsWiped) {
  std::uint64_t address = map(2 * kPageSize);
  MUST(put(address, "wiped"));
  MUST(put(address + kPageSize, "kept"));
  MUST(advise(address, kPageSize, MADV_WIPEONFORK));
  Ref<MemoryMap> child = MUST(memory->fork(*thread));
  std::string text(5, ' ');
  MUST(child->read(address, std::as_writable_bytes(std::span(text))));
  EXPECT_EQ(text, std::string(5, '\0'));
  MUST(child->read(address + kPageSize, std::as_writable_bytes(std::span(text))));
  EXPECT_EQ(text, std::string("kept\0", 5));
  EXPECT_EQ(bytes_at(address, 5), "wiped");
  EXPECT_TRUE(in_step(child.get(), host->last_child));
}

TEST_F(Madvise, WipeOnForkIsForPrivateAnonymousMemory) {
  std::uint64_t common = map(kPageSize, kReadWrite, MAP_SHARED | MAP_ANONYMOUS);
  EXPECT_TRUE(fails_with(advise(common, kPageSize, MADV_WIPEONFORK), EINVAL));
  EXPECT_TRUE(
      fails_with(advise(map_file(file(kPageSize), kPageSize), kPageSize, MADV_WIPEONFORK), EINVAL));
}

TEST_F(Madvise, PopulateWantsTheRightToTouch) {
  std::uint64_t none = map(kPageSize, PROT_NONE), readable = map(kPageSize, PROT_READ);
  EXPECT_TRUE(fails_with(advise(none, kPageSize, MADV_POPULATE_READ), EINVAL));
  EXPECT_TRUE(fails_with(advise(readable, kPageSize, MADV_POPULATE_WRITE), EINVAL));
  EXPECT_TRUE(advise(readable, kPageSize, MADV_POPULATE_READ));
  EXPECT_TRUE(fails_with(advise(0x10000000, kPageSize, MADV_POPULATE_READ), ENOMEM));
}

TEST_F(Madvise, PopulateBehindTheEndOfAFileFaults) {
  std::uint64_t address = map_file(file(kPageSize, O_RDWR, false), 2 * kPageSize);
  EXPECT_TRUE(fails_with(advise(address, 2 * kPageSize, MADV_POPULATE_READ), EFAULT));
}

TEST_F(Madvise, MemoryOfTheHostIsNobodysToSpoil) {
  std::uint64_t address = map(kPageSize);
  EXPECT_TRUE(fails_with(advise(address, kPageSize, MADV_HWPOISON), EPERM));
}

TEST_F(Madvise, HintsCannotFail) {
  std::uint64_t address = map(kPageSize);
  for (int advice :
       {MADV_WILLNEED, MADV_RANDOM, MADV_SEQUENTIAL, MADV_NORMAL, MADV_HUGEPAGE, MADV_NOHUGEPAGE,
        MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_DONTDUMP, MADV_DODUMP, MADV_COLD, MADV_PAGEOUT})
    EXPECT_TRUE(advise(address, kPageSize, advice)) << advice;
}

class Mlock : public MemoryTest {};

TEST_F(Mlock, CountsAndUncounts) {
  std::uint64_t address = map(3 * kPageSize);
  MUST(memory->lock(address + 5, 1, true, limits));
  EXPECT_EQ(memory->usage().locked, kPageSize);
  MUST(memory->lock(address, 3 * kPageSize, true, limits));
  EXPECT_EQ(memory->usage().locked, 3 * kPageSize);
  MUST(memory->lock(address, 3 * kPageSize, false, limits));
  EXPECT_EQ(memory->usage().locked, 0U);
}

TEST_F(Mlock, LimitHoldsForWhatIsNotLockedYet) {
  std::uint64_t address = map(3 * kPageSize);
  limits.locked = 2 * kPageSize;
  EXPECT_TRUE(fails_with(memory->lock(address, 3 * kPageSize, true, limits), ENOMEM));
  MUST(memory->lock(address, 2 * kPageSize, true, limits));
  EXPECT_TRUE(memory->lock(address, 2 * kPageSize, true, limits));
  limits.locked = 0;
  EXPECT_TRUE(fails_with(memory->lock(address, kPageSize, true, limits), EPERM));
  EXPECT_TRUE(memory->lock(address, kPageSize, false, limits));
}

TEST_F(Mlock, HolesAreNoMemory) {
  std::uint64_t address = map(3 * kPageSize);
  MUST(unmap(address + kPageSize, kPageSize));
  EXPECT_TRUE(fails_with(memory->lock(address, 3 * kPageSize, true, limits), ENOMEM));
  EXPECT_EQ(memory->usage().locked, kPageSize);
  EXPECT_TRUE(fails_with(memory->lock(0x10000000, kPageSize, false, limits), ENOMEM));
}

TEST_F(Mlock, RangeMustBeARange) {
  EXPECT_TRUE(fails_with(memory->lock(kPageSize, ~std::uint64_t{0}, false, limits), EINVAL));
  EXPECT_TRUE(memory->lock(0x10000, 0, true, limits));
}

TEST_F(Mlock, WhatCannotBeReadCannotBeFilled) {
  std::uint64_t address = map(kPageSize, PROT_NONE);
  EXPECT_TRUE(fails_with(memory->lock(address, kPageSize, true, limits), ENOMEM));
  EXPECT_TRUE(memory->lock(address, kPageSize, true, limits, true));
}

TEST_F(Mlock, ChildrenInheritNoLocks) {
  std::uint64_t address = map(kPageSize);
  MUST(memory->lock(address, kPageSize, true, limits));
  Ref<MemoryMap> child = MUST(memory->fork(*thread));
  EXPECT_EQ(child->usage().locked, 0U);
  EXPECT_EQ(memory->usage().locked, kPageSize);
}

TEST_F(Mlock, AllOfNowAndAllOfLater) {
  map(kPageSize);
  MUST(memory->lock_all(MCL_CURRENT | MCL_FUTURE, limits));
  EXPECT_EQ(memory->usage().locked, kPageSize);
  map(kPageSize);
  EXPECT_EQ(memory->usage().locked, 2 * kPageSize);
  limits.locked = 2 * kPageSize;
  EXPECT_TRUE(fails_with(
      try_map({0, kPageSize, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, nullptr, 0, {}}), EAGAIN));
  memory->unlock_all();
  map(kPageSize);
  EXPECT_EQ(memory->usage().locked, 0U);
}

TEST_F(Mlock, AllWantsToKnowWhich) {
  EXPECT_TRUE(fails_with(memory->lock_all(0, limits), EINVAL));
  EXPECT_TRUE(fails_with(memory->lock_all(MCL_ONFAULT, limits), EINVAL));
  EXPECT_TRUE(fails_with(memory->lock_all(64, limits), EINVAL));
  limits.locked = 0;
  EXPECT_TRUE(fails_with(memory->lock_all(MCL_CURRENT, limits), EPERM));
  map(2 * kPageSize);
  limits.locked = kPageSize;
  EXPECT_TRUE(fails_with(memory->lock_all(MCL_CURRENT, limits), ENOMEM));
}

class Msync : public MemoryTest {};

TEST_F(Msync, WrongArgumentsAreInvalid) {
  std::uint64_t address = map(kPageSize);
  EXPECT_TRUE(fails_with(memory->sync(address, kPageSize, 64), EINVAL));
  EXPECT_TRUE(fails_with(memory->sync(address, kPageSize, MS_SYNC | MS_ASYNC), EINVAL));
  EXPECT_TRUE(fails_with(memory->sync(address + 1, kPageSize, MS_SYNC), EINVAL));
  EXPECT_TRUE(fails_with(memory->sync(address, ~std::uint64_t{0}, MS_SYNC), ENOMEM));
}

TEST_F(Msync, WritesSharedFilesBack) {
  Ref<TestFile> source = file(kPageSize);
  std::uint64_t address = map_file(source, kPageSize, kReadWrite, MAP_SHARED);
  MUST(memory->sync(address, kPageSize, MS_ASYNC));
  EXPECT_EQ(source->synced, 0);
  MUST(memory->sync(address, kPageSize, MS_SYNC));
  EXPECT_EQ(source->synced, 1);
}

TEST_F(Msync, HolesAreToldAtTheEnd) {
  Ref<TestFile> source = file(kPageSize);
  std::uint64_t address = map_file(source, kPageSize, kReadWrite, MAP_SHARED);
  EXPECT_TRUE(fails_with(memory->sync(address - kPageSize, 2 * kPageSize, MS_SYNC), ENOMEM));
  EXPECT_EQ(source->synced, 1);
}

TEST_F(Msync, LockedMemoryIsNotInvalidated) {
  std::uint64_t address = map(kPageSize, kReadWrite, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED);
  EXPECT_TRUE(fails_with(memory->sync(address, kPageSize, MS_INVALIDATE), EBUSY));
}

class Mincore : public MemoryTest {};

TEST_F(Mincore, AnswersForMappedPagesOnly) {
  std::uint64_t address = map_file(file(kPageSize, O_RDWR, false), 2 * kPageSize);
  EXPECT_EQ(MUST(memory->resident_pages(address, 2 * kPageSize)), std::string("\1\0", 2));
  EXPECT_EQ(MUST(memory->resident_pages(address, kPageSize + 1)).size(), 2U);
  EXPECT_TRUE(fails_with(memory->resident_pages(address + 1, kPageSize), EINVAL));
  EXPECT_TRUE(fails_with(memory->resident_pages(address, 3 * kPageSize), ENOMEM));
  EXPECT_TRUE(fails_with(memory->resident_pages(kFakeLimit, kPageSize), ENOMEM));
}

class Names : public MemoryTest {};

TEST_F(Names, AreKeptPerRange) {
  std::uint64_t address = map(2 * kPageSize);
  MUST(memory->name_range(address, kPageSize, "pool"));
  EXPECT_EQ(memory->mapping_at(address).name, "[anon:pool]");
  EXPECT_EQ(memory->mapping_at(address + kPageSize).name, "");
  MUST(memory->name_range(address, kPageSize, ""));
  EXPECT_EQ(memory->mappings().size(), 1U);
}

TEST_F(Names, AreForAnonymousMemory) {
  std::uint64_t address = map_file(file(kPageSize), kPageSize);
  EXPECT_TRUE(fails_with(memory->name_range(address, kPageSize, "x"), EBADF));
  EXPECT_TRUE(fails_with(memory->name_range(0x10000000, kPageSize, "x"), ENOMEM));
  EXPECT_TRUE(fails_with(memory->name_range(address + 1, kPageSize, "x"), EINVAL));
}

}  // namespace
}  // namespace caisson::sandbox::mm

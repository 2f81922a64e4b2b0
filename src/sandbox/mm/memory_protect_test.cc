#include <gtest/gtest.h>

#include "sandbox/mm/memory_fixture_test.h"

namespace caisson::sandbox::mm {
namespace {

constexpr int kReadWrite = PROT_READ | PROT_WRITE;

class Mprotect : public MemoryTest {};

TEST_F(Mprotect, WrongArgumentsAreInvalid) {
  std::uint64_t address = map(kPageSize);
  EXPECT_TRUE(fails_with(protect(address + 1, kPageSize, PROT_READ), EINVAL));
  EXPECT_TRUE(fails_with(protect(address, kPageSize, 0x100), EINVAL));
  EXPECT_TRUE(fails_with(protect(address, kPageSize, PROT_GROWSUP | PROT_GROWSDOWN), EINVAL));
}

TEST_F(Mprotect, NothingIsFine) { EXPECT_TRUE(protect(0x10000, 0, PROT_READ)); }

TEST_F(Mprotect, SemaphoreBitIsKnown) {
  EXPECT_TRUE(protect(map(kPageSize), kPageSize, PROT_READ | 8));
}

TEST_F(Mprotect, HolesAreNoMemory) {
  std::uint64_t address = map(3 * kPageSize);
  EXPECT_TRUE(fails_with(protect(0x10000, kPageSize, PROT_READ), ENOMEM));
  EXPECT_TRUE(fails_with(protect(address, ~std::uint64_t{0}, PROT_READ), ENOMEM));
  MUST(unmap(address + kPageSize, kPageSize));
  EXPECT_TRUE(fails_with(protect(address, 3 * kPageSize, PROT_READ), ENOMEM));
  EXPECT_EQ(memory->mapping_at(address).protection, PROT_READ);  // before the hole it was done
  EXPECT_EQ(memory->mapping_at(address + 2 * kPageSize).protection, kReadWrite);
  EXPECT_TRUE(in_step());
}

TEST_F(Mprotect, SplitsAndJoins) {
  std::uint64_t address = map(3 * kPageSize);
  MUST(protect(address + kPageSize, kPageSize, PROT_READ));
  EXPECT_EQ(memory->mappings().size(), 3U);
  MUST(protect(address + kPageSize, kPageSize, kReadWrite));
  EXPECT_EQ(memory->mappings().size(), 1U);
  EXPECT_TRUE(in_step());
}

TEST_F(Mprotect, SameProtectionCostsNoOrder) {
  std::uint64_t address = map(kPageSize);
  host->log.clear();
  MUST(protect(address, kPageSize, kReadWrite));
  EXPECT_TRUE(host->log.empty());
}

TEST_F(Mprotect, StopsAtWhatMayNotBe) {
  Ref<TestFile> source = file(kPageSize, O_RDONLY);
  std::uint64_t high = map_file(source, kPageSize, PROT_READ, MAP_SHARED);
  std::uint64_t low = map(kPageSize, PROT_READ);
  ASSERT_EQ(low + kPageSize, high);
  EXPECT_TRUE(fails_with(protect(low, 2 * kPageSize, kReadWrite), EACCES));
  EXPECT_EQ(memory->mapping_at(low).protection, kReadWrite);
  EXPECT_TRUE(in_step());
}

TEST_F(Mprotect, DataLimitHoldsForWhatBecomesWritable) {
  std::uint64_t address = map(2 * kPageSize, PROT_READ);
  limits.data = kPageSize;
  EXPECT_TRUE(fails_with(protect(address, 2 * kPageSize, kReadWrite), ENOMEM));
  EXPECT_TRUE(protect(address, kPageSize, kReadWrite));
}

TEST_F(Mprotect, GrowsDownReachesToTheStacksBegin) {
  std::uint64_t address =
      map(4 * kPageSize, kReadWrite, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, 0x20000000);
  MUST(protect(address + 3 * kPageSize, kPageSize, PROT_READ | PROT_GROWSDOWN));
  EXPECT_EQ(memory->mapping_at(address).protection, PROT_READ);
}

TEST_F(Mprotect, GrowsDownIsForStacks) {
  std::uint64_t address = map(kPageSize);
  EXPECT_TRUE(fails_with(protect(address, kPageSize, PROT_READ | PROT_GROWSDOWN), EINVAL));
  EXPECT_TRUE(fails_with(protect(address, kPageSize, PROT_READ | PROT_GROWSUP), EINVAL));
}

TEST_F(Mprotect, SealedMemoryKeepsItsProtection) {
  std::uint64_t address = map(kPageSize);
  MUST(memory->seal(address, kPageSize));
  EXPECT_TRUE(fails_with(protect(address, kPageSize, PROT_READ), EPERM));
}

TEST_F(Mprotect, RefusalOfTheHostIsNotClaimed) {
  std::uint64_t address = map(2 * kPageSize);
  host->fail_with = ENOMEM;
  EXPECT_TRUE(fails_with(protect(address, kPageSize, PROT_READ), ENOMEM));
  EXPECT_EQ(memory->mapping_at(address).protection, kReadWrite);
  EXPECT_TRUE(in_step());
}

TEST_F(Mprotect, OneOrderForManyMappings) {
  std::uint64_t address = map(4 * kPageSize);
  MUST(protect(address + kPageSize, kPageSize, PROT_READ));
  host->log.clear();
  MUST(protect(address, 4 * kPageSize, PROT_NONE));
  EXPECT_EQ(host->log.size(), 1U);
}

TEST_F(Mprotect, SplitsMayBeTooMany) {
  reset(true);
  for (std::uint64_t i = 0; i < kMostMappings; ++i)
    MUST(try_map({0x20000000 + i * 4 * kPageSize,
                  3 * kPageSize,
                  PROT_READ,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
                  nullptr,
                  0,
                  {}}));
  EXPECT_TRUE(fails_with(protect(0x20000000, kPageSize, PROT_NONE), ENOMEM));
  EXPECT_TRUE(protect(0x20000000, 3 * kPageSize, PROT_NONE));
}

class Mseal : public MemoryTest {};

TEST_F(Mseal, WantsWholeMappedPages) {
  std::uint64_t address = map(kPageSize);
  EXPECT_TRUE(fails_with(memory->seal(address + 1, kPageSize), EINVAL));
  EXPECT_TRUE(fails_with(memory->seal(address, ~std::uint64_t{0}), EINVAL));
  EXPECT_TRUE(fails_with(memory->seal(address, 2 * kPageSize), ENOMEM));
  EXPECT_TRUE(memory->seal(address, 0));
  EXPECT_TRUE(memory->seal(address, kPageSize));
}

TEST_F(Mseal, HoldsAgainstAllThatChanges) {
  std::uint64_t address = map(kPageSize, PROT_READ);
  MUST(memory->seal(address, kPageSize));
  EXPECT_TRUE(fails_with(
      try_map(
          {address, kPageSize, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, nullptr, 0, {}}),
      EPERM));
  EXPECT_TRUE(fails_with(remap(address, kPageSize, 2 * kPageSize, MREMAP_MAYMOVE), EPERM));
  EXPECT_TRUE(fails_with(advise(address, kPageSize, MADV_DONTNEED), EPERM));
  EXPECT_TRUE(advise(address, kPageSize, MADV_WILLNEED));
}

TEST_F(Mseal, WritableMemoryMayBeDropped) {
  std::uint64_t address = map(kPageSize);
  MUST(memory->seal(address, kPageSize));
  EXPECT_TRUE(advise(address, kPageSize, MADV_DONTNEED));
}

TEST_F(Mseal, NothingMovesOntoIt) {
  std::uint64_t sealed = map(kPageSize), other = map(kPageSize, PROT_READ);
  MUST(memory->seal(sealed, kPageSize));
  EXPECT_TRUE(
      fails_with(remap(other, kPageSize, kPageSize, MREMAP_MAYMOVE | MREMAP_FIXED, sealed), EPERM));
}

}  // namespace
}  // namespace caisson::sandbox::mm

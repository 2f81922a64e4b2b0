#include <gtest/gtest.h>

#include "sandbox/mm/memory_fixture_test.h"

namespace caisson::sandbox::mm {
namespace {

constexpr int kReadWrite = PROT_READ | PROT_WRITE;
constexpr int kPrivate = MAP_PRIVATE | MAP_ANONYMOUS;
constexpr std::uint64_t kPlace = 0x20000000;

class Mmap : public MemoryTest {
 protected:
  ErrnoOr<std::uint64_t> anonymous(std::uint64_t address, std::uint64_t length, int flags,
                                   int protection = kReadWrite) {
    return try_map({address, length, protection, flags, nullptr, 0, {}});
  }
  ErrnoOr<std::uint64_t> of_file(const Ref<vfs::File>& file, int flags, int protection = PROT_READ,
                                 std::uint64_t length = kPageSize, std::uint64_t offset = 0) {
    return try_map({0, length, protection, flags, file, offset, {}});
  }
};

TEST_F(Mmap, NothingIsInvalid) { EXPECT_TRUE(fails_with(anonymous(0, 0, kPrivate), EINVAL)); }

TEST_F(Mmap, LengthThatWrapsIsTooMuch) {
  EXPECT_TRUE(fails_with(anonymous(0, ~std::uint64_t{0}, kPrivate), ENOMEM));
}

TEST_F(Mmap, LengthBeyondTheSpaceIsTooMuch) {
  EXPECT_TRUE(fails_with(anonymous(0, kFakeLimit + kPageSize, kPrivate), ENOMEM));
}

TEST_F(Mmap, OffsetIsOfWholePages) {
  EXPECT_TRUE(fails_with(of_file(file(kPageSize), MAP_PRIVATE, PROT_READ, kPageSize, 1), EINVAL));
}

TEST_F(Mmap, EndOfOffsetMustBeANumber) {
  EXPECT_TRUE(fails_with(
      of_file(file(kPageSize), MAP_PRIVATE, PROT_READ, 2 * kPageSize, ~std::uint64_t{4095}),
      EOVERFLOW));
}

TEST_F(Mmap, EitherPrivateOrShared) {
  EXPECT_TRUE(fails_with(anonymous(0, kPageSize, MAP_ANONYMOUS), EINVAL));
  EXPECT_TRUE(fails_with(of_file(file(kPageSize), 0), EINVAL));
}

TEST_F(Mmap, SharedValidateNeedsAFile) {
  EXPECT_TRUE(fails_with(anonymous(0, kPageSize, MAP_SHARED_VALIDATE | MAP_ANONYMOUS), EINVAL));
}

TEST_F(Mmap, SharedValidateRefusesWhatItDoesNotKnow) {
  EXPECT_TRUE(fails_with(of_file(file(kPageSize), MAP_SHARED_VALIDATE | MAP_SYNC), EOPNOTSUPP));
  EXPECT_TRUE(of_file(file(kPageSize), MAP_SHARED_VALIDATE));
}

TEST_F(Mmap, SharedIgnoresWhatItDoesNotKnow) {
  EXPECT_TRUE(of_file(file(kPageSize), MAP_SHARED | MAP_SYNC));
}

TEST_F(Mmap, FixedReplacesWhatIsThere) {
  std::uint64_t address = MUST(anonymous(kPlace, 3 * kPageSize, kPrivate | MAP_FIXED));
  MUST(put(address + kPageSize, "old"));
  MUST(anonymous(address + kPageSize, kPageSize, kPrivate | MAP_FIXED, PROT_READ));
  EXPECT_EQ(bytes_at(address + kPageSize, 3), std::string(3, '\0'));
  EXPECT_EQ(memory->mappings().size(), 3U);
  EXPECT_TRUE(in_step());
}

TEST_F(Mmap, FixedMustBeAligned) {
  EXPECT_TRUE(fails_with(anonymous(kPlace + 1, kPageSize, kPrivate | MAP_FIXED), EINVAL));
}

TEST_F(Mmap, FixedMustLieInTheSpace) {
  EXPECT_TRUE(fails_with(anonymous(kFakeLimit, kPageSize, kPrivate | MAP_FIXED), ENOMEM));
  EXPECT_TRUE(
      fails_with(anonymous(kFakeLimit - kPageSize, 2 * kPageSize, kPrivate | MAP_FIXED), ENOMEM));
  EXPECT_TRUE(anonymous(kFakeLimit - kPageSize, kPageSize, kPrivate | MAP_FIXED));
}

TEST_F(Mmap, LowestPagesAreNobodys) {
  EXPECT_TRUE(fails_with(anonymous(0, kPageSize, kPrivate | MAP_FIXED), EPERM));
  EXPECT_TRUE(fails_with(anonymous(kPageSize, kPageSize, kPrivate | MAP_FIXED), EPERM));
  EXPECT_TRUE(anonymous(kLowestAddress, kPageSize, kPrivate | MAP_FIXED));
}

TEST_F(Mmap, NoReplaceKeepsWhatIsThere) {
  MUST(anonymous(kPlace, kPageSize, kPrivate | MAP_FIXED));
  int flags = kPrivate | MAP_FIXED_NOREPLACE;
  EXPECT_TRUE(fails_with(anonymous(kPlace, kPageSize, flags), EEXIST));
  EXPECT_TRUE(fails_with(anonymous(kPlace - kPageSize, 2 * kPageSize, flags), EEXIST));
  EXPECT_EQ(MUST(anonymous(kPlace + kPageSize, kPageSize, flags)), kPlace + kPageSize);
}

TEST_F(Mmap, HintIsTakenWhenFree) {
  EXPECT_EQ(MUST(anonymous(kPlace + 5, kPageSize, kPrivate)), kPlace);
  EXPECT_NE(MUST(anonymous(kPlace, kPageSize, kPrivate)), kPlace);
}

TEST_F(Mmap, LowHintIsRaised) {
  EXPECT_EQ(MUST(anonymous(kPageSize, kPageSize, kPrivate)), kLowestAddress);
}

TEST_F(Mmap, HintBeyondTheSpaceIsForgotten) {
  EXPECT_LT(MUST(anonymous(kFakeLimit, kPageSize, kPrivate)), kFakeLimit);
}

#ifdef MAP_32BIT
TEST_F(Mmap, LowMemoryOnRequest) {
  EXPECT_EQ(MUST(anonymous(0, kPageSize, kPrivate | MAP_32BIT)), 0x40000000U);
  EXPECT_EQ(MUST(anonymous(0, kPageSize, kPrivate | MAP_32BIT)), 0x40001000U);
  EXPECT_TRUE(fails_with(anonymous(0, 1 << 30, kPrivate | MAP_32BIT), ENOMEM));
}
#endif

TEST_F(Mmap, FreedPlacesAreUsedAgain) {
  std::uint64_t first = map(kPageSize), second = map(kPageSize);
  MUST(unmap(first, kPageSize));
  EXPECT_EQ(map(kPageSize), first);
  MUST(unmap(second, kPageSize));
  EXPECT_EQ(map(kPageSize), second);
}

TEST_F(Mmap, SmallGapsAreSkippedAndFoundAgain) {
  std::uint64_t top = map(4 * kPageSize);
  MUST(unmap(top + kPageSize, kPageSize));
  EXPECT_EQ(map(2 * kPageSize), top - 2 * kPageSize);
  EXPECT_EQ(map(kPageSize), top + kPageSize);
}

TEST_F(Mmap, LargeMemoryIsAlignedForHugePages) {
  constexpr std::uint64_t kHuge = 2 << 20;
  map(kPageSize);
  EXPECT_EQ(map(kHuge) % kHuge, 0U);
}

TEST_F(Mmap, FullSpaceIsTold) {
  reset(true);
  std::uint64_t most = kFakeLimit - (64ULL << 30);
  MUST(anonymous(0, most, kPrivate | MAP_NORESERVE));
  EXPECT_TRUE(fails_with(anonymous(0, most, kPrivate | MAP_NORESERVE), ENOMEM));
}

TEST_F(Mmap, PlacesKeepClearOfStacks) {
  std::uint64_t top = memory->address_layout().map_top;
  MUST(anonymous(top - kPageSize, kPageSize, kPrivate | MAP_FIXED | MAP_GROWSDOWN));
  EXPECT_EQ(map(kPageSize), top - kPageSize - kStackGuardGap - kPageSize);
}

TEST_F(Mmap, MappingsAreLimitedInNumber) {
  reset(true);
  for (std::uint64_t i = 0; i <= kMostMappings; ++i)
    MUST(anonymous(kPlace + i * 2 * kPageSize, kPageSize, kPrivate | MAP_FIXED));
  EXPECT_TRUE(fails_with(anonymous(0, kPageSize, kPrivate, PROT_READ), ENOMEM));
}

TEST_F(Mmap, AddressSpaceLimit) {
  limits.address_space = 4 * kPageSize;
  std::uint64_t address = map(3 * kPageSize);
  EXPECT_TRUE(fails_with(anonymous(0, 2 * kPageSize, kPrivate), ENOMEM));
  EXPECT_TRUE(anonymous(address, 3 * kPageSize, kPrivate | MAP_FIXED));  // what it replaces is free
  EXPECT_TRUE(anonymous(0, kPageSize, kPrivate));
}

TEST_F(Mmap, DataLimitCountsWritablePrivateMemory) {
  limits.data = kPageSize;
  EXPECT_TRUE(fails_with(anonymous(0, 2 * kPageSize, kPrivate), ENOMEM));
  EXPECT_TRUE(anonymous(0, 2 * kPageSize, kPrivate, PROT_READ));
  EXPECT_TRUE(anonymous(0, 2 * kPageSize, MAP_SHARED | MAP_ANONYMOUS));
}

TEST_F(Mmap, LockedMemoryHasALimit) {
  limits.locked = kPageSize;
  EXPECT_TRUE(fails_with(anonymous(0, 2 * kPageSize, kPrivate | MAP_LOCKED), EAGAIN));
  EXPECT_TRUE(anonymous(0, kPageSize, kPrivate | MAP_LOCKED));
  EXPECT_EQ(memory->usage().locked, kPageSize);
  limits.locked = 0;
  EXPECT_TRUE(fails_with(anonymous(0, kPageSize, kPrivate | MAP_LOCKED), EPERM));
}

TEST_F(Mmap, ThereAreNoHugePages) {
  EXPECT_TRUE(fails_with(anonymous(0, 2 << 20, kPrivate | MAP_HUGETLB), ENOMEM));
  int odd_size = 5 << MAP_HUGE_SHIFT;
  EXPECT_TRUE(fails_with(anonymous(0, 2 << 20, kPrivate | MAP_HUGETLB | odd_size), EINVAL));
  EXPECT_TRUE(fails_with(of_file(file(kPageSize), MAP_PRIVATE | MAP_HUGETLB), EINVAL));
}

TEST_F(Mmap, FileMustBeOpenForWhatIsDone) {
  EXPECT_TRUE(fails_with(of_file(file(kPageSize, O_WRONLY), MAP_PRIVATE), EACCES));
  EXPECT_TRUE(fails_with(of_file(file(kPageSize, O_WRONLY), MAP_SHARED), EACCES));
  EXPECT_TRUE(fails_with(of_file(file(kPageSize, O_RDONLY), MAP_SHARED, kReadWrite), EACCES));
  EXPECT_TRUE(of_file(file(kPageSize, O_RDONLY), MAP_PRIVATE, kReadWrite));
}

TEST_F(Mmap, SharedMappingOfAReadOnlyFileStaysReadOnly) {
  std::uint64_t address = MUST(of_file(file(kPageSize, O_RDONLY), MAP_SHARED));
  EXPECT_TRUE(fails_with(protect(address, kPageSize, kReadWrite), EACCES));
}

TEST_F(Mmap, FilesCannotGrowDown) {
  EXPECT_TRUE(fails_with(of_file(file(kPageSize), MAP_PRIVATE | MAP_GROWSDOWN), EINVAL));
  EXPECT_TRUE(
      fails_with(anonymous(0, kPageSize, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN), EINVAL));
}

TEST_F(Mmap, FileThatCannotBeMappedSaysWhy) {
  Ref<TestFile> stream = file(kPageSize);
  stream->error = ENODEV;
  EXPECT_TRUE(fails_with(of_file(stream, MAP_PRIVATE), ENODEV));
}

TEST_F(Mmap, AddressIsCheckedBeforeTheFile) {
  Ref<TestFile> stream = file(kPageSize);
  stream->error = ENODEV;
  EXPECT_TRUE(fails_with(try_map({kPlace + 1,
                                  kPageSize,
                                  PROT_READ,
                                  MAP_PRIVATE | MAP_FIXED,
                                  Ref<vfs::File>(stream),
                                  0,
                                  {}}),
                         EINVAL));
}

TEST_F(Mmap, PrivateFileMemoryIsCopiedOnWrite) {
  Ref<TestFile> source = file(kPageSize);
  source->put(0, "file");
  std::uint64_t address = map_file(source, kPageSize);
  MUST(put(address, "mine"));
  std::uint64_t second = map_file(source, kPageSize, PROT_READ);
  EXPECT_EQ(bytes_at(second, 4), "file");
}

TEST_F(Mmap, SharedFileMemoryIsTheFiles) {
  Ref<TestFile> source = file(kPageSize);
  std::uint64_t address = map_file(source, kPageSize, kReadWrite, MAP_SHARED);
  MUST(put(address, "ours"));
  std::uint64_t second = map_file(source, kPageSize, PROT_READ);
  EXPECT_EQ(bytes_at(second, 4), "ours");
}

TEST_F(Mmap, OffsetsOfOneFileBecomeOneMapping) {
  Ref<TestFile> source = file(4 * kPageSize);
  std::uint64_t high = map_file(source, kPageSize, PROT_READ, MAP_PRIVATE, kPageSize);
  std::uint64_t low = map_file(source, kPageSize, PROT_READ, MAP_PRIVATE, 0);
  EXPECT_EQ(low + kPageSize, high);
  EXPECT_EQ(memory->mappings().size(), 1U);
  map_file(source, kPageSize, PROT_READ, MAP_PRIVATE, 0);
  EXPECT_EQ(memory->mappings().size(), 2U);
}

TEST_F(Mmap, FilesWithoutBytesOfTheirOwnAreAnonymous) {  // /dev/zero
  struct Zero final : vfs::File {
    Zero() : File(vfs::Path{}, nullptr, O_RDWR) {}
    ErrnoOr<vfs::MapSource> map_source(std::uint64_t, std::uint64_t, int, bool) override {
      return vfs::MapSource{};
    }
  };
  Ref<vfs::File> zero(make_ref<Zero>());
  std::uint64_t own = map_file(zero, kPageSize),
                common = map_file(zero, kPageSize, kReadWrite, MAP_SHARED);
  MUST(put(own, "a"));
  MUST(put(common, "b"));
  Ref<MemoryMap> child = MUST(memory->fork(*thread));
  MUST(put(common, "c"));
  std::byte byte{};
  MUST(child->read(common, std::span(&byte, 1)));
  EXPECT_EQ(byte, std::byte{'c'});
}

TEST_F(Mmap, RefusalOfTheHostLeavesAllAsItWas) {
  std::uint64_t address = map(kPageSize);
  MUST(put(address, "kept"));
  host->fail_with = ENOMEM;
  EXPECT_TRUE(fails_with(anonymous(address, kPageSize, kPrivate | MAP_FIXED), ENOMEM));
  EXPECT_EQ(bytes_at(address, 4), "kept");
  EXPECT_EQ(memory->mappings().size(), 1U);
  EXPECT_TRUE(in_step());
}

TEST_F(Mmap, PopulateFillsAfterwards) {
  host->log.clear();
  MUST(anonymous(0, kPageSize, kPrivate | MAP_POPULATE));
  EXPECT_EQ(host->log, (std::vector<std::string>{"map", "advise 23"}));
  host->log.clear();
  MUST(anonymous(0, kPageSize, kPrivate | MAP_POPULATE | MAP_NONBLOCK));
  EXPECT_EQ(host->log, (std::vector<std::string>{"map"}));
}

TEST_F(Mmap, DroppableMemoryIsNotInherited) {
  constexpr int kDroppable = 8;
  std::uint64_t address = MUST(anonymous(0, kPageSize, kDroppable | MAP_ANONYMOUS));
  MUST(put(address, "x"));
  EXPECT_TRUE(memory->mapping_at(address).wipe_on_fork);
}

class Munmap : public MemoryTest {};

TEST_F(Munmap, WrongRangesAreInvalid) {
  std::uint64_t address = map(kPageSize);
  EXPECT_TRUE(fails_with(unmap(address + 1, kPageSize), EINVAL));
  EXPECT_TRUE(fails_with(unmap(address, 0), EINVAL));
  EXPECT_TRUE(fails_with(unmap(kFakeLimit, kPageSize), EINVAL));
  EXPECT_TRUE(fails_with(unmap(address, ~std::uint64_t{0}), EINVAL));
}

TEST_F(Munmap, NothingThereIsFine) {
  host->log.clear();
  EXPECT_TRUE(unmap(kPlace, kPageSize));
  EXPECT_TRUE(host->log.empty());
}

TEST_F(Munmap, LengthIsRoundedUp) {
  std::uint64_t address = map(2 * kPageSize);
  MUST(unmap(address, 1));
  EXPECT_EQ(memory->mappings().front().begin, address + kPageSize);
}

TEST_F(Munmap, SpansSeveralMappings) {
  std::uint64_t a = map(kPageSize), b = map(kPageSize, PROT_READ), c = map(kPageSize);
  MUST(unmap(c, a + kPageSize - c));
  EXPECT_TRUE(memory->mappings().empty());
  EXPECT_EQ(memory->usage().total, 0U);
  EXPECT_NE(b, 0U);
  EXPECT_TRUE(in_step());
}

TEST_F(Munmap, TwoHalvesMayBeOneTooMany) {
  reset(true);
  for (std::uint64_t i = 0; i < kMostMappings; ++i)
    MUST(try_map({kPlace + i * 4 * kPageSize,
                  3 * kPageSize,
                  PROT_READ,
                  kPrivate | MAP_FIXED,
                  nullptr,
                  0,
                  {}}));
  EXPECT_TRUE(fails_with(unmap(kPlace + kPageSize, kPageSize), ENOMEM));
  EXPECT_TRUE(unmap(kPlace, kPageSize));
}

TEST_F(Munmap, SealedMemoryStays) {
  std::uint64_t address = map(3 * kPageSize);
  MUST(memory->seal(address + kPageSize, kPageSize));
  EXPECT_TRUE(fails_with(unmap(address, 3 * kPageSize), EPERM));
  EXPECT_TRUE(unmap(address, kPageSize));
}

}  // namespace
}  // namespace caisson::sandbox::mm

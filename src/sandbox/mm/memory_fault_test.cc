#include <gtest/gtest.h>

#include "sandbox/mm/memory_fixture_test.h"

namespace caisson::sandbox::mm {
namespace {

constexpr int kReadWrite = PROT_READ | PROT_WRITE;
constexpr std::uint32_t kRead = 4, kWrite = 6, kFetch = 0x14;  // error codes of page faults
constexpr std::uint64_t kStack = 0x20000000;

class Faults : public MemoryTest {
 protected:
  static std::pair<int, int> signal_of(const FaultOutcome& outcome) {
    return outcome.resolved ? std::pair{0, 0} : std::pair{outcome.signal, outcome.code};
  }
  std::uint64_t stack(std::uint64_t length = kPageSize) {
    return map(length, kReadWrite, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, kStack);
  }
  const std::pair<int, int> none{0, 0}, unmapped{SIGSEGV, SEGV_MAPERR},
      denied{SIGSEGV, SEGV_ACCERR}, behind_end{SIGBUS, BUS_ADRERR};
};

TEST_F(Faults, NothingThere) { EXPECT_EQ(signal_of(touch(0x10000000, kRead)), unmapped); }

TEST_F(Faults, NullPointer) { EXPECT_EQ(signal_of(touch(0, kRead)), unmapped); }

TEST_F(Faults, PlatformsMemoryIsNothingThere) {
  EXPECT_EQ(signal_of(touch(kFakeLimit + kPageSize, kRead, SEGV_ACCERR)), unmapped);
}

TEST_F(Faults, ProtectionIsTold) {
  std::uint64_t none_at_all = map(kPageSize, PROT_NONE), readable = map(kPageSize, PROT_READ);
  EXPECT_EQ(signal_of(touch(none_at_all, kRead, SEGV_ACCERR)), denied);
  EXPECT_EQ(signal_of(touch(readable, kWrite, SEGV_ACCERR)), denied);
  EXPECT_EQ(signal_of(touch(readable, kFetch, SEGV_ACCERR)), denied);
}

TEST_F(Faults, OtherSignalsPass) {
  platform::Fault fault{SIGFPE, FPE_INTDIV, 0x1000, 0, 0};
  FaultOutcome outcome = memory->handle_fault(*thread, fault, limits);
  EXPECT_EQ(signal_of(outcome), (std::pair<int, int>{SIGFPE, FPE_INTDIV}));
  fault = {SIGSEGV, SI_KERNEL, 0, 13, 0};
  outcome = memory->handle_fault(*thread, fault, limits);
  EXPECT_EQ(signal_of(outcome), (std::pair<int, int>{SIGSEGV, SI_KERNEL}));
}

TEST_F(Faults, HostsSigbusPasses) {
  platform::Fault fault{SIGBUS, BUS_ADRERR, map(kPageSize), 14, 4};
  EXPECT_EQ(signal_of(memory->handle_fault(*thread, fault, limits)), behind_end);
}

TEST_F(Faults, AnotherThreadWasFaster) {
  std::uint64_t address = map(kPageSize);
  EXPECT_EQ(signal_of(touch(address, kWrite)), none);
}

TEST_F(Faults, HostThatKnowsLessIsToldAgainAndNotForEver) {
  std::uint64_t address = map(kPageSize);
  int resolved = 0;
  while (resolved < 1000 && touch(address, kWrite, SEGV_ACCERR).resolved) ++resolved;
  EXPECT_GT(resolved, 1);
  EXPECT_LT(resolved, 1000);
  EXPECT_EQ(host->log.back(), "protect");
}

TEST_F(Faults, StacksGrowToTheTouch) {
  stack();
  EXPECT_EQ(signal_of(touch(kStack - 3 * kPageSize + 5, kWrite)), none);
  EXPECT_EQ(memory->mappings().front().begin, kStack - 3 * kPageSize);
  EXPECT_EQ(memory->mappings().size(), 1U);
  EXPECT_TRUE(in_step());
}

TEST_F(Faults, StacksGrowUpToTheirLimit) {
  stack();
  limits.stack = 4 * kPageSize;
  EXPECT_EQ(signal_of(touch(kStack - 4 * kPageSize, kWrite)), unmapped);
  EXPECT_EQ(signal_of(touch(kStack - 3 * kPageSize, kWrite)), none);
}

TEST_F(Faults, StacksKeepAGapToWhatIsBelow) {
  stack();
  map(kPageSize, kReadWrite, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
      kStack - kStackGuardGap - 3 * kPageSize);
  EXPECT_EQ(signal_of(touch(kStack - 3 * kPageSize, kWrite)), unmapped);
  EXPECT_EQ(signal_of(touch(kStack - 2 * kPageSize, kWrite)), none);
}

TEST_F(Faults, GuardPagesOfTheGuestNeedNoGap) {
  stack();
  map(kPageSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, kStack - 3 * kPageSize);
  EXPECT_EQ(signal_of(touch(kStack - 2 * kPageSize, kWrite)), none);
  EXPECT_EQ(signal_of(touch(kStack - 3 * kPageSize, kWrite, SEGV_ACCERR)), denied);
}

TEST_F(Faults, StacksCountForTheAddressSpaceLimit) {
  stack();
  limits.address_space = 2 * kPageSize;
  EXPECT_EQ(signal_of(touch(kStack - 2 * kPageSize, kWrite)), unmapped);
  EXPECT_EQ(signal_of(touch(kStack - kPageSize, kWrite)), none);
}

TEST_F(Faults, LockedStacksCountForTheLimit) {
  map(kPageSize, kReadWrite, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN | MAP_LOCKED,
      kStack);
  limits.locked = kPageSize;
  EXPECT_EQ(signal_of(touch(kStack - kPageSize, kWrite)), unmapped);
}

TEST_F(Faults, SealedStacksStay) {
  stack();
  MUST(memory->seal(kStack, kPageSize));
  EXPECT_EQ(signal_of(touch(kStack - kPageSize, kWrite)), unmapped);
}

TEST_F(Faults, InitialStackGrowsInLargeSteps) {
  stack();
  ProgramLayout layout;
  layout.stack_begin = kStack + 64;
  memory->set_layout(layout);
  EXPECT_EQ(signal_of(touch(kStack - 1, kWrite)), none);
  EXPECT_LT(memory->mappings().front().begin, kStack - 16 * kPageSize);
}

TEST_F(Faults, StackThatTheHostRefusesIsNoStack) {
  stack();
  host->fail_with = ENOMEM;
  EXPECT_EQ(signal_of(touch(kStack - 1, kWrite)), unmapped);
  EXPECT_TRUE(in_step());
}

TEST_F(Faults, PagesBehindTheEndOfAFileAreNoMemory) {
  Ref<TestFile> source = file(kPageSize + 10, O_RDWR, false);
  std::uint64_t address = map_file(source, 4 * kPageSize);
  EXPECT_TRUE(in_step());
  EXPECT_EQ(bytes_at(address + 2 * kPageSize - 1, 5), std::string(1, '\0'));
  EXPECT_EQ(signal_of(touch(address + 2 * kPageSize, kRead)), behind_end);
}

TEST_F(Faults, FilesThatGrewAreShown) {
  Ref<TestFile> source = file(kPageSize, O_RDWR, false);
  std::uint64_t address = map_file(source, 4 * kPageSize, kReadWrite, MAP_SHARED);
  source->end->set(3 * kPageSize);
  source->put(2 * kPageSize, "grown");
  EXPECT_EQ(signal_of(touch(address + kPageSize, kRead)), none);
  EXPECT_EQ(bytes_at(address + 2 * kPageSize, 5), "grown");
  EXPECT_EQ(signal_of(touch(address + 3 * kPageSize, kRead)), behind_end);
  EXPECT_EQ(memory->mappings().size(), 1U);
  EXPECT_TRUE(in_step());
}

TEST_F(Faults, EmptyFilesCanBeMapped) {
  Ref<TestFile> source = file(0, O_RDWR, false);
  std::uint64_t address = map_file(source, 2 * kPageSize);
  EXPECT_TRUE(host->parts.empty());
  EXPECT_EQ(signal_of(touch(address, kRead)), behind_end);
  MUST(protect(address, kPageSize, PROT_NONE));
  EXPECT_EQ(signal_of(touch(address, kRead)), denied);
  MUST(unmap(address, 2 * kPageSize));
  EXPECT_TRUE(memory->mappings().empty());
}

TEST_F(Faults, WhatTheFileLacksIsReplacedAllTheSame) {
  std::uint64_t address = map(4 * kPageSize);
  Ref<TestFile> source = file(kPageSize, O_RDWR, false);
  MUST(try_map(
      {address, 4 * kPageSize, PROT_READ, MAP_PRIVATE | MAP_FIXED, Ref<vfs::File>(source), 0, {}}));
  EXPECT_EQ(bytes_at(address + kPageSize, 1), "EFAULT");
  EXPECT_TRUE(in_step());
}

TEST_F(Faults, FilesThatShrinkAreCutOff) {
  Ref<TestFile> source = file(4 * kPageSize, O_RDWR, false);
  std::uint64_t address = map_file(source, 4 * kPageSize);
  std::uint64_t part = map_file(source, kPageSize, PROT_READ, MAP_SHARED, 2 * kPageSize);
  Ref<MemoryMap> child = MUST(memory->fork(*thread));
  source->end->set(kPageSize + 1);
  EXPECT_EQ(memory->mapping_at(address).backed_end, address + 2 * kPageSize);
  EXPECT_EQ(memory->mapping_at(part).backed_end, part);
  EXPECT_EQ(child->mapping_at(address).backed_end, address + 2 * kPageSize);
  EXPECT_EQ(signal_of(touch(part, kRead)), behind_end);
  EXPECT_TRUE(in_step());
  EXPECT_TRUE(in_step(child.get(), host->last_child));
  source->end->set(4 * kPageSize);
  EXPECT_EQ(signal_of(touch(part, kRead)), none);
}

TEST_F(Faults, FilesOutliveWhoMappedThem) {
  Ref<TestFile> source = file(4 * kPageSize, O_RDWR, false);
  map_file(source, 4 * kPageSize);
  reset();
  source->end->set(0);
}

TEST_F(Faults, ManyFilesThatAreGoneAreForgotten) {
  Ref<TestFile> kept = file(kPageSize, O_RDWR, false);
  std::uint64_t address = map_file(kept, kPageSize);
  for (int i = 0; i < 200; ++i) {
    std::uint64_t other = map_file(file(kPageSize, O_RDWR, false), kPageSize);
    MUST(unmap(other, kPageSize));
  }
  kept->end->set(0);
  EXPECT_EQ(memory->mapping_at(address).backed_end, address);
}

TEST_F(Faults, PartsWithoutPagesMoveAndSplit) {
  Ref<TestFile> source = file(2 * kPageSize, O_RDWR, false);
  source->put(kPageSize, "second");
  std::uint64_t address = map_file(source, 6 * kPageSize);
  MUST(protect(address + kPageSize, 3 * kPageSize, PROT_READ));
  EXPECT_TRUE(in_step());
  MUST(protect(address, 6 * kPageSize, kReadWrite));
  EXPECT_EQ(memory->mappings().size(), 1U);
  std::uint64_t to =
      MUST(remap(address, 6 * kPageSize, 6 * kPageSize, MREMAP_MAYMOVE | MREMAP_FIXED, 0x30000000));
  EXPECT_EQ(bytes_at(to + kPageSize, 6), "second");
  EXPECT_EQ(signal_of(touch(to + 2 * kPageSize, kRead)), behind_end);
  EXPECT_TRUE(in_step());
}

class Copies : public MemoryTest {};

TEST_F(Copies, EndAtWhatIsNotThere) {
  std::uint64_t address = map(kPageSize);
  EXPECT_EQ(bytes_at(address, 2 * kPageSize).size(), kPageSize);
  EXPECT_EQ(bytes_at(0x10000, 4), "EFAULT");
}

TEST_F(Copies, NothingIsAlwaysCopied) {
  EXPECT_EQ(MUST(memory->read(0, {})), 0U);
  EXPECT_EQ(MUST(memory->write(~std::uint64_t{0}, {})), 0U);
}

TEST_F(Copies, DoNotReachThePlatformsMemory) {
  EXPECT_EQ(bytes_at(kFakeLimit, 4), "EFAULT");
  EXPECT_EQ(bytes_at(~std::uint64_t{0} - 2, 8), "EFAULT");
  EXPECT_TRUE(fails_with(put(kFakeLimit + kPageSize, "x"), EFAULT));
  map(kPageSize, kReadWrite, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, kFakeLimit - kPageSize);
  EXPECT_EQ(bytes_at(kFakeLimit - 2, 8).size(), 2U);
  EXPECT_EQ(MUST(put(kFakeLimit - 2, "four")), 2U);
}

TEST_F(Copies, GrowStacks) {
  map(kPageSize, kReadWrite, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, 0x20000000);
  EXPECT_EQ(MUST(put(0x20000000 - 2 * kPageSize - 4, "grown")), 5U);
  EXPECT_EQ(memory->mappings().front().begin, 0x20000000 - 3 * kPageSize);
  EXPECT_TRUE(in_step());
}

TEST_F(Copies, GrowStacksWithinTheLimitThatWasTold) {
  map(kPageSize, kReadWrite, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, 0x20000000);
  MemoryLimits small;
  small.stack = kPageSize;
  memory->set_limits(small);
  EXPECT_TRUE(fails_with(put(0x20000000 - 1, "grown"), EFAULT));
}

TEST_F(Copies, ShowFilesThatGrew) {
  Ref<TestFile> source = file(kPageSize, O_RDWR, false);
  std::uint64_t address = map_file(source, 2 * kPageSize);
  EXPECT_EQ(bytes_at(address + kPageSize, 3), "EFAULT");
  source->end->set(2 * kPageSize);
  source->put(kPageSize, "new");
  EXPECT_EQ(bytes_at(address + kPageSize, 3), "new");
}

TEST_F(Copies, StringsEndAtTheirZero) {
  std::uint64_t address = map(2 * kPageSize);
  MUST(put(address, "short"));
  EXPECT_EQ(MUST(memory->read_string(address, 100)), "short");
  EXPECT_EQ(MUST(memory->read_string(address + 5, 100)), "");
}

TEST_F(Copies, StringsMayBeTooLongOrHaveNoEnd) {
  std::uint64_t address = map(kPageSize);
  MUST(put(address, std::string(kPageSize, 'x')));
  EXPECT_TRUE(fails_with(memory->read_string(address, 100), ENAMETOOLONG));
  EXPECT_TRUE(fails_with(memory->read_string(address, 2 * kPageSize), EFAULT));
  EXPECT_TRUE(fails_with(memory->read_string(0, 100), EFAULT));
}

TEST_F(Copies, StringsCrossPages) {
  std::uint64_t address = map(2 * kPageSize);
  std::string text(1000, 'x');
  MUST(put(address + kPageSize - 500, text));
  EXPECT_EQ(MUST(memory->read_string(address + kPageSize - 500, 2000)), text);
}

TEST_F(Copies, DebuggersWriteWhereTheGuestMayNot) {
  std::uint64_t own = map(kPageSize, PROT_READ);
  std::uint64_t common = map(kPageSize, PROT_READ, MAP_SHARED | MAP_ANONYMOUS);
  auto forced = [&](std::uint64_t address) {
    return memory->write_forced(address, std::as_bytes(std::span("x", 1)));
  };
  EXPECT_EQ(MUST(forced(own)), 1U);
  EXPECT_EQ(bytes_at(own, 1), "x");
  EXPECT_TRUE(fails_with(forced(common), EFAULT));
  EXPECT_TRUE(fails_with(forced(0x10000), EFAULT));
  EXPECT_TRUE(fails_with(forced(kFakeLimit), EFAULT));
}

TEST_F(Copies, WordsAreExchanged) {
  std::uint64_t address = map(kPageSize);
  EXPECT_EQ(MUST(memory->compare_exchange(thread.get(), address, 0, 7)), 0U);
  EXPECT_EQ(MUST(memory->compare_exchange(thread.get(), address, 0, 9)), 7U);
  EXPECT_EQ(bytes_at(address, 1), "\7");
  EXPECT_TRUE(fails_with(memory->compare_exchange(thread.get(), address + 1, 0, 9), EFAULT));
  EXPECT_TRUE(fails_with(memory->compare_exchange(thread.get(), kFakeLimit, 0, 9), EFAULT));
  EXPECT_TRUE(fails_with(memory->compare_exchange(thread.get(), 0x10000, 0, 9), EFAULT));
}

class FutexKeys : public MemoryTest {};

TEST_F(FutexKeys, PrivateWordsAreOfTheirMap) {
  std::uint64_t address = map(kPageSize);
  EXPECT_EQ(MUST(memory->futex_key(address, true)), MUST(memory->futex_key(address, false)));
  EXPECT_EQ(MUST(memory->futex_key(address, true)).object, memory.get());
}

TEST_F(FutexKeys, SharedWordsAreOneForAllWhoSeeThem) {
  std::uint64_t address = map(2 * kPageSize, kReadWrite, MAP_SHARED | MAP_ANONYMOUS);
  std::uint64_t second = MUST(remap(address, 0, 2 * kPageSize, MREMAP_MAYMOVE));
  Ref<MemoryMap> child = MUST(memory->fork(*thread));
  MemoryMap::FutexKey key = MUST(memory->futex_key(address + kPageSize + 8, false));
  EXPECT_EQ(key.offset, kPageSize + 8);
  EXPECT_EQ(key, MUST(memory->futex_key(second + kPageSize + 8, false)));
  EXPECT_EQ(key, MUST(child->futex_key(address + kPageSize + 8, false)));
  EXPECT_NE(key, MUST(memory->futex_key(address + 8, false)));
}

TEST_F(FutexKeys, NothingThereIsAFault) {
  EXPECT_TRUE(fails_with(memory->futex_key(0x10000, false), EFAULT));
  EXPECT_TRUE(fails_with(memory->futex_key(map(kPageSize, PROT_NONE), false), EFAULT));
  EXPECT_TRUE(fails_with(memory->futex_key(kFakeLimit, true), EFAULT));
}

}  // namespace
}  // namespace caisson::sandbox::mm

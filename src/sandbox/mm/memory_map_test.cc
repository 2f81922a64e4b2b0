#include "sandbox/mm/memory_map.h"

#include <gtest/gtest.h>

#include "sandbox/mm/memory_fixture_test.h"

namespace caisson::sandbox::mm {
namespace {

using MemoryMapping = MemoryTest;

TEST_F(MemoryMapping, PlacesBelowTheTopOfItsAreaAndReadsAsZero) {
  std::uint64_t address = map(2 * kPageSize);
  EXPECT_EQ(address, memory->address_layout().map_top - 2 * kPageSize);
  EXPECT_EQ(bytes_at(address, 4), std::string(4, '\0'));
  EXPECT_EQ(map(kPageSize), address - kPageSize);
  EXPECT_TRUE(in_step());
}

TEST_F(MemoryMapping, NeighboursOfOneKindBecomeOne) {
  map(kPageSize);
  map(kPageSize);
  EXPECT_EQ(memory->mappings().size(), 1U);
  map(kPageSize, PROT_READ);
  EXPECT_EQ(memory->mappings().size(), 2U);
}

TEST_F(MemoryMapping, UnmapCutsAHoleAndLeavesTheRest) {
  std::uint64_t address = map(4 * kPageSize);
  MUST(put(address, "first"));
  MUST(unmap(address + kPageSize, kPageSize));
  EXPECT_EQ(memory->mappings().size(), 2U);
  EXPECT_EQ(bytes_at(address, 5), "first");
  EXPECT_EQ(bytes_at(address + kPageSize, 5), "EFAULT");
  EXPECT_TRUE(in_step());
}

TEST_F(MemoryMapping, ProtectionHoldsForCopies) {
  std::uint64_t address = map(2 * kPageSize);
  MUST(protect(address + kPageSize, kPageSize, PROT_READ));
  std::string text(kPageSize + 8, 'x');
  EXPECT_EQ(MUST(put(address, text)), kPageSize);
  EXPECT_TRUE(fails_with(put(address + kPageSize, "x"), EFAULT));
  EXPECT_TRUE(in_step());
}

TEST_F(MemoryMapping, ForkCopiesPrivateAndSharesSharedMemory) {
  std::uint64_t own = map(kPageSize);
  std::uint64_t common = map(kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
  MUST(put(own, "before"));
  Ref<MemoryMap> child = MUST(memory->fork(*thread));
  MUST(put(own, "behind"));
  MUST(put(common, "common"));
  std::string text(6, ' ');
  MUST(child->read(own, std::as_writable_bytes(std::span(text))));
  EXPECT_EQ(text, "before");
  MUST(child->read(common, std::as_writable_bytes(std::span(text))));
  EXPECT_EQ(text, "common");
  EXPECT_TRUE(in_step(child.get(), host->last_child));
}

TEST_F(MemoryMapping, HeapGrowsAndShrinksByBrk) {
  memory->set_break_area(0x500000);
  EXPECT_EQ(memory->set_break(thread.get(), 0, limits), 0x500000U);
  EXPECT_EQ(memory->set_break(thread.get(), 0x502123, limits), 0x502123U);
  EXPECT_EQ(bytes_at(0x502fff, 1), std::string(1, '\0'));
  EXPECT_EQ(memory->set_break(thread.get(), 0x501000, limits), 0x501000U);
  EXPECT_EQ(bytes_at(0x501000, 1), "EFAULT");
  EXPECT_TRUE(in_step());
}

}  // namespace
}  // namespace caisson::sandbox::mm

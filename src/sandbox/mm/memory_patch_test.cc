// Where the platform is let to patch the guest's code.
#include <sys/mman.h>

#include <gtest/gtest.h>

#include "sandbox/mm/memory_fixture_test.h"

namespace caisson::sandbox::mm {
namespace {

constexpr int kText = PROT_READ | PROT_EXEC;
constexpr std::uint64_t kGigabyte = 1ULL << 30;

class Patches : public MemoryTest {
 protected:
  void speed_up(std::uint64_t site) { memory->speed_up(*thread, site); }
};

TEST_F(Patches, TextGetsAnIslandBelowIt) {
  std::uint64_t text = map_file(file(16 * kPageSize), 4 * kPageSize, kText);
  speed_up(text + 100);
  ASSERT_EQ(host->islands.size(), 1U);
  EXPECT_LT(host->islands[0], text);
  ASSERT_EQ(host->patches.size(), 1U);
  EXPECT_EQ(host->patches[0].site, text + 100);
  EXPECT_EQ(host->patches[0].island, host->islands[0]);
  EXPECT_EQ(host->patches[0].begin, text);
  EXPECT_EQ(host->patches[0].length, 4 * kPageSize);
  EXPECT_EQ(host->patches[0].protection, kText);
}

TEST_F(Patches, SitesNearEachOtherShareAnIsland) {
  Ref<vfs::File> library = file(16 * kPageSize);
  speed_up(map_file(library, kPageSize, kText) + 100);
  speed_up(map_file(library, kPageSize, kText) + 100);
  EXPECT_EQ(host->islands.size(), 1U);
  EXPECT_EQ(host->patches.size(), 2U);
}

TEST_F(Patches, AFullIslandGetsASecond) {
  std::uint64_t text = map_file(file(16 * kPageSize), 4 * kPageSize, kText);
  speed_up(text + 100);
  host->full_island = host->islands[0];
  speed_up(text + 200);
  ASSERT_EQ(host->islands.size(), 2U);
  EXPECT_EQ(host->patches.back().island, host->islands[1]);
}

TEST_F(Patches, SitesOutOfReachGetAnIslandOfTheirOwn) {
  Ref<vfs::File> library = file(16 * kPageSize);
  for (std::uint64_t address : {10 * kGigabyte, 20 * kGigabyte}) {
    MapCall call{address, kPageSize, kText, MAP_PRIVATE | MAP_FIXED, library, 0, {}};
    speed_up(MUST(try_map(call)) + 100);
    EXPECT_LT(address - host->islands.back(), 2 * kGigabyte);
  }
  EXPECT_EQ(host->islands.size(), 2U);
}

TEST_F(Patches, OnlyTextIsPatched) {
  Ref<vfs::File> library = file(16 * kPageSize);
  speed_up(map(kPageSize, kText) + 100);
  speed_up(map_file(library, kPageSize, kText | PROT_WRITE) + 100);
  speed_up(map_file(library, kPageSize, kText, MAP_SHARED) + 100);
  speed_up(map_file(library, kPageSize, PROT_READ) + 100);
  speed_up(map_file(library, kPageSize, kText) + 3);  // it began before the mapping
  speed_up(0x7000);
  EXPECT_TRUE(host->islands.empty());
  EXPECT_TRUE(host->patches.empty());
}

TEST_F(Patches, TheGuestCannotTakeAnIslandAway) {
  speed_up(map_file(file(16 * kPageSize), 4 * kPageSize, kText) + 100);
  std::uint64_t island = host->islands[0];
  EXPECT_EQ(memory->mapping_at(island).name, "[calls]");
  EXPECT_TRUE(fails_with(unmap(island, kPageSize), EPERM));
  EXPECT_TRUE(fails_with(protect(island, kPageSize, PROT_READ | PROT_WRITE), EACCES));
  EXPECT_TRUE(fails_with(
      try_map(
          {island, kPageSize, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, nullptr, 0, {}}),
      EPERM));
  EXPECT_TRUE(in_step());
}

TEST_F(Patches, AChildGoesOnWithTheSameIslands) {
  std::uint64_t text = map_file(file(16 * kPageSize), 4 * kPageSize, kText);
  speed_up(text + 100);
  Ref<MemoryMap> child = MUST(memory->fork(*thread));
  child->speed_up(*thread, text + 200);
  EXPECT_TRUE(host->last_child->islands.empty());
  ASSERT_EQ(host->last_child->patches.size(), 1U);
  EXPECT_EQ(host->last_child->patches[0].island, host->islands[0]);
}

}  // namespace
}  // namespace caisson::sandbox::mm

#include "sandbox/platform/call_site.h"

#include <sys/syscall.h>

#include <bit>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

namespace caisson::sandbox::platform {
namespace {

std::array<std::byte, kSiteSize> site(std::uint32_t number) {
  std::array<std::byte, kSiteSize> code{std::byte{0xb8}};
  std::memcpy(code.data() + 1, &number, sizeof number);
  code[5] = std::byte{0x0f};
  code[6] = std::byte{0x05};
  return code;
}

std::int32_t word_at(const std::uint8_t* code) {
  std::int32_t word = 0;
  std::memcpy(&word, code, sizeof word);
  return word;
}

TEST(CallSite, NumberIsTheInstructions) {
  EXPECT_EQ(number_of_site(site(SYS_write)), std::optional<std::uint32_t>(SYS_write));
  EXPECT_EQ(number_of_site(site(0x12345678)), std::optional<std::uint32_t>(0x12345678));
}

TEST(CallSite, OtherCodeIsNone) {
  for (std::size_t i : {0U, 5U, 6U}) {
    auto code = site(SYS_write);
    code[i] ^= std::byte{1};
    EXPECT_FALSE(number_of_site(code)) << i;
  }
}

TEST(CallSite, WhatNeedsASignalFrameIsNone) {
  for (int number : {SYS_rt_sigreturn, SYS_clone, SYS_vfork, SYS_execve, SYS_exit_group})
    EXPECT_FALSE(number_of_site(site(static_cast<std::uint32_t>(number)))) << number;
}

TEST(CallSite, JumpReachesBothWays) {
  auto up = jump_to(0x400000, 0x400105);
  ASSERT_TRUE(up);
  EXPECT_EQ((*up)[0], std::byte{0xe9});
  EXPECT_EQ((*up)[1], std::byte{0});
  EXPECT_EQ((*up)[2], std::byte{1});
  auto down = jump_to(0x400000, 0x400005 - 1);
  ASSERT_TRUE(down);
  EXPECT_EQ((*down)[4], std::byte{0xff});
}

TEST(CallSite, JumpIsRefusedBeyondTwoGigabytes) {
  constexpr std::uint64_t kSite = 0x7f0000000000;
  EXPECT_TRUE(jump_to(kSite, kSite + 5 + 0x7fffffff));
  EXPECT_FALSE(jump_to(kSite, kSite + 5 + 0x80000000));
  EXPECT_TRUE(jump_to(kSite, kSite + 5 - 0x80000000));
  EXPECT_FALSE(jump_to(kSite, kSite + 4 - 0x80000000));
}

TEST(CallSite, OneStoreIsWithinAnAlignedWord) {
  for (std::uint64_t at : {0U, 1U, 2U, 3U}) EXPECT_TRUE(is_one_store(0x1000 + at)) << at;
  for (std::uint64_t at : {4U, 5U, 6U, 7U}) EXPECT_FALSE(is_one_store(0x1000 + at)) << at;
}

TEST(CallSite, TrampolineLoadsItsDataAndJumpsByTheHead) {
  Trampoline made = make_trampoline(3, 0x1234567, 42);
  EXPECT_EQ(made.behind, 0x1234567U);
  EXPECT_EQ(made.number, 42U);
  EXPECT_EQ(7 + word_at(made.code + 3), 16);                                 // its data
  EXPECT_EQ(3 * int{kTrampolineSize} + 13 + word_at(made.code + 7 + 2), 0);  // the island's head
}

TEST(HotSites, ASiteIsHotOnce) {
  HotSites sites;
  for (std::uint32_t i = 0; i < HotSites::kHot; ++i) EXPECT_FALSE(sites.count(0x400007));
  EXPECT_TRUE(sites.count(0x400007));
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(sites.count(0x400007));
}

TEST(HotSites, SitesAreCountedApart) {
  HotSites sites;
  for (std::uint32_t i = 0; i < HotSites::kHot; ++i) {
    EXPECT_FALSE(sites.count(0x400007));
    EXPECT_FALSE(sites.count(0x400017));
  }
  EXPECT_TRUE(sites.count(0x400007));
  EXPECT_TRUE(sites.count(0x400017));
}

}  // namespace
}  // namespace caisson::sandbox::platform

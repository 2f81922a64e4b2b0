#include "sandbox/boot/syscall_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "sandbox/syscalls/table.h"
#include "sys/file.h"

namespace caisson::sandbox::boot {
namespace {

TEST(SyscallPage, IsWhatTheTablesSay) {
  auto kept = sys::read_file(sys::kCwd, CAISSON_SOURCE_DIR "/docs/syscalls.md", 1 << 20);
  ASSERT_TRUE(kept.has_value());
  EXPECT_EQ(*kept, syscall_page()) << "write it: caisson sandbox syscalls --markdown";
}

TEST(SyscallPage, WhatIsNotLikeLinuxSaysHow) {
  for (auto family : syscalls::families())
    for (const auto& entry : family)
      EXPECT_EQ(entry.level == syscalls::Level::kFull, entry.note.empty()) << entry.name;
}

TEST(SyscallPage, CallsWithoutAHandlerHaveNames) {
  EXPECT_EQ(call_name(0), "read");
  EXPECT_EQ(call_name(425), "io_uring_setup");
  EXPECT_EQ(call_name(1024), "call 1024");
}

}  // namespace
}  // namespace caisson::sandbox::boot

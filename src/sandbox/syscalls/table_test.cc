#include "sandbox/syscalls/table.h"

#include <sys/syscall.h>

#include <set>
#include <string>

#include <gtest/gtest.h>

namespace caisson::sandbox::syscalls {
namespace {

TEST(SyscallTable, NumbersAndNamesAreUnique) {
  std::set<std::uint64_t> numbers;
  std::set<std::string_view> names;
  for (auto family : families())
    for (const Entry& entry : family) {
      EXPECT_TRUE(numbers.insert(entry.number).second) << entry.name;
      EXPECT_TRUE(names.insert(entry.name).second) << entry.name;
    }
  EXPECT_GT(numbers.size(), 200U);
}

TEST(SyscallTable, EntriesAreComplete) {
  for (auto family : families())
    for (const Entry& entry : family) {
      EXPECT_NE(entry.handler, nullptr) << entry.name;
      EXPECT_FALSE(entry.name.empty());
      EXPECT_EQ(entry.level == Level::kFull, entry.note.empty()) << entry.name;
      EXPECT_EQ(find(entry.number), &entry) << entry.name;
    }
}

TEST(SyscallTable, NumbersWithoutACallHaveNoName) {
  EXPECT_EQ(name(SYS_getpid), "getpid");
  EXPECT_EQ(find(511), nullptr);
  EXPECT_EQ(find(~std::uint64_t{0}), nullptr);
  EXPECT_EQ(name(100'000), "");
}

}  // namespace
}  // namespace caisson::sandbox::syscalls

#include "plan/syscall_table.h"

#include <algorithm>
#include <iterator>

#include "plan/syscall_table_data.h"

namespace caisson::plan {

namespace {

constexpr SyscallEntry entry_of(const SyscallRow& row) {
  SyscallEntry entry{};
  std::copy(row.name.begin(), row.name.end(), entry.text);
  entry.numbers[static_cast<int>(Abi::kX86_64)] = row.x86_64;
  entry.numbers[static_cast<int>(Abi::kI386)] = row.i386;
  entry.numbers[static_cast<int>(Abi::kX32)] = row.x32;
  entry.numbers[static_cast<int>(Abi::kAarch64)] = row.aarch64;
  entry.numbers[static_cast<int>(Abi::kArm)] = row.arm;
  entry.i386_multiplexed = row.i386_multiplexed;
  return entry;
}

struct Table {
  SyscallEntry entries[std::size(kSyscallRows)];
};

constexpr Table make_table() {
  Table table{};
  for (std::size_t i = 0; i < std::size(kSyscallRows); ++i)
    table.entries[i] = entry_of(kSyscallRows[i]);
  return table;
}

constexpr Table kTable = make_table();

constexpr bool rows_are_sorted() {
  return std::is_sorted(std::begin(kSyscallRows), std::end(kSyscallRows),
                        [](const SyscallRow& a, const SyscallRow& b) { return a.name < b.name; });
}
static_assert(rows_are_sorted(), "find_syscall() searches by halves");

}  // namespace

const SyscallEntry* find_syscall(std::string_view name) {
  auto found = std::lower_bound(
      std::begin(kTable.entries), std::end(kTable.entries), name,
      [](const SyscallEntry& entry, std::string_view wanted) { return entry.text < wanted; });
  if (found == std::end(kTable.entries) || found->name() != name) return nullptr;
  return found;
}

std::string_view syscall_name(Abi abi, std::int32_t number) {
  if (number < 0) return {};
  for (const SyscallEntry& entry : kTable.entries)
    if (entry.number(abi) == number) return entry.name();
  return {};
}

}  // namespace caisson::plan

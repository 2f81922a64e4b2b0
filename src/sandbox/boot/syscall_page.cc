#include "sandbox/boot/syscall_page.h"

#include "base/text.h"
#include "plan/seccomp.h"
#include "plan/syscall_table.h"
#include "sandbox/syscalls/table.h"

namespace caisson::sandbox::boot {
namespace {

constexpr std::uint64_t kMostNumbers = 512;

std::string_view linux_name(std::uint64_t number) {
  bool is_x86 = plan::native_arch() == plan::NativeArch::kX86_64;
  return plan::syscall_name(is_x86 ? plan::Abi::kX86_64 : plan::Abi::kAarch64,
                            static_cast<std::int32_t>(number));
}

std::string_view level_text(const syscalls::Entry* entry) {
  if (entry == nullptr) return "missing";
  switch (entry->level) {
    case syscalls::Level::kFull: return "full";
    case syscalls::Level::kPartial: return "partial";
    case syscalls::Level::kError: return "refused";
  }
  return "";
}

struct Counts {
  int full = 0, partial = 0, refused = 0, missing = 0;
  void add(const syscalls::Entry* entry) {
    if (entry == nullptr)
      ++missing;
    else if (entry->level == syscalls::Level::kFull)
      ++full;
    else
      ++(entry->level == syscalls::Level::kPartial ? partial : refused);
  }
};

}  // namespace

std::string call_name(std::uint64_t number) {
  std::string_view name = syscalls::name(number);
  if (name.empty() && number < kMostNumbers) name = linux_name(number);
  return name.empty() ? cat("call ", number) : std::string(name);
}

std::string syscall_page() {
  std::string rows;
  Counts counts;
  for (std::uint64_t number = 0; number < kMostNumbers; ++number) {
    const syscalls::Entry* entry = syscalls::find(number);
    if (entry == nullptr && linux_name(number).empty()) continue;
    counts.add(entry);
    append(rows, "| ", number, " | ", call_name(number), " | ", level_text(entry), " | ",
           entry == nullptr ? std::string_view() : entry->note, " |\n");
  }
  return cat(
      "# System calls of the sandbox\n\n"
      "Written by `caisson sandbox syscalls --markdown` from the tables in `src/sandbox/syscalls`. "
      "Of\n"
      "Linux' calls, ",
      counts.full, " are as Linux has them, ", counts.partial,
      " in part (the note says what is not), ", counts.refused, " always fail on\npurpose, and ",
      counts.missing,
      " are missing: they fail with ENOSYS and are counted (`caisson sandbox syscalls NAME`,\n"
      "`caisson why NAME`). Numbers are those of this page's processor, x86-64.\n\n"
      "| number | call | support | note |\n|---|---|---|---|\n",
      rows);
}

}  // namespace caisson::sandbox::boot

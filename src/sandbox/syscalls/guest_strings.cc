#include "sandbox/syscalls/guest_strings.h"

#include <limits.h>
#include <sys/resource.h>

#include <algorithm>

#include "sandbox/syscalls/answer.h"

namespace caisson::sandbox::syscalls {
namespace {

constexpr std::size_t kLongestString = 32 * mm::kPageSize;  // MAX_ARG_STRLEN
constexpr std::uint64_t kLeast = 32 * mm::kPageSize;        // ARG_MAX is always granted
constexpr std::uint64_t kMost = std::uint64_t{6} << 20;     // three quarters of _STK_LIM

}  // namespace

ErrnoOr<std::string> load_path(kernel::Task& task, std::uint64_t address) {
  return task.memory().read_string(address, PATH_MAX);
}

ErrnoOr<> load_sized(kernel::Task& task, std::uint64_t address, std::uint64_t size,
                     std::span<std::byte> into) {
  std::vector<std::byte> given(size);
  std::size_t read = TRY(task.memory().read(address, given));
  if (read != size) return fail(EFAULT);
  std::size_t known = std::min<std::size_t>(size, into.size());
  bool rest_is_zero = std::all_of(given.begin() + static_cast<std::ptrdiff_t>(known), given.end(),
                                  [](std::byte byte) { return byte == std::byte{0}; });
  if (!rest_is_zero) return fail(E2BIG);
  std::copy_n(given.begin(), known, into.begin());
  return {};
}

StringBudget::StringBudget(kernel::Task& task)
    : task_(task), left_(std::clamp(task.group().limit(RLIMIT_STACK).soft / 4, kLeast, kMost)) {}

ErrnoOr<std::vector<std::string>> StringBudget::load_list(std::uint64_t address) {
  std::vector<std::string> strings;
  if (address == 0) return strings;
  for (std::uint64_t index = 0;; ++index) {
    std::uint64_t pointer = TRY(load<std::uint64_t>(task_, address + index * sizeof(pointer)));
    if (pointer == 0) return strings;
    auto text = task_.memory().read_string(pointer, kLongestString);
    if (!text) return fail(text.error().value == ENAMETOOLONG ? E2BIG : text.error().value);
    std::uint64_t cost = text->size() + 1 + sizeof(pointer);
    if (cost > left_) return fail(E2BIG);
    left_ -= cost;
    strings.push_back(*std::move(text));
  }
}

}  // namespace caisson::sandbox::syscalls

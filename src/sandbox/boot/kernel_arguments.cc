// The words with which the executor starts the kernel process, both ways.
#include "sandbox/boot/kernel_arguments.h"

#include <charconv>

#include "base/text.h"

namespace caisson::sandbox::boot {
namespace {

constexpr std::string_view kPlan = "plan=", kControl = "control=", kStrace = "strace=",
                           kNotes = "notes=", kState = "state=", kMemory = "memory=",
                           kPlace = "place=";

std::string word(std::string_view name, int number) { return cat(name, number); }

}  // namespace

std::vector<std::string> to_arguments(const KernelDescriptors& numbers) {
  std::vector<std::string> words = {std::string(kKernelName), word(kPlan, numbers.plan),
                                    word(kControl, numbers.control), word(kStrace, numbers.strace),
                                    word(kNotes, numbers.notes)};
  if (numbers.state >= 0) words.push_back(word(kState, numbers.state));
  if (numbers.memory >= 0) words.push_back(word(kMemory, numbers.memory));
  for (int place : numbers.places) words.push_back(word(kPlace, place));
  return words;
}

Result<KernelDescriptors> from_arguments(const std::vector<std::string_view>& words) {
  KernelDescriptors numbers;
  for (std::size_t i = 1; i < words.size(); ++i) {
    auto [name, value] = split_once(words[i], '=');
    auto number = parse_number<int>(value);
    auto is = [&](std::string_view key) { return key.substr(0, key.size() - 1) == name; };
    if (number && is(kPlan)) {
      numbers.plan = *number;
    } else if (number && is(kControl)) {
      numbers.control = *number;
    } else if (number && is(kStrace)) {
      numbers.strace = *number;
    } else if (number && is(kState)) {
      numbers.state = *number;
    } else if (number && is(kMemory)) {
      numbers.memory = *number;
    } else if (number && is(kNotes)) {
      numbers.notes = *number;
    } else if (number && is(kPlace)) {
      numbers.places.push_back(*number);
    } else {
      return std::unexpected(Error::invalid(cat(quoted(words[i]), " is not an argument of it"))
                                 .doing("start the sandbox's kernel"));
    }
  }
  bool restores_all = (numbers.state >= 0) == (numbers.memory >= 0);
  if (numbers.plan >= 0 && numbers.control >= 0 && restores_all) return numbers;
  return std::unexpected(
      Error::invalid("it is started by caisson, not by hand").doing("start the sandbox's kernel"));
}

}  // namespace caisson::sandbox::boot

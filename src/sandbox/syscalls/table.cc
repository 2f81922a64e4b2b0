#include "sandbox/syscalls/table.h"

#include <array>
#include <optional>

#include "base/clock.h"
#include "sandbox/syscalls/filter_calls.h"

namespace caisson::sandbox::syscalls {
namespace {

constexpr std::size_t kMostNumbers = 512;

class Table {
 public:
  Table() {
    for (std::span<const Entry> family : families())
      for (const Entry& entry : family) entries_[entry.number] = &entry;
  }
  const Entry* find(std::uint64_t number) const {
    return number < kMostNumbers ? entries_[number] : nullptr;
  }

 private:
  std::array<const Entry*, kMostNumbers> entries_{};
};

const Table& table() {
  static const Table the_table;
  return the_table;
}

}  // namespace

std::span<const std::span<const Entry>> families() {
  static const std::array kFamilies = {
      file_calls(),   path_calls(),   memory_calls(), process_calls(), credential_calls(),
      limit_calls(),  signal_calls(), time_calls(),   timer_calls(),   poll_calls(),
      socket_calls(), futex_calls(),  ipc_calls(),    system_calls()};
  return kFamilies;
}

const Entry* find(std::uint64_t number) { return table().find(number); }

std::string_view name(std::uint64_t number) {
  const Entry* entry = find(number);
  return entry == nullptr ? std::string_view() : entry->name;
}

namespace {

std::int64_t answer(Task& task, std::uint64_t number) {
  const Entry* entry = find(number);
  if (entry == nullptr) {
    if (std::optional<std::int64_t> kept_off = answer_of_filter(task)) return *kept_off;
    task.kernel().count_missing_call(number);
    return -ENOSYS;
  }
  if (std::optional<std::int64_t> kept_off = answer_of_filter(task)) return *kept_off;
  // A tracer may have changed the number.
  if (task.is_traced) entry = find(task.registers().syscall_number());
  if (entry == nullptr) return -ENOSYS;
  Value value = entry->handler(task, Arguments(task.registers()));
  return value ? *value : -value.error().value;
}

}  // namespace

std::int64_t dispatch(Task& task, std::uint64_t number) {
  auto* log = task.kernel().call_log.get();
  if (log == nullptr || !log->logs(number)) return answer(task, number);
  std::string arguments = log->arguments_text(task, number);
  std::int64_t begin = monotonic_ns();
  std::int64_t result = answer(task, number);
  log->write(task, number, arguments, result, monotonic_ns() - begin);
  return result;
}

}  // namespace caisson::sandbox::syscalls

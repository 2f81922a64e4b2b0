#include "sandbox/syscalls/event_calls.h"

#include <fcntl.h>
#include <sys/eventfd.h>

#include <array>
#include <cerrno>

#include "sandbox/fs/eventfd/eventfd.h"
#include "sandbox/fs/pipe/pipe_file.h"

namespace caisson::sandbox::syscalls {
namespace {

Value make_eventfd(Task& task, std::uint32_t initial, std::uint32_t flags) {
  if ((flags & ~std::uint32_t{EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK}) != 0)
    return std::unexpected(Errno{EINVAL});
  auto file = make_ref<fs::EventFile>(std::uint64_t{initial}, (flags & EFD_SEMAPHORE) != 0,
                                      O_RDWR | (flags & EFD_NONBLOCK));
  return TRY(task.add_file(std::move(file), (flags & EFD_CLOEXEC) != 0));
}

Value make_pipe(Task& task, UserPtr<int> address, std::uint32_t flags) {
  if ((flags & ~std::uint32_t{O_CLOEXEC | O_NONBLOCK | O_DIRECT}) != 0)
    return std::unexpected(Errno{EINVAL});
  bool close_on_exec = (flags & O_CLOEXEC) != 0;
  fs::PipePair pair = fs::PipePair::create(flags, task.credentials());
  std::array<int, 2> numbers{};
  numbers[0] = TRY(task.add_file(std::move(pair.reader), close_on_exec));
  auto second = task.add_file(std::move(pair.writer), close_on_exec);
  if (second) {
    numbers[1] = *second;
    auto stored = address.store(task.memory(), std::span<const int>(numbers));
    if (stored) return 0;
    (void)task.files().close(numbers[1], &task);  // it was just made: nothing can fail
    second = std::unexpected(stored.error());
  }
  (void)task.files().close(numbers[0], &task);
  return std::unexpected(second.error());
}

}  // namespace

Value call_eventfd(Task& task, const Arguments& arguments) {
  return make_eventfd(task, arguments.u32(0), 0);
}

Value call_eventfd2(Task& task, const Arguments& arguments) {
  return make_eventfd(task, arguments.u32(0), arguments.u32(1));
}

Value call_pipe(Task& task, const Arguments& arguments) {
  return make_pipe(task, arguments.pointer<int>(0), 0);
}

Value call_pipe2(Task& task, const Arguments& arguments) {
  return make_pipe(task, arguments.pointer<int>(0), arguments.u32(1));
}

}  // namespace caisson::sandbox::syscalls

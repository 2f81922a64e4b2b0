// futex(2), futex_waitv(2).
#include <linux/futex.h>
#include <sys/syscall.h>

#include "sandbox/kernel/futex.h"
#include "sandbox/kernel/kernel.h"
#include "sandbox/syscalls/answer.h"
#include "sandbox/syscalls/clocks.h"
#include "sandbox/syscalls/restart.h"
#include "sandbox/syscalls/table.h"

namespace caisson::sandbox::syscalls {
namespace {

using kernel::Deadline;
using kernel::FutexAddress;

// A moment of CLOCK_MONOTONIC or CLOCK_REALTIME as one of CLOCK_MONOTONIC.
Deadline deadline_at(Task& task, std::int64_t time, bool is_realtime) {
  std::int64_t now = task.kernel().monotonic_ns();
  return deadline_in(now, is_realtime ? time - task.kernel().realtime_ns() : time - now);
}

Value wait(Task& task, FutexAddress where, std::uint32_t expected, std::uint32_t bitset,
           Deadline deadline) {
  auto result = task.kernel().futexes().wait(task, where, expected, bitset, deadline);
  if (result) return 0;
  // A wait for a while goes on after a stop with what is left of it.
  if (result.error() != kernel::kRestart || !deadline) return std::unexpected(result.error());
  task.restart = {kernel::RestartKind::kFutexWait,
                  {where.address, where.is_private ? 1U : 0U, expected, bitset,
                   static_cast<std::uint64_t>(*deadline)}};
  return std::unexpected(kernel::kRestartWithState);
}

class Operation {
 public:
  Operation(Task& task, const Arguments& arguments)
      : task_(task),
        arguments_(arguments),
        command_(arguments.i32(1) & FUTEX_CMD_MASK),
        is_private_((arguments.i32(1) & FUTEX_PRIVATE_FLAG) != 0),
        is_realtime_((arguments.i32(1) & FUTEX_CLOCK_REALTIME) != 0) {}

  Value run() {
    if (is_realtime_ && command_ != FUTEX_WAIT_BITSET && command_ != FUTEX_LOCK_PI2 &&
        command_ != FUTEX_WAIT_REQUEUE_PI)
      return fail(ENOSYS);
    kernel::FutexTable& table = task_.kernel().futexes();
    switch (command_) {
      case FUTEX_WAIT:
        return wait(task_, first(), arguments_.u32(2), FUTEX_BITSET_MATCH_ANY, TRY(deadline()));
      case FUTEX_WAIT_BITSET:
        return wait(task_, first(), arguments_.u32(2), arguments_.u32(5), TRY(deadline()));
      case FUTEX_WAKE:
        return TRY(
            table.wake(task_.memory(), first(), count(arguments_.i32(2)), FUTEX_BITSET_MATCH_ANY));
      case FUTEX_WAKE_BITSET:
        return TRY(
            table.wake(task_.memory(), first(), count(arguments_.i32(2)), arguments_.u32(5)));
      case FUTEX_REQUEUE:
      case FUTEX_CMP_REQUEUE: return requeue(table);
      case FUTEX_WAKE_OP:
        return TRY(table.wake_operation(task_, first(), second(), count(arguments_.i32(2)),
                                        count(arguments_.i32(3)), arguments_.u32(5)));
      case FUTEX_LOCK_PI:
      case FUTEX_LOCK_PI2: TRY(table.lock(task_, first(), TRY(deadline()), false)); return 0;
      case FUTEX_TRYLOCK_PI: TRY(table.lock(task_, first(), std::nullopt, true)); return 0;
      case FUTEX_UNLOCK_PI: TRY(table.unlock(task_, first())); return 0;
      default: return fail(ENOSYS);
    }
  }

 private:
  FutexAddress first() const { return {arguments_.u64(0), is_private_}; }
  FutexAddress second() const { return {arguments_.u64(4), is_private_}; }
  // As Linux: at least one is woken where one is asked about.
  static int count(int asked) { return std::max(asked, 1); }

  // FUTEX_WAIT waits for a while, the others until a moment.
  ErrnoOr<Deadline> deadline() const {
    if (arguments_.u64(3) == 0) return Deadline();
    auto given = TRY(load<GuestTime>(task_, arguments_.u64(3)));
    std::int64_t time = TRY(to_nanoseconds(given, kNanosecond));
    if (command_ == FUTEX_WAIT) return deadline_in(task_.kernel().monotonic_ns(), time);
    return deadline_at(task_, time, is_realtime_ || command_ == FUTEX_LOCK_PI);
  }

  Value requeue(kernel::FutexTable& table) {
    kernel::FutexTable::Requeue request;
    request.from = first();
    request.to = second();
    request.wake = arguments_.i32(2);
    request.move = arguments_.i32(3);
    request.compare = command_ == FUTEX_CMP_REQUEUE;
    request.expected = arguments_.u32(5);
    return TRY(table.requeue(task_, request));
  }

  Task& task_;
  const Arguments& arguments_;
  int command_;
  bool is_private_, is_realtime_;
};

Value futex(Task& task, const Arguments& arguments) { return Operation(task, arguments).run(); }

Value futex_waitv(Task& task, const Arguments& arguments) {
  constexpr std::uint32_t k32Bits = 2;  // FUTEX_32
  std::uint32_t count = arguments.u32(1);
  int clock = arguments.i32(4);
  if (arguments.u32(2) != 0 || count == 0 || count > FUTEX_WAITV_MAX || arguments.u64(0) == 0)
    return fail(EINVAL);
  Deadline deadline;
  if (arguments.u64(3) != 0) {
    if (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME) return fail(EINVAL);
    auto given = TRY(load<GuestTime>(task, arguments.u64(3)));
    deadline = deadline_at(task, TRY(to_nanoseconds(given, kNanosecond)), clock == CLOCK_REALTIME);
  }
  std::vector<struct ::futex_waitv> given(count);
  TRY(arguments.pointer<struct ::futex_waitv>(0).load(task.memory(), std::span(given)));
  std::vector<kernel::FutexWait> waits;
  for (const auto& one : given) {
    if ((one.flags & ~std::uint32_t{k32Bits | FUTEX_PRIVATE_FLAG}) != 0 ||
        (one.flags & k32Bits) == 0 || one.__reserved != 0 || one.val > ~std::uint32_t{0})
      return fail(EINVAL);
    waits.push_back(
        {{one.uaddr, (one.flags & FUTEX_PRIVATE_FLAG) != 0}, static_cast<std::uint32_t>(one.val)});
  }
  return TRY(task.kernel().futexes().wait_any(task, waits, deadline));
}

constexpr Entry kEntries[] = {
    {__NR_futex, "futex", futex, Level::kPartial,
     "no FUTEX_WAIT_REQUEUE_PI, FUTEX_CMP_REQUEUE_PI; owners inherit no priority"},
    {__NR_futex_waitv, "futex_waitv", futex_waitv},
};

}  // namespace

Value go_on_waiting_for_futex(Task& task, const kernel::Restart& restart) {
  const auto& values = restart.values;
  return wait(task, {values[0], values[1] != 0}, static_cast<std::uint32_t>(values[2]),
              static_cast<std::uint32_t>(values[3]), static_cast<std::int64_t>(values[4]));
}

std::span<const Entry> futex_calls() { return kEntries; }

}  // namespace caisson::sandbox::syscalls

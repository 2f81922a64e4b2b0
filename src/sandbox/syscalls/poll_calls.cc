// poll(2), ppoll(2), select(2), pselect6(2), and the table of their family.
#include <poll.h>
#include <sys/personality.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <vector>

#include "sandbox/syscalls/event_calls.h"
#include "sandbox/syscalls/poll_timeout.h"
#include "sandbox/syscalls/poll_wait.h"
#include "sandbox/syscalls/restart.h"
#include "sandbox/syscalls/table.h"

namespace caisson::sandbox::syscalls {
namespace {

constexpr vfs::ReadyMask kAlways = POLLERR | POLLHUP;

// --- poll

ErrnoOr<std::vector<pollfd>> load_pollfds(Task& task, UserPtr<pollfd> address,
                                          std::uint32_t count) {
  if (count > task.group().limit(7 /* RLIMIT_NOFILE */).soft) return std::unexpected(Errno{EINVAL});
  std::vector<pollfd> entries(count);
  if (count > 0) TRY(address.load(task.memory(), std::span(entries)));
  return entries;
}

// The files behind the entries; what has none gets its answer at once. Returns how many those are.
std::size_t open_entries(Task& task, std::span<pollfd> entries, std::vector<Polled>& files) {
  std::size_t invalid = 0;
  files.resize(entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    entries[i].revents = 0;
    if (entries[i].fd < 0) continue;
    auto file = usable_file(task, entries[i].fd);
    if (!file) {
      entries[i].revents = POLLNVAL;
      ++invalid;
      continue;
    }
    files[i] = {std::move(*file), static_cast<std::uint16_t>(entries[i].events) | kAlways};
  }
  return invalid;
}

ErrnoOr<> store_results(Task& task, UserPtr<pollfd> address, std::span<const pollfd> entries) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    UserPtr<short> place(address.at(i).address() + offsetof(pollfd, revents));
    TRY(place.store(task.memory(), entries[i].revents));
  }
  return {};
}

// EINTR as wait_for_any() gives it.
ErrnoOr<std::int64_t> do_poll(Task& task, UserPtr<pollfd> address, std::uint32_t count,
                              const Timeout& timeout) {
  std::vector<pollfd> entries = TRY(load_pollfds(task, address, count));
  std::vector<Polled> files;
  std::size_t found = open_entries(task, entries, files);
  found += TRY(
      wait_for_any(task, files, found > 0 ? Timeout{.deadline = 0, .immediate = true} : timeout));
  for (std::size_t i = 0; i < entries.size(); ++i)
    if (files[i].file) entries[i].revents = static_cast<short>(files[i].found);
  TRY(store_results(task, address, entries));
  return static_cast<std::int64_t>(found);
}

bool was_interrupted(const Value& result) { return !result && result.error().value == EINTR; }

// A restart goes on with the deadline of the first call (fs/select.c: do_restart_poll).
Value poll_until(Task& task, UserPtr<pollfd> address, std::uint32_t count, Timeout timeout) {
  Value result = do_poll(task, address, count, timeout);
  if (!was_interrupted(result)) return result;
  task.restart = {
      kernel::RestartKind::kPoll,
      {address.address(), count, timeout.deadline ? 1U : 0U,
       static_cast<std::uint64_t>(timeout.deadline.value_or(0)), timeout.immediate ? 1U : 0U}};
  return std::unexpected(kernel::kRestartWithState);
}

[[maybe_unused]] Value call_poll(Task& task, const Arguments& arguments) {
  Timeout timeout = timeout_after_ms(task.kernel(), arguments.i32(2));
  return poll_until(task, arguments.pointer<pollfd>(0), arguments.u32(1), timeout);
}

// Tells the time left; a guest that cannot take it is not restarted, as its timeout would begin
// anew.
Value finish_with_timespec(Task& task, UserPtr<KernelTimespec> address, const Timeout& timeout,
                           Value result) {
  if (was_interrupted(result)) result = std::unexpected(kernel::kRestartIfNoHandler);
  if (!address || timeout.immediate || (task.personality & STICKY_TIMEOUTS) != 0) return result;
  bool stored = address.store(task.memory(), time_left(task.kernel(), timeout)).has_value();
  if (!stored && !result && result.error() == kernel::kRestartIfNoHandler)
    return std::unexpected(Errno{EINTR});
  return result;
}

Value call_ppoll(Task& task, const Arguments& arguments) {
  auto address = arguments.pointer<KernelTimespec>(2);
  Timeout timeout = TRY(load_timeout(task, address));
  TRY(use_temporary_mask(task, arguments.u64(3), arguments.u64(4)));
  Value result = do_poll(task, arguments.pointer<pollfd>(0), arguments.u32(1), timeout);
  return finish_with_timespec(task, address, timeout, std::move(result));
}

// --- select

constexpr vfs::ReadyMask kInSet = POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR;
constexpr vfs::ReadyMask kOutSet = POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR;
constexpr vfs::ReadyMask kExceptionSet = POLLPRI;
constexpr std::array<vfs::ReadyMask, 3> kSetMasks = {kInSet, kOutSet, kExceptionSet};

using Word = std::uint64_t;
constexpr std::size_t kWordBits = 64;

// One bit set of the guest's: for reading, writing or exceptions.
struct BitSet {
  UserPtr<Word> address;
  std::vector<Word> words;
  bool has(std::size_t bit) const {
    return !words.empty() && (words[bit / kWordBits] >> (bit % kWordBits) & 1) != 0;
  }
  void set(std::size_t bit) { words[bit / kWordBits] |= Word{1} << (bit % kWordBits); }
};
using BitSets = std::array<BitSet, 3>;

// How many descriptors Linux's table would have room for: bits beyond are not looked at.
std::size_t table_size(Task& task) {
  std::vector<int> numbers = task.files().numbers();
  std::size_t highest = numbers.empty() ? 0 : static_cast<std::size_t>(numbers.back());
  if (highest < kWordBits) return kWordBits;
  return std::bit_ceil(highest / 128 + 1) * 128;
}

ErrnoOr<> load_sets(Task& task, const Arguments& arguments, std::size_t count, BitSets& sets) {
  for (int i = 0; i < 3; ++i) {
    BitSet& set = sets[static_cast<std::size_t>(i)];
    set.address = arguments.pointer<Word>(i + 1);
    if (!set.address || count == 0) continue;
    set.words.resize((count + kWordBits - 1) / kWordBits);
    TRY(set.address.load(task.memory(), std::span(set.words)));
  }
  return {};
}

struct Selected {
  std::vector<Polled> files;
  std::vector<std::size_t> numbers;  // the descriptor of each
};

ErrnoOr<Selected> open_selected(Task& task, const BitSets& sets, std::size_t count) {
  Selected selected;
  for (std::size_t bit = 0; bit < count; ++bit) {
    vfs::ReadyMask wanted = 0;
    for (std::size_t i = 0; i < sets.size(); ++i)
      if (sets[i].has(bit)) wanted |= kSetMasks[i];
    if (wanted == 0) continue;
    selected.files.push_back({TRY(usable_file(task, static_cast<int>(bit))), wanted});
    selected.numbers.push_back(bit);
  }
  return selected;
}

ErrnoOr<std::int64_t> fill_sets(Task& task, BitSets& sets, const BitSets& asked,
                                const Selected& selected) {
  std::int64_t count = 0;
  for (BitSet& set : sets) std::fill(set.words.begin(), set.words.end(), Word{0});
  for (std::size_t n = 0; n < selected.numbers.size(); ++n)
    for (std::size_t i = 0; i < sets.size(); ++i) {
      std::size_t bit = selected.numbers[n];
      if (!asked[i].has(bit) || (selected.files[n].found & kSetMasks[i]) == 0) continue;
      sets[i].set(bit);
      ++count;
    }
  for (BitSet& set : sets)
    if (!set.words.empty()) TRY(set.address.store(task.memory(), std::span<const Word>(set.words)));
  return count;
}

ErrnoOr<std::int64_t> do_select(Task& task, const Arguments& arguments, const Timeout& timeout) {
  if (arguments.i32(0) < 0) return std::unexpected(Errno{EINVAL});
  std::size_t count = std::min(static_cast<std::size_t>(arguments.i32(0)), table_size(task));
  BitSets sets;
  TRY(load_sets(task, arguments, count, sets));
  Selected selected = TRY(open_selected(task, sets, count));
  TRY(wait_for_any(task, selected.files, timeout));
  BitSets asked = sets;
  return fill_sets(task, sets, asked, selected);
}

[[maybe_unused]] Value call_select(Task& task, const Arguments& arguments) {
  auto address = arguments.pointer<KernelTimeval>(4);
  Timeout timeout;
  if (address) {
    KernelTimeval value = TRY(address.load(task.memory()));
    KernelTimespec interval{value.seconds + value.microseconds / 1'000'000,
                            value.microseconds % 1'000'000 * 1000};
    timeout = TRY(timeout_after(task.kernel(), interval));
  }
  Value result = do_select(task, arguments, timeout);
  if (was_interrupted(result)) result = std::unexpected(kernel::kRestartIfNoHandler);
  if (!address || timeout.immediate || (task.personality & STICKY_TIMEOUTS) != 0) return result;
  KernelTimespec left = time_left(task.kernel(), timeout);
  KernelTimeval told{left.seconds, left.nanoseconds / 1000};
  bool stored = address.store(task.memory(), told).has_value();
  if (!stored && !result && result.error() == kernel::kRestartIfNoHandler)
    return std::unexpected(Errno{EINTR});
  return result;
}

// The sixth argument is the address of a mask's address and size.
struct MaskArgument {
  std::uint64_t address = 0, size = 0;
};

Value call_pselect6(Task& task, const Arguments& arguments) {
  auto address = arguments.pointer<KernelTimespec>(4);
  MaskArgument mask;
  if (auto place = arguments.pointer<MaskArgument>(5)) mask = TRY(place.load(task.memory()));
  Timeout timeout = TRY(load_timeout(task, address));
  TRY(use_temporary_mask(task, mask.address, mask.size));
  Value result = do_select(task, arguments, timeout);
  return finish_with_timespec(task, address, timeout, std::move(result));
}

constexpr Entry kEntries[] = {
#ifdef __NR_poll
    {__NR_poll, "poll", call_poll},
#endif
    {__NR_ppoll, "ppoll", call_ppoll},
#ifdef __NR_select
    {__NR_select, "select", call_select},
#endif
    {__NR_pselect6, "pselect6", call_pselect6},
#ifdef __NR_epoll_create
    {__NR_epoll_create, "epoll_create", call_epoll_create},
#endif
    {__NR_epoll_create1, "epoll_create1", call_epoll_create1},
    {__NR_epoll_ctl, "epoll_ctl", call_epoll_ctl},
#ifdef __NR_epoll_wait
    {__NR_epoll_wait, "epoll_wait", call_epoll_wait},
#endif
    {__NR_epoll_pwait, "epoll_pwait", call_epoll_pwait},
    {__NR_epoll_pwait2, "epoll_pwait2", call_epoll_pwait2},
#ifdef __NR_eventfd
    {__NR_eventfd, "eventfd", call_eventfd},
#endif
    {__NR_eventfd2, "eventfd2", call_eventfd2},
#ifdef __NR_pipe
    {__NR_pipe, "pipe", call_pipe},
#endif
    {__NR_pipe2, "pipe2", call_pipe2},
    {__NR_timerfd_create, "timerfd_create", call_timerfd_create},
    {__NR_timerfd_settime, "timerfd_settime", call_timerfd_settime},
    {__NR_timerfd_gettime, "timerfd_gettime", call_timerfd_gettime},
#ifdef __NR_signalfd
    {__NR_signalfd, "signalfd", call_signalfd},
#endif
    {__NR_signalfd4, "signalfd4", call_signalfd4},
#ifdef __NR_inotify_init
    {__NR_inotify_init, "inotify_init", call_inotify_init},
#endif
    {__NR_inotify_init1, "inotify_init1", call_inotify_init1},
    {__NR_inotify_add_watch, "inotify_add_watch", call_inotify_add_watch},
    {__NR_inotify_rm_watch, "inotify_rm_watch", call_inotify_rm_watch},
};

}  // namespace

Value go_on_polling(Task& task, const kernel::Restart& restart) {
  const auto& [address, count, limited, deadline, immediate, unused] = restart.values;
  Timeout timeout;
  if (limited != 0) timeout.deadline = static_cast<std::int64_t>(deadline);
  timeout.immediate = immediate != 0;
  return poll_until(task, UserPtr<pollfd>(address), static_cast<std::uint32_t>(count), timeout);
}

std::span<const Entry> poll_calls() { return kEntries; }

}  // namespace caisson::sandbox::syscalls

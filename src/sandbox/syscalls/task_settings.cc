#include "sandbox/syscalls/task_settings.h"

#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/securebits.h>

#include <algorithm>

#include "sandbox/kernel/kernel.h"
#include "sandbox/syscalls/answer.h"
#include "sandbox/syscalls/credential_changes.h"
#include "sandbox/syscalls/filter_calls.h"

#if defined(__x86_64__)
#include <asm/prctl.h>
#endif

namespace caisson::sandbox::syscalls {
namespace {

using vfs::Credentials;

constexpr std::uint64_t kLastCapability = 40;

vfs::CapabilitySet bit(std::uint64_t capability) { return vfs::CapabilitySet{1} << capability; }

bool has_more(const Arguments& arguments, int from) {
  for (int index = from; index <= 4; ++index)
    if (arguments.u64(index) != 0) return true;
  return false;
}

// --- names, signals, dumps

Value set_name(Task& task, const Arguments& arguments) {
  std::array<char, 16> bytes{};
  std::size_t read =
      TRY(task.memory().read(arguments.u64(1), std::as_writable_bytes(std::span(bytes).first(15))));
  if (read == 0) return fail(EFAULT);
  task.set_name(bytes.data());
  return 0;
}

Value get_name(Task& task, const Arguments& arguments) {
  std::array<char, 16> bytes{};
  std::string name = task.name();
  std::copy_n(name.begin(), std::min<std::size_t>(name.size(), 15), bytes.begin());
  TRY(store(task, arguments.u64(1), bytes));
  return 0;
}

Value set_death_signal(Task& task, const Arguments& arguments) {
  if (arguments.u64(1) > kernel::kSignalCount) return fail(EINVAL);
  Locked tree(task.kernel().task_lock());
  task.parent_death_signal = arguments.i32(1);
  return 0;
}

Value get_death_signal(Task& task, const Arguments& arguments) {
  TRY(store(task, arguments.u64(1), task.parent_death_signal));
  return 0;
}

Value set_dumpable(Task& task, const Arguments& arguments) {
  if (arguments.u64(1) > 1) return fail(EINVAL);
  Locked locked(task.group().signal_mutex);
  task.group().dumpable = arguments.u64(1) == 1;
  return 0;
}

Value set_subreaper(Task& task, const Arguments& arguments) {
  Locked tree(task.kernel().task_lock());
  task.group().is_subreaper = arguments.u64(1) != 0;
  return 0;
}

Value get_subreaper(Task& task, const Arguments& arguments) {
  TRY(store(task, arguments.u64(1), static_cast<int>(task.group().is_subreaper)));
  return 0;
}

// --- capabilities and what keeps them

Value drop_bounding(Task& task, const Arguments& arguments) {
  if (!task.credentials().has(CAP_SETPCAP)) return fail(EPERM);
  if (arguments.u64(1) > kLastCapability) return fail(EINVAL);
  Ref<Credentials> changed = task.credentials().copy();
  changed->bounding &= ~bit(arguments.u64(1));
  take_credentials(task, std::move(changed));
  return 0;
}

Value read_bounding(Task& task, const Arguments& arguments) {
  if (arguments.u64(1) > kLastCapability) return fail(EINVAL);
  return (task.credentials().bounding & bit(arguments.u64(1))) != 0 ? 1 : 0;
}

Value change_ambient(Task& task, const Arguments& arguments) {
  const Credentials& own = task.credentials();
  std::uint64_t action = arguments.u64(1), capability = arguments.u64(2);
  if (action == PR_CAP_AMBIENT_CLEAR_ALL) {
    if (has_more(arguments, 2)) return fail(EINVAL);
    Ref<Credentials> changed = own.copy();
    changed->ambient = 0;
    take_credentials(task, std::move(changed));
    return 0;
  }
  if (has_more(arguments, 3) || capability > kLastCapability) return fail(EINVAL);
  if (action == PR_CAP_AMBIENT_IS_SET) return (own.ambient & bit(capability)) != 0 ? 1 : 0;
  if (action != PR_CAP_AMBIENT_RAISE && action != PR_CAP_AMBIENT_LOWER) return fail(EINVAL);
  Ref<Credentials> changed = own.copy();
  if (action == PR_CAP_AMBIENT_RAISE) {
    bool may = (own.permitted & own.inheritable & bit(capability)) != 0 &&
               (own.securebits & SECBIT_NO_CAP_AMBIENT_RAISE) == 0;
    if (!may) return fail(EPERM);
    changed->ambient |= bit(capability);
  } else {
    changed->ambient &= ~bit(capability);
  }
  take_credentials(task, std::move(changed));
  return 0;
}

std::uint32_t all_securebits(const Credentials& own) {
  return own.securebits | (own.keep_capabilities ? SECBIT_KEEP_CAPS : 0U);
}

Value set_securebits(Task& task, const Arguments& arguments) {
  const Credentials& own = task.credentials();
  std::uint64_t wanted = arguments.u64(1);
  std::uint32_t now = all_securebits(own);
  std::uint64_t locked_bits = (now & SECURE_ALL_LOCKS) >> 1;
  bool changes_locked = (locked_bits & (now ^ wanted)) != 0;
  bool unlocks = (now & SECURE_ALL_LOCKS & ~wanted) != 0;
  bool unknown = (wanted & ~std::uint64_t{SECURE_ALL_LOCKS | SECURE_ALL_BITS}) != 0;
  if (changes_locked || unlocks || unknown || !own.has(CAP_SETPCAP)) return fail(EPERM);
  Ref<Credentials> changed = own.copy();
  changed->securebits = static_cast<std::uint32_t>(wanted) & ~std::uint32_t{SECBIT_KEEP_CAPS};
  changed->keep_capabilities = (wanted & SECBIT_KEEP_CAPS) != 0;
  take_credentials(task, std::move(changed));
  return 0;
}

Value set_keep_capabilities(Task& task, const Arguments& arguments) {
  const Credentials& own = task.credentials();
  if (arguments.u64(1) > 1) return fail(EINVAL);
  if ((own.securebits & SECBIT_KEEP_CAPS_LOCKED) != 0) return fail(EPERM);
  Ref<Credentials> changed = own.copy();
  changed->keep_capabilities = arguments.u64(1) == 1;
  take_credentials(task, std::move(changed));
  return 0;
}

Value set_no_new_privileges(Task& task, const Arguments& arguments) {
  if (arguments.u64(1) != 1 || has_more(arguments, 2)) return fail(EINVAL);
  Ref<Credentials> changed = task.credentials().copy();
  changed->no_new_privileges = true;
  take_credentials(task, std::move(changed));
  return 0;
}

Value get_no_new_privileges(Task& task, const Arguments& arguments) {
  if (has_more(arguments, 1)) return fail(EINVAL);
  return task.credentials().no_new_privileges ? 1 : 0;
}

// --- the rest

constexpr int kNameMemory = 0x53564d41;    // PR_SET_VMA
constexpr int kGetAuxiliary = 0x41555856;  // PR_GET_AUXV

Value name_memory(Task& task, const Arguments& arguments) {
  constexpr std::size_t kLongest = 80;
  if (arguments.u64(1) != 0 /* PR_SET_VMA_ANON_NAME */) return fail(EINVAL);
  std::string name;
  if (arguments.u64(4) != 0) {
    auto text = task.memory().read_string(arguments.u64(4), kLongest);
    if (!text) return fail(text.error().value == ENAMETOOLONG ? EINVAL : text.error().value);
    name = *std::move(text);
    bool is_fine = std::ranges::all_of(name, [](char c) {
      return c >= ' ' && c <= '~' && std::string_view("\\`$[]").find(c) == std::string_view::npos;
    });
    if (!is_fine) return fail(EINVAL);
  }
  TRY(task.memory().name_range(arguments.u64(2), arguments.u64(3), std::move(name)));
  return 0;
}

Value get_auxiliary(Task& task, const Arguments& arguments) {
  if (has_more(arguments, 3)) return fail(EINVAL);
  std::string bytes = task.memory().layout().auxiliary_vector;
  std::size_t size = std::min<std::size_t>(bytes.size(), arguments.u64(2));
  TRY(arguments.pointer<char>(1).store(task.memory(), std::span<const char>(bytes.data(), size)));
  return static_cast<std::int64_t>(bytes.size());
}

Value set_huge_pages_off(Task& task, const Arguments& arguments) {
  if (has_more(arguments, 2)) return fail(EINVAL);
  Locked locked(task.group().signal_mutex);
  task.group().huge_pages_off = arguments.u64(1) != 0;
  return 0;
}

Value set_timer_slack(Task& task, const Arguments& arguments) {
  constexpr std::uint64_t kDefault = 50'000;
  task.timer_slack_ns = arguments.i64(1) <= 0 ? kDefault : arguments.u64(1);
  return 0;
}

// Options about the process's signals, dumps and children; none: another group's.
std::optional<Value> process_option(Task& task, const Arguments& arguments) {
  switch (arguments.i32(0)) {
    case PR_SET_NAME: return set_name(task, arguments);
    case PR_GET_NAME: return get_name(task, arguments);
    case PR_SET_PDEATHSIG: return set_death_signal(task, arguments);
    case PR_GET_PDEATHSIG: return get_death_signal(task, arguments);
    case PR_SET_DUMPABLE: return set_dumpable(task, arguments);
    case PR_GET_DUMPABLE: return Value(task.group().dumpable ? 1 : 0);
    case PR_SET_CHILD_SUBREAPER: return set_subreaper(task, arguments);
    case PR_GET_CHILD_SUBREAPER: return get_subreaper(task, arguments);
    case PR_SET_TIMERSLACK: return set_timer_slack(task, arguments);
    case PR_GET_TIMERSLACK: return Value(static_cast<std::int64_t>(task.timer_slack_ns));
    case PR_GET_TIMING: return Value(PR_TIMING_STATISTICAL);
    case PR_SET_TIMING: return arguments.u64(1) == PR_TIMING_STATISTICAL ? Value(0) : fail(EINVAL);
    default: return std::nullopt;
  }
}

std::optional<Value> credential_option(Task& task, const Arguments& arguments) {
  switch (arguments.i32(0)) {
    case PR_CAPBSET_READ: return read_bounding(task, arguments);
    case PR_CAPBSET_DROP: return drop_bounding(task, arguments);
    case PR_CAP_AMBIENT: return change_ambient(task, arguments);
    case PR_SET_SECUREBITS: return set_securebits(task, arguments);
    case PR_GET_SECUREBITS: return Value(all_securebits(task.credentials()));
    case PR_SET_KEEPCAPS: return set_keep_capabilities(task, arguments);
    case PR_GET_KEEPCAPS: return Value(task.credentials().keep_capabilities ? 1 : 0);
    case PR_SET_NO_NEW_PRIVS: return set_no_new_privileges(task, arguments);
    case PR_GET_NO_NEW_PRIVS: return get_no_new_privileges(task, arguments);
    case PR_GET_SECCOMP: return Value(task.seccomp_mode.load());
    case PR_SET_SECCOMP: return set_seccomp_mode(task, arguments);
    default: return std::nullopt;
  }
}

}  // namespace

Value prctl(Task& task, const Arguments& arguments) {
  if (auto answered = process_option(task, arguments)) return *answered;
  if (auto answered = credential_option(task, arguments)) return *answered;
  switch (arguments.i32(0)) {
    case kNameMemory: return name_memory(task, arguments);
    case kGetAuxiliary: return get_auxiliary(task, arguments);
    case PR_GET_TID_ADDRESS: TRY(store(task, arguments.u64(1), task.clear_child_tid)); return 0;
    case PR_SET_THP_DISABLE: return set_huge_pages_off(task, arguments);
    case PR_GET_THP_DISABLE:
      return has_more(arguments, 1) ? fail(EINVAL) : Value(task.group().huge_pages_off ? 1 : 0);
    case PR_SET_MM: return fail(EPERM);
    case PR_GET_SPECULATION_CTRL: return Value(0);  // PR_SPEC_NOT_AFFECTED
    default: return fail(EINVAL);
  }
}

#if defined(__x86_64__)
Value arch_prctl(Task& task, const Arguments& arguments) {
  platform::Registers& registers = task.registers();
  std::uint64_t address = arguments.u64(1);
  std::uint64_t limit = task.memory().space().limit();
  switch (arguments.i32(0)) {
    case ARCH_SET_FS:
      if (address >= limit) return fail(EPERM);
      registers.fs_base = address;
      return 0;
    case ARCH_SET_GS:
      if (address >= limit) return fail(EPERM);
      registers.gs_base = address;
      return 0;
    case ARCH_GET_FS: TRY(store(task, address, registers.fs_base)); return 0;
    case ARCH_GET_GS: TRY(store(task, address, registers.gs_base)); return 0;
    case ARCH_GET_CPUID: return 1;
    case ARCH_SET_CPUID: return address != 0 ? Value(0) : fail(ENODEV);
    default: return fail(EINVAL);
  }
}
#endif

}  // namespace caisson::sandbox::syscalls

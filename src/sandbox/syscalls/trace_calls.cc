#include "sandbox/syscalls/trace_calls.h"

#include <elf.h>
#include <linux/capability.h>
#include <linux/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "sandbox/kernel/traced_registers.h"
#include "sandbox/kernel/tracing.h"
#include "sandbox/syscalls/answer.h"

// Of <sys/ptrace.h>, which does not go together with the kernel's header.
#if defined(__x86_64__)
#define PTRACE_SYSEMU 31
#define PTRACE_SYSEMU_SINGLESTEP 32
#endif
#define PTRACE_SINGLESTEP 9

namespace caisson::sandbox::syscalls {
namespace {

using kernel::CallStop;
using kernel::TraceMode;
using kernel::TraceStop;
using kernel::Tracing;

// One request about a task that the caller traces.
struct Request {
  Task& caller;
  Ref<Task> target;
  Ref<Tracing> tracing;
  std::int64_t number = 0;
  std::uint64_t address = 0, data = 0;
};

// The target's thread does it: its registers are its own.
template <typename F>
Value asked(const Request& request, F work) {
  kernel::TraceRequest call = work;
  return TRY(request.tracing->ask(request.caller, call));
}

// --- memory

ErrnoOr<Ref<mm::MemoryMap>> memory_of(const Request& request) {
  TRY(request.tracing->stop());
  Ref<mm::MemoryMap> memory = request.target->memory_ref();
  if (!memory) return fail(ESRCH);
  return memory;
}

Value peek_memory(const Request& request) {
  Ref<mm::MemoryMap> memory = TRY(memory_of(request));
  auto word = UserPtr<std::uint64_t>(request.address).load(*memory);
  if (!word) return fail(EIO);
  TRY(store(request.caller, request.data, *word));
  return 0;
}

Value poke_memory(const Request& request) {
  Ref<mm::MemoryMap> memory = TRY(memory_of(request));
  auto bytes = std::as_bytes(std::span(&request.data, 1));
  auto written = memory->write_forced(request.address, bytes);
  if (!written || *written != bytes.size()) return fail(EIO);
  return 0;
}

// --- registers

ErrnoOr<std::vector<std::byte>> take_general(const Request& request) {
  std::vector<std::byte> set;
  TRY(asked(request, [&]() -> ErrnoOr<std::int64_t> {
    set = kernel::general_registers(request.target->registers());
    return 0;
  }));
  return set;
}

ErrnoOr<> put_general(const Request& request, std::span<const std::byte> set) {
  TRY(asked(request, [&]() -> ErrnoOr<std::int64_t> {
    TRY(kernel::set_general_registers(request.target->registers(), set));
    return 0;
  }));
  return {};
}

constexpr std::size_t kLegacySize = 512;       // of an FXSAVE image
constexpr std::size_t kSoftwareBytes = 464;    // in it, whose use is the system's
constexpr std::size_t kFeaturesInFrame = 472;  // struct _fpx_sw_bytes: xfeatures, xstate_size
constexpr std::size_t kSizeInFrame = 480;

// The image of a signal frame as NT_X86_XSTATE has it, or its first part, NT_PRFPREG.
std::vector<std::byte> extended_set(std::span<const std::byte> frame, bool legacy) {
  std::uint32_t size = 0;
  if (frame.size() >= kLegacySize) std::memcpy(&size, frame.data() + kSizeInFrame, sizeof size);
  std::size_t whole = std::clamp<std::size_t>(size, kLegacySize, frame.size());
  std::vector<std::byte> set(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(whole));
  std::uint64_t features = 0;
  std::memcpy(&features, set.data() + kFeaturesInFrame, sizeof features);
  std::memset(set.data() + kSoftwareBytes, 0, kLegacySize - kSoftwareBytes);
  if (!legacy) std::memcpy(set.data() + kSoftwareBytes, &features, sizeof features);
  if (legacy) set.resize(kLegacySize);
  return set;
}

ErrnoOr<std::vector<std::byte>> take_extended(const Request& request, bool legacy) {
  std::vector<std::byte> set;
  TRY(asked(request, [&]() -> ErrnoOr<std::int64_t> {
    set = extended_set(request.target->thread().extended_state(), legacy);
    return 0;
  }));
  return set;
}

ErrnoOr<> put_extended(const Request& request, std::span<const std::byte> set) {
  if (set.size() < kLegacySize) return fail(EINVAL);
  TRY(asked(request, [&]() -> ErrnoOr<std::int64_t> {
    std::span<const std::byte> now = request.target->thread().extended_state();
    std::vector<std::byte> frame(now.begin(), now.end());
    std::size_t count = std::min(set.size(), frame.size());
    std::copy_n(set.begin(), kSoftwareBytes, frame.begin());
    if (count > kLegacySize)
      std::copy(set.begin() + kLegacySize, set.begin() + static_cast<std::ptrdiff_t>(count),
                frame.begin() + kLegacySize);
    TRY(request.target->thread().set_extended_state(frame));
    return 0;
  }));
  return {};
}

ErrnoOr<std::vector<std::byte>> take_set(const Request& request, std::uint64_t type) {
  switch (type) {
    case NT_PRSTATUS: return take_general(request);
    case NT_PRFPREG: return take_extended(request, true);
    case NT_X86_XSTATE: return take_extended(request, false);
    default: return fail(EINVAL);
  }
}

ErrnoOr<> put_set(const Request& request, std::uint64_t type, std::span<const std::byte> set) {
  switch (type) {
    case NT_PRSTATUS: return put_general(request, set);
    case NT_PRFPREG:
    case NT_X86_XSTATE: return put_extended(request, set);
    default: return fail(EINVAL);
  }
}

// PTRACE_GETREGSET, PTRACE_SETREGSET: `data` points to a struct iovec whose length is corrected.
Value get_register_set(const Request& request) {
  auto place = TRY(load<vfs::IoSegment>(request.caller, request.data));
  std::vector<std::byte> set = TRY(take_set(request, request.address));
  set.resize(std::min<std::size_t>(set.size(), place.length));
  place.length = set.size();
  if (!set.empty())
    TRY(UserPtr<std::byte>(place.address)
            .store(request.caller.memory(), std::span<const std::byte>(set)));
  TRY(store(request.caller, request.data, place));
  return 0;
}

constexpr std::size_t kLargestSet = 65536;

Value set_register_set(const Request& request) {
  auto place = TRY(load<vfs::IoSegment>(request.caller, request.data));
  std::vector<std::byte> set(std::min<std::uint64_t>(place.length, kLargestSet));
  if (set.size() % sizeof(std::uint64_t) != 0) return fail(EINVAL);
  TRY(UserPtr<std::byte>(place.address).load(request.caller.memory(), std::span(set)));
  TRY(put_set(request, request.address, set));
  return 0;
}

// The older requests, with a whole set at `data`.
Value get_whole_set(const Request& request, std::uint64_t type) {
  std::vector<std::byte> set = TRY(take_set(request, type));
  TRY(UserPtr<std::byte>(request.data)
          .store(request.caller.memory(), std::span<const std::byte>(set)));
  return 0;
}

Value set_whole_set(const Request& request, std::uint64_t type, std::size_t size) {
  std::vector<std::byte> set(size);
  TRY(UserPtr<std::byte>(request.data).load(request.caller.memory(), std::span(set)));
  TRY(put_set(request, type, set));
  return 0;
}

// PTRACE_PEEKUSER: a word of struct user, of which only the general registers are real. What has to
// do with debug registers reads as unused and cannot be used.
Value peek_user(const Request& request) {
  if (request.address % 8 != 0 || request.address > sizeof(struct user) - 8) return fail(EIO);
  std::vector<std::byte> set = TRY(take_general(request));
  std::uint64_t word = 0;
  if (request.address + sizeof word <= set.size())
    std::memcpy(&word, set.data() + request.address, sizeof word);
  TRY(store(request.caller, request.data, word));
  return 0;
}

Value poke_user(const Request& request) {
  if (request.address % 8 != 0 || request.address > sizeof(struct user) - 8) return fail(EIO);
  std::vector<std::byte> set = TRY(take_general(request));
  bool is_register = request.address + sizeof request.data <= set.size();
  if (!is_register) return request.data == 0 ? Value(0) : fail(EINVAL);
  std::memcpy(set.data() + request.address, &request.data, sizeof request.data);
  TRY(put_general(request, set));
  return 0;
}

// --- signals and calls

Value get_signal_info(const Request& request) {
  TraceStop stop = TRY(request.tracing->stop());
  if (!stop.info) return fail(EINVAL);
  std::array<std::byte, 128> bytes{};
  stop.info->write_to(bytes);
  TRY(store(request.caller, request.data, bytes));
  return 0;
}

Value set_signal_info(const Request& request) {
  auto bytes = TRY((load<std::array<std::byte, 128>>(request.caller, request.data)));
  std::int32_t signal = 0;
  std::memcpy(&signal, bytes.data(), sizeof signal);
  TRY(request.tracing->set_info(kernel::SignalInfo::read_from(bytes, signal)));
  return 0;
}

Value get_signal_mask(const Request& request) {
  if (request.address != sizeof(kernel::SignalSet)) return fail(EINVAL);
  kernel::SignalSet mask = 0;
  TRY(asked(request, [&]() -> ErrnoOr<std::int64_t> {
    mask = request.target->saved_mask.value_or(request.target->blocked);
    return 0;
  }));
  TRY(store(request.caller, request.data, mask));
  return 0;
}

Value set_signal_mask(const Request& request) {
  if (request.address != sizeof(kernel::SignalSet)) return fail(EINVAL);
  auto mask = TRY(load<kernel::SignalSet>(request.caller, request.data));
  return asked(request, [&]() -> ErrnoOr<std::int64_t> {
    request.target->set_blocked(mask);
    return 0;
  });
}

struct CallFacts {
  std::uint64_t stack = 0, place = 0, number = 0;
  std::array<std::uint64_t, 6> arguments{};
  std::int64_t result = 0;
};

ErrnoOr<CallFacts> facts_of_call(const Request& request) {
  CallFacts facts;
  TRY(asked(request, [&]() -> ErrnoOr<std::int64_t> {
    const platform::Registers& registers = request.target->registers();
    facts.stack = registers.stack_pointer();
    facts.place = registers.instruction_pointer();
    facts.number = registers.syscall_number();
    for (int i = 0; i < 6; ++i)
      facts.arguments[static_cast<std::size_t>(i)] = registers.argument(i);
    facts.result = registers.result();
    return 0;
  }));
  return facts;
}

Value get_call_info(const Request& request) {
  TraceStop stop = TRY(request.tracing->stop());
  CallFacts facts = TRY(facts_of_call(request));
  struct ptrace_syscall_info told{};
  told.arch = kernel::call_architecture();
  told.instruction_pointer = facts.place;
  told.stack_pointer = facts.stack;
  std::size_t size = offsetof(struct ptrace_syscall_info, entry);
  if (stop.call == CallStop::kEntry) {
    told.op = PTRACE_SYSCALL_INFO_ENTRY;
    told.entry.nr = facts.number;
    std::copy(facts.arguments.begin(), facts.arguments.end(), told.entry.args);
    size += sizeof told.entry;
  } else if (stop.call == CallStop::kExit) {
    told.op = PTRACE_SYSCALL_INFO_EXIT;
    told.exit.rval = facts.result;
    told.exit.is_error = facts.result < 0 && facts.result >= -4095 ? 1 : 0;
    size += offsetof(decltype(told.exit), is_error) + 1;
  } else if (stop.call == CallStop::kFilter) {
    told.op = PTRACE_SYSCALL_INFO_SECCOMP;
    told.seccomp.nr = facts.number;
    std::copy(facts.arguments.begin(), facts.arguments.end(), told.seccomp.args);
    told.seccomp.ret_data = static_cast<std::uint32_t>(stop.message);
    size += offsetof(decltype(told.seccomp), ret_data) + sizeof told.seccomp.ret_data;
  }
  auto bytes =
      std::as_bytes(std::span(&told, 1)).first(std::min<std::size_t>(size, request.address));
  TRY(UserPtr<std::byte>(request.data).store(request.caller.memory(), bytes));
  return static_cast<std::int64_t>(size);
}

// --- going on

Value resume(const Request& request, TraceMode mode) {
  if (request.data > kernel::kSignalCount) return fail(EIO);
  TRY(request.tracing->resume(mode, static_cast<int>(request.data)));
  return 0;
}

Value detach(const Request& request) {
  if (request.data > kernel::kSignalCount) return fail(EIO);
  TRY(request.tracing->detach(*request.target, static_cast<int>(request.data)));
  return 0;
}

Value kill_target(const Request& request) {
  TRY(request.caller.kernel().signal_task(*request.target, kernel::SignalInfo::kernel(SIGKILL)));
  return 0;
}

Value get_message(const Request& request) {
  TRY(store(request.caller, request.data, TRY(request.tracing->stop()).message));
  return 0;
}

Value set_options(const Request& request) {
  if (request.data > ~std::uint32_t{0}) return fail(EINVAL);
  TRY(request.tracing->set_options(static_cast<std::uint32_t>(request.data)));
  return 0;
}

using Handler = Value (*)(const Request& request);
struct RequestEntry {
  std::int64_t number;
  Handler handler;
};

constexpr RequestEntry kRequests[] = {
    {PTRACE_PEEKTEXT, peek_memory},
    {PTRACE_PEEKDATA, peek_memory},
    {PTRACE_POKETEXT, poke_memory},
    {PTRACE_POKEDATA, poke_memory},
    {PTRACE_PEEKUSR, peek_user},
    {PTRACE_POKEUSR, poke_user},
    {PTRACE_GETREGSET, get_register_set},
    {PTRACE_SETREGSET, set_register_set},
    {PTRACE_GETSIGINFO, get_signal_info},
    {PTRACE_SETSIGINFO, set_signal_info},
    {PTRACE_GETSIGMASK, get_signal_mask},
    {PTRACE_SETSIGMASK, set_signal_mask},
    {PTRACE_GET_SYSCALL_INFO, get_call_info},
    {PTRACE_GETEVENTMSG, get_message},
    {PTRACE_SETOPTIONS, set_options},
    {PTRACE_KILL, kill_target},
    {PTRACE_DETACH, detach},
    {PTRACE_CONT, [](const Request& r) { return resume(r, TraceMode::kContinue); }},
    {PTRACE_SYSCALL, [](const Request& r) { return resume(r, TraceMode::kSyscall); }},
    {PTRACE_SINGLESTEP, [](const Request& r) { return resume(r, TraceMode::kStep); }},
    {PTRACE_LISTEN,
     [](const Request& r) -> Value {
       TRY(r.tracing->listen());
       return 0;
     }},
    {PTRACE_INTERRUPT,
     [](const Request& r) -> Value {
       TRY(r.tracing->interrupt(*r.target));
       return 0;
     }},
#if defined(__x86_64__)
    {PTRACE_SYSEMU, [](const Request& r) { return resume(r, TraceMode::kEmulate); }},
    {PTRACE_SYSEMU_SINGLESTEP, [](const Request& r) { return resume(r, TraceMode::kEmulateStep); }},
    {12 /* PTRACE_GETREGS */, [](const Request& r) { return get_whole_set(r, NT_PRSTATUS); }},
    {13 /* PTRACE_SETREGS */,
     [](const Request& r) { return set_whole_set(r, NT_PRSTATUS, sizeof(user_regs_struct)); }},
    {14 /* PTRACE_GETFPREGS */, [](const Request& r) { return get_whole_set(r, NT_PRFPREG); }},
    {15 /* PTRACE_SETFPREGS */,
     [](const Request& r) { return set_whole_set(r, NT_PRFPREG, sizeof(user_fpregs_struct)); }},
#endif
};

// --- beginning

// __ptrace_may_access() of Linux, PTRACE_MODE_ATTACH_REALCREDS.
ErrnoOr<> may_attach(const Task& caller, const Task& target) {
  const vfs::Credentials& own = caller.credentials();
  Ref<vfs::Credentials> its = target.credentials_ref();
  if (!its) return fail(ESRCH);
  const vfs::UserNamespace* where = its->user_namespace.get();
  if (own.has_in(where, CAP_SYS_PTRACE)) return {};
  bool same = own.uid == its->uid && own.uid == its->euid && own.uid == its->suid &&
              own.gid == its->gid && own.gid == its->egid && own.gid == its->sgid;
  bool within = (its->permitted & ~own.permitted) == 0 && own.user_namespace == its->user_namespace;
  if (!same || !within || !target.group().dumpable) return fail(EPERM);
  return {};
}

ErrnoOr<Ref<Task>> find_target(Task& caller, std::int64_t id) {
  Locked tree(caller.kernel().task_lock());
  Task* found = caller.kernel().find_task(*caller.group().pid_namespace, static_cast<int>(id));
  if (found == nullptr) return fail(ESRCH);
  return Ref<Task>::share(found);
}

Value attach(Task& task, Task& target, const Arguments& arguments) {
  bool seizes = arguments.i64(0) == PTRACE_SEIZE;
  if (seizes && arguments.u64(2) != 0) return fail(EIO);
  if (seizes && arguments.u64(3) > ~std::uint32_t{0}) return fail(EIO);
  TRY(may_attach(task, target));
  TRY(Tracing::attach(task, target, seizes, seizes ? arguments.u32(3) : 0));
  return 0;
}

}  // namespace

Value call_ptrace(Task& task, const Arguments& arguments) {
  std::int64_t number = arguments.i64(0);
  if (number == PTRACE_TRACEME) {
    TRY(Tracing::trace_me(task));
    return 0;
  }
  Ref<Task> target = TRY(find_target(task, arguments.i64(1)));
  if (number == PTRACE_ATTACH || number == PTRACE_SEIZE) return attach(task, *target, arguments);
  Ref<Tracing> tracing = target->tracing_ref();
  {
    Locked tree(task.kernel().task_lock());
    if (!tracing || tracing->tracer() != &task.group()) return fail(ESRCH);
  }
  Request request{task,   std::move(target), std::move(tracing),
                  number, arguments.u64(2),  arguments.u64(3)};
  auto known = std::ranges::find(kRequests, number, &RequestEntry::number);
  if (known == std::end(kRequests)) return fail(EIO);
  return known->handler(request);
}

}  // namespace caisson::sandbox::syscalls

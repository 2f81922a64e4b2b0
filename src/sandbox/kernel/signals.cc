#include "sandbox/kernel/signals.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace caisson::sandbox::kernel {
namespace {

// The unions of siginfo_t (include/uapi/asm-generic/siginfo.h), by code and signal as
// siginfo_layout() of kernel/signal.c tells them apart.
enum class Layout { kSender, kTimer, kPoll, kFault, kChild, kQueued, kSystemCall };

Layout layout_of(int signal, int code) {
  if (code > SI_USER && code < SI_KERNEL) {
    switch (signal) {
      case SIGILL:
      case SIGFPE:
      case SIGSEGV:
      case SIGBUS:
      case SIGTRAP: return Layout::kFault;
      case SIGCHLD: return Layout::kChild;
      case SIGPOLL: return Layout::kPoll;
      case SIGSYS: return Layout::kSystemCall;
      default: return Layout::kSender;
    }
  }
  if (code == SI_TIMER) return Layout::kTimer;
  if (code == SI_SIGIO) return Layout::kPoll;
  return code < 0 ? Layout::kQueued : Layout::kSender;
}

class Fields {
 public:
  explicit Fields(std::span<std::byte, 128> bytes) : bytes_(bytes) {}
  template <typename T>
  void put(std::size_t offset, T value) {
    std::memcpy(bytes_.data() + offset, &value, sizeof(value));
  }

 private:
  std::span<std::byte, 128> bytes_;
};

template <typename T>
T get(std::span<const std::byte, 128> bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

// Where the union begins: behind signal, errno and code, aligned for pointers.
constexpr std::size_t kUnion = 16;
constexpr std::int64_t kNanosecondsPerTick = 10'000'000;  // of clock_t (USER_HZ)

}  // namespace

void SignalInfo::write_to(std::span<std::byte, 128> bytes) const {
  std::ranges::fill(bytes, std::byte{0});
  Fields fields(bytes);
  fields.put(0, signal);
  fields.put(4, error);
  fields.put(8, code);
  switch (layout_of(signal, code)) {
    case Layout::kSender:
      fields.put(kUnion, pid);
      fields.put(kUnion + 4, uid);
      break;
    case Layout::kQueued:
      fields.put(kUnion, pid);
      fields.put(kUnion + 4, uid);
      fields.put(kUnion + 8, value);
      break;
    case Layout::kTimer:
      fields.put(kUnion, timer);
      fields.put(kUnion + 4, overrun);
      fields.put(kUnion + 8, value);
      break;
    case Layout::kPoll:
      fields.put(kUnion, band);
      fields.put(kUnion + 8, fd);
      break;
    case Layout::kFault: fields.put(kUnion, address); break;
    case Layout::kChild:
      fields.put(kUnion, pid);
      fields.put(kUnion + 4, uid);
      fields.put(kUnion + 8, status);
      fields.put(kUnion + 16, user_time / kNanosecondsPerTick);
      fields.put(kUnion + 24, system_time / kNanosecondsPerTick);
      break;
    case Layout::kSystemCall:
      fields.put(kUnion, address);
      fields.put(kUnion + 8, system_call);
      fields.put(kUnion + 12, architecture);
      break;
  }
}

SignalInfo SignalInfo::read_from(std::span<const std::byte, 128> bytes, int signal) {
  SignalInfo info;
  info.signal = signal;
  info.error = get<int>(bytes, 4);
  info.code = get<int>(bytes, 8);
  switch (layout_of(signal, info.code)) {
    case Layout::kTimer:
      info.timer = get<std::int32_t>(bytes, kUnion);
      info.overrun = get<std::int32_t>(bytes, kUnion + 4);
      info.value = get<std::uint64_t>(bytes, kUnion + 8);
      break;
    case Layout::kPoll:
      info.band = get<std::int64_t>(bytes, kUnion);
      info.fd = get<std::int32_t>(bytes, kUnion + 8);
      break;
    case Layout::kFault: info.address = get<std::uint64_t>(bytes, kUnion); break;
    case Layout::kSystemCall:
      info.address = get<std::uint64_t>(bytes, kUnion);
      info.system_call = get<std::uint32_t>(bytes, kUnion + 8);
      info.architecture = get<std::uint32_t>(bytes, kUnion + 12);
      break;
    case Layout::kChild:
      info.status = get<std::int32_t>(bytes, kUnion + 8);
      info.user_time = get<std::int64_t>(bytes, kUnion + 16) * kNanosecondsPerTick;
      info.system_time = get<std::int64_t>(bytes, kUnion + 24) * kNanosecondsPerTick;
      [[fallthrough]];
    case Layout::kSender:
      info.pid = get<std::int32_t>(bytes, kUnion);
      info.uid = get<std::uint32_t>(bytes, kUnion + 4);
      break;
    case Layout::kQueued:
      info.pid = get<std::int32_t>(bytes, kUnion);
      info.uid = get<std::uint32_t>(bytes, kUnion + 4);
      info.value = get<std::uint64_t>(bytes, kUnion + 8);
      break;
  }
  return info;
}

SignalInfo SignalInfo::user(int signal, int pid, std::uint32_t uid, int code) {
  SignalInfo info;
  info.signal = signal;
  info.code = code;
  info.pid = pid;
  info.uid = uid;
  return info;
}

SignalInfo SignalInfo::kernel(int signal) {
  SignalInfo info;
  info.signal = signal;
  info.code = SI_KERNEL;
  return info;
}

DefaultAction default_action(int signal) {
  switch (signal) {
    case SIGCHLD:
    case SIGURG:
    case SIGWINCH: return DefaultAction::kIgnore;
    case SIGCONT: return DefaultAction::kContinue;
    case SIGSTOP:
    case SIGTSTP:
    case SIGTTIN:
    case SIGTTOU: return DefaultAction::kStop;
    case SIGQUIT:
    case SIGILL:
    case SIGTRAP:
    case SIGABRT:
    case SIGFPE:
    case SIGSEGV:
    case SIGBUS:
    case SIGSYS:
    case SIGXCPU:
    case SIGXFSZ: return DefaultAction::kCoreDump;
    default: return DefaultAction::kTerminate;
  }
}

bool PendingSignals::add(const SignalInfo& info) {
  if (info.signal < kFirstRealTimeSignal && contains(info.signal)) return false;
  set_ |= signal_bit(info.signal);
  queue_.push_back(info);
  return true;
}

SignalInfo PendingSignals::take(SignalSet blocked) {
  SignalSet ready = set_ & ~blocked;
  if (ready == 0) return {};
  if ((ready & kSynchronousSignals) != 0) ready &= kSynchronousSignals;
  int signal = std::countr_zero(ready) + 1;
  auto of_signal = [signal](const SignalInfo& info) { return info.signal == signal; };
  auto found = std::ranges::find_if(queue_, of_signal);
  SignalInfo info = *found;
  queue_.erase(found);
  if (std::ranges::none_of(queue_, of_signal)) set_ &= ~signal_bit(signal);
  return info;
}

SignalInfo* PendingSignals::find_timer(std::int32_t timer) {
  auto found = std::ranges::find_if(queue_, [timer](const SignalInfo& info) {
    return info.code == SI_TIMER && info.timer == timer;
  });
  return found == queue_.end() ? nullptr : &*found;
}

void PendingSignals::discard(SignalSet signals) {
  if ((set_ & signals) == 0) return;
  std::erase_if(queue_, [signals](const SignalInfo& info) {
    return (signals & signal_bit(info.signal)) != 0;
  });
  set_ &= ~signals;
}

}  // namespace caisson::sandbox::kernel

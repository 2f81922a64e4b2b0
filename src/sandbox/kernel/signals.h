// Signals (signal(7)): sets, actions, pending queues.
#pragma once

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>

#include "base/result.h"

namespace caisson::sandbox::kernel {

using SignalSet = std::uint64_t;  // bit n-1 is signal n, as the kernel has it
constexpr int kSignalCount = 64;
constexpr SignalSet signal_bit(int signal) { return SignalSet{1} << (signal - 1); }
constexpr int kFirstRealTimeSignal = 32;  // of the kernel; the C library keeps two for itself
constexpr SignalSet kUnblockable = signal_bit(SIGKILL) | signal_bit(SIGSTOP);

// struct siginfo of the kernel's ABI, the parts that senders set.
struct SignalInfo {
  int signal = 0;
  int error = 0;
  int code = 0;          // SI_USER, SI_TKILL, SI_QUEUE, CLD_*, SEGV_* ...
  std::int32_t pid = 0;  // sender, in the receiver's pid namespace
  std::uint32_t uid = 0;
  std::int32_t status = 0;  // SIGCHLD
  std::int64_t user_time = 0, system_time = 0;
  std::uint64_t value = 0;    // sigval
  std::uint64_t address = 0;  // faults
  std::int32_t timer = 0, overrun = 0;
  std::int64_t band = 0;  // SIGIO
  std::int32_t fd = -1;
  std::uint32_t system_call = 0, architecture = 0;  // SIGSYS
  // The 128 bytes of siginfo_t.
  void write_to(std::span<std::byte, 128> bytes) const;
  // What a guest hands over (rt_sigqueueinfo(2)): the fields that its code says it has.
  static SignalInfo read_from(std::span<const std::byte, 128> bytes, int signal);
  // From one task to another: SI_USER or SI_TKILL.
  static SignalInfo user(int signal, int pid, std::uint32_t uid, int code = SI_USER);
  static SignalInfo kernel(int signal);  // SI_KERNEL
};

struct SignalAction {         // struct sigaction of the kernel's ABI
  std::uint64_t handler = 0;  // SIG_DFL 0, SIG_IGN 1
  std::uint64_t flags = 0;    // SA_*
  std::uint64_t restorer = 0;
  SignalSet mask = 0;
};

// What a signal does when there is no handler.
enum class DefaultAction : std::uint8_t { kTerminate, kCoreDump, kIgnore, kStop, kContinue };
DefaultAction default_action(int signal);
constexpr SignalSet kStopSignals =
    signal_bit(SIGSTOP) | signal_bit(SIGTSTP) | signal_bit(SIGTTIN) | signal_bit(SIGTTOU);
constexpr SignalSet kSynchronousSignals = signal_bit(SIGSEGV) | signal_bit(SIGBUS) |
                                          signal_bit(SIGILL) | signal_bit(SIGTRAP) |
                                          signal_bit(SIGFPE) | signal_bit(SIGSYS);
constexpr bool is_valid_signal(int signal) { return signal >= 1 && signal <= kSignalCount; }

// Standard signals are pending once, real-time ones queue.
class PendingSignals {
 public:
  // False: dropped (a standard one that is pending already).
  bool add(const SignalInfo& info);
  bool contains(int signal) const { return (set_ & signal_bit(signal)) != 0; }
  std::size_t size() const { return queue_.size(); }
  const std::deque<SignalInfo>& queue() const { return queue_; }
  // The queued timer signal `timer`, if any: it is counted there instead of queued again.
  SignalInfo* find_timer(std::int32_t timer);
  // The next that is not in `blocked`, synchronous ones first; signal 0: none.
  SignalInfo take(SignalSet blocked);
  SignalSet set() const { return set_; }
  void discard(SignalSet signals);

 private:
  SignalSet set_ = 0;
  std::deque<SignalInfo> queue_;
};

}  // namespace caisson::sandbox::kernel

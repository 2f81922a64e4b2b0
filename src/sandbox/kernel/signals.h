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
  // The 128 bytes of siginfo_t.
  void write_to(std::span<std::byte, 128> bytes) const;
};

struct SignalAction {         // struct sigaction of the kernel's ABI
  std::uint64_t handler = 0;  // SIG_DFL 0, SIG_IGN 1
  std::uint64_t flags = 0;    // SA_*
  std::uint64_t restorer = 0;
  SignalSet mask = 0;
};

// Standard signals are pending once, real-time ones queue.
class PendingSignals {
 public:
  // False: dropped (a standard one that is pending already).
  bool add(const SignalInfo& info);
  // The next that is not in `blocked`, synchronous ones first; signal 0: none.
  SignalInfo take(SignalSet blocked);
  SignalSet set() const { return set_; }
  void discard(SignalSet signals);

 private:
  SignalSet set_ = 0;
  std::deque<SignalInfo> queue_;
};

}  // namespace caisson::sandbox::kernel

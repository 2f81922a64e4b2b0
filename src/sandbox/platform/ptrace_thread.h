// A guest thread that its owner runs by ptrace(2).
#pragma once

#include <sys/user.h>

#include <atomic>
#include <cstddef>
#include <vector>

#include "sandbox/platform/extended_state.h"
#include "sandbox/platform/stub_space.h"

namespace caisson::sandbox::platform {

class PtraceThread final : public StubThread {
 public:
  PtraceThread(StubSpace& space, std::uint32_t index, pid_t thread, const ExtendedLayout& layout);
  ~PtraceThread() override;

  Event run() override;
  Registers& registers() override { return registers_; }
  std::span<const std::byte> extended_state() override;
  ErrnoOr<> set_extended_state(std::span<const std::byte> image) override;
  void reset_extended_state() override;
  void interrupt() override;
  pid_t host_tid() const override { return thread_; }

  ErrnoOr<std::uint64_t> execute(const Order& order, int file) override;
  ErrnoOr<std::uint32_t> swap(std::uint64_t address, std::uint32_t expected,
                              std::uint32_t desired) override;
  ErrnoOr<> borrow() override { return attach(); }
  void give_back() override;
  ErrnoOr<> take_over(Thread& parent) override;

 private:
  enum class State { kHeld, kAttached, kGone };

  ErrnoOr<> attach();
  ErrnoOr<int> wait_stop();
  ErrnoOr<int> resume(int request, int signal);
  ErrnoOr<> read_registers();
  ErrnoOr<> write_registers(const user_regs_struct& registers);
  ErrnoOr<> write_guest_state();
  ErrnoOr<std::uint64_t> inject(const Order& order);
  ErrnoOr<> pass_file(int file);
  ErrnoOr<Event> run_once();
  ErrnoOr<Event> syscall_stop();
  ErrnoOr<Event> signal_stop(int signal);
  ErrnoOr<Fault> fault(int signal);
  Event gone();

  pid_t thread_;
  ExtendedLayout layout_;
  State state_ = State::kHeld;
  Registers registers_;
  user_regs_struct host_{};  // of the last stop: also what the guest cannot choose
  std::vector<std::byte> extended_;
  // Whether the last image above is newer than the thread's registers, or the same.
  enum class Extended { kUnknown, kSame, kNewer } extended_is_ = Extended::kNewer;
  std::atomic<bool> interrupted_ = false, running_ = false;
};

}  // namespace caisson::sandbox::platform

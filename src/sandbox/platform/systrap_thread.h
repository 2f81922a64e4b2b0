// A guest thread whose stub thread traps its own system calls and hands them over by a notifying
// one (stub/handlers.cc). While it stands still it waits in the stub's code for an answer; its
// registers are the signal frame on its alternate stack, in memory that is mapped here too.
//
// Nothing in that memory is believed: other guest threads can write it at any time. What a
// hand-over is about is told by the notification, whose instruction and arguments the host's kernel
// vouches for; what the frame says can only be wrong about the guest itself. An order counts as
// carried out only if the notifications say so in the right sequence; a stub that does something
// else is killed.
#pragma once

#include <atomic>
#include <cstddef>
#include <vector>

#include "sandbox/platform/call_site.h"
#include "sandbox/platform/extended_state.h"
#include "sandbox/platform/islands.h"
#include "sandbox/platform/listener.h"
#include "sandbox/platform/signal_frame.h"
#include "sandbox/platform/spin_policy.h"
#include "sandbox/platform/stub_space.h"

namespace caisson::sandbox::platform {

// What the threads of one platform share.
struct SystrapContext : RefCounted {
  explicit SystrapContext(int processors) : budget(processors) {}
  SpinBudget budget;
  // Ticks of the time stamp counter: how long an owner or a stub looks before it gives way.
  std::uint32_t patience = 0;
  Ref<IslandFile> islands;  // null: sites are not patched
};

class SystrapThread final : public StubThread {
 public:
  // `listener` is that of the new thread `index`, which has not been heard yet.
  SystrapThread(StubSpace& space, std::uint32_t index, Fd listener, SystrapContext& context);
  // Hears the thread's first hand-over.
  ErrnoOr<> begin();
  ~SystrapThread() override;

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
  // The same with 8 bytes.
  ErrnoOr<std::uint64_t> swap_long(std::uint64_t address, std::uint64_t expected,
                                   std::uint64_t desired);
  ErrnoOr<> take_over(Thread& parent) override;
  void publish(const Identity& identity);

 private:
  // Set while the thread may be running, so that interrupt() must reach it.
  class Busy;

  ErrnoOr<> answer(Answer answer);
  ErrnoOr<> receive();
  ErrnoOr<> wait_for_done();
  ErrnoOr<> let_order_through(const Order& order, int file);
  ErrnoOr<Event> resume();
  ErrnoOr<Event> event();
  Event call_event();
  Event lane_event();
  Event trapped_call();
  Event stopped_event();
  void leave_trampoline();
  bool take_call();
  bool look();
  void stop_looking();
  void judge_wait(std::uint64_t began);
  Event fault_event();
  Event gone();
  // The stub does not do what its code says. Ends it.
  Errno broken();

  // Makes a record a signal frame, which more can be done with.
  ErrnoOr<> frame_state();
  ErrnoOr<std::uint64_t> compare(Answer which, std::uint64_t address, std::uint64_t expected,
                                 std::uint64_t desired);

  SignalFrame& frame() const;
  CallRecord& record() const;
  std::uint64_t record_address() const;
  std::span<std::byte> image() const;
  void load_registers();
  ErrnoOr<> store_state();

  Listener listener_;
  pid_t thread_ = 0;
  seccomp_notif notice_{};  // the hand-over that waits for an answer
  bool waits_ = false, gone_ = false;
  bool by_lane_ = false;   // it waits at the lane, not in the gate
  bool recorded_ = false;  // its state is the record, not the frame
  bool looks_ = false;
  SpinPolicy policy_;
  HotSites sites_;
  SystrapContext& context_;
  std::uint64_t frame_at_ = 0, image_at_ = 0;  // in the area
  ExtendedLayout layout_;
  Registers registers_, loaded_;  // loaded_: as the frame has them
  std::vector<std::byte> extended_;
  bool extended_known_ = false;
  std::atomic<bool> interrupted_ = false, busy_ = false;
};

}  // namespace caisson::sandbox::platform

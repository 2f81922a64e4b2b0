// StopGate: lets all tasks stand still between two steps, for pause and snapshots. A task counts as
// running from its start to its end except where it waits at the gate.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>

namespace caisson::sandbox::kernel {

class StopGate {
 public:
  // A task begins or goes on: waits while there is a stop.
  void enter();
  // It ends, or sleeps where only its end interrupts it.
  void leave();
  // enter() after leave() if a stop is asked for.
  void pass() {
    if (!is_closed()) return;
    leave();
    enter();
  }
  bool is_closed() const { return stops_.load(std::memory_order_acquire) != 0; }

  void close();             // no task gets in any more
  void wait_until_empty();  // after close(): until all stand still
  // The same; false: not all did within the time.
  bool wait_until_empty(std::chrono::milliseconds timeout);
  void open();

 private:
  std::mutex mutex_;
  std::condition_variable opened_, emptied_;
  std::atomic<int> stops_{0};
  int inside_ = 0;
};

}  // namespace caisson::sandbox::kernel

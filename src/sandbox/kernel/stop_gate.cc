#include "sandbox/kernel/stop_gate.h"

namespace caisson::sandbox::kernel {

void StopGate::enter() {
  std::unique_lock lock(mutex_);
  opened_.wait(lock, [this] { return stops_.load(std::memory_order_relaxed) == 0; });
  ++inside_;
}

void StopGate::leave() {
  std::unique_lock lock(mutex_);
  if (--inside_ == 0) emptied_.notify_all();
}

void StopGate::close() {
  std::unique_lock lock(mutex_);
  stops_.fetch_add(1, std::memory_order_release);
}

void StopGate::wait_until_empty() {
  std::unique_lock lock(mutex_);
  emptied_.wait(lock, [this] { return inside_ == 0; });
}

bool StopGate::wait_until_empty(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  return emptied_.wait_for(lock, timeout, [this] { return inside_ == 0; });
}

void StopGate::open() {
  std::unique_lock lock(mutex_);
  if (stops_.fetch_sub(1, std::memory_order_release) == 1) opened_.notify_all();
}

}  // namespace caisson::sandbox::kernel

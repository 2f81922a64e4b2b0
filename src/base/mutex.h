// Mutex: a lock of four bytes on futex(2), for the sandbox's kernel, whose objects each carry one.
// Not recursive. A debug build checks that a thread takes locks in rising order of rank, so that no
// two orders of the same locks exist; rank 0 is not checked.
#pragma once

#include <atomic>
#include <cstdint>

namespace caisson {

class Mutex {
 public:
  explicit constexpr Mutex(std::uint8_t rank = 0) : rank_(rank) {}
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() {
    std::uint32_t expected = kFree;
    if (!state_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire)) lock_slowly();
  }
  bool try_lock() {
    std::uint32_t expected = kFree;
    return state_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire);
  }
  void unlock() {
    if (state_.exchange(kFree, std::memory_order_release) == kContended) wake_one();
  }
  std::uint8_t rank() const { return rank_; }

 private:
  enum State : std::uint32_t { kFree, kHeld, kContended };
  void lock_slowly();
  void wake_one();

  std::atomic<std::uint32_t> state_{kFree};
  std::uint8_t rank_;
};

// Holds a mutex for a scope.
class [[nodiscard]] Locked {
 public:
  explicit Locked(Mutex& mutex) : mutex_(&mutex) {
    enter();
    mutex_->lock();
  }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;
  ~Locked() { unlock(); }
  // Ends the hold before the scope does.
  void unlock() {
    if (mutex_ == nullptr) return;
    mutex_->unlock();
    leave();
    mutex_ = nullptr;
  }

 private:
#ifdef NDEBUG
  void enter() {}
  void leave() {}
#else
  void enter();
  void leave();
  std::uint8_t rank_before_ = 0;
#endif
  Mutex* mutex_;
};

}  // namespace caisson

// Timers of the kernel: things to be done at a moment of CLOCK_MONOTONIC. One thread serves them
// all; it sleeps until the first is due, and for ever when none is armed.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <map>

#include "base/mutex.h"

namespace caisson::sandbox::kernel {

class TimerQueue;

// Derive and say in expired() what is due. The most derived destructor calls disarm() first.
class Timer {
 public:
  explicit Timer(TimerQueue& queue) : queue_(queue) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  virtual ~Timer();

  // In place of an earlier arming. Nanoseconds of CLOCK_MONOTONIC; the past: at once.
  void arm(std::int64_t deadline_ns);
  // After this expired() is not running (unless this is called by it) and will not come. Holds no
  // lock that expired() takes.
  void disarm();

 protected:
  // On the queue's thread, which every other timer waits for; without locks. May arm() again.
  virtual void expired() = 0;

 private:
  friend class TimerQueue;
  TimerQueue& queue_;
  bool armed_ = false;  // under the queue's lock
  std::multimap<std::int64_t, Timer*>::iterator place_;
};

class TimerQueue {
 public:
  TimerQueue();  // starts the thread
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;
  ~TimerQueue();  // ends the thread; timers are gone by then

  // Nothing expires from the return of hold() until as many calls of release(); what was due
  // meanwhile does then. One that nothing was held by does nothing: a restore begins with a closed
  // gate alone.
  void hold();
  void release();

 private:
  friend class Timer;
  static void* thread_main(void* self);
  void serve();
  void wake();

  Mutex mutex_;
  std::multimap<std::int64_t, Timer*> timers_;
  Timer* running_ = nullptr;              // whose expired() is being called
  std::atomic<std::uint32_t> epoch_{0};   // futex: the first deadline changed
  std::atomic<std::uint32_t> served_{0};  // futex: an expired() returned
  int holds_ = 0;
  bool ending_ = false;
  pthread_t thread_{};
};

}  // namespace caisson::sandbox::kernel

// timerfd_create(2): a timer that is waited for. As in Linux a periodic one rests between its
// expiry and the next look at it, so that a timer nobody reads costs nothing.
#pragma once

#include <cstdint>
#include <string>

#include "sandbox/fs/anon_inode/anon_file.h"
#include "sandbox/kernel/kernel.h"
#include "sandbox/kernel/timers.h"

namespace caisson::sandbox::fs {

class TimerFile final : public AnonymousFile, private kernel::Timer {
 public:
  static constexpr char kKind = 0;
  struct Setting {  // nanoseconds; value 0: disarmed
    std::int64_t value = 0, interval = 0;
  };
  // `clock`: one that is_timer_clock(). `flags`: O_RDWR, O_NONBLOCK.
  TimerFile(kernel::Kernel& kernel, int clock, std::uint32_t flags);
  static bool is_timer_clock(int clock);

  Setting setting();  // what is left
  // `flags`: TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET (the clock is never set here). Returns what
  // was left.
  Setting set(const Setting& setting, int flags);

  const void* kind() const override { return &kKind; }
  ErrnoOr<std::size_t> read(vfs::IoBuffer& to, vfs::Caller& caller) override;
  vfs::ReadyMask ready() override;
  vfs::WaitQueue* wait_queue() override { return &queue_; }
  std::string info_text() override;
  state::Tag save_tag() const override { return state::Tag::kTimerFile; }
  Result<> save(state::Writer& to) override;
  static Result<Ref<vfs::File>> restore(state::Reader& from);

 private:
  ~TimerFile() override;
  void expired() override;
  std::int64_t now() const;  // of its clock
  std::int64_t deadline_of(std::int64_t moment) const;
  Setting left() const;
  void catch_up();

  kernel::Kernel& kernel_;
  const int clock_;
  Mutex mutex_;
  std::int64_t next_ = 0;  // a moment of CLOCK_MONOTONIC; 0: disarmed
  std::int64_t interval_ = 0;
  std::uint64_t ticks_ = 0;
  bool resting_ = false;  // it expired and was not armed again
  int set_flags_ = 0;
  vfs::WaitQueue queue_;
};

}  // namespace caisson::sandbox::fs

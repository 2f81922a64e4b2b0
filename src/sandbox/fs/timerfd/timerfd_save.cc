#include "sandbox/fs/timerfd/timerfd.h"
#include "sandbox/state/reader.h"
#include "sandbox/state/writer.h"

namespace caisson::sandbox::fs {

Result<> TimerFile::save(state::Writer& to) {
  Locked lock(mutex_);
  to(clock_, flags(), next_, interval_, ticks_, resting_, set_flags_);
  return {};
}

Result<Ref<vfs::File>> TimerFile::restore(state::Reader& from) {
  auto clock = from.value<int>();
  auto flags = from.value<std::uint32_t>();
  if (!is_timer_clock(clock)) return std::unexpected(state::Reader::damaged("a clock is none"));
  auto file = make_ref<TimerFile>(from.need<kernel::Kernel>(), clock, flags);
  Locked lock(file->mutex_);
  from(file->next_, file->interval_, file->ticks_, file->resting_, file->set_flags_);
  if (file->interval_ < 0 || file->next_ < 0)
    return std::unexpected(state::Reader::damaged("a timer cannot be"));
  if (file->next_ != 0 && !file->resting_) file->arm(file->next_);
  lock.unlock();
  return Ref<vfs::File>(std::move(file));
}

}  // namespace caisson::sandbox::fs

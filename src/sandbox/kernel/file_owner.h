// FileOwner: who is told by a signal that a file can be read or written (fcntl(2): F_SETOWN,
// F_SETSIG, O_ASYNC). A file that was asked for it has one.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/mutex.h"
#include "base/ref.h"
#include "sandbox/kernel/kernel.h"
#include "sandbox/kernel/timers.h"
#include "sandbox/vfs/file.h"

namespace caisson::sandbox::kernel {

class FileOwner final : public RefCounted, private vfs::WaitEntry, private Timer {
 public:
  enum class Kind : std::int32_t { kThread, kProcess, kGroup };  // F_OWNER_*
  struct Who {
    Kind kind = Kind::kProcess;
    int id = 0;  // in `namespace_`; 0: nobody
  };

  // That of a file, made when there is none yet.
  static Ref<FileOwner> of(Kernel& kernel, vfs::File& file);
  static Ref<FileOwner> known_of(const vfs::File& file);  // null: it has none

  // `caller`: in whose namespace the id is, and as whom signals are sent.
  void set_who(const Task& caller, Who who);
  Who who() const;
  void set_signal(int signal);  // 0: SIGIO, without siginfo
  int signal() const;
  // Begins and ends to look at the file, which is `fd` in signals.
  void watch(vfs::File& file, int fd);
  void leave();

 private:
  explicit FileOwner(Kernel& kernel);
  ~FileOwner() override;
  void notified(vfs::ReadyMask ready) override;
  void expired() override;
  void send(const SignalInfo& info);
  bool may_signal(const Task& target) const;

  Kernel& kernel_;
  mutable Mutex mutex_;
  Who who_;
  int signal_ = 0, fd_ = -1;
  Ref<PidNamespace> namespace_;
  vfs::Uid uid_ = 0, euid_ = 0;
  vfs::WaitQueue* queue_ = nullptr;
  // A queue tells under its lock, where no signal can be sent: the timers' thread does it.
  std::atomic<vfs::ReadyMask> ready_{0};
};

}  // namespace caisson::sandbox::kernel

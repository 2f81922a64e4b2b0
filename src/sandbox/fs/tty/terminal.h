// Terminal: a pseudo terminal (pty(7)): a line discipline, the bytes on their way to the master,
// the session that it controls. Programs have it by TerminalFile, its other end by MasterFile.
//
// Locks: the kernel's task lock, then mutex_, then the wait queues. Signals are sent after mutex_
// was let go.
#pragma once

#include <sys/ioctl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/mutex.h"
#include "base/ref.h"
#include "base/result.h"
#include "sandbox/fs/tty/line_discipline.h"
#include "sandbox/kernel/kernel.h"
#include "sandbox/kernel/timers.h"
#include "sandbox/vfs/io.h"
#include "sandbox/vfs/wait_queue.h"

namespace caisson::sandbox::fs {

class Terminal final : public kernel::ControllingTerminal, private kernel::Timer {
 public:
  static constexpr unsigned kMajor = 136;  // UNIX98_PTY_SLAVE_MAJOR
  Terminal(kernel::Kernel& kernel, unsigned number);

  unsigned number() const { return number_; }
  kernel::Kernel& kernel() const { return kernel_; }

  // --- kernel::ControllingTerminal
  std::uint64_t device() const override;
  std::string name() const override;
  void hang_up() override;
  void set_session(kernel::Session* session) override { session_ = session; }

  // --- the side of programs. EIO: hung up (reads give 0 then).
  ErrnoOr<std::size_t> read(vfs::IoBuffer& to, bool nonblocking);
  ErrnoOr<std::size_t> write(vfs::IoBuffer& from);
  vfs::ReadyMask ready();
  vfs::WaitQueue& queue() { return queue_; }
  ErrnoOr<> open();  // EIO: locked, or the master is gone
  void close();

  // --- the side of the master
  ErrnoOr<std::size_t> master_read(vfs::IoBuffer& to);
  ErrnoOr<std::size_t> master_write(vfs::IoBuffer& from);
  vfs::ReadyMask master_ready();
  vfs::WaitQueue& master_queue() { return master_queue_; }
  void close_master();

  // --- settings
  Termios termios();
  enum class When : std::uint8_t { kNow, kFlushInput };
  void set_termios(const Termios& termios, When when);
  struct winsize window_size();
  void set_window_size(const struct winsize& size);  // SIGWINCH if it is another
  void set_locked(bool locked);
  bool is_locked();
  void set_packet_mode(bool on);
  bool packet_mode();
  void set_exclusive(bool on);
  bool is_exclusive();
  void flush(bool input, bool output);
  void set_stopped(bool stopped);   // TCOOFF, TCOON
  void send_character(bool start);  // TCION, TCIOFF: VSTART or VSTOP to the master
  void type(char letter);           // TIOCSTI
  std::size_t input_available();
  std::size_t output_pending();

  // --- job control (job_control.cc)
  // A read (SIGTTIN), a write or a change (SIGTTOU) by a task in the background. EIO, kRestart.
  ErrnoOr<> check_background(kernel::Task& task, int signal);
  ErrnoOr<> check_background_write(kernel::Task& task);  // only with TOSTOP
  bool controls(kernel::Task& task);
  // TIOCSCTTY; `steal` needs CAP_SYS_ADMIN. EPERM.
  ErrnoOr<> acquire(kernel::Task& task, bool steal);
  // An open without O_NOCTTY: becomes the session's if it has none and this is free.
  void acquire_if_free(kernel::Task& task);
  ErrnoOr<> release(kernel::Task& task);  // TIOCNOTTY
  ErrnoOr<int> foreground_group(kernel::Task& task, bool as_master);
  ErrnoOr<> set_foreground_group(kernel::Task& task, int group, bool as_master);
  ErrnoOr<int> session_id(kernel::Task& task, bool as_master);
  void signal_foreground(unsigned signals);  // bit n: signal n

 private:
  static constexpr std::size_t kOutputLimit = 64 * 1024;
  ~Terminal() override;
  void expired() override;  // VTIME ran out
  ErrnoOr<std::size_t> wait_for_bytes(bool nonblocking);
  std::size_t receive(std::string_view bytes);
  void drop_output();
  void note_packet(unsigned char set, unsigned char clear);
  kernel::ProcessGroup* foreground();

  kernel::Kernel& kernel_;
  const unsigned number_;
  kernel::Session* session_ = nullptr;  // under the task lock

  Mutex mutex_;
  LineDiscipline line_;
  std::string output_;
  struct winsize size_{};
  std::size_t opens_ = 0;
  bool ever_opened_ = false, locked_ = true, hung_up_ = false, master_gone_ = false;
  bool packet_mode_ = false, exclusive_ = false;
  unsigned char packet_status_ = 0;
  std::optional<std::int64_t> read_deadline_;  // of VTIME
  vfs::WaitQueue queue_, master_queue_;
};

}  // namespace caisson::sandbox::fs

#include "sandbox/fs/tty/terminal.h"

#include <poll.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <span>
#include <utility>

#include "base/text.h"

namespace caisson::sandbox::fs {
namespace {

constexpr vfs::ReadyMask kReadable = POLLIN | POLLRDNORM;
constexpr vfs::ReadyMask kWritable = POLLOUT | POLLWRNORM;
constexpr std::int64_t kTenthOfSecond = 100'000'000;
constexpr std::size_t kPiece = 4096;

}  // namespace

Terminal::Terminal(kernel::Kernel& kernel, unsigned number)
    : Timer(kernel.timers()), kernel_(kernel), number_(number) {}

Terminal::~Terminal() { disarm(); }

std::uint64_t Terminal::device() const { return gnu_dev_makedev(kMajor, number_); }
std::string Terminal::name() const { return cat("/dev/pts/", number_); }

void Terminal::expired() { queue_.notify(kReadable); }

// --- reading

// How many bytes a read may take now in non-canonical mode (termios(3), VMIN and VTIME); EAGAIN:
// not yet. 0 is an answer when VMIN is 0. Under mutex_.
ErrnoOr<std::size_t> Terminal::wait_for_bytes(bool nonblocking) {
  std::size_t there = line_.available();
  std::size_t least = line_.termios().c_cc[VMIN];
  std::int64_t time = line_.termios().c_cc[VTIME] * kTenthOfSecond;
  bool enough = there > 0 && there >= least;
  if (enough || (nonblocking && there > 0) || (least == 0 && time == 0)) {
    read_deadline_.reset();
    return there;
  }
  if (nonblocking || time == 0) return std::unexpected(Errno{EAGAIN});
  // With VMIN the time runs between bytes, that is from the first one on; else from the call on.
  if (least > 0 && there == 0) return std::unexpected(Errno{EAGAIN});
  std::int64_t now = kernel_.monotonic_ns();
  if (!read_deadline_) {
    read_deadline_ = now + time;
    arm(*read_deadline_);
  }
  if (now < *read_deadline_) return std::unexpected(Errno{EAGAIN});
  read_deadline_.reset();
  return there;
}

ErrnoOr<std::size_t> Terminal::read(vfs::IoBuffer& to, bool nonblocking) {
  std::string bytes;
  {
    Locked lock(mutex_);
    if (hung_up_) return 0;
    if (to.remaining() == 0) return 0;
    if (line_.is_canonical()) {
      if (!line_.has_input(false)) return std::unexpected(Errno{EAGAIN});
    } else if (TRY(wait_for_bytes(nonblocking)) == 0) {
      return 0;
    }
    bytes = line_.read(to.remaining());
  }
  master_queue_.notify(kWritable);
  return to.put(std::as_bytes(std::span(bytes)));
}

// --- writing

ErrnoOr<std::size_t> Terminal::write(vfs::IoBuffer& from) {
  std::size_t total = 0;
  {
    Locked lock(mutex_);
    if (hung_up_) return std::unexpected(Errno{EIO});
    while (from.remaining() > 0 && !line_.stopped && output_.size() < kOutputLimit) {
      std::string bytes(std::min<std::uint64_t>(from.remaining(), kPiece), '\0');
      auto copied = from.get(std::as_writable_bytes(std::span(bytes)));
      if (!copied && total == 0) return copied;
      if (!copied) break;
      output_ += line_.process_output(std::string_view(bytes).substr(0, *copied));
      total += *copied;
    }
    if (total == 0 && from.remaining() > 0) return std::unexpected(Errno{EAGAIN});
  }
  master_queue_.notify(kReadable);
  return total;
}

vfs::ReadyMask Terminal::ready() {
  Locked lock(mutex_);
  if (hung_up_) return kReadable | kWritable | POLLERR | POLLHUP;
  vfs::ReadyMask mask = 0;
  if (line_.has_input(true)) mask |= kReadable;
  if (!line_.stopped && output_.size() < kOutputLimit) mask |= kWritable;
  return mask;
}

ErrnoOr<> Terminal::open() {
  Locked lock(mutex_);
  if (locked_ || master_gone_) return std::unexpected(Errno{EIO});
  ++opens_;
  ever_opened_ = true;
  hung_up_ = false;
  return {};
}

void Terminal::close() {
  {
    Locked lock(mutex_);
    if (--opens_ > 0) return;
  }
  master_queue_.notify(kReadable | POLLHUP);
}

// --- the master's side

ErrnoOr<std::size_t> Terminal::master_read(vfs::IoBuffer& to) {
  std::size_t total = 0;
  {
    Locked lock(mutex_);
    bool nothing = output_.empty() && packet_status_ == 0;
    if (nothing) return std::unexpected(Errno{ever_opened_ && opens_ == 0 ? EIO : EAGAIN});
    if (packet_mode_) {
      auto status = static_cast<std::byte>(std::exchange(packet_status_, 0));
      total += TRY(to.put(std::span(&status, 1)));
      if (status != std::byte{0} || total == 0) return total;
    } else {
      packet_status_ = 0;
    }
    std::size_t size = std::min<std::uint64_t>(to.remaining(), output_.size());
    std::size_t put = TRY(to.put(std::as_bytes(std::span(output_).first(size))));
    output_.erase(0, put);
    total += put;
  }
  queue_.notify(kWritable);
  return total;
}

// Takes bytes from the cable, and does what they ask for.
std::size_t Terminal::receive(std::string_view bytes) {
  LineDiscipline::Effects effects;
  std::size_t taken = 0;
  {
    Locked lock(mutex_);
    taken = line_.receive(bytes, effects);
    if (effects.flush_output) {
      drop_output();
      note_packet(TIOCPKT_FLUSHREAD | TIOCPKT_FLUSHWRITE, 0);
    }
    if (effects.stop_output) note_packet(TIOCPKT_STOP, TIOCPKT_START);
    if (effects.start_output) note_packet(TIOCPKT_START, TIOCPKT_STOP);
    if (output_.size() < 2 * kOutputLimit) output_ += effects.echo;
    if (taken > 0) read_deadline_.reset();
  }
  if (effects.signals != 0) signal_foreground(effects.signals);
  if (effects.readable) queue_.notify(kReadable);
  if (effects.start_output) queue_.notify(kWritable);
  if (!effects.echo.empty()) master_queue_.notify(kReadable);
  return taken;
}

ErrnoOr<std::size_t> Terminal::master_write(vfs::IoBuffer& from) {
  std::size_t total = 0;
  while (from.remaining() > 0) {
    std::string bytes(std::min<std::uint64_t>(from.remaining(), kPiece), '\0');
    std::size_t copied = TRY(from.peek(std::as_writable_bytes(std::span(bytes))));
    std::size_t taken = receive(std::string_view(bytes).substr(0, copied));
    from.skip(taken);
    total += taken;
    if (taken < copied) break;
  }
  if (total == 0 && from.remaining() > 0) return std::unexpected(Errno{EAGAIN});
  return total;
}

vfs::ReadyMask Terminal::master_ready() {
  Locked lock(mutex_);
  vfs::ReadyMask mask = 0;
  if (!output_.empty()) mask |= kReadable;
  if (packet_mode_ && packet_status_ != 0) mask |= kReadable | POLLPRI;
  if (line_.room() > 0) mask |= kWritable;
  if (ever_opened_ && opens_ == 0) mask |= POLLHUP;
  return mask;
}

void Terminal::close_master() {
  {
    Locked lock(mutex_);
    master_gone_ = true;
    output_.clear();
  }
  Ref<ControllingTerminal> gone;  // the session's reference ends without the lock
  {
    Locked tree(kernel_.task_lock());
    if (kernel::Session* session = std::exchange(session_, nullptr)) {
      gone = std::exchange(session->terminal, nullptr);
      kernel::ProcessGroup* front =
          kernel_.find_process_group(*session->pid_namespace, session->foreground_group);
      kernel::ProcessGroup* first =
          session->leader != nullptr ? session->leader->process_group.get() : nullptr;
      for (int signal : {SIGHUP, SIGCONT}) {
        if (first != nullptr) kernel_.signal_members(*first, kernel::SignalInfo::kernel(signal));
        if (front != nullptr && front != first)
          kernel_.signal_members(*front, kernel::SignalInfo::kernel(signal));
      }
      session->foreground_group = 0;
    }
  }
  hang_up();
}

void Terminal::hang_up() {
  {
    Locked lock(mutex_);
    hung_up_ = true;
    line_.flush_input();
  }
  queue_.notify(kReadable | kWritable | POLLHUP | POLLERR);
  master_queue_.notify(kReadable | POLLHUP);
}

// --- settings

Termios Terminal::termios() {
  Locked lock(mutex_);
  return line_.termios();
}

void Terminal::set_termios(const Termios& termios, When when) {
  bool readable = false;
  {
    Locked lock(mutex_);
    if (when == When::kFlushInput) line_.flush_input();
    bool flow_before = (line_.termios().c_iflag & IXON) != 0;
    line_.set_termios(termios);
    bool flow = (termios.c_iflag & IXON) != 0;
    if (flow != flow_before)
      note_packet(flow ? TIOCPKT_DOSTOP : TIOCPKT_NOSTOP, flow ? TIOCPKT_NOSTOP : TIOCPKT_DOSTOP);
    if (!flow) line_.stopped = false;
    readable = line_.has_input(true);
  }
  queue_.notify(readable ? kReadable | kWritable : kWritable);
  master_queue_.notify(kWritable);
}

struct winsize Terminal::window_size() {
  Locked lock(mutex_);
  return size_;
}

void Terminal::set_window_size(const struct winsize& size) {
  {
    Locked lock(mutex_);
    if (std::memcmp(&size_, &size, sizeof size) == 0) return;
    size_ = size;
  }
  signal_foreground(1U << SIGWINCH);
}

void Terminal::set_locked(bool locked) {
  Locked lock(mutex_);
  locked_ = locked;
}

bool Terminal::is_locked() {
  Locked lock(mutex_);
  return locked_;
}

void Terminal::set_packet_mode(bool on) {
  Locked lock(mutex_);
  if (on && !packet_mode_) packet_status_ = 0;
  packet_mode_ = on;
}

bool Terminal::packet_mode() {
  Locked lock(mutex_);
  return packet_mode_;
}

void Terminal::set_exclusive(bool on) {
  Locked lock(mutex_);
  exclusive_ = on;
}

bool Terminal::is_exclusive() {
  Locked lock(mutex_);
  return exclusive_;
}

// What the master's own discipline would hold by now is beyond a flush's reach. Under mutex_.
void Terminal::drop_output() {
  output_.resize(std::min(output_.size(), LineDiscipline::kInputLimit - 1));
}

// Under mutex_; for masters in packet mode.
void Terminal::note_packet(unsigned char set, unsigned char clear) {
  if (packet_mode_) packet_status_ = static_cast<unsigned char>((packet_status_ & ~clear) | set);
}

void Terminal::flush(bool input, bool output) {
  {
    Locked lock(mutex_);
    if (input) {
      line_.flush_input();
      note_packet(TIOCPKT_FLUSHREAD, 0);
    }
    if (output) {
      drop_output();
      note_packet(TIOCPKT_FLUSHWRITE, 0);
    }
  }
  if (output) queue_.notify(kWritable);
  master_queue_.notify(kReadable | kWritable | POLLPRI);
}

void Terminal::set_stopped(bool stopped) {
  {
    Locked lock(mutex_);
    line_.stopped = stopped;
    note_packet(stopped ? TIOCPKT_STOP : TIOCPKT_START, stopped ? TIOCPKT_START : TIOCPKT_STOP);
  }
  if (!stopped) queue_.notify(kWritable);
  master_queue_.notify(kReadable | POLLPRI);
}

void Terminal::send_character(bool start) {
  {
    Locked lock(mutex_);
    char letter = static_cast<char>(line_.termios().c_cc[start ? VSTART : VSTOP]);
    if (letter != 0) output_ += letter;
  }
  master_queue_.notify(kReadable);
}

void Terminal::type(char letter) { (void)receive(std::string_view(&letter, 1)); }

std::size_t Terminal::input_available() {
  Locked lock(mutex_);
  return line_.available();
}

std::size_t Terminal::output_pending() {
  Locked lock(mutex_);
  return output_.size();
}

}  // namespace caisson::sandbox::fs

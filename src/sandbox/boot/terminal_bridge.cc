#include "sandbox/boot/terminal_bridge.h"

#include <fcntl.h>
#include <poll.h>

#include <array>
#include <cerrno>

#include "sandbox/boot/boot_caller.h"
#include "sys/event.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/tty.h"

namespace caisson::sandbox::boot {
namespace {

constexpr std::size_t kChunk = 4096;
constexpr std::size_t kStackSize = 256 * 1024;
// How long what a program wrote last may take to leave.
constexpr int kDrainTimeoutMs = 2000;

ErrnoOr<std::int64_t> ioctl(vfs::File& file, BootCaller& caller, unsigned long request,
                            const void* argument) {
  return file.ioctl(caller, static_cast<std::uint32_t>(request),
                    reinterpret_cast<std::uintptr_t>(argument));
}

void wake(FdRef event) {
  std::uint64_t one = 1;
  (void)sys::write(event, &one, sizeof one);
}

}  // namespace

class TerminalBridge::MasterWaiter final : public vfs::WaitEntry {
 public:
  explicit MasterWaiter(FdRef event) : event_(event) {}
  ~MasterWaiter() override { leave(); }
  void notified(vfs::ReadyMask) override { wake(event_); }

 private:
  FdRef event_;
};

Result<GuestTerminal> open_guest_terminal(vfs::MountNamespace& mounts, FdRef host) {
  BootCaller caller;
  GuestTerminal terminal;
  vfs::OpenRequest request;
  request.flags = O_RDWR | O_NOCTTY | O_NONBLOCK;
  terminal.master = TRY_CTX(vfs::open(caller.walk(mounts), "/dev/ptmx", request),
                            "open /dev/ptmx in the container");
  int unlock = 0;
  TRY_CTX(ioctl(*terminal.master, caller, TIOCSPTLCK, &unlock), "unlock the terminal");
  int number = 0;
  TRY_CTX(ioctl(*terminal.master, caller, TIOCGPTN, &number), "ask for the terminal's number");
  if (auto size = sys::window_size(host)) (void)ioctl(*terminal.master, caller, TIOCSWINSZ, &*size);
  request.flags = O_RDWR | O_NOCTTY;
  terminal.slave = TRY_CTX(vfs::open(caller.walk(mounts), cat("/dev/pts/", number), request),
                           "open /dev/pts/", number, " in the container");
  return terminal;
}

Result<std::unique_ptr<TerminalBridge>> TerminalBridge::start(Fd host, Ref<vfs::File> master) {
  std::unique_ptr<TerminalBridge> bridge(new TerminalBridge);
  TRY_CTX(sys::set_nonblocking(host, true), "set the host's terminal up");
  bridge->event_ = TRY_CTX(sys::eventfd(), "make an event");
  TRY_CTX(sys::set_nonblocking(bridge->event_, true), "set an event up");
  bridge->host_ = std::move(host);
  bridge->master_ = std::move(master);
  bridge->waiter_ = std::make_unique<MasterWaiter>(bridge->event_);
  if (auto* queue = bridge->master_->wait_queue()) queue->add(*bridge->waiter_);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackSize);
  int failed = pthread_create(&bridge->thread_, &attributes, thread_main, bridge.get());
  pthread_attr_destroy(&attributes);
  if (failed != 0)
    return std::unexpected(Error(Errno{failed}).doing("start the terminal's thread"));
  bridge->running_ = true;
  return bridge;
}

TerminalBridge::~TerminalBridge() {
  if (running_) {
    ending_ = true;
    wake(event_);
    pthread_join(thread_, nullptr);
  }
  if (waiter_ && master_)
    if (auto* queue = master_->wait_queue()) queue->remove(*waiter_);
}

void TerminalBridge::take_size() {
  size_changed_ = true;
  wake(event_);
}

void* TerminalBridge::thread_main(void* bridge) {
  static_cast<TerminalBridge*>(bridge)->run();
  return nullptr;
}

bool TerminalBridge::flush_to_guest() {
  BootCaller caller;
  while (!for_guest_.empty()) {
    auto buffer =
        vfs::IoBuffer::of(std::span<const std::byte>(std::as_bytes(std::span(for_guest_))));
    auto written = master_->write(buffer, caller);
    if (!written) {
      if (written.error().value != EAGAIN) guest_ended_ = true;
      return false;
    }
    for_guest_.erase(0, *written);
  }
  return true;
}

bool TerminalBridge::flush_to_host() {
  while (!for_host_.empty()) {
    auto written = sys::write(host_, for_host_.data(), for_host_.size());
    if (!written) {
      if (written.error().value != EAGAIN) host_ended_ = true;
      return false;
    }
    for_host_.erase(0, *written);
  }
  return true;
}

void TerminalBridge::to_guest() {
  while (!host_ended_ && flush_to_guest()) {
    std::array<char, kChunk> bytes;
    auto got = sys::read(host_, bytes.data(), bytes.size());
    if (!got && got.error().value == EAGAIN) return;
    if (!got || *got == 0) {
      host_ended_ = true;
      return;
    }
    for_guest_.assign(bytes.data(), *got);
  }
}

void TerminalBridge::to_host() {
  BootCaller caller;
  while (!guest_ended_ && flush_to_host()) {
    std::array<char, kChunk> bytes;
    auto buffer = vfs::IoBuffer::of(std::span<std::byte>(std::as_writable_bytes(std::span(bytes))));
    auto got = master_->read(buffer, caller);
    // EIO: nobody has the other end open; somebody may open it again.
    if (!got && (got.error().value == EAGAIN || got.error().value == EIO)) return;
    if (!got || *got == 0) return;
    for_host_.assign(bytes.data(), *got);
  }
}

void TerminalBridge::run() {
  for (;;) {
    bool ending = ending_;
    if (size_changed_.exchange(false)) {
      BootCaller caller;
      if (auto size = sys::window_size(host_)) (void)ioctl(*master_, caller, TIOCSWINSZ, &*size);
    }
    to_guest();
    to_host();
    if (ending && (for_host_.empty() || host_ended_)) return;
    short events = 0;
    if (for_guest_.empty()) events |= POLLIN;
    if (!for_host_.empty()) events |= POLLOUT;
    int host = host_ended_ ? -1 : host_.number();
    std::array<pollfd, 2> ready = {pollfd{host, events, 0}, pollfd{event_.number(), POLLIN, 0}};
    auto polled = sys::poll(ready, ending ? kDrainTimeoutMs : -1);
    if (ending && polled && *polled == 0) return;
    std::uint64_t count = 0;
    (void)sys::read(event_, &count, sizeof count);
  }
}

}  // namespace caisson::sandbox::boot

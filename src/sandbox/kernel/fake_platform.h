// A platform without guest code, for tests: a guest program is a C++ function that makes system
// calls through its FakeGuest and meets signals, restarts and faults as real code does. It runs on
// a stack of its own, in the thread of the task that it belongs to.
//
// A program cannot be copied in its middle: what a child of fork or clone runs is said beforehand
// (FakeGuest::clone()). Programs and handlers have addresses, given by FakePlatform.
#pragma once

#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "sandbox/platform/platform.h"

namespace caisson::sandbox::kernel {

class FakeGuest;
class FakePlatform;
using FakeProgram = std::function<void(FakeGuest&)>;
using FakeHandler = std::function<void(FakeGuest&, int signal)>;

constexpr std::uint64_t kFakePage = 4096;

// Guest memory: pages in a map.
class FakeSpace final : public platform::AddressSpace {
 public:
  explicit FakeSpace(FakePlatform& owner) : owner_(owner) {}
  std::uint64_t limit() const override { return 1ULL << 40; }
  ErrnoOr<std::unique_ptr<platform::Thread>> new_thread(const platform::Registers& registers,
                                                        platform::Thread* parent) override;
  ErrnoOr<Ref<AddressSpace>> fork(platform::Thread&) override {
    auto copy = make_ref<FakeSpace>(owner_);
    std::scoped_lock lock(mutex_);
    for (auto& [address, page] : pages_)
      copy->pages_[address] =
          page.shared ? page : Page{std::make_shared<Bytes>(*page.bytes), page.protection, false};
    return Ref<AddressSpace>(std::move(copy));
  }
  ErrnoOr<> map(platform::Thread*, const platform::MapRequest& request) override {
    std::scoped_lock lock(mutex_);
    for (std::uint64_t at = 0; at < request.length; at += kFakePage)
      pages_[request.address + at] = {std::make_shared<Bytes>(), request.protection,
                                      request.shared};
    return {};
  }
  ErrnoOr<> unmap(platform::Thread*, std::uint64_t address, std::uint64_t length) override {
    std::scoped_lock lock(mutex_);
    pages_.erase(pages_.lower_bound(address), pages_.lower_bound(address + length));
    return {};
  }
  ErrnoOr<> protect(platform::Thread*, std::uint64_t address, std::uint64_t length,
                    int protection) override {
    std::scoped_lock lock(mutex_);
    for (auto page = pages_.lower_bound(address);
         page != pages_.end() && page->first < address + length; ++page)
      page->second.protection = protection;
    return {};
  }
  ErrnoOr<> move(platform::Thread*, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t,
                 bool) override {
    return std::unexpected(Errno{ENOSYS});
  }
  ErrnoOr<> advise(platform::Thread*, std::uint64_t, std::uint64_t, int) override { return {}; }
  ErrnoOr<std::size_t> read(std::uint64_t address, std::span<std::byte> to) override {
    return copy(address, to.size(), PROT_READ, [&](std::size_t done, std::byte* at, std::size_t n) {
      std::memcpy(to.data() + done, at, n);
    });
  }
  ErrnoOr<std::size_t> write(std::uint64_t address, std::span<const std::byte> from) override {
    return copy(address, from.size(), PROT_WRITE,
                [&](std::size_t done, std::byte* at, std::size_t n) {
                  std::memcpy(at, from.data() + done, n);
                });
  }
  ErrnoOr<std::size_t> write_forced(std::uint64_t address,
                                    std::span<const std::byte> from) override {
    return copy(address, from.size(), 0, [&](std::size_t done, std::byte* at, std::size_t n) {
      std::memcpy(at, from.data() + done, n);
    });
  }
  ErrnoOr<std::uint32_t> compare_exchange(platform::Thread*, std::uint64_t address,
                                          std::uint32_t expected, std::uint32_t desired) override {
    std::uint32_t before = 0;
    auto copied =
        copy(address, sizeof(before), PROT_WRITE, [&](std::size_t, std::byte* at, std::size_t n) {
          std::memcpy(&before, at, n);
          if (before == expected) std::memcpy(at, &desired, n);
        });
    if (!copied) return std::unexpected(copied.error());
    return before;
  }
  void kill() override {}
  pid_t host_pid() const override { return 1; }

 private:
  using Bytes = std::array<std::byte, kFakePage>;
  struct Page {
    std::shared_ptr<Bytes> bytes;
    int protection = 0;
    bool shared = false;
  };
  template <typename Move>
  ErrnoOr<std::size_t> copy(std::uint64_t address, std::size_t size, int protection, Move move) {
    std::scoped_lock lock(mutex_);
    std::size_t done = 0;
    while (done < size) {
      std::uint64_t at = address + done;
      auto page = pages_.find(at / kFakePage * kFakePage);
      if (page == pages_.end() || (page->second.protection & protection) != protection) break;
      std::size_t part = std::min<std::size_t>(size - done, kFakePage - at % kFakePage);
      move(done, page->second.bytes->data() + at % kFakePage, part);
      done += part;
    }
    if (done == 0 && size != 0) return std::unexpected(Errno{EFAULT});
    return done;
  }

  FakePlatform& owner_;
  std::mutex mutex_;
  std::map<std::uint64_t, Page> pages_;
};

// What a program sees of itself. Its functions are called by the program only.
class FakeGuest {
 public:
  // Results as the C library would see them before it makes errno of them.
  template <typename... Values>
  std::int64_t call(long number, Values... values) {
    std::array<std::uint64_t, 6> arguments{};
    std::size_t index = 0;
    ((arguments[index++] = word(values)), ...);
    return call_with(number, arguments);
  }
  std::int64_t clone(std::uint64_t flags, FakeProgram child, std::uint64_t stack = 0,
                     std::uint64_t parent_tid = 0, std::uint64_t child_tid = 0) {
    next_child_ = std::move(child);
    return call(SYS_clone, flags, stack, parent_tid, child_tid, 0);
  }
  std::int64_t fork(FakeProgram child) { return clone(17 /* SIGCHLD */, std::move(child)); }
  [[noreturn]] void exit(int status) {
    call(SYS_exit_group, status);
    std::abort();
  }
  // Guest code that computes until a signal ends it.
  [[noreturn]] void spin();
  void spin_until_signal();
  // An instruction that the processor refuses.
  void fault(int signal, int code, std::uint64_t address);

  // Its memory: an area of its own that is always mapped, at the same place in each program.
  static constexpr std::uint64_t kArea = 0x10000000, kAreaSize = 64 * kFakePage;
  static constexpr std::uint64_t kStackTop = kArea + kAreaSize - 4096;
  template <typename T>
  T get(std::uint64_t address) {
    T value{};
    (void)space_.read(address, std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  template <typename T>
  void put(std::uint64_t address, const T& value) {
    (void)space_.write(address, std::as_bytes(std::span(&value, 1)));
  }
  void put_text(std::uint64_t address, std::string_view text) {
    std::string whole(text);
    (void)space_.write(address, std::as_bytes(std::span(whole.c_str(), whole.size() + 1)));
  }
  std::uint32_t compare_exchange(std::uint64_t address, std::uint32_t expected,
                                 std::uint32_t desired) {
    return *space_.compare_exchange(nullptr, address, expected, desired);
  }
  platform::Registers& registers() { return registers_; }
  FakePlatform& platform() { return platform_; }

 private:
  friend class FakeThread;
  FakeGuest(FakePlatform& platform, FakeSpace& space, const platform::Registers& registers)
      : platform_(platform), space_(space), registers_(registers) {}
  template <typename T>
  static std::uint64_t word(T value) {
    if constexpr (std::is_pointer_v<T>)
      return reinterpret_cast<std::uint64_t>(value);
    else
      return static_cast<std::uint64_t>(static_cast<std::int64_t>(value));
  }
  std::int64_t call_with(long number, const std::array<std::uint64_t, 6>& arguments);
  void leave(platform::Event event);
  void run_handlers(std::uint64_t until);

  FakePlatform& platform_;
  FakeSpace& space_;
  platform::Registers registers_;
  FakeProgram next_child_;
  platform::Event event_;
  ucontext_t kernel_{}, guest_{};
  std::atomic<bool> interrupted_{false};
  std::mutex mutex_;
  std::condition_variable condition_;
};

class FakeThread final : public platform::Thread {
 public:
  FakeThread(FakePlatform& platform, Ref<FakeSpace> space, const platform::Registers& registers,
             FakeProgram program)
      : space_(std::move(space)),
        guest_(platform, *space_, registers),
        program_(std::move(program)) {
    stack_ = ::mmap(nullptr, kStackSize, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    state_.fill(std::byte{0x5a});
  }
  ~FakeThread() override { ::munmap(stack_, kStackSize); }
  platform::AddressSpace& address_space() override { return *space_; }
  platform::Event run() override;
  platform::Registers& registers() override { return guest_.registers_; }
  std::span<const std::byte> extended_state() override { return state_; }
  ErrnoOr<> set_extended_state(std::span<const std::byte> image) override {
    if (image.size() != state_.size()) return std::unexpected(Errno{EINVAL});
    std::memcpy(state_.data(), image.data(), image.size());
    return {};
  }
  void reset_extended_state() override { state_.fill(std::byte{0}); }
  void interrupt() override {
    std::scoped_lock lock(guest_.mutex_);
    guest_.interrupted_ = true;
    guest_.condition_.notify_all();
  }
  pid_t host_tid() const override { return 1; }

  FakeProgram take_child() { return std::exchange(guest_.next_child_, nullptr); }

 private:
  static constexpr std::size_t kStackSize = std::size_t{256} << 10;
  static void begin(unsigned low, unsigned high);

  Ref<FakeSpace> space_;
  FakeGuest guest_;
  FakeProgram program_;
  void* stack_ = nullptr;
  std::array<std::byte, 512> state_;
  bool started_ = false;
};

class FakePlatform final : public platform::Platform {
 public:
  std::string_view name() const override { return "fake"; }
  ErrnoOr<Ref<platform::AddressSpace>> new_address_space() override {
    return Ref<platform::AddressSpace>(make_ref<FakeSpace>(*this));
  }
  std::uint64_t vdso_address() const override { return 0; }
  void publish(platform::Thread&, const platform::Identity&) override {}

  // Addresses that guest code has.
  std::uint64_t add_program(FakeProgram program) {
    std::scoped_lock lock(mutex_);
    programs_[next_ += kCodeSize] = std::move(program);
    return next_;
  }
  std::uint64_t add_handler(FakeHandler handler) {
    std::scoped_lock lock(mutex_);
    handlers_[next_ += kCodeSize] = std::move(handler);
    return next_;
  }
  FakeProgram program(std::uint64_t address) {
    std::scoped_lock lock(mutex_);
    return programs_[address];
  }
  FakeHandler handler(std::uint64_t address) {
    std::scoped_lock lock(mutex_);
    return handlers_[address];
  }

 private:
  std::mutex mutex_;
  std::map<std::uint64_t, FakeProgram> programs_;
  std::map<std::uint64_t, FakeHandler> handlers_;
  static constexpr std::uint64_t kCodeSize = 1 << 20;  // each call is two bytes long
  std::uint64_t next_ = 1ULL << 32;
};

inline ErrnoOr<std::unique_ptr<platform::Thread>> FakeSpace::new_thread(
    const platform::Registers& registers, platform::Thread* parent) {
  FakeProgram program = parent != nullptr ? static_cast<FakeThread*>(parent)->take_child()
                                          : owner_.program(registers.instruction_pointer());
  if (!program) return std::unexpected(Errno{ENOMEM});
  return std::make_unique<FakeThread>(owner_, Ref<FakeSpace>::share(this), registers,
                                      std::move(program));
}

inline void FakeThread::begin(unsigned low, unsigned high) {
  auto* thread = reinterpret_cast<FakeThread*>(std::uint64_t{low} | std::uint64_t{high} << 32);
  thread->program_(thread->guest_);
  thread->guest_.exit(0);
}

inline platform::Event FakeThread::run() {
  if (!started_) {
    started_ = true;
    (void)::getcontext(&guest_.guest_);
    guest_.guest_.uc_stack.ss_sp = stack_;
    guest_.guest_.uc_stack.ss_size = kStackSize;
    guest_.guest_.uc_link = nullptr;
    auto self = reinterpret_cast<std::uint64_t>(this);
    ::makecontext(&guest_.guest_, reinterpret_cast<void (*)()>(&FakeThread::begin), 2,
                  static_cast<unsigned>(self), static_cast<unsigned>(self >> 32));
  }
  (void)::swapcontext(&guest_.kernel_, &guest_.guest_);
  return guest_.event_;
}

inline void FakeGuest::leave(platform::Event event) {
  event_ = event;
  (void)::swapcontext(&guest_, &kernel_);
}

// As the processor would: on at the instruction pointer until the program is where it was.
inline void FakeGuest::run_handlers(std::uint64_t until) {
  while (registers_.rip != until) {
    if (registers_.rip == until - 2) {  // the system call once more
      registers_.orig_rax = registers_.rax;
      registers_.rip = until;
      leave({platform::EventKind::kSyscall, {}});
      continue;
    }
    FakeHandler handler = platform_.handler(registers_.rip);
    if (!handler) std::abort();
    int signal = static_cast<int>(registers_.rdi);
    std::uint64_t stack = registers_.rsp;
    handler(*this, signal);
    registers_.rsp = stack + 8;  // the return from the handler, to the restorer
    registers_.orig_rax = SYS_rt_sigreturn;
    registers_.rip = until + 1000;
    leave({platform::EventKind::kSyscall, {}});
  }
}

inline std::int64_t FakeGuest::call_with(long number,
                                         const std::array<std::uint64_t, 6>& arguments) {
  registers_.rdi = arguments[0];
  registers_.rsi = arguments[1];
  registers_.rdx = arguments[2];
  registers_.r10 = arguments[3];
  registers_.r8 = arguments[4];
  registers_.r9 = arguments[5];
  registers_.orig_rax = registers_.rax = static_cast<std::uint64_t>(number);
  std::uint64_t until = registers_.rip += 2;
  leave({platform::EventKind::kSyscall, {}});
  run_handlers(until);
  return static_cast<std::int64_t>(registers_.rax);
}

inline void FakeGuest::spin_until_signal() {
  std::uint64_t until = registers_.rip;
  {
    std::unique_lock lock(mutex_);
    condition_.wait(lock, [this] { return interrupted_.load(); });
    interrupted_ = false;
  }
  registers_.orig_rax = ~std::uint64_t{0};
  leave({platform::EventKind::kInterrupted, {}});
  run_handlers(until);
}

inline void FakeGuest::spin() {
  for (;;) spin_until_signal();
}

inline void FakeGuest::fault(int signal, int code, std::uint64_t address) {
  std::uint64_t until = registers_.rip;
  registers_.orig_rax = ~std::uint64_t{0};
  leave({platform::EventKind::kFault, {signal, code, address, signal == 11 ? 14U : 0U, 4}});
  run_handlers(until);
}

}  // namespace caisson::sandbox::kernel

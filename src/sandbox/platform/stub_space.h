// What both platforms have in common: an address space whose memory is changed by system calls that
// one of its threads makes on order, and the bookkeeping of its threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/mutex.h"
#include "sandbox/platform/platform.h"
#include "sandbox/platform/stub_process.h"

namespace caisson::sandbox::platform {

class StubSpace;

// A system call that the stub is to make for the kernel process.
struct Order {
  std::uint64_t number = 0;
  std::array<std::uint64_t, 6> arguments{};
};

class StubThread : public Thread {
 public:
  StubThread(StubSpace& space, std::uint32_t index);
  AddressSpace& address_space() override;

  // Makes the stub execute `order` in this thread, which stands still. `file` >= 0: the descriptor
  // lies at kFdSlot meanwhile. The value is the call's.
  virtual ErrnoOr<std::uint64_t> execute(const Order& order, int file) = 0;
  virtual ErrnoOr<std::uint32_t> swap(std::uint64_t address, std::uint32_t expected,
                                      std::uint32_t desired) = 0;
  // Around uses by a thread of the kernel process that is not to become the owner.
  virtual ErrnoOr<> borrow() { return {}; }
  virtual void give_back() {}
  virtual ErrnoOr<> take_over(Thread& parent) = 0;  // floating point and vector registers

  ~StubThread() override;

  std::uint32_t index() const { return index_; }
  // From here on the thread keeps its address space alive.
  void hand_out(Ref<StubSpace> space);

 protected:
  StubSpace& space() const { return *space_; }
  StubProcess& process() const;
  ThreadCommand& command() const { return *command_; }
  std::byte* area() const { return area_; }
  AreaHead& head() const { return *reinterpret_cast<AreaHead*>(area_ + kHeadOffset); }

 private:
  StubSpace* space_;
  // Where they are is asked once: the process's list of them grows while its threads run.
  ThreadCommand* command_;
  std::byte* area_;
  Ref<StubSpace> keeps_;
  std::uint32_t index_;
};

class StubSpace : public AddressSpace {
 public:
  StubSpace(Ref<StubFamily> family, std::unique_ptr<StubProcess> process);

  std::uint64_t limit() const override { return kRegion; }
  ErrnoOr<std::unique_ptr<Thread>> new_thread(const Registers& registers, Thread* parent) override;
  ErrnoOr<Ref<AddressSpace>> fork(Thread& caller) override;
  ErrnoOr<> map(Thread* via, const MapRequest& request) override;
  ErrnoOr<> unmap(Thread* via, std::uint64_t address, std::uint64_t length) override;
  ErrnoOr<> protect(Thread* via, std::uint64_t address, std::uint64_t length,
                    int protection) override;
  ErrnoOr<> move(Thread* via, std::uint64_t from, std::uint64_t length, std::uint64_t to,
                 std::uint64_t new_length, bool keep_old) override;
  ErrnoOr<> advise(Thread* via, std::uint64_t address, std::uint64_t length, int advice) override;
  ErrnoOr<std::size_t> read(std::uint64_t address, std::span<std::byte> to) override;
  ErrnoOr<std::size_t> write(std::uint64_t address, std::span<const std::byte> from) override;
  ErrnoOr<std::size_t> write_forced(std::uint64_t address,
                                    std::span<const std::byte> from) override;
  ErrnoOr<std::uint32_t> compare_exchange(Thread* via, std::uint64_t address,
                                          std::uint32_t expected, std::uint32_t desired) override;
  void kill() override { process_->kill(); }
  pid_t host_pid() const override { return process_->pid(); }

  StubProcess& process() const { return *process_; }
  StubFamily& family() const { return *family_; }
  // Thread 1, which the stub was born with, becomes the spare.
  ErrnoOr<> take_first_thread();
  // How many guest threads there are.
  int threads() const { return threads_; }
  // The thread with this index is leaving; the index may be used again when `gone` says so (an
  // empty Fd: at once).
  void free_index(std::uint32_t index, Fd gone);

 protected:
  ~StubSpace() override;
  // The thread that has just been made under this index; `ready` as it was told.
  virtual ErrnoOr<std::unique_ptr<StubThread>> take_thread(std::uint32_t index,
                                                           std::uint32_t ready) = 0;
  virtual Ref<StubSpace> make_sibling(std::unique_ptr<StubProcess> process) = 0;

 private:
  ErrnoOr<std::uint32_t> take_index();
  ErrnoOr<> fill_spare();
  template <typename F>
  auto with_thread(Thread* via, F use) -> decltype(use(std::declval<StubThread&>()));
  ErrnoOr<> order(Thread* via, const Order& order, int file = -1);

  struct Leaving {
    std::uint32_t index;
    Fd gone;
  };

  Ref<StubFamily> family_;
  std::unique_ptr<StubProcess> process_;
  std::atomic<std::uint64_t> private_bytes_{0};  // mapped in its life: how much it may hold
  Mutex spare_mutex_;                            // before mutex_
  // A thread that nobody owns yet. It carries out orders that come by no thread.
  std::unique_ptr<StubThread> spare_;
  friend class StubThread;  // counts itself
  std::atomic<int> threads_ = 0;
  Mutex mutex_;
  std::uint32_t next_index_ = 2;  // 0 is the helper, 1 the thread that each stub is born with
  std::vector<std::uint32_t> free_;
  std::vector<Leaving> leaving_;
};

}  // namespace caisson::sandbox::platform

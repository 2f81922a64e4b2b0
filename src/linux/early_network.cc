#include "linux/early_network.h"

#include <linux/futex.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <atomic>
#include <cstring>
#include <new>

#include "base/clock.h"
#include "linux/child.h"
#include "linux/spawn.h"
#include "sys/clone.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::linux {
namespace {

constexpr std::size_t kMemory = 16 * 1024;  // stack and Shared

constexpr int kTimeoutMs = 60'000;  // others may hold the kernel's lock of all networks

constexpr std::int32_t kPending = -1;
constexpr std::int32_t kFailed = -2;

}  // namespace

// At the foot of the process's stack; `namespace_fd` is what the kernel wakes us by.
struct EarlyNetwork::Shared {
  std::atomic<std::int32_t> namespace_fd{kPending};
};

// The process shares our memory and our descriptors, so that what it opens is ours.
void EarlyNetwork::make(void* argument) {
  auto& shared = *static_cast<Shared*>(argument);
  auto made = []() -> ErrnoOr<Fd> {
    TRY(sys::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
    TRY(sys::unshare(CLONE_NEWNET));
    TRY(bring_loopback_up());
    return sys::openat(sys::kCwd, "/proc/thread-self/ns/net", O_RDONLY);
  }();
  shared.namespace_fd.store(made ? made->release() : kFailed, std::memory_order_release);
  sys::raw(SYS_futex, &shared.namespace_fd, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, nullptr, nullptr,
           0);
  sys::exit_process(0);
}

EarlyNetwork::EarlyNetwork() {
  if (!kMayShareMemory) return;
  auto mapped = sys::call(SYS_mmap, nullptr, kMemory, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (!mapped) return;
  shared_ = new (reinterpret_cast<void*>(*mapped)) Shared();
  clone_args args{};
  args.flags = CLONE_VM | CLONE_FILES;
  args.stack = static_cast<std::uintptr_t>(*mapped);
  args.stack_size = kMemory;
  pid_ = sys::clone_sharing_memory(args, make, shared_).value_or(0);
}

Fd EarlyNetwork::take() {
  if (pid_ == 0) return {};
  auto deadline = Deadline::in_ms(kTimeoutMs);
  timespec pause{0, 50'000'000};
  std::int32_t fd;
  while ((fd = shared_->namespace_fd.load(std::memory_order_acquire)) == kPending) {
    sys::raw(SYS_futex, &shared_->namespace_fd, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, kPending, &pause,
             nullptr, 0);
    if (ended(WNOHANG) || deadline.passed()) return {};
  }
  shared_->namespace_fd.store(kFailed, std::memory_order_relaxed);
  return fd >= 0 ? Fd(fd) : Fd();
}

// Collects the process; false: it still runs.
bool EarlyNetwork::ended(int flags) {
  long pid;
  do {
    pid = sys::raw(SYS_wait4, pid_, nullptr, __WALL | flags, nullptr);
  } while (pid == -EINTR);
  if (pid == 0) return false;
  pid_ = 0;
  return true;
}

EarlyNetwork::~EarlyNetwork() {
  (void)take();
  if (pid_ != 0) {
    sys::raw(SYS_kill, pid_, SIGKILL);  // not collected yet, so the id is still its own
    (void)ended(0);
  }
  if (shared_ != nullptr) sys::raw(SYS_munmap, shared_, kMemory);
}

}  // namespace caisson::linux

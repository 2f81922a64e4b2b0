#include "linux/early_network.h"

#include <linux/futex.h>
#include <net/if.h>
#include <sched.h>
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

constexpr int kTimeoutMs = 1'000;

enum Progress : std::uint32_t { kPending, kMade, kFailed, kTaken };

}  // namespace

// At the foot of the process's stack.
struct EarlyNetwork::Shared {
  std::atomic<std::uint32_t> progress{kPending};
  int parent = sys::getpid();
  unsigned processor = 0;  // ours

  void set(Progress value) {
    progress.store(value, std::memory_order_release);
    sys::raw(SYS_futex, &progress, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, nullptr, nullptr, 0);
  }
  void wait_while(Progress value, const timespec* at_most) {
    sys::raw(SYS_futex, &progress, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, value, at_most, nullptr, 0);
  }
  Progress get() const { return static_cast<Progress>(progress.load(std::memory_order_acquire)); }
};

// Beside us or not at all: the scheduler likes to keep a new process where its parent runs.
void leave_processor(unsigned processor) {
  cpu_set_t allowed;
  if (!sys::call(SYS_sched_getaffinity, 0, sizeof allowed, &allowed)) return;
  CPU_CLR(processor, &allowed);
  (void)sys::call(SYS_sched_setaffinity, 0, sizeof allowed, &allowed);
}

// The process shares our memory but not our descriptors: it would share the locks on our files, and
// keep them when we are killed. The namespace is taken from it while it waits.
void EarlyNetwork::make(void* argument) {
  auto& shared = *static_cast<Shared*>(argument);
  auto made = [&shared]() -> ErrnoOr<> {
    TRY(sys::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
    leave_processor(shared.processor);
    // Killed before that.
    if (sys::raw(SYS_getppid) != shared.parent) sys::exit_process(0);
    TRY(sys::unshare(CLONE_NEWNET));
    return bring_loopback_up();
  }();
  shared.set(made ? kMade : kFailed);
  while (shared.get() == kMade) shared.wait_while(kMade, nullptr);
  sys::exit_process(0);
}

EarlyNetwork::EarlyNetwork() {
  if (!kMayShareMemory) return;
  auto mapped = sys::call(SYS_mmap, nullptr, kMemory, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (!mapped) return;
  shared_ = new (reinterpret_cast<void*>(*mapped)) Shared();
  sys::raw(SYS_getcpu, &shared_->processor, nullptr, nullptr);
  clone_args args{};
  args.flags = CLONE_VM | CLONE_CLEAR_SIGHAND;  // handlers would run in our memory
  args.stack = static_cast<std::uintptr_t>(*mapped);
  args.stack_size = kMemory;
  pid_ = sys::clone_sharing_memory(args, make, shared_).value_or(0);
  path_ = cat("/proc/", pid_, "/ns/net");
}

// Allocates no memory: the caller's threads of control know nothing of each other.
Fd EarlyNetwork::take() {
  if (pid_ == 0) return {};
  auto deadline = Deadline::in_ms(kTimeoutMs);
  const timespec pause{0, 50'000'000};
  while (shared_->get() == kPending && !deadline.passed()) shared_->wait_while(kPending, &pause);
  Fd taken;
  if (shared_->get() == kMade) {
    auto opened = sys::openat(sys::kCwd, path_.c_str(), O_RDONLY);
    if (opened) taken = std::move(*opened);
  }
  shared_->set(kTaken);
  return taken;
}

EarlyNetwork::~EarlyNetwork() {
  if (pid_ != 0) {
    if (shared_->get() != kTaken) sys::raw(SYS_kill, pid_, SIGKILL);  // not collected: still its id
    long collected;
    do {
      collected = sys::raw(SYS_wait4, pid_, nullptr, __WALL, nullptr);
    } while (collected == -EINTR);
  }
  if (shared_ != nullptr) sys::raw(SYS_munmap, shared_, kMemory);
}

}  // namespace caisson::linux

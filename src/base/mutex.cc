#include "base/mutex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace caisson {
namespace {

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

}  // namespace

void Mutex::lock_slowly() {
  // The holder is usually gone within a microsecond: look a few times before sleeping.
  for (int i = 0; i < 100; ++i) {
    if (state_.load(std::memory_order_relaxed) == kFree && try_lock()) return;
    relax();
  }
  while (state_.exchange(kContended, std::memory_order_acquire) != kFree)
    (void)::syscall(SYS_futex, &state_, FUTEX_WAIT_PRIVATE, kContended, nullptr);
}

void Mutex::wake_one() { (void)::syscall(SYS_futex, &state_, FUTEX_WAKE_PRIVATE, 1); }

#ifndef NDEBUG
namespace {
thread_local std::uint8_t highest_rank = 0;
}

void Locked::enter() {
  rank_before_ = highest_rank;
  std::uint8_t rank = mutex_->rank();
  if (rank == 0) return;
  if (rank <= highest_rank) {
    (void)std::fprintf(stderr, "lock of rank %d taken under one of rank %d\n", rank, highest_rank);
    std::abort();
  }
  highest_rank = rank;
}

void Locked::leave() {
  if (mutex_->rank() != 0) highest_rank = rank_before_;
}
#endif

}  // namespace caisson

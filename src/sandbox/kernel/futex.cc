#include "sandbox/kernel/futex.h"

#include <linux/futex.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "sandbox/kernel/kernel.h"
#include "sandbox/mm/user_ptr.h"

namespace caisson::sandbox::kernel {

// One task that waits at one word. Stands on the sleeper's stack; `bucket` is null when it was
// woken, and its list may be touched under the bucket's lock only. A requeue moves it, under the
// locks of both.
struct FutexTable::Waiter {
  Task* task = nullptr;
  Key key;
  std::uint32_t bitset = FUTEX_BITSET_MATCH_ANY;
  bool is_locker = false;           // waits for ownership
  Task* owner = nullptr;            // for lockers: who holds the lock, as far as it was found
  mm::MemoryMap* memory = nullptr;  // for lockers: where the word is
  std::uint64_t address = 0;
  std::atomic<Bucket*> bucket{nullptr};
  Waiter* next = nullptr;
  Waiter* previous = nullptr;
};

namespace {

using mm::UserPtr;

// Two buckets in the order of their addresses: the same pair is always locked the same way.
class BothLocked {
 public:
  BothLocked(Mutex& one, Mutex& other) : first_(&one), second_(&other == &one ? nullptr : &other) {
    if (second_ != nullptr && std::less<>{}(second_, first_)) std::swap(first_, second_);
    first_->lock();
    if (second_ != nullptr) second_->lock();
  }
  BothLocked(const BothLocked&) = delete;
  BothLocked& operator=(const BothLocked&) = delete;
  ~BothLocked() {
    if (second_ != nullptr) second_->unlock();
    first_->unlock();
  }

 private:
  Mutex* first_;
  Mutex* second_;
};

ErrnoOr<mm::MemoryMap::FutexKey> key_of(mm::MemoryMap& memory, FutexAddress where) {
  if (where.address % sizeof(std::uint32_t) != 0) return std::unexpected(Errno{EINVAL});
  return memory.futex_key(where.address, where.is_private);
}

ErrnoOr<std::uint32_t> load(mm::MemoryMap& memory, std::uint64_t address) {
  return UserPtr<std::uint32_t>(address).load(memory);
}

ErrnoOr<std::uint32_t> exchange(Task& task, std::uint64_t address, std::uint32_t expected,
                                std::uint32_t desired) {
  return task.memory().compare_exchange(&task.thread(), address, expected, desired);
}

}  // namespace

FutexTable::Bucket& FutexTable::bucket_of(const Key& key) {
  auto object = reinterpret_cast<std::uintptr_t>(key.object);
  std::uint64_t mixed = (object >> 4) * 0x9e3779b97f4a7c15ULL ^ key.offset * 0xc2b2ae3d27d4eb4fULL;
  return buckets_[(mixed >> 32) % kBuckets];
}

void FutexTable::push(Bucket& bucket, Waiter& waiter) {
  waiter.next = nullptr;
  waiter.previous = bucket.last;
  (bucket.last != nullptr ? bucket.last->next : bucket.first) = &waiter;
  bucket.last = &waiter;
  waiter.bucket.store(&bucket, std::memory_order_release);
}

void FutexTable::take_out(Bucket& bucket, Waiter& waiter) {
  (waiter.previous != nullptr ? waiter.previous->next : bucket.first) = waiter.next;
  (waiter.next != nullptr ? waiter.next->previous : bucket.last) = waiter.previous;
}

void FutexTable::wake_waiter(Bucket& bucket, Waiter& waiter) {
  take_out(bucket, waiter);
  // From the store on the sleeper may go, and its task end.
  Ref<Task> task = Ref<Task>::share(waiter.task);
  waiter.bucket.store(nullptr, std::memory_order_release);
  task->wake();
}

// True: it was woken before it could leave.
bool FutexTable::leave(Waiter& waiter) {
  for (;;) {
    Bucket* bucket = waiter.bucket.load(std::memory_order_acquire);
    if (bucket == nullptr) return true;
    Locked locked(bucket->mutex);
    if (waiter.bucket.load(std::memory_order_acquire) != bucket) continue;
    take_out(*bucket, waiter);
    waiter.bucket.store(nullptr, std::memory_order_release);
    return false;
  }
}

ErrnoOr<> FutexTable::wait(Task& task, FutexAddress where, std::uint32_t expected,
                           std::uint32_t bitset, Deadline deadline) {
  if (bitset == 0) return std::unexpected(Errno{EINVAL});
  Waiter waiter;
  waiter.task = &task;
  waiter.bitset = bitset;
  waiter.key = TRY(key_of(task.memory(), where));
  {
    // The word is read under the lock that a waker takes after changing it: no wake-up is lost.
    Bucket& bucket = bucket_of(waiter.key);
    Locked locked(bucket.mutex);
    std::uint32_t word = TRY(load(task.memory(), where.address));
    if (word != expected) return std::unexpected(Errno{EAGAIN});
    push(bucket, waiter);
  }
  for (;;) {
    WakeReason reason = sleep(task, deadline);
    if (reason == WakeReason::kNotified) {
      if (waiter.bucket.load(std::memory_order_acquire) == nullptr) return {};
      continue;
    }
    if (leave(waiter)) return {};
    return std::unexpected(reason == WakeReason::kTimeout ? Errno{ETIMEDOUT} : kRestart);
  }
}

ErrnoOr<int> FutexTable::wait_any(Task& task, std::span<const FutexWait> waits, Deadline deadline) {
  auto waiters = std::make_unique<Waiter[]>(waits.size());
  std::size_t queued = 0;
  Errno failure{};
  auto leave_all = [&] {
    int woken = -1;
    for (std::size_t i = 0; i < queued; ++i)
      if (leave(waiters[i])) woken = static_cast<int>(i);
    return woken;
  };
  for (; queued < waits.size() && failure.value == 0; ++queued) {
    Waiter& waiter = waiters[queued];
    waiter.task = &task;
    auto key = key_of(task.memory(), waits[queued].where);
    if (!key) {
      failure = key.error();
      break;
    }
    waiter.key = *key;
    Bucket& bucket = bucket_of(waiter.key);
    Locked locked(bucket.mutex);
    auto word = load(task.memory(), waits[queued].where.address);
    if (!word || *word != waits[queued].expected) {
      failure = word ? Errno{EAGAIN} : word.error();
      break;
    }
    push(bucket, waiter);
  }
  WakeReason reason = WakeReason::kNotified;
  while (failure.value == 0 && reason == WakeReason::kNotified) {
    bool woken = false;
    for (std::size_t i = 0; i < queued && !woken; ++i)
      woken = waiters[i].bucket.load(std::memory_order_acquire) == nullptr;
    if (woken) break;
    reason = sleep(task, deadline);
  }
  int woken = leave_all();
  if (woken >= 0) return woken;
  if (failure.value != 0) return std::unexpected(failure);
  return std::unexpected(reason == WakeReason::kTimeout ? Errno{ETIMEDOUT} : kRestart);
}

int FutexTable::wake_in(Bucket& bucket, const Key& key, int count, std::uint32_t bitset) {
  int woken = 0;
  for (Waiter* waiter = bucket.first; waiter != nullptr && woken < count;) {
    Waiter* next = waiter->next;
    if (waiter->key == key && !waiter->is_locker && (waiter->bitset & bitset) != 0) {
      wake_waiter(bucket, *waiter);
      ++woken;
    }
    waiter = next;
  }
  return woken;
}

ErrnoOr<int> FutexTable::wake(mm::MemoryMap& memory, FutexAddress where, int count,
                              std::uint32_t bitset) {
  if (bitset == 0) return std::unexpected(Errno{EINVAL});
  Key key = TRY(key_of(memory, where));
  Bucket& bucket = bucket_of(key);
  Locked locked(bucket.mutex);
  return wake_in(bucket, key, count, bitset);
}

ErrnoOr<int> FutexTable::requeue(Task& task, const Requeue& request) {
  if (request.wake < 0 || request.move < 0) return std::unexpected(Errno{EINVAL});
  mm::MemoryMap& memory = task.memory();
  Key from = TRY(key_of(memory, request.from));
  Key to = TRY(key_of(memory, request.to));
  Bucket& source = bucket_of(from);
  Bucket& target = bucket_of(to);
  BothLocked locked(source.mutex, target.mutex);
  if (request.compare) {
    std::uint32_t word = TRY(load(memory, request.from.address));
    if (word != request.expected) return std::unexpected(Errno{EAGAIN});
  }
  int woken = wake_in(source, from, request.wake, FUTEX_BITSET_MATCH_ANY);
  int moved = 0;
  for (Waiter* waiter = source.first; waiter != nullptr && moved < request.move;) {
    Waiter* next = waiter->next;
    if (waiter->key == from && !waiter->is_locker) {
      take_out(source, *waiter);
      waiter->key = to;
      push(target, *waiter);
      ++moved;
    }
    if (&source == &target && from == to) break;  // it would be met again and again
    waiter = next;
  }
  return woken + moved;  // also for FUTEX_REQUEUE, whatever futex(2) says
}

namespace {

// futex_atomic_op_inuser(): the word changed by the encoded operation; what it was before.
ErrnoOr<std::uint32_t> change_word(Task& task, std::uint64_t address, std::uint32_t operation) {
  std::uint32_t kind = (operation >> 28) & 7U;
  auto sign_extended = [](std::uint32_t bits) {
    return static_cast<std::uint32_t>(static_cast<std::int32_t>(bits << 20) >> 20);
  };
  std::uint32_t argument = sign_extended((operation >> 12) & 0xfffU);
  if ((operation & (std::uint32_t{FUTEX_OP_OPARG_SHIFT} << 28)) != 0)
    argument = 1U << (argument & 31U);
  std::uint32_t before = TRY(load(task.memory(), address));
  for (;;) {
    std::uint32_t after = 0;
    switch (kind) {
      case FUTEX_OP_SET: after = argument; break;
      case FUTEX_OP_ADD: after = before + argument; break;
      case FUTEX_OP_OR: after = before | argument; break;
      case FUTEX_OP_ANDN: after = before & ~argument; break;
      case FUTEX_OP_XOR: after = before ^ argument; break;
      default: return std::unexpected(Errno{ENOSYS});
    }
    std::uint32_t seen = TRY(exchange(task, address, before, after));
    if (seen == before) return before;
    before = seen;
  }
}

ErrnoOr<bool> compare_word(std::uint32_t word, std::uint32_t operation) {
  auto value = static_cast<std::int32_t>(word);
  std::int32_t argument = static_cast<std::int32_t>((operation & 0xfffU) << 20) >> 20;
  switch ((operation >> 24) & 0xfU) {
    case FUTEX_OP_CMP_EQ: return value == argument;
    case FUTEX_OP_CMP_NE: return value != argument;
    case FUTEX_OP_CMP_LT: return value < argument;
    case FUTEX_OP_CMP_LE: return value <= argument;
    case FUTEX_OP_CMP_GT: return value > argument;
    case FUTEX_OP_CMP_GE: return value >= argument;
    default: return std::unexpected(Errno{ENOSYS});
  }
}

}  // namespace

ErrnoOr<int> FutexTable::wake_operation(Task& task, FutexAddress first, FutexAddress second,
                                        int first_count, int second_count,
                                        std::uint32_t operation) {
  mm::MemoryMap& memory = task.memory();
  Key first_key = TRY(key_of(memory, first));
  Key second_key = TRY(key_of(memory, second));
  Bucket& one = bucket_of(first_key);
  Bucket& other = bucket_of(second_key);
  BothLocked locked(one.mutex, other.mutex);
  std::uint32_t before = TRY(change_word(task, second.address, operation));
  bool also_second = TRY(compare_word(before, operation));
  int woken = wake_in(one, first_key, first_count, FUTEX_BITSET_MATCH_ANY);
  if (also_second) woken += wake_in(other, second_key, second_count, FUTEX_BITSET_MATCH_ANY);
  return woken;
}

// --- locks with an owner. The word holds the owner's thread id and FUTEX_WAITERS while somebody
// waits in the kernel.

FutexTable::Waiter* FutexTable::first_locker(Bucket& bucket, const Key& key, const Waiter* after) {
  for (Waiter* waiter = after != nullptr ? after->next : bucket.first; waiter != nullptr;
       waiter = waiter->next)
    if (waiter->key == key && waiter->is_locker) return waiter;
  return nullptr;
}

// True: the caller owns it now. False: `waiter` stands in the queue and the owner is found.
ErrnoOr<bool> FutexTable::try_lock(Task& task, FutexAddress where, Bucket& bucket, Waiter& waiter) {
  auto own = static_cast<std::uint32_t>(task.id());
  for (;;) {
    std::uint32_t word = TRY(load(task.memory(), where.address));
    std::uint32_t owner = word & FUTEX_TID_MASK;
    if (owner == own) return std::unexpected(Errno{EDEADLK});
    Waiter* first = first_locker(bucket, waiter.key);
    if (owner == 0 && first == nullptr) {
      std::uint32_t mine = own | (word & FUTEX_OWNER_DIED);
      std::uint32_t seen = TRY(exchange(task, where.address, word, mine));
      if (seen == word) return true;
      continue;
    }
    if ((word & FUTEX_WAITERS) == 0) {
      std::uint32_t seen = TRY(exchange(task, where.address, word, word | FUTEX_WAITERS));
      if (seen != word) continue;
    }
    Locked tree(task.kernel().task_lock());
    Task* holder = task.kernel().find_task(*task.group().pid_namespace, static_cast<int>(owner));
    if (holder == nullptr || holder->dying()) return std::unexpected(Errno{ESRCH});
    holder->owns_pi_futex.store(true, std::memory_order_release);
    waiter.owner = holder;
    return false;
  }
}

ErrnoOr<> FutexTable::lock(Task& task, FutexAddress where, Deadline deadline, bool only_try) {
  Waiter waiter;
  waiter.task = &task;
  waiter.is_locker = true;
  waiter.memory = &task.memory();
  waiter.address = where.address;
  waiter.key = TRY(key_of(task.memory(), where));
  Bucket& bucket = bucket_of(waiter.key);
  {
    Locked locked(bucket.mutex);
    if (only_try) {
      std::uint32_t word = TRY(load(task.memory(), where.address));
      std::uint32_t owner = word & FUTEX_TID_MASK;
      if (owner == static_cast<std::uint32_t>(task.id())) return std::unexpected(Errno{EDEADLK});
      if (owner != 0) return std::unexpected(Errno{EAGAIN});
    }
    bool owns = TRY(try_lock(task, where, bucket, waiter));
    if (owns) return {};
    if (only_try) return std::unexpected(Errno{EAGAIN});
    push(bucket, waiter);
  }
  for (;;) {
    WakeReason reason = sleep(task, deadline);
    if (reason == WakeReason::kNotified) {
      if (waiter.bucket.load(std::memory_order_acquire) == nullptr) return {};
      continue;
    }
    if (leave(waiter)) return {};
    return std::unexpected(reason == WakeReason::kTimeout ? Errno{ETIMEDOUT} : kRestartAlways);
  }
}

// The next in the queue becomes the owner; the word says so before it runs.
ErrnoOr<> FutexTable::hand_over(const Place& place, Bucket& bucket, const Key& key,
                                std::uint32_t word, std::uint32_t extra) {
  Waiter* next = first_locker(bucket, key);
  std::uint32_t desired = extra;
  if (next != nullptr) {
    desired |= static_cast<std::uint32_t>(next->task->id());
    if (first_locker(bucket, key, next) != nullptr) desired |= FUTEX_WAITERS;
  }
  std::uint32_t seen = TRY(place.memory.compare_exchange(place.via, place.address, word, desired));
  if (seen != word) return std::unexpected(Errno{EAGAIN});
  if (next == nullptr) return {};
  for (Waiter* other = first_locker(bucket, key, next); other != nullptr;
       other = first_locker(bucket, key, other))
    other->owner = next->task;
  if ((desired & FUTEX_WAITERS) != 0)
    next->task->owns_pi_futex.store(true, std::memory_order_release);
  wake_waiter(bucket, *next);
  return {};
}

ErrnoOr<> FutexTable::unlock(Task& task, FutexAddress where) {
  Key key = TRY(key_of(task.memory(), where));
  Bucket& bucket = bucket_of(key);
  for (;;) {
    Locked locked(bucket.mutex);
    std::uint32_t word = TRY(load(task.memory(), where.address));
    if ((word & FUTEX_TID_MASK) != static_cast<std::uint32_t>(task.id()))
      return std::unexpected(Errno{EPERM});
    Place place{task.memory(), &task.thread(), where.address};
    auto handed = hand_over(place, bucket, key, word, 0);
    if (handed || handed.error().value != EAGAIN) return handed;
  }
}

// The same for a thread that ends; the word may stand in memory that only the waiter sees.
void FutexTable::hand_on(Task& ending, Bucket& bucket, Waiter& next) {
  auto own = static_cast<std::uint32_t>(ending.id());
  bool same = next.memory == &ending.memory();
  Place place{*next.memory, same ? &ending.thread() : nullptr, next.address};
  for (;;) {
    auto word = load(*next.memory, next.address);
    if (!word || (*word & FUTEX_TID_MASK) != own) return;
    auto handed = hand_over(place, bucket, next.key, *word, FUTEX_OWNER_DIED);
    if (handed || handed.error().value != EAGAIN) return;
  }
}

// Locks for which somebody waits in the kernel are handed on with FUTEX_OWNER_DIED.
void FutexTable::release_waited_for(Task& task) {
  for (Bucket& bucket : buckets_) {
    Locked locked(bucket.mutex);
    for (Waiter* waiter = bucket.first; waiter != nullptr;) {
      Waiter* following = waiter->next;
      if (waiter->is_locker && waiter->owner == &task) hand_on(task, bucket, *waiter);
      waiter = following;
    }
  }
}

}  // namespace caisson::sandbox::kernel

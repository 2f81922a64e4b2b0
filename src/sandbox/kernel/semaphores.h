// Sets of semaphores of System V (semop(2), semctl(2)).
#pragma once

#include <sys/sem.h>

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "sandbox/kernel/ipc_object.h"
#include "sandbox/vfs/wait_queue.h"

namespace caisson::sandbox::kernel {

class IpcNamespace;
class Task;

struct Semaphore {
  int value = 0;
  int last_process = 0;               // as it saw itself
  int waiting = 0, zero_waiting = 0;  // tasks that wait for it to grow, to be zero
};

class SemaphoreSet final : public RefCounted {
 public:
  static constexpr int kMostValue = 32767;             // SEMVMX
  static constexpr std::size_t kMostOfSet = 32000;     // SEMMSL
  static constexpr std::size_t kMostSets = 32000;      // SEMMNI
  static constexpr std::size_t kMostOperations = 500;  // SEMOPM

  IpcPermission permission;
  // Under the namespace's lock:
  std::vector<Semaphore> semaphores;
  std::int64_t operated = 0, changed = 0;  // times, seconds
  bool removed = false;
  vfs::WaitQueue queue;  // told of every change

  // All operations or none. EAGAIN: operation `blocked` would have to wait; ERANGE, EFBIG.
  ErrnoOr<> operate(std::span<const sembuf> operations, int process, std::size_t& blocked);
};

// What semop(2) with SEM_UNDO will take back when the last task that shares it ends.
class SemaphoreUndo final : public RefCounted {
 public:
  explicit SemaphoreUndo(Ref<IpcNamespace> ipc);
  // Under the namespace's lock. `sign` 1: the operations were done.
  ErrnoOr<> check(const SemaphoreSet& set, std::span<const sembuf> operations) const;  // ERANGE
  void note(const SemaphoreSet& set, std::span<const sembuf> operations);
  // SETVAL and SETALL: nothing of this is taken back any more. `index` -1: all of the set.
  void forget(const SemaphoreSet& set, int index);
  void forget_set(int id) { adjustments_.erase(id); }
  IpcNamespace& ipc() const { return *ipc_; }

 private:
  ~SemaphoreUndo() override;
  const Ref<IpcNamespace> ipc_;
  std::map<int, std::vector<int>> adjustments_;  // by the set's id
};

// A task's own, made when it first needs one; null: it has no IPC namespace.
Ref<SemaphoreUndo> semaphore_undo_of(Task& task);

}  // namespace caisson::sandbox::kernel

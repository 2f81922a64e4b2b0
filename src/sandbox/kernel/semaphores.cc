#include "sandbox/kernel/semaphores.h"

#include <poll.h>

#include <algorithm>
#include <utility>

#include "sandbox/kernel/ipc_namespace.h"
#include "sandbox/kernel/task.h"

namespace caisson::sandbox::kernel {

// perform_atomic_semop() of Linux: step by step, and back when one cannot be done.
ErrnoOr<> SemaphoreSet::operate(std::span<const sembuf> operations, int process,
                                std::size_t& blocked) {
  for (const sembuf& operation : operations)
    if (operation.sem_num >= semaphores.size()) return std::unexpected(Errno{EFBIG});
  int error = 0;
  std::size_t done = 0;
  for (; done < operations.size(); ++done) {
    const sembuf& operation = operations[done];
    int& value = semaphores[operation.sem_num].value;
    bool waits = operation.sem_op == 0 ? value != 0 : value + operation.sem_op < 0;
    if (waits) error = EAGAIN;
    if (value + operation.sem_op > kMostValue) error = ERANGE;
    if (error != 0) break;
    value += operation.sem_op;
  }
  blocked = done;
  if (error == 0) {
    for (const sembuf& operation : operations) semaphores[operation.sem_num].last_process = process;
    return {};
  }
  while (done-- > 0) semaphores[operations[done].sem_num].value -= operations[done].sem_op;
  return std::unexpected(Errno{error});
}

SemaphoreUndo::SemaphoreUndo(Ref<IpcNamespace> ipc) : ipc_(std::move(ipc)) {
  Locked lock(ipc_->mutex);
  ipc_->undos.insert(this);
}

ErrnoOr<> SemaphoreUndo::check(const SemaphoreSet& set, std::span<const sembuf> operations) const {
  auto known = adjustments_.find(set.permission.id);
  for (const sembuf& operation : operations) {
    if ((operation.sem_flg & SEM_UNDO) == 0) continue;
    int now = known == adjustments_.end() ? 0 : known->second[operation.sem_num];
    int then = now - operation.sem_op;
    if (then < -SemaphoreSet::kMostValue - 1 || then > SemaphoreSet::kMostValue)
      return std::unexpected(Errno{ERANGE});
  }
  return {};
}

void SemaphoreUndo::note(const SemaphoreSet& set, std::span<const sembuf> operations) {
  for (const sembuf& operation : operations) {
    if ((operation.sem_flg & SEM_UNDO) == 0) continue;
    std::vector<int>& of_set = adjustments_[set.permission.id];
    of_set.resize(set.semaphores.size());
    of_set[operation.sem_num] -= operation.sem_op;
  }
}

void SemaphoreUndo::forget(const SemaphoreSet& set, int index) {
  auto known = adjustments_.find(set.permission.id);
  if (known == adjustments_.end()) return;
  if (index < 0)
    std::ranges::fill(known->second, 0);
  else
    known->second[static_cast<std::size_t>(index)] = 0;
}

// exit_sem() of Linux: values stay within their bounds.
SemaphoreUndo::~SemaphoreUndo() {
  std::vector<Ref<SemaphoreSet>> changed;
  {
    Locked lock(ipc_->mutex);
    ipc_->undos.erase(this);
    for (const auto& [id, adjustments] : adjustments_) {
      auto set = ipc_->semaphores.find(id);
      if (!set) continue;
      for (std::size_t i = 0; i < adjustments.size(); ++i) {
        if (adjustments[i] == 0) continue;
        int& value = (*set)->semaphores[i].value;
        value = std::clamp(value + adjustments[i], 0, SemaphoreSet::kMostValue);
      }
      changed.push_back(*set);
    }
  }
  for (const Ref<SemaphoreSet>& set : changed) set->queue.notify(POLLIN);
}

Ref<SemaphoreUndo> semaphore_undo_of(Task& task) {
  IpcNamespace* ipc = task.ipc ? task.ipc->ipc() : nullptr;
  if (!task.semaphore_undo && ipc != nullptr)
    task.semaphore_undo = make_ref<SemaphoreUndo>(Ref<IpcNamespace>::share(ipc));
  return task.semaphore_undo;
}

}  // namespace caisson::sandbox::kernel

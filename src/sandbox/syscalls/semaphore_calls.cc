// semget(2), semop(2), semtimedop(2), semctl(2).
#include <poll.h>
#include <sys/sem.h>

#include <algorithm>
#include <array>
#include <vector>

#include "sandbox/syscalls/ipc_calls.h"
#include "sandbox/syscalls/ipc_guest.h"

namespace caisson::sandbox::syscalls {
namespace {

using kernel::IpcNamespace;
using kernel::Semaphore;
using kernel::SemaphoreSet;
using kernel::SemaphoreUndo;

// One call of semop(2).
class Operations {
 public:
  Operations(Task& task, IpcNamespace& ipc, std::vector<sembuf> list)
      : task_(task), ipc_(ipc), list_(std::move(list)) {
    for (const sembuf& one : list_) {
      changes_ = changes_ || one.sem_op != 0;
      undoes_ = undoes_ || (one.sem_flg & SEM_UNDO) != 0;
    }
  }

  ErrnoOr<> run(int id, kernel::Deadline deadline) {
    Ref<SemaphoreUndo> undo = undoes_ ? kernel::semaphore_undo_of(task_) : nullptr;
    {
      Locked lock(ipc_.mutex);
      set_ = TRY(ipc_.semaphores.find(id));
      for (const sembuf& one : list_)
        if (one.sem_num >= set_->semaphores.size()) return fail(EFBIG);
      TRY(set_->permission.check(task_.credentials(), ipc_.owner.get(), changes_ ? 0222 : 0444));
    }
    kernel::TaskWaiter waiter(task_);
    set_->queue.add(waiter);
    ErrnoOr<> done = attempt(undo.get());
    while (!done && done.error().value == EAGAIN && waits_) {
      kernel::WakeReason reason = kernel::sleep(task_, deadline);
      stop_waiting();
      if (reason == kernel::WakeReason::kInterrupted) done = fail(EINTR);
      if (reason != kernel::WakeReason::kNotified) break;
      done = attempt(undo.get());
    }
    set_->queue.remove(waiter);
    if (done && changes_) set_->queue.notify(POLLIN);
    return done;
  }

 private:
  ErrnoOr<> attempt(SemaphoreUndo* undo) {
    waits_ = false;
    Locked lock(ipc_.mutex);
    if (set_->removed) return fail(EIDRM);
    if (undo != nullptr) TRY(undo->check(*set_, list_));
    std::size_t blocked = 0;
    auto done = set_->operate(list_, task_.group().id(), blocked);
    if (done) {
      if (undo != nullptr) undo->note(*set_, list_);
      set_->operated = now_seconds();
      return {};
    }
    if (done.error().value == EAGAIN && (list_[blocked].sem_flg & IPC_NOWAIT) == 0) {
      waits_ = true;
      blocked_ = blocked;
      ++counter();
    }
    return done;
  }
  void stop_waiting() {
    Locked lock(ipc_.mutex);
    --counter();
  }
  int& counter() {
    Semaphore& semaphore = set_->semaphores[list_[blocked_].sem_num];
    return list_[blocked_].sem_op == 0 ? semaphore.zero_waiting : semaphore.waiting;
  }

  Task& task_;
  IpcNamespace& ipc_;
  const std::vector<sembuf> list_;
  Ref<SemaphoreSet> set_;
  bool changes_ = false, undoes_ = false, waits_ = false;
  std::size_t blocked_ = 0;
};

Value operate(Task& task, const Arguments& arguments, kernel::Deadline deadline) {
  Ref<IpcNamespace> ipc = TRY(ipc_of(task));
  std::uint64_t count = arguments.u32(2);
  if (count < 1 || arguments.i32(0) < 0) return fail(EINVAL);
  if (count > SemaphoreSet::kMostOperations) return fail(E2BIG);
  std::vector<sembuf> list(count);
  TRY(UserPtr<sembuf>(arguments.u64(1)).load(task.memory(), std::span(list)));
  TRY(Operations(task, *ipc, std::move(list)).run(arguments.i32(0), deadline));
  return 0;
}

// --- semctl

semid_ds status_of(const SemaphoreSet& set) {
  semid_ds told{};
  tell_permission(set.permission, told.sem_perm);
  told.sem_otime = set.operated;
  told.sem_ctime = set.changed;
  told.sem_nsems = set.semaphores.size();
  return told;
}

Value tell_status(Task& task, IpcNamespace& ipc, int id, int command, std::uint64_t address) {
  semid_ds told{};
  std::int64_t answer = 0;
  {
    Locked lock(ipc.mutex);
    bool by_index = command != IPC_STAT;
    Ref<SemaphoreSet> set = TRY(by_index ? ipc.semaphores.at_index(id) : ipc.semaphores.find(id));
    if (command != SEM_STAT_ANY)
      TRY(set->permission.check(task.credentials(), ipc.owner.get(), 0444));
    told = status_of(*set);
    if (by_index) answer = set->permission.id;
  }
  TRY(store(task, address, told));
  return answer;
}

Value tell_limits(Task& task, IpcNamespace& ipc, int command, std::uint64_t address) {
  struct seminfo told{};
  told.semmni = told.semusz = SemaphoreSet::kMostSets;
  told.semmsl = told.semmap = SemaphoreSet::kMostOfSet;
  told.semmns = told.semmnu = 1024000000;
  told.semopm = told.semume = SemaphoreSet::kMostOperations;
  told.semvmx = told.semaem = SemaphoreSet::kMostValue;
  int highest = 0;
  {
    Locked lock(ipc.mutex);
    highest = ipc.semaphores.highest_index();
    if (command == SEM_INFO) {
      told.semusz = static_cast<int>(ipc.semaphores.size());
      told.semaem = 0;
      for (const Ref<SemaphoreSet>& set : ipc.semaphores.all())
        told.semaem += static_cast<int>(set->semaphores.size());
    }
  }
  TRY(store(task, address, told));
  return highest;
}

Value change_set(Task& task, IpcNamespace& ipc, int id, int command, std::uint64_t address) {
  semid_ds given{};
  if (command == IPC_SET) given = TRY(load<semid_ds>(task, address));
  Ref<SemaphoreSet> set;
  {
    Locked lock(ipc.mutex);
    set = TRY(ipc.semaphores.find(id));
    TRY(may_control(ipc, set->permission, task));
    if (command == IPC_SET) {
      take_permission(given.sem_perm, set->permission);
      set->changed = now_seconds();
      return 0;
    }
    set->removed = true;
    ipc.semaphores.remove(*set);
    for (SemaphoreUndo* undo : ipc.undos) undo->forget_set(id);
  }
  set->queue.notify(POLLIN);
  return 0;
}

Value get_one(Task& task, IpcNamespace& ipc, int id, int number, int command) {
  Locked lock(ipc.mutex);
  Ref<SemaphoreSet> set = TRY(ipc.semaphores.find(id));
  TRY(set->permission.check(task.credentials(), ipc.owner.get(), 0444));
  if (number < 0 || static_cast<std::size_t>(number) >= set->semaphores.size()) return fail(EINVAL);
  const Semaphore& semaphore = set->semaphores[static_cast<std::size_t>(number)];
  switch (command) {
    case GETVAL: return semaphore.value;
    case GETPID: return semaphore.last_process;
    case GETNCNT: return semaphore.waiting;
    default: return semaphore.zero_waiting;  // GETZCNT
  }
}

Value get_all(Task& task, IpcNamespace& ipc, int id, std::uint64_t address) {
  std::vector<std::uint16_t> values;
  {
    Locked lock(ipc.mutex);
    Ref<SemaphoreSet> set = TRY(ipc.semaphores.find(id));
    TRY(set->permission.check(task.credentials(), ipc.owner.get(), 0444));
    for (const Semaphore& semaphore : set->semaphores)
      values.push_back(static_cast<std::uint16_t>(semaphore.value));
  }
  TRY(UserPtr<std::uint16_t>(address).store(task.memory(), std::span<const std::uint16_t>(values)));
  return 0;
}

// SETVAL of one (`number`), SETALL of the set (-1).
ErrnoOr<> assign(Task& task, IpcNamespace& ipc, int id, int number,
                 const std::vector<std::uint16_t>& values) {
  Ref<SemaphoreSet> set;
  {
    Locked lock(ipc.mutex);
    set = TRY(ipc.semaphores.find(id));
    TRY(set->permission.check(task.credentials(), ipc.owner.get(), 0222));
    auto first = static_cast<std::size_t>(std::max(number, 0));
    if (number >= 0 && first >= set->semaphores.size()) return fail(EINVAL);
    if (number < 0 && values.size() != set->semaphores.size()) return fail(EIDRM);
    for (std::uint16_t value : values)
      if (value > SemaphoreSet::kMostValue) return fail(ERANGE);
    for (std::size_t i = 0; i < values.size(); ++i) {
      set->semaphores[first + i].value = values[i];
      set->semaphores[first + i].last_process = task.group().id();
    }
    for (SemaphoreUndo* undo : ipc.undos) undo->forget(*set, number);
    set->changed = now_seconds();
  }
  set->queue.notify(POLLIN);
  return {};
}

Value set_one(Task& task, IpcNamespace& ipc, int id, int number, std::uint64_t value) {
  auto given = static_cast<std::int32_t>(value);
  if (given < 0 || given > SemaphoreSet::kMostValue) return fail(ERANGE);
  if (number < 0) return fail(EINVAL);
  TRY(assign(task, ipc, id, number, {static_cast<std::uint16_t>(given)}));
  return 0;
}

Value set_all(Task& task, IpcNamespace& ipc, int id, std::uint64_t address) {
  std::size_t count = 0;
  {
    Locked lock(ipc.mutex);
    Ref<SemaphoreSet> set = TRY(ipc.semaphores.find(id));
    TRY(set->permission.check(task.credentials(), ipc.owner.get(), 0222));
    count = set->semaphores.size();
  }
  std::vector<std::uint16_t> values(count);
  TRY(UserPtr<std::uint16_t>(address).load(task.memory(), std::span(values)));
  TRY(assign(task, ipc, id, -1, values));
  return 0;
}

}  // namespace

Value call_semget(Task& task, const Arguments& arguments) {
  Ref<IpcNamespace> ipc = TRY(ipc_of(task));
  kernel::IpcRequest request{arguments.i32(0), arguments.u32(2)};
  int count = arguments.i32(1);
  if (count < 0 || static_cast<std::size_t>(count) > SemaphoreSet::kMostOfSet) return fail(EINVAL);
  Locked lock(ipc->mutex);
  Ref<SemaphoreSet> known = TRY(find_by_key(*ipc, ipc->semaphores, task, request));
  if (known) {
    if (static_cast<std::size_t>(count) > known->semaphores.size()) return fail(EINVAL);
    return known->permission.id;
  }
  if (count == 0) return fail(EINVAL);
  auto made = make_ref<SemaphoreSet>();
  begin_permission(made->permission, task, request);
  made->semaphores.resize(static_cast<std::size_t>(count));
  made->changed = now_seconds();
  return TRY(ipc->semaphores.add(std::move(made)));
}

Value call_semop(Task& task, const Arguments& arguments) {
  return operate(task, arguments, std::nullopt);
}

Value call_semtimedop(Task& task, const Arguments& arguments) {
  kernel::Deadline deadline;
  if (arguments.u64(3) != 0) {
    auto given = TRY(load<GuestTime>(task, arguments.u64(3)));
    std::int64_t length = TRY(to_nanoseconds(given, kNanosecond));
    std::int64_t now = task.kernel().monotonic_ns(), end = 0;
    if (!__builtin_add_overflow(now, length, &end)) deadline = end;
  }
  return operate(task, arguments, deadline);
}

Value call_semctl(Task& task, const Arguments& arguments) {
  Ref<IpcNamespace> ipc = TRY(ipc_of(task));
  int id = arguments.i32(0), number = arguments.i32(1), command = arguments.i32(2) & ~kNewLayout;
  std::uint64_t argument = arguments.u64(3);
  if (id < 0) return fail(EINVAL);
  switch (command) {
    case IPC_STAT:
    case SEM_STAT:
    case SEM_STAT_ANY: return tell_status(task, *ipc, id, command, argument);
    case 3 /* IPC_INFO */:
    case SEM_INFO: return tell_limits(task, *ipc, command, argument);
    case IPC_SET:
    case IPC_RMID: return change_set(task, *ipc, id, command, argument);
    case GETVAL:
    case GETPID:
    case GETNCNT:
    case GETZCNT: return get_one(task, *ipc, id, number, command);
    case GETALL: return get_all(task, *ipc, id, argument);
    case SETVAL: return set_one(task, *ipc, id, number, argument);
    case SETALL: return set_all(task, *ipc, id, argument);
    default: return fail(EINVAL);
  }
}

}  // namespace caisson::sandbox::syscalls

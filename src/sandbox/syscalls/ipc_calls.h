// Calls on the objects of an IPC namespace: entries of ipc_calls().
#pragma once

#include "sandbox/syscalls/table.h"

namespace caisson::sandbox::syscalls {

// segment_calls.cc
Value call_shmget(Task& task, const Arguments& arguments);
Value call_shmat(Task& task, const Arguments& arguments);
Value call_shmdt(Task& task, const Arguments& arguments);
Value call_shmctl(Task& task, const Arguments& arguments);

// semaphore_calls.cc
Value call_semget(Task& task, const Arguments& arguments);
Value call_semop(Task& task, const Arguments& arguments);
Value call_semtimedop(Task& task, const Arguments& arguments);
Value call_semctl(Task& task, const Arguments& arguments);

// message_calls.cc
Value call_msgget(Task& task, const Arguments& arguments);
Value call_msgsnd(Task& task, const Arguments& arguments);
Value call_msgrcv(Task& task, const Arguments& arguments);
Value call_msgctl(Task& task, const Arguments& arguments);

}  // namespace caisson::sandbox::syscalls

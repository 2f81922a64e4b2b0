#include "sandbox/syscalls/ipc_calls.h"

#include <sys/syscall.h>

namespace caisson::sandbox::syscalls {
namespace {

constexpr Entry kEntries[] = {
    {__NR_shmget, "shmget", call_shmget},
    {__NR_shmat, "shmat", call_shmat},
    {__NR_shmdt, "shmdt", call_shmdt},
    {__NR_shmctl, "shmctl", call_shmctl},
    {__NR_semget, "semget", call_semget},
    {__NR_semop, "semop", call_semop},
    {__NR_semtimedop, "semtimedop", call_semtimedop},
    {__NR_semctl, "semctl", call_semctl},
    {__NR_msgget, "msgget", call_msgget},
    {__NR_msgsnd, "msgsnd", call_msgsnd},
    {__NR_msgrcv, "msgrcv", call_msgrcv, Level::kPartial, "without MSG_COPY"},
    {__NR_msgctl, "msgctl", call_msgctl},
};

}  // namespace

std::span<const Entry> ipc_calls() { return kEntries; }

}  // namespace caisson::sandbox::syscalls

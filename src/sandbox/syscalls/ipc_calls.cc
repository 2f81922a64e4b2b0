#include "sandbox/syscalls/ipc_calls.h"

#include <sys/syscall.h>

#include "sandbox/syscalls/queue_calls.h"

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
    {__NR_mq_open, "mq_open", call_mq_open},
    {__NR_mq_unlink, "mq_unlink", call_mq_unlink},
    {__NR_mq_timedsend, "mq_timedsend", call_mq_timedsend},
    {__NR_mq_timedreceive, "mq_timedreceive", call_mq_timedreceive},
    {__NR_mq_notify, "mq_notify", call_mq_notify, Level::kPartial, "without SIGEV_THREAD"},
    {__NR_mq_getsetattr, "mq_getsetattr", call_mq_getsetattr},
};

}  // namespace

std::span<const Entry> ipc_calls() { return kEntries; }

}  // namespace caisson::sandbox::syscalls

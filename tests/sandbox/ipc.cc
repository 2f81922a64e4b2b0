// Objects of System V: semaphores with undo and time-outs, shared memory over fork, messages by
// type; namespaces of them.
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>

#include <cerrno>
#include <cstring>

#include "frame.h"

namespace {

sembuf change(int number, int by, int flags = 0) {
  return {static_cast<unsigned short>(number), static_cast<short>(by), static_cast<short>(flags)};
}

long operate(int id, sembuf one) { return semop(id, &one, 1); }

int semaphores(int count) { return semget(IPC_PRIVATE, static_cast<int>(count), IPC_CREAT | 0600); }

struct Text {
  long type;
  char text[32];
};

long send(int queue, long type, const char* text, int flags = 0) {
  Text message = {type, {}};
  strcpy(message.text, text);
  return msgsnd(queue, &message, strlen(text), flags);
}

void receive(int queue, long type, int flags) {
  Text message = {};
  long size = msgrcv(queue, &message, sizeof(message.text), type, flags);
  if (size < 0) {
    line("type %ld: %s", type, frame::error_name(errno));
  } else {
    line("type %ld: %ld of %ld \"%s\"", type, size, message.type, message.text);
  }
}

}  // namespace

CASE(semaphores_are_taken_back) {
  int id = semaphores(2);
  CALL(operate(id, change(0, 5)));
  frame::in_child([=] {
    CALL(operate(id, change(0, -3, SEM_UNDO)));
    CALL(operate(id, change(1, 2, SEM_UNDO)));
    CALL(operate(id, change(1, 4)));
    CALL(semctl(id, 0, GETVAL));
  });
  CALL(semctl(id, 0, GETVAL));
  CALL(semctl(id, 1, GETVAL));
  frame::in_child([=] {
    CALL(operate(id, change(0, -3, SEM_UNDO)));
    CALL(semctl(id, 0, SETVAL, 1));
  });
  CALL(semctl(id, 0, GETVAL));
  CALL(semctl(id, 0, IPC_RMID));
}

CASE(semaphores_all_or_none) {
  int id = semaphores(3);
  unsigned short values[3] = {1, 0, 2};
  CALL(semctl(id, 0, SETALL, values));
  sembuf both[] = {change(0, -1, IPC_NOWAIT), change(1, -1, IPC_NOWAIT)};
  CALL(semop(id, both, 2));
  memset(values, 0xff, sizeof(values));
  CALL(semctl(id, 0, GETALL, values));
  line("%d %d %d", values[0], values[1], values[2]);
  sembuf many[] = {change(2, -1), change(2, -1), change(2, 0), change(1, 3)};
  CALL(semop(id, many, 4));
  CALL(semctl(id, 1, GETVAL));
  YES(semctl(id, 1, GETPID) == getpid());
  CALL(semctl(id, 1, SETVAL, 40000));
  CALL(operate(id, change(1, 32767)));
  CALL(semctl(id, 3, GETVAL));
  CALL(semctl(id, 0, IPC_RMID));
}

CASE(semaphores_wait) {
  int id = semaphores(1);
  sembuf down = change(0, -1), zero = change(0, 0);
  timespec brief = {0, 20000000}, wrong = {0, 1000000000};
  CALL(semtimedop(id, &down, 1, &brief));
  CALL(semtimedop(id, &down, 1, &wrong));
  pid_t pid = frame::child([=] { _exit(operate(id, change(0, -2)) == 0 ? 7 : 1); });
  frame::until([=] { return semctl(id, 0, GETNCNT) == 1; });
  CALL(semctl(id, 0, GETNCNT));
  CALL(operate(id, change(0, 2)));
  frame::join(pid);
  CALL(operate(id, change(0, 1)));
  pid = frame::child([=] {
    sembuf wanted = zero;
    _exit(semop(id, &wanted, 1) == 0 ? 0 : errno == EIDRM ? 8 : 9);
  });
  frame::until([=] { return semctl(id, 0, GETZCNT) == 1; });
  CALL(semctl(id, 0, IPC_RMID));
  frame::join(pid);
}

CASE(semaphores_refused) {
  int id = semget(0x5e4, 2, IPC_CREAT | 0600);
  YES(id >= 0);
  YES(semget(0x5e4, 1, 0) == id);
  CALL(semget(0x5e4, 3, 0));
  CALL(semget(0x5e4, 1, IPC_CREAT | IPC_EXCL));
  CALL(semget(IPC_PRIVATE, 0, IPC_CREAT));
  CALL(semget(IPC_PRIVATE, -1, IPC_CREAT));
  sembuf one = change(0, 1);
  CALL(semop(id, &one, 0));
  CALL(semop(id, &one, 501));
  CALL(semop(-1, &one, 1));
  CALL(semctl(id, 0, 99));
  frame::in_child([=] {
    setresuid(1000, 1000, 1000);
    CALL(semget(0x5e4, 2, 0400));
    CALL(semctl(id, 0, GETVAL));
    CALL(semctl(id, 0, IPC_RMID));
  });
  CALL(semctl(id, 0, IPC_RMID));
}

CASE(shared_memory_over_fork) {
  int id = shmget(IPC_PRIVATE, 5000, IPC_CREAT | 0640);
  auto memory = static_cast<char*>(shmat(id, nullptr, 0));
  auto second = static_cast<char*>(shmat(id, nullptr, SHM_RDONLY));
  shmid_ds about;
  frame::in_child([=, &about] {
    shmctl(id, IPC_STAT, &about);
    SHOW(about.shm_nattch);
    strcpy(memory, "child");
    shmdt(memory);
    shmctl(id, IPC_STAT, &about);
    SHOW(about.shm_nattch);
  });
  frame::text("second", second);
  CALL(shmctl(id, IPC_STAT, &about));
  line("%zu bytes, mode %o, %lu attached, made by me %d", about.shm_segsz, about.shm_perm.mode,
       about.shm_nattch, about.shm_cpid == getpid());
  CALL(shmctl(id, IPC_RMID, nullptr));
  CALL(shmctl(id, IPC_STAT, &about));
  line("mode %o, key %d", about.shm_perm.mode, about.shm_perm.__key);
  CALL(shmdt(memory));
  CALL(shmdt(memory + 1));
  CALL(shmdt(second));
  CALL(shmctl(id, IPC_STAT, &about));
}

CASE(shared_memory_at_an_address) {
  int id = shmget(IPC_PRIVATE, 8192, IPC_CREAT | 0600);
  auto memory = static_cast<char*>(shmat(id, nullptr, 0));
  YES(shmat(id, memory, 0) == reinterpret_cast<void*>(-1) && errno == EINVAL);
  YES(shmat(id, memory + 100, 0) == reinterpret_cast<void*>(-1) && errno == EINVAL);
  YES(shmat(id, memory + 100, SHM_RND | SHM_REMAP) == memory);
  YES(shmat(id, nullptr, SHM_REMAP) == reinterpret_cast<void*>(-1) && errno == EINVAL);
  CALL(shmget(IPC_PRIVATE, 0, IPC_CREAT));
  CALL(shmget(0x5e5, 10, 0));
  CALL(shmdt(memory));
  CALL(shmctl(id, IPC_RMID, nullptr));
  CALL(shmctl(id, IPC_RMID, nullptr));
}

CASE(messages_by_type) {
  int queue = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
  for (long type : {5, 2, 9, 2}) send(queue, type, type == 2 ? "two" : "other");
  receive(queue, 9, 0);
  receive(queue, -4, 0);
  receive(queue, 2, MSG_EXCEPT);
  receive(queue, 7, IPC_NOWAIT);
  msqid_ds about;
  CALL(msgctl(queue, IPC_STAT, &about));
  line("%lu messages, %lu bytes of %lu", about.msg_qnum, about.__msg_cbytes, about.msg_qbytes);
  CALL(send(queue, 0, "x"));
  CALL(msgsnd(queue, &about, 9000, 0));
  CALL(msgctl(queue, IPC_RMID, nullptr));
}

CASE(messages_wait_for_room) {
  int queue = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
  msqid_ds about;
  msgctl(queue, IPC_STAT, &about);
  about.msg_qbytes = 8;
  CALL(msgctl(queue, IPC_SET, &about));
  CALL(send(queue, 1, "12345"));
  CALL(send(queue, 1, "6789", IPC_NOWAIT));
  pid_t pid = frame::child([=] { _exit(send(queue, 2, "6789") == 0 ? 3 : 4); });
  frame::settle();
  receive(queue, 0, 0);
  frame::join(pid);
  receive(queue, 0, 0);
  pid = frame::child([=] {
    Text message;
    _exit(msgrcv(queue, &message, 8, 0, 0) < 0 && errno == EIDRM ? 5 : 6);
  });
  frame::settle();
  CALL(msgctl(queue, IPC_RMID, nullptr));
  frame::join(pid);
}

CASE(objects_of_another_namespace) {
  int id = semget(0x5e6, 1, IPC_CREAT | 0600);
  frame::in_child([=] {
    CALL(unshare(CLONE_NEWIPC));
    CALL(semget(0x5e6, 1, 0));
    CALL(semctl(id, 0, GETVAL));
    int own = semget(0x5e6, 1, IPC_CREAT | 0600);
    YES(own >= 0);
  });
  CALL(semctl(id, 0, GETVAL));
  CALL(semctl(id, 0, IPC_RMID));
}

CASE(queues_by_priority) {
  mq_unlink("/caisson-q");
  mq_attr shape = {};
  shape.mq_maxmsg = 3;
  shape.mq_msgsize = 16;
  mqd_t queue = mq_open("/caisson-q", O_CREAT | O_RDWR | O_NONBLOCK, 0600, &shape);
  YES(queue >= 0);
  CALL(mq_open("/caisson-q", O_CREAT | O_EXCL | O_RDWR, 0600, &shape));
  CALL(mq_send(queue, "low", 3, 1));
  CALL(mq_send(queue, "high", 4, 9));
  CALL(mq_send(queue, "low too", 7, 1));
  CALL(mq_send(queue, "x", 1, 1));
  CALL(mq_send(queue, "12345678901234567", 17, 1));
  CALL(mq_send(queue, "x", 1, 32768));
  mq_attr now = {};
  CALL(mq_getattr(queue, &now));
  line("%ld of %ld, %ld bytes, flags %lx", now.mq_curmsgs, now.mq_maxmsg, now.mq_msgsize,
       now.mq_flags);
  char text[16];
  unsigned priority = 0;
  CALL(mq_receive(queue, text, 15, &priority));
  for (int count = 0; count < 4; count++) {
    memset(text, 0, sizeof(text));
    CALL(mq_receive(queue, text, 16, &priority));
    line("%u %s", priority, text);
  }
  CALL(mq_unlink("/caisson-q"));
  CALL(mq_unlink("/caisson-q"));
  CALL(mq_open("/caisson-q", O_RDWR));
  CALL(mq_send(queue, "still", 5, 0));
  CALL(mq_close(queue));
}

CASE(queues_wait_and_tell) {
  mq_unlink("/caisson-w");
  mq_attr shape = {};
  shape.mq_maxmsg = 1;
  shape.mq_msgsize = 8;
  mqd_t queue = mq_open("/caisson-w", O_CREAT | O_RDWR, 0600, &shape);
  char text[8];
  timespec moment;
  clock_gettime(CLOCK_REALTIME, &moment);
  CALL(mq_timedreceive(queue, text, 8, nullptr, &moment));
  pid_t pid = frame::child([=] { mq_send(queue, "child", 5, 3); });
  CALL(mq_receive(queue, text, 8, nullptr));
  frame::join(pid);
  CALL(mq_send(queue, "one", 3, 0));
  CALL(mq_timedsend(queue, "two", 3, 0, &moment));
  CALL(mq_receive(queue, text, 8, nullptr));
  static volatile sig_atomic_t code, value;
  frame::handle_info(SIGUSR1, [](int, siginfo_t* info, void*) {
    code = info->si_code;
    value = info->si_value.sival_int;
  });
  sigevent event = {};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGUSR1;
  event.sigev_value.sival_int = 42;
  CALL(mq_notify(queue, &event));
  CALL(mq_notify(queue, &event));
  CALL(mq_send(queue, "tell", 4, 0));
  line("code %d value %d", static_cast<int>(code), static_cast<int>(value));
  CALL(mq_notify(queue, &event));
  CALL(mq_notify(queue, nullptr));
  CALL(mq_unlink("/caisson-w"));
}

CASE(queues_refused) {
  mq_attr shape = {};
  CALL(mq_open("/a/b", O_CREAT | O_RDWR, 0600, nullptr));
  CALL(mq_open("/missing", O_RDWR));
  CALL(mq_open("/caisson-r", O_CREAT | O_RDWR, 0600, &shape));
  CALL(mq_send(0, "x", 1, 0));
  mqd_t queue = mq_open("/caisson-r", O_CREAT | O_RDONLY, 0600, nullptr);
  CALL(mq_send(queue, "x", 1, 0));
  frame::in_child([] {
    setresuid(1000, 1000, 1000);
    CALL(mq_open("/caisson-r", O_RDONLY));
    CALL(mq_unlink("/caisson-r"));
  });
  CALL(mq_unlink("/caisson-r"));
}

// The system as a whole: names, information, prctl, arch_prctl, random numbers, scheduling, odd
// calls.
#include <asm/prctl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/sysinfo.h>
#include <sys/user.h>
#include <sys/utsname.h>

#include "frame.h"

CASE(names_of_the_system) {
  utsname names;
  CALL(uname(&names));
  frame::text("sysname", names.sysname);
  frame::text("machine", names.machine);
  YES(strlen(names.release) > 2);
  char host[65] = {};
  CALL(gethostname(host, sizeof(host)));
  YES(strcmp(host, names.nodename) == 0);
}

CASE(host_name_is_set) {
  char host[65] = {};
  CALL(sethostname("another", 7));
  CALL(gethostname(host, sizeof(host)));
  frame::text("host", host);
  char big[100] = {};
  CALL(sethostname(big, 65));
  CALL(sethostname(nullptr, 5));
  CALL(setdomainname("domain", 6));
  utsname names;
  uname(&names);
  frame::text("domain", names.domainname);
  frame::in_child([] {
    setresuid(1000, 1000, 1000);
    CALL(sethostname("x", 1));
  });
}

CASE(information_on_the_system) {
  struct sysinfo info = {};
  CALL(sysinfo(&info));
  YES(info.totalram > 0 && info.freeram <= info.totalram);
  YES(info.procs > 0);
  YES(info.uptime > 0);
  SHOW(info.mem_unit);
  CALL(syscall(SYS_sysinfo, 1));
}

CASE(processors) {
  YES(sysconf(_SC_NPROCESSORS_ONLN) >= 1);
  YES(sysconf(_SC_NPROCESSORS_CONF) >= sysconf(_SC_NPROCESSORS_ONLN));
  unsigned processor = 99, node = 99;
  CALL(syscall(SYS_getcpu, &processor, &node, nullptr));
  YES(processor < static_cast<unsigned>(sysconf(_SC_NPROCESSORS_CONF)));
  SHOW(node);
  CALL(syscall(SYS_getcpu, 1, nullptr, nullptr));
}

CASE(settings_of_processes) {
  CALL(prctl(9999, 0, 0, 0, 0));
  CALL(prctl(PR_GET_TIMING));
  CALL(prctl(PR_SET_TIMING, 0));
  CALL(prctl(PR_SET_TIMING, 1));
  CALL(prctl(PR_GET_TIMERSLACK));
  CALL(prctl(PR_SET_TIMERSLACK, 12345));
  CALL(prctl(PR_GET_TIMERSLACK));
  CALL(prctl(PR_SET_PDEATHSIG, 99));
  CALL(prctl(PR_SET_PDEATHSIG, SIGUSR1));
  int signal = 0;
  CALL(prctl(PR_GET_PDEATHSIG, &signal));
  SHOW(signal);
  CALL(prctl(PR_GET_PDEATHSIG, 1));
  unsigned id = 0;
  CALL(prctl(PR_GET_TID_ADDRESS, &id));
}

CASE(huge_pages_are_switched_off) {
  CALL(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
  CALL(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
  CALL(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
  CALL(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0));
}

CASE(segment_bases) {
  unsigned long base = 0;
  CALL(syscall(SYS_arch_prctl, ARCH_GET_FS, &base));
  YES(base != 0);
  YES(base ==
      *reinterpret_cast<unsigned long*>(base));  // the thread's block begins with its own address
  static unsigned long place[2] = {0x1234, 0x5678};
  CALL(syscall(SYS_arch_prctl, ARCH_SET_GS, place));
  CALL(syscall(SYS_arch_prctl, ARCH_GET_GS, &base));
  YES(base == reinterpret_cast<unsigned long>(place));
  unsigned long value;
  asm volatile("mov %%gs:8, %0" : "=r"(value));
  line("%lx", value);
  CALL(syscall(SYS_arch_prctl, ARCH_SET_GS, -1L));
  CALL(syscall(SYS_arch_prctl, ARCH_GET_FS, 1));
  CALL(syscall(SYS_arch_prctl, 0x9999, 0));
  frame::in_child([] {
    unsigned long inherited;
    asm volatile("mov %%gs:8, %0" : "=r"(inherited));
    line("%lx", inherited);
  });
}

CASE(random_numbers) {
  unsigned char one[64] = {}, two[64] = {};
  CALL(getrandom(one, sizeof(one), 0));
  CALL(getrandom(two, sizeof(two), GRND_NONBLOCK));
  YES(memcmp(one, two, sizeof(one)) != 0);
  CALL(getrandom(one, 0, 0));
  CALL(getrandom(one, 10, 0x100));
  CALL(getrandom(one, 10, GRND_RANDOM | GRND_INSECURE));
  CALL(syscall(SYS_getrandom, 1, 10, 0));
  static char big[1 << 20];
  CALL(getrandom(big, sizeof(big), 0));
}

CASE(random_devices) {
  unsigned char one[32] = {}, two[32] = {};
  int fd = open("/dev/urandom", O_RDONLY);
  CALL(read(fd, one, sizeof(one)));
  CALL(read(fd, two, sizeof(two)));
  YES(memcmp(one, two, sizeof(one)) != 0);
  CALL(read(open("/dev/random", O_RDONLY), one, sizeof(one)));
}

CASE(scheduling_policies) {
  sched_param param = {};
  CALL(sched_getscheduler(0));
  CALL(sched_getparam(0, &param));
  SHOW(param.sched_priority);
  CALL(sched_setscheduler(0, SCHED_BATCH, &param));
  CALL(sched_getscheduler(0));
  CALL(sched_setscheduler(0, SCHED_IDLE, &param));
  CALL(sched_getscheduler(0));
  CALL(sched_setscheduler(0, SCHED_OTHER, &param));
  param.sched_priority = 5;
  CALL(sched_setscheduler(0, SCHED_OTHER, &param));
  CALL(sched_setscheduler(0, 99, &param));
  CALL(sched_setscheduler(0x3fffff, SCHED_OTHER, &param));
  CALL(sched_getscheduler(0x3fffff));
  CALL(sched_getscheduler(-1));
}

CASE(scheduling_priorities) {
  for (int policy : {SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE, 99}) {
    line("policy %d", policy);
    CALL(sched_get_priority_min(policy));
    CALL(sched_get_priority_max(policy));
  }
  CALL(sched_yield());
}

CASE(scheduling_attributes) {
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
  } attributes = {};
  CALL(syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0));
  line("%u %d", attributes.policy, attributes.nice);
  CALL(syscall(SYS_sched_getattr, 0, &attributes, 8, 0));
  CALL(syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 1));
}

CASE(personalities) {
  CALL(personality(0xffffffff));
  CALL(personality(ADDR_NO_RANDOMIZE));
  CALL(personality(0xffffffff));
  frame::in_child([] { CALL(personality(0xffffffff)); });
}

CASE(unknown_system_calls) {
  CALL(syscall(1000));
  CALL(syscall(400));
  CALL(syscall(-1L));
  CALL(syscall(100000));
}

CASE(obsolete_system_calls) {
  for (long number : {SYS_uselib, SYS_create_module, SYS_get_kernel_syms, SYS_query_module,
                      SYS_nfsservctl, SYS_vserver}) {
    CALL(syscall(number, 0, 0, 0, 0, 0));
  }
}

CASE(system_calls_keep_registers) {
  unsigned long rbx, r12, r15, result;
  asm volatile(
      "mov $0x1111, %%rbx; mov $0x2222, %%r12; mov $0x3333, %%r15\n"
      "mov %[number], %%eax; syscall\n"
      "mov %%rbx, %[b]; mov %%r12, %[c]; mov %%r15, %[d]"
      : [b] "=m"(rbx), [c] "=m"(r12), [d] "=m"(r15), "=&a"(result)
      : [number] "i"(SYS_getppid)
      : "rbx", "r12", "r15", "rcx", "r11", "memory");
  line("%lx %lx %lx", rbx, r12, r15);
}

CASE(flags_survive_system_calls) {
  unsigned long flags;
  asm volatile("stc; mov %[number], %%eax; syscall; pushf; pop %[flags]"
               : [flags] "=r"(flags)
               : [number] "i"(SYS_getpid)
               : "rax", "rcx", "r11", "memory", "cc");
  SHOW(flags & 1);
}

CASE(vector_registers_survive_system_calls) {
  double in[4] = {1.5, 2.5, 3.5, 4.5}, out[4] = {};
  asm volatile(
      "movupd (%[in]), %%xmm3; movupd 16(%[in]), %%xmm14\n"
      "mov %[number], %%eax; syscall\n"
      "movupd %%xmm3, (%[out]); movupd %%xmm14, 16(%[out])"
      :
      : [in] "r"(in), [out] "r"(out), [number] "i"(SYS_sched_yield)
      : "rax", "rcx", "r11", "xmm3", "xmm14", "memory");
  line("%.1f %.1f %.1f %.1f", out[0], out[1], out[2], out[3]);
}

CASE(processor_identification) {
  unsigned eax = 0, ebx, ecx, edx;
  asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx));
  YES(eax >= 7);
  unsigned low, high;
  asm volatile("rdtsc" : "=a"(low), "=d"(high));
  unsigned low2, high2;
  asm volatile("rdtsc" : "=a"(low2), "=d"(high2));
  YES((static_cast<unsigned long>(high2) << 32 | low2) >
      (static_cast<unsigned long>(high) << 32 | low));
}

CASE(memory_barriers) {
  long supported = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
  YES(supported > 0);
  CALL(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
  CALL(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
  CALL(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
  CALL(syscall(SYS_membarrier, 1 << 30, 0, 0));
}

CASE(mounting_needs_a_capability) {
  CALL(mkdir("d", 0755));
  frame::in_child([] {
    setresuid(1000, 1000, 1000);
    CALL(mount("none", "d", "tmpfs", 0, nullptr));
    CALL(umount("d"));
    CALL(unshare(CLONE_NEWNS));
    CALL(syscall(SYS_pivot_root, ".", "."));
    CALL(syscall(SYS_reboot, 0, 0, 0, 0));
    CALL(syscall(SYS_swapon, "x", 0));
    CALL(syscall(SYS_acct, "x"));
  });
}

CASE(mounting_a_tmpfs) {
  CALL(mkdir("d", 0755));
  CALL(unshare(CLONE_NEWNS));
  CALL(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr));
  frame::put("d/below", "");
  CALL(mount("none", "d", "tmpfs", 0, "mode=750"));
  frame::list("d");
  frame::describe("d");
  frame::put("d/x", "content");
  CALL(rmdir("d"));
  CALL(rename("d/x", "x"));
  CALL(link("d/x", "x"));
  CALL(umount("d"));
  frame::list("d");
  CALL(umount("d"));
  CALL(mount("none", "d", "no_such_type", 0, nullptr));
  CALL(mount("none", "missing", "tmpfs", 0, nullptr));
}

CASE(mounting_read_only_and_binding) {
  CALL(mkdir("a", 0755));
  CALL(mkdir("b", 0755));
  frame::put("a/x", "content");
  CALL(unshare(CLONE_NEWNS));
  CALL(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr));
  CALL(mount("a", "b", nullptr, MS_BIND, nullptr));
  frame::cat("b/x");
  CALL(mount("none", "b", nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr));
  CALL(open("b/x", O_WRONLY));
  CALL(open("b/new", O_WRONLY | O_CREAT, 0644));
  CALL(unlink("b/x"));
  CALL(access("b/x", W_OK));
  CALL(open("a/x", O_WRONLY));
  int fd = open("b/x", O_RDONLY);
  CALL(umount("b"));
  close(fd);
  CALL(umount("b"));
  CALL(mount("a", "b", nullptr, MS_BIND, nullptr));
  fd = open("b/x", O_RDONLY);
  CALL(umount2("b", MNT_DETACH));
  char data[8] = {};
  CALL(read(fd, data, 7));
}

CASE(namespaces_are_left) {
  CALL(unshare(0));
  CALL(unshare(0x100));
  CALL(unshare(CLONE_NEWUTS));
  CALL(sethostname("inside", 6));
  frame::in_child([] {
    char host[65] = {};
    gethostname(host, sizeof(host));
    frame::text("host", host);
  });
  frame::in_child([] {
    CALL(unshare(CLONE_NEWUTS));
    CALL(sethostname("further", 7));
  });
  char host[65] = {};
  gethostname(host, sizeof(host));
  frame::text("host", host);
}

CASE(process_namespaces) {
  CALL(unshare(CLONE_NEWPID));
  frame::in_child([] {
    SHOW(getpid());
    SHOW(getppid());
    frame::in_child([] {
      SHOW(getpid());
      SHOW(getppid());
    });
    kill(getpid(), SIGTERM);  // the first process is spared
    line("still here");
  });
}

CASE(filters_of_system_calls) {
  frame::in_child([] {
    CALL(prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    CALL(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0));
    CALL(syscall(SYS_getppid));
    CALL(prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
    CALL(syscall(SYS_getpgid, 0));
  });
}

CASE(strict_filter) {
  frame::in_child([] {
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0);
    write(1, "allowed\n", 8);
    syscall(SYS_getpid);
  });
}

CASE(tracing_stops_and_registers) {
  pid_t pid = frame::child([] {
    CALL(ptrace(PTRACE_TRACEME, 0, 0, 0));
    raise(SIGSTOP);
    _exit(static_cast<int>(syscall(SYS_getppid)) != 0 ? 5 : 6);
  });
  int status;
  waitpid(pid, &status, 0);
  frame::status("child", status);
  CALL(ptrace(PTRACE_SYSCALL, pid, 0, 0));
  waitpid(pid, &status, 0);
  frame::status("child", status);
  user_regs_struct registers;
  CALL(ptrace(PTRACE_GETREGS, pid, 0, &registers));
  SHOW(registers.orig_rax == SYS_getppid);
  CALL(ptrace(PTRACE_CONT, pid, 0, 0));
  frame::join(pid);
}

CASE(tracing_memory) {
  static long word = 0x1234;
  frame::Gate gate;
  pid_t pid = frame::child([&] {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    gate.wait();
    line("%lx", word);
  });
  waitpid(pid, nullptr, 0);
  errno = 0;
  line("%lx", ptrace(PTRACE_PEEKDATA, pid, &word, 0));
  CALL(ptrace(PTRACE_POKEDATA, pid, &word, 0x5678));
  CALL(ptrace(PTRACE_PEEKDATA, pid, 8, 0));
  CALL(ptrace(PTRACE_DETACH, pid, 0, 0));
  gate.open();
  frame::join(pid);
}

CASE(tracing_refused) {
  CALL(ptrace(PTRACE_ATTACH, 0x3fffff, 0, 0));
  CALL(ptrace(PTRACE_ATTACH, getpid(), 0, 0));
  CALL(ptrace(PTRACE_CONT, getppid(), 0, 0));
  frame::Gate gate;
  pid_t pid = frame::child([&] { gate.wait(); });
  frame::in_child([=] {
    setresuid(1000, 1000, 1000);
    CALL(ptrace(PTRACE_ATTACH, pid, 0, 0));
  });
  gate.open();
  frame::join(pid);
}

CASE(message_queues) {
  int queue = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
  YES(queue >= 0);
  struct {
    long type;
    char text[16];
  } message = {2, "second type"}, other = {1, "first type"};
  CALL(msgsnd(queue, &message, 12, 0));
  CALL(msgsnd(queue, &other, 11, 0));
  memset(&message, 0, sizeof(message));
  CALL(msgrcv(queue, &message, 16, 1, 0));
  frame::text("text", message.text);
  CALL(msgrcv(queue, &message, 4, 0, 0));
  CALL(msgrcv(queue, &message, 4, 0, MSG_NOERROR));
  CALL(msgrcv(queue, &message, 16, 0, IPC_NOWAIT));
  message.type = 0;
  CALL(msgsnd(queue, &message, 4, 0));
  CALL(msgctl(queue, IPC_RMID, nullptr));
  CALL(msgrcv(queue, &message, 16, 0, 0));
}

CASE(comparing_descriptors) {
  int fd = frame::made("x");
  int copy = dup(fd), other = open("x", O_RDWR);
  CALL(syscall(SYS_kcmp, getpid(), getpid(), 0, fd, copy));
  YES(syscall(SYS_kcmp, getpid(), getpid(), 0, fd, other) > 0);
  CALL(syscall(SYS_kcmp, getpid(), getpid(), 0, fd, 99));
  CALL(syscall(SYS_kcmp, getpid(), 0x3fffff, 0, fd, fd));
}

CASE(input_and_output_priorities) {
  CALL(syscall(SYS_ioprio_get, 1, 0));
  CALL(syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 3));
  CALL(syscall(SYS_ioprio_get, 1, 0));
  CALL(syscall(SYS_ioprio_get, 9, 0));
}

CASE(restartable_sequences) {
  // The C library has registered its own already.
  static char area[32] __attribute__((aligned(32)));
  CALL(syscall(SYS_rseq, area, sizeof(area), 0, 0x12345678));
  CALL(syscall(SYS_rseq, area, sizeof(area), 0x100, 0x12345678));
}

CASE(calls_that_users_may_not_make) {
  frame::in_child([] {
    setresuid(1000, 1000, 1000);
    CALL(syscall(SYS_vhangup));
    CALL(syscall(SYS_sethostname, "x", 1));
    CALL(syscall(SYS_settimeofday, nullptr, nullptr));
  });
}

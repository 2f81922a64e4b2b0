// Who a process is: ids, groups, sessions, names. What changes credentials is in credentials.cc.
#include <grp.h>
#include <sys/fsuid.h>
#include <sys/utsname.h>

#include "frame.h"

CASE(process_id_is_the_thread_id_of_the_first_thread) {
  YES(getpid() == gettid());
  YES(getpid() > 0);
}

CASE(parent_sees_the_id_that_the_child_has) {
  pid_t* seen = frame::shared_memory<pid_t>();
  pid_t pid = frame::child([&] { *seen = getpid(); });
  frame::join(pid);
  YES(*seen == pid);
}

CASE(child_sees_its_parent) {
  pid_t parent = getpid();
  frame::in_child([&] { YES(getppid() == parent); });
}

CASE(ids_of_root) {
  SHOW(getuid());
  SHOW(geteuid());
  SHOW(getgid());
  SHOW(getegid());
}

CASE(all_three_user_ids) {
  uid_t real = 1, effective = 1, saved = 1;
  CALL(getresuid(&real, &effective, &saved));
  line("%u %u %u", real, effective, saved);
}

CASE(all_three_group_ids) {
  gid_t real = 1, effective = 1, saved = 1;
  CALL(getresgid(&real, &effective, &saved));
  line("%u %u %u", real, effective, saved);
}

CASE(ids_to_a_bad_address) {
  CALL(syscall(SYS_getresuid, 1, 1, 1));
  CALL(syscall(SYS_getresgid, 1, 1, 1));
}

CASE(file_system_ids_follow_the_effective_ones) {
  SHOW(setfsuid(static_cast<uid_t>(-1)));
  SHOW(setfsgid(static_cast<gid_t>(-1)));
}

CASE(a_case_leads_a_session_and_a_group) {
  YES(getsid(0) == getpid());
  YES(getpgrp() == getpid());
  YES(getpgid(0) == getpid());
  YES(getpgid(getpid()) == getpgrp());
}

CASE(session_of_nobody) {
  CALL(getsid(0x3fffff));
  CALL(getpgid(0x3fffff));
  CALL(getpgid(-1));
  CALL(getsid(-1));
}

CASE(a_leader_makes_no_session) { CALL(setsid()); }

CASE(child_makes_a_session) {
  frame::in_child([] {
    YES(getsid(0) == getppid());
    YES(setsid() == getpid());
    YES(getsid(0) == getpid());
    YES(getpgrp() == getpid());
  });
}

CASE(child_makes_a_group) {
  frame::in_child([] {
    YES(getpgrp() == getppid());
    CALL(setpgid(0, 0));
    YES(getpgrp() == getpid());
    YES(getsid(0) == getppid());
    CALL(setpgid(0, getppid()));
    YES(getpgrp() == getppid());
  });
}

CASE(groups_that_setpgid_refuses) {
  CALL(setpgid(0, 0));  // a session's leader
  frame::in_child([] {
    CALL(setpgid(0, -1));
    CALL(setpgid(0, 0x3fffff));
    CALL(setpgid(getppid(), 0));  // neither we nor a child
    CALL(setpgid(0x3fffff, 0));
  });
}

CASE(parent_moves_its_child) {
  frame::Gate gate;
  pid_t pid = frame::child([&] { gate.wait(); });
  CALL(setpgid(pid, 0));
  YES(getpgid(pid) == pid);
  CALL(setpgid(pid, getpid()));
  YES(getpgid(pid) == getpid());
  gate.open();
  frame::join(pid);
}

CASE(parent_moves_no_child_that_executed) {
  frame::Gate gate;
  int answer[2];
  CALL(pipe(answer));
  pid_t pid = frame::child([&] {
    dup2(answer[1], 1);
    gate.wait();
    execl("/bin/sh", "sh", "-c", "echo; read x", nullptr);
  });
  close(answer[1]);
  gate.open();
  char byte;
  CALL(read(answer[0], &byte, 1));
  CALL(setpgid(pid, 0));
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
}

CASE(groups_are_set_and_read) {
  gid_t wanted[] = {7, 3, 3, 9};
  CALL(setgroups(4, wanted));
  gid_t found[8] = {};
  CALL(getgroups(0, nullptr));
  CALL(getgroups(8, found));
  line("%u %u %u %u", found[0], found[1], found[2], found[3]);
  CALL(getgroups(2, found));
  CALL(getgroups(-1, found));
  CALL(setgroups(0, nullptr));
  CALL(getgroups(8, found));
}

CASE(groups_that_setgroups_refuses) {
  CALL(syscall(SYS_setgroups, 65537, nullptr));
  CALL(syscall(SYS_setgroups, 2, 1));
  CALL(syscall(SYS_setgroups, -1, nullptr));
}

CASE(groups_are_inherited) {
  gid_t wanted[] = {4, 5};
  CALL(setgroups(2, wanted));
  frame::in_child([] {
    gid_t found[8] = {};
    CALL(getgroups(8, found));
    line("%u %u", found[0], found[1]);
  });
}

CASE(names_of_threads) {
  char name[16] = {};
  CALL(prctl(PR_SET_NAME, "a name longer than sixteen"));
  CALL(prctl(PR_GET_NAME, name));
  frame::text("name", name);
  CALL(prctl(PR_SET_NAME, ""));
  CALL(prctl(PR_GET_NAME, name));
  frame::text("name", name);
  CALL(prctl(PR_SET_NAME, 1));
}

CASE(name_is_inherited_at_fork) {
  CALL(prctl(PR_SET_NAME, "parent"));
  frame::in_child([] {
    char name[16] = {};
    CALL(prctl(PR_GET_NAME, name));
    frame::text("name", name);
  });
}

HELPER(show_name) {
  char name[16] = {};
  prctl(PR_GET_NAME, name);
  frame::text("name", name);
  return 0;
}

CASE(name_is_the_programs_after_exec) {
  frame::in_child([] {
    prctl(PR_SET_NAME, "before");
    symlink(frame::program(), "a_link");
    execl("a_link", "zero", "@show_name", nullptr);
  });
}

CASE(the_system_is_linux) {
  utsname names;
  CALL(uname(&names));
  frame::text("sysname", names.sysname);
  frame::text("machine", names.machine);
  CALL(syscall(SYS_uname, 1));
}

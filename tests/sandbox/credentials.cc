// Changing who a process is: the family of setuid, groups, capabilities, what is lost and kept.
#include <linux/capability.h>
#include <pthread.h>
#include <sys/fsuid.h>
#include <sys/xattr.h>

#include "frame.h"

namespace {

void show_users() {
  uid_t real, effective, saved;
  getresuid(&real, &effective, &saved);
  line("users %u %u %u %d", real, effective, saved, setfsuid(static_cast<uid_t>(-1)));
}

void show_groups() {
  gid_t real, effective, saved;
  getresgid(&real, &effective, &saved);
  line("groups %u %u %u %d", real, effective, saved, setfsgid(static_cast<gid_t>(-1)));
}

struct Capabilities {
  uint64_t effective = 0, permitted = 0, inheritable = 0;
};

long get(Capabilities& all, pid_t pid = 0) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, pid};
  __user_cap_data_struct data[2] = {};
  long done = syscall(SYS_capget, &header, data);
  all.effective = data[0].effective | static_cast<uint64_t>(data[1].effective) << 32;
  all.permitted = data[0].permitted | static_cast<uint64_t>(data[1].permitted) << 32;
  all.inheritable = data[0].inheritable | static_cast<uint64_t>(data[1].inheritable) << 32;
  return done;
}

long set(const Capabilities& all) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  for (int half = 0; half < 2; half++) {
    data[half].effective = static_cast<uint32_t>(all.effective >> (32 * half));
    data[half].permitted = static_cast<uint32_t>(all.permitted >> (32 * half));
    data[half].inheritable = static_cast<uint32_t>(all.inheritable >> (32 * half));
  }
  return syscall(SYS_capset, &header, data);
}

// Only these are shown, so that a capability more or less of the whole does not matter.
constexpr int kWatched[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_SETUID, CAP_NET_RAW, CAP_KILL};

void show_capabilities(const char* label = "capabilities") {
  Capabilities all;
  get(all);
  char text[128] = "";
  for (int one : kWatched) {
    uint64_t bit = uint64_t{1} << one;
    sprintf(text + strlen(text), " %c%c%c%c", all.effective & bit ? 'e' : '-',
            all.permitted & bit ? 'p' : '-', all.inheritable & bit ? 'i' : '-',
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, one, 0, 0) == 1 ? 'a' : '-');
  }
  line("%s:%s", label, text);
}

uint64_t bit(int capability) { return uint64_t{1} << capability; }

}  // namespace

HELPER(show_all) {
  show_users();
  show_groups();
  show_capabilities();
  CALL(prctl(PR_GET_SECUREBITS));
  CALL(prctl(PR_GET_DUMPABLE));
  CALL(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  return 0;
}

CASE(setuid_of_root_is_for_good) {
  CALL(setuid(1000));
  show_users();
  CALL(setuid(0));
  CALL(seteuid(0));
  CALL(setuid(1000));
  CALL(setuid(1001));
}

CASE(seteuid_goes_and_comes) {
  CALL(seteuid(1000));
  show_users();
  CALL(setuid(5));
  CALL(seteuid(0));
  show_users();
}

CASE(setreuid_of_root) {
  CALL(setreuid(1000, static_cast<uid_t>(-1)));
  show_users();
  CALL(setreuid(static_cast<uid_t>(-1), 1001));
  show_users();
  CALL(setreuid(1001, 1000));
  show_users();
  CALL(setreuid(5, 5));
}

CASE(setreuid_exchanges) {
  CALL(setresuid(1000, 1001, 1000));
  CALL(setreuid(1001, 1000));
  show_users();
  CALL(setreuid(1000, 1001));
  show_users();
}

CASE(setresuid_of_a_user) {
  CALL(setresuid(1000, 1001, 1002));
  show_users();
  CALL(setresuid(1002, 1000, 1001));
  show_users();
  CALL(setresuid(static_cast<uid_t>(-1), static_cast<uid_t>(-1), 1002));
  show_users();
  CALL(setresuid(0, static_cast<uid_t>(-1), static_cast<uid_t>(-1)));
  CALL(setresuid(1003, 1000, 1000));
}

CASE(setgid_of_root_is_for_good) {
  CALL(setgid(1000));
  show_groups();
  CALL(setgid(0));
  show_groups();
  CALL(setresuid(1000, 1000, 1000));
  CALL(setgid(5));
  CALL(setgid(0));
}

CASE(setresgid_and_setregid) {
  CALL(setresgid(1, 2, 3));
  show_groups();
  CALL(setregid(2, 1));
  show_groups();
  CALL(setegid(7));
  show_groups();
  CALL(setresuid(1000, 1000, 1000));
  CALL(setregid(9, 9));
  CALL(setresgid(7, 7, 7));
  CALL(setegid(1));
}

CASE(bad_ids) {
  CALL(setuid(static_cast<uid_t>(-1)));
  CALL(setgid(static_cast<gid_t>(-1)));
  CALL(setresuid(static_cast<uid_t>(-1), static_cast<uid_t>(-1), static_cast<uid_t>(-1)));
  show_users();
}

CASE(file_system_ids) {
  CALL(chmod(".", 0777));
  SHOW(setfsuid(1000));
  SHOW(setfsuid(1001));
  frame::put("x", "");
  frame::describe("x");
  SHOW(setfsgid(77));
  frame::put("y", "");
  frame::describe("y");
  CALL(seteuid(0));
  show_users();
  frame::in_child([] {
    setresuid(1000, 1000, 1000);
    SHOW(setfsuid(5));
    SHOW(setfsuid(5));
  });
}

CASE(groups_need_a_capability) {
  gid_t groups[] = {1};
  CALL(setresuid(1000, 1000, 1000));
  CALL(setgroups(1, groups));
  CALL(setgroups(0, nullptr));
}

CASE(groups_open_files) {
  frame::put("x", "content");
  CALL(chmod("x", 0640));
  CALL(chown("x", 0, 55));
  frame::in_child([] {
    gid_t groups[] = {55};
    setgroups(1, groups);
    setresgid(1000, 1000, 1000);
    setresuid(1000, 1000, 1000);
    CALL(open("x", O_RDONLY));
    CALL(open("x", O_WRONLY));
  });
  frame::in_child([] {
    setgroups(0, nullptr);
    setresgid(1000, 1000, 1000);
    setresuid(1000, 1000, 1000);
    CALL(open("x", O_RDONLY));
  });
}

CASE(capabilities_at_first) { show_capabilities(); }

CASE(capabilities_go_with_the_user) {
  CALL(setresuid(1000, 1000, 0));
  show_capabilities();
  CALL(setresuid(0, 0, 0));
  show_capabilities();
  CALL(setresuid(1000, 1000, 1000));
  show_capabilities();
}

CASE(capabilities_come_back_with_the_effective_user) {
  CALL(seteuid(1000));
  show_capabilities();
  CALL(seteuid(0));
  show_capabilities();
}

CASE(capabilities_are_kept) {
  CALL(prctl(PR_GET_KEEPCAPS));
  CALL(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
  CALL(setresuid(1000, 1000, 1000));
  show_capabilities();
  Capabilities all;
  get(all);
  all.effective = bit(CAP_CHOWN);
  CALL(set(all));
  frame::put("x", "");
  CALL(prctl(PR_SET_KEEPCAPS, 2, 0, 0, 0));
  show_capabilities();
}

CASE(capabilities_are_dropped) {
  Capabilities all;
  CALL(get(all));
  all.effective = all.permitted = all.permitted & ~bit(CAP_CHOWN);
  CALL(set(all));
  show_capabilities();
  frame::put("x", "");
  CALL(chown("x", 5, 5));
  all.permitted |= bit(CAP_CHOWN);
  CALL(set(all));
  all.permitted &= ~bit(CAP_CHOWN);
  all.effective |= bit(CAP_CHOWN);
  CALL(set(all));
}

CASE(capabilities_refused) {
  __user_cap_header_struct header = {0x12345678, 0};
  __user_cap_data_struct data[2] = {};
  CALL(syscall(SYS_capget, &header, data));
  YES(header.version == _LINUX_CAPABILITY_VERSION_3);
  header = {_LINUX_CAPABILITY_VERSION_3, 0x3fffff};
  CALL(syscall(SYS_capget, &header, data));
  header.pid = -1;
  CALL(syscall(SYS_capget, &header, data));
  header.pid = getppid();
  CALL(syscall(SYS_capget, &header, data));
  CALL(syscall(SYS_capset, &header, data));
  CALL(syscall(SYS_capget, 1, data));
  CALL(syscall(SYS_capget, &header, 1));
}

CASE(writing_without_permission_bits) {
  frame::put("x", "");
  CALL(chmod("x", 0));
  CALL(open("x", O_RDWR));
  Capabilities all;
  get(all);
  all.effective &= ~(bit(CAP_DAC_OVERRIDE) | bit(CAP_DAC_READ_SEARCH));
  CALL(set(all));
  CALL(open("x", O_RDWR));
  all.effective |= bit(CAP_DAC_READ_SEARCH);
  CALL(set(all));
  CALL(open("x", O_RDONLY));
  CALL(open("x", O_WRONLY));
}

CASE(executing_needs_a_bit_even_of_root) {
  frame::put("x", "#!/bin/sh\n");
  CALL(chmod("x", 0666));
  CALL(access("x", X_OK));
  CALL(chmod("x", 0667));
  CALL(access("x", X_OK));
}

CASE(bounding_set) {
  CALL(prctl(PR_CAPBSET_READ, CAP_CHOWN, 0, 0, 0));
  CALL(prctl(PR_CAPBSET_DROP, CAP_CHOWN, 0, 0, 0));
  CALL(prctl(PR_CAPBSET_READ, CAP_CHOWN, 0, 0, 0));
  CALL(prctl(PR_CAPBSET_READ, 99, 0, 0, 0));
  CALL(prctl(PR_CAPBSET_DROP, 99, 0, 0, 0));
  show_capabilities();
  frame::in_child([] { frame::execute("@show_all"); });
  CALL(setresuid(1000, 1000, 1000));
  CALL(prctl(PR_CAPBSET_DROP, CAP_KILL, 0, 0, 0));
}

CASE(inheritable_capabilities) {
  Capabilities all;
  get(all);
  all.inheritable = bit(CAP_CHOWN) | bit(CAP_KILL);
  CALL(set(all));
  show_capabilities();
  frame::in_child([] {
    CALL(setresuid(1000, 1000, 1000));
    show_capabilities();
    frame::execute("@show_all");
  });
}

CASE(ambient_capabilities) {
  CALL(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
  Capabilities all;
  get(all);
  all.inheritable = bit(CAP_CHOWN) | bit(CAP_KILL);
  CALL(set(all));
  CALL(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
  CALL(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
  CALL(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, CAP_KILL, 0, 0));
  show_capabilities();
  CALL(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 99, 0, 0));
  CALL(prctl(PR_CAP_AMBIENT, 99, 0, 0, 0));
  frame::in_child([] {
    prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
    CALL(setresuid(1000, 1000, 1000));
    show_capabilities();
    CALL(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
    frame::execute("@show_all");
  });
  CALL(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
  show_capabilities();
}

CASE(secure_bits) {
  CALL(prctl(PR_GET_SECUREBITS));
  CALL(prctl(PR_SET_SECUREBITS, 1 << 2, 0, 0, 0));  // no fix-up by setuid
  CALL(setresuid(1000, 1000, 1000));
  show_capabilities();
  CALL(prctl(PR_SET_SECUREBITS, 0x10000, 0, 0, 0));
  CALL(prctl(PR_SET_SECUREBITS, 3, 0, 0, 0));
  CALL(setresuid(0, 0, 0));
  frame::in_child([] { frame::execute("@show_all"); });
}

CASE(secure_bits_need_a_capability) {
  CALL(setresuid(1000, 1000, 1000));
  CALL(prctl(PR_SET_SECUREBITS, 1, 0, 0, 0));
  CALL(prctl(PR_GET_SECUREBITS));
}

CASE(exec_of_root_and_of_users) {
  frame::in_child([] { frame::execute("@show_all"); });
  frame::in_child([] {
    setresuid(1000, 1000, 1000);
    frame::execute("@show_all");
  });
  frame::in_child([] {
    seteuid(1000);
    frame::execute("@show_all");
  });
  frame::in_child([] {
    setresuid(1000, 0, 0);
    frame::execute("@show_all");
  });
}

namespace {
void copy_program(const char* path, mode_t mode) {
  int from = open(frame::program(), O_RDONLY), to = open(path, O_CREAT | O_WRONLY, 0755);
  char buffer[65536];
  ssize_t size;
  while ((size = read(from, buffer, sizeof(buffer))) > 0)
    write(to, buffer, static_cast<size_t>(size));
  close(from);
  close(to);
  chmod(path, mode);
}
void run_copy() {
  execl("./copy", "copy", "@show_all", nullptr);
  line("execl: %s", frame::error_name(errno));
}
}  // namespace

CASE(set_user_id_programs) {
  copy_program("copy", 04755);
  frame::in_child([] {
    setresuid(1000, 1000, 1000);
    run_copy();
  });
  CALL(chown("copy", 1001, 1002));
  CALL(chmod("copy", 06755));
  frame::in_child([] { run_copy(); });
  frame::in_child([] {
    setresgid(1000, 1000, 1000);
    setresuid(1000, 1000, 1000);
    run_copy();
  });
}

CASE(set_user_id_and_no_new_privileges) {
  copy_program("copy", 04755);
  frame::in_child([] {
    setresuid(1000, 1000, 1000);
    CALL(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    run_copy();
  });
}

CASE(set_user_id_scripts_do_nothing) {
  copy_program("program", 0755);
  frame::put("copy", "#!./program @show_all\n");
  CALL(chmod("copy", 04755));
  frame::in_child([] {
    setresuid(1000, 1000, 1000);
    run_copy();
  });
}

CASE(capabilities_of_files) {
  copy_program("copy", 0755);
  uint32_t value[5] = {0x02000001, 1u << CAP_CHOWN, 0, 0, 0};
  CALL(setxattr("copy", "security.capability", value, sizeof(value), 0));
  frame::in_child([] {
    setresuid(1000, 1000, 1000);
    run_copy();
  });
}

CASE(no_new_privileges) {
  CALL(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  CALL(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
  CALL(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0));
  CALL(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  CALL(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  frame::in_child([] { CALL(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)); });
}

CASE(dumpable) {
  CALL(prctl(PR_GET_DUMPABLE));
  CALL(prctl(PR_SET_DUMPABLE, 0));
  CALL(prctl(PR_GET_DUMPABLE));
  CALL(prctl(PR_SET_DUMPABLE, 2));
  CALL(prctl(PR_SET_DUMPABLE, 1));
  frame::in_child([] {
    setresuid(1000, 1000, 1000);
    CALL(prctl(PR_GET_DUMPABLE) == 1);
  });
}

CASE(credentials_of_threads_are_their_own) {
  // The bare call changes the calling thread alone; the C library's tells all others.
  pthread_t thread;
  pthread_create(
      &thread, nullptr,
      [](void*) -> void* {
        CALL(syscall(SYS_setresuid, 1000, 1000, 1000));
        show_users();
        return nullptr;
      },
      nullptr);
  pthread_join(thread, nullptr);
  show_users();
}

CASE(credentials_of_all_threads_by_the_library) {
  static volatile bool changed;
  pthread_t thread;
  pthread_create(
      &thread, nullptr,
      [](void*) -> void* {
        while (!changed) usleep(1000);
        show_users();
        return nullptr;
      },
      nullptr);
  CALL(setresuid(1000, 1000, 1000));
  changed = true;
  pthread_join(thread, nullptr);
}

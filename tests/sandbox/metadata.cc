// What is known of a file besides its content: mode, owner, times, sizes.
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <utime.h>

#include "frame.h"

namespace {

struct stat of(const char* path) {
  struct stat found = {};
  lstat(path, &found);
  return found;
}

bool later(const timespec& a, const timespec& b) {
  return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

void show_times(const char* path) {
  struct stat found = of(path);
  line("%s: accessed %ld.%09ld modified %ld.%09ld", path, found.st_atim.tv_sec,
       found.st_atim.tv_nsec, found.st_mtim.tv_sec, found.st_mtim.tv_nsec);
}

// Which of the times of a path moved on by an action. The clock of files is coarse.
template <typename F>
void moved(const char* label, const char* path, F action) {
  struct stat before = of(path);
  usleep(20000);
  action();
  struct stat after = of(path);
  line("%s moves:%s%s", label, later(after.st_mtim, before.st_mtim) ? " modified" : "",
       later(after.st_ctim, before.st_ctim) ? " changed" : "");
}

void become_user() {
  if (setresuid(1000, 1000, 1000) != 0) line("setresuid: %s", frame::error_name(errno));
}

}  // namespace

CASE(modes_are_set) {
  frame::put("x", "");
  CALL(mkdir("d", 0755));
  for (mode_t mode : {0u, 0777u, 04755u, 02755u, 01644u, 07777u, 0200644u}) {
    CALL(chmod("x", mode));
    frame::describe("x");
  }
  CALL(chmod("d", 07711));
  frame::describe("d");
}

CASE(modes_refused) {
  CALL(symlink("missing", "s"));
  CALL(chmod("missing", 0644));
  CALL(chmod("s", 0644));
  CALL(chmod("", 0644));
  CALL(fchmod(99, 0644));
  CALL(fchmodat(99, "x", 0644, 0));
  CALL(fchmodat(AT_FDCWD, "s", 0600, AT_SYMLINK_NOFOLLOW));
  CALL(chmod("/proc/missing", 0644));
}

CASE(modes_by_descriptor) {
  int fd = frame::made("x", O_RDONLY);
  CALL(fchmod(fd, 0640));
  frame::describe("x");
  CALL(syscall(SYS_fchmodat, AT_FDCWD, "x", 0600));
  frame::describe("x");
}

CASE(modes_by_fchmodat2) {
  frame::put("x", "");
  int fd = open("x", O_PATH);
  constexpr long kFchmodat2 = 452;
  CALL(syscall(kFchmodat2, AT_FDCWD, "x", 0600, 0));
  frame::describe("x");
  CALL(syscall(kFchmodat2, fd, "", 0644, AT_EMPTY_PATH));
  frame::describe("x");
  CALL(syscall(kFchmodat2, AT_FDCWD, "x", 0600, 0x1));
}

CASE(modes_are_the_owners) {
  frame::put("roots", "");
  frame::put("own", "");
  CALL(chown("own", 1000, 1000));
  frame::in_child([] {
    become_user();
    CALL(chmod("roots", 0777));
    CALL(chmod("own", 0777));
    frame::describe("own");
  });
}

CASE(setgid_needs_the_group) {
  frame::put("own", "");
  CALL(chown("own", 1000, 50));
  frame::in_child([] {
    setgroups(0, nullptr);
    setresgid(1000, 1000, 1000);
    become_user();
    CALL(chmod("own", 06755));
    frame::describe("own");
  });
}

CASE(owners_are_set) {
  frame::put("x", "");
  CALL(chown("x", 5, 6));
  frame::describe("x");
  CALL(chown("x", static_cast<uid_t>(-1), 7));
  frame::describe("x");
  CALL(chown("x", 8, static_cast<gid_t>(-1)));
  frame::describe("x");
  CALL(chown("x", static_cast<uid_t>(-1), static_cast<gid_t>(-1)));
  frame::describe("x");
}

CASE(owners_of_links) {
  frame::put("x", "");
  CALL(symlink("x", "s"));
  CALL(lchown("s", 5, 6));
  frame::describe("s");
  frame::describe("x");
  CALL(chown("s", 7, 8));
  frame::describe("x");
  CALL(fchownat(AT_FDCWD, "s", 9, 9, AT_SYMLINK_NOFOLLOW));
  frame::describe("s");
}

CASE(owners_by_descriptor) {
  int fd = frame::made("x", O_RDONLY);
  CALL(fchown(fd, 1, 2));
  frame::describe("x");
  CALL(fchownat(fd, "", 3, 4, AT_EMPTY_PATH));
  frame::describe("x");
  CALL(fchown(99, 1, 2));
  CALL(fchownat(fd, "", 3, 4, 0));
  CALL(fchownat(AT_FDCWD, "x", 3, 4, 0x8000));
}

CASE(owners_refused) {
  frame::put("roots", "");
  frame::put("own", "");
  CALL(chown("own", 1000, 1000));
  frame::in_child([] {
    gid_t groups[] = {50};
    setgroups(1, groups);
    setresgid(1000, 1000, 1000);
    become_user();
    CALL(chown("roots", 1000, 1000));
    CALL(chown("own", 1001, static_cast<gid_t>(-1)));
    CALL(chown("own", static_cast<uid_t>(-1), 51));
    CALL(chown("own", static_cast<uid_t>(-1), 50));
    CALL(chown("own", 1000, 1000));
    frame::describe("own");
  });
}

CASE(new_owners_take_setuid_away) {
  frame::put("x", "");
  CALL(chmod("x", 06755));
  CALL(chown("x", 5, 5));
  frame::describe("x");
  frame::put("y", "");
  CALL(chmod("y", 02644));
  CALL(chown("y", 5, 5));
  frame::describe("y");
  CALL(mkdir("d", 0755));
  CALL(chmod("d", 06755));
  CALL(chown("d", 5, 5));
  frame::describe("d");
}

CASE(writing_takes_setuid_away) {
  frame::put("x", "");
  CALL(chown("x", 1000, 1000));
  CALL(chmod("x", 06777));
  frame::in_child([] {
    become_user();
    int fd = open("x", O_WRONLY);
    CALL(write(fd, "x", 1));
  });
  frame::describe("x");
  CALL(chmod("x", 06777));
  int fd = open("x", O_WRONLY);
  CALL(write(fd, "x", 1));
  frame::describe("x");
}

CASE(truncating_takes_setuid_away) {
  frame::put("x", "content");
  CALL(chown("x", 1000, 1000));
  CALL(chmod("x", 06777));
  frame::in_child([] {
    become_user();
    CALL(truncate("x", 1));
  });
  frame::describe("x");
}

CASE(times_are_set) {
  frame::put("x", "");
  timespec times[] = {{1000000000, 123456789}, {1100000000, 987654321}};
  CALL(utimensat(AT_FDCWD, "x", times, 0));
  show_times("x");
  timespec before_1970[] = {{-5, 1}, {-6, 2}};
  CALL(utimensat(AT_FDCWD, "x", before_1970, 0));
  show_times("x");
  timespec after_2106[] = {{5000000000, 1}, {6000000000, 2}};
  CALL(utimensat(AT_FDCWD, "x", after_2106, 0));
  show_times("x");
}

CASE(times_left_alone) {
  frame::put("x", "");
  timespec times[] = {{1000, 1}, {2000, 2}};
  CALL(utimensat(AT_FDCWD, "x", times, 0));
  timespec first[] = {{3000, 3}, {0, UTIME_OMIT}};
  CALL(utimensat(AT_FDCWD, "x", first, 0));
  show_times("x");
  timespec second[] = {{0, UTIME_OMIT}, {4000, 4}};
  CALL(utimensat(AT_FDCWD, "x", second, 0));
  show_times("x");
  timespec neither[] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
  CALL(utimensat(AT_FDCWD, "x", neither, 0));
  CALL(utimensat(AT_FDCWD, "missing", neither, 0));
  show_times("x");
}

CASE(times_of_now) {
  frame::put("x", "");
  timespec times[] = {{1000, 1}, {2000, 2}};
  utimensat(AT_FDCWD, "x", times, 0);
  timespec now[] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
  CALL(utimensat(AT_FDCWD, "x", now, 0));
  struct stat found = of("x");
  YES(found.st_atim.tv_sec > 1000000);
  SHOW(found.st_mtim.tv_sec);
  CALL(utimensat(AT_FDCWD, "x", nullptr, 0));
  found = of("x");
  YES(found.st_mtim.tv_sec > 1000000);
  YES(!later(found.st_mtim, found.st_atim) && !later(found.st_atim, found.st_mtim));
}

CASE(times_refused) {
  int fd = frame::made("x", O_RDONLY);
  timespec bad[] = {{0, 1000000000}, {0, 0}};
  CALL(utimensat(AT_FDCWD, "x", bad, 0));
  timespec good[] = {{1, 1}, {2, 2}};
  CALL(utimensat(AT_FDCWD, "missing", good, 0));
  CALL(utimensat(AT_FDCWD, "x", good, 0x8000));
  CALL(utimensat(99, "x", good, 0));
  CALL(utimensat(fd, "x", good, 0));
  CALL(syscall(SYS_utimensat, AT_FDCWD, "x", 1, 0));
  CALL(syscall(SYS_utimensat, fd, nullptr, good, 0));
  CALL(syscall(SYS_utimensat, 99, nullptr, good, 0));
  CALL(syscall(SYS_utimensat, AT_FDCWD, "", good, 0));
}

CASE(times_are_the_owners) {
  frame::put("x", "");
  CALL(chmod("x", 0666));
  frame::put("y", "");
  frame::in_child([] {
    become_user();
    timespec times[] = {{1000, 1}, {2000, 2}};
    timespec now[] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
    timespec one[] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
    CALL(utimensat(AT_FDCWD, "x", times, 0));
    CALL(utimensat(AT_FDCWD, "x", nullptr, 0));
    CALL(utimensat(AT_FDCWD, "x", now, 0));
    CALL(utimensat(AT_FDCWD, "x", one, 0));
    CALL(utimensat(AT_FDCWD, "y", nullptr, 0));
  });
}

CASE(times_of_links) {
  frame::put("x", "");
  CALL(symlink("x", "s"));
  timespec times[] = {{1000, 1}, {2000, 2}};
  CALL(utimensat(AT_FDCWD, "s", times, AT_SYMLINK_NOFOLLOW));
  struct stat found = of("s");
  SHOW(found.st_mtim.tv_sec);
  YES(of("x").st_mtim.tv_sec > 2000);
}

CASE(old_calls_for_times) {
  frame::put("x", "");
  utimbuf seconds = {11, 22};
  CALL(syscall(SYS_utime, "x", &seconds));
  show_times("x");
  timeval pair[] = {{33, 44}, {55, 66}};
  CALL(syscall(SYS_utimes, "x", pair));
  show_times("x");
  CALL(syscall(SYS_futimesat, AT_FDCWD, "x", pair));
  timeval bad[] = {{33, 1000000}, {55, 66}};
  CALL(syscall(SYS_utimes, "x", bad));
}

CASE(what_moves_the_times_of_a_file) {
  frame::put("x", "content");
  moved("write", "x", [] { frame::put("x", "other"); });
  moved("chmod", "x", [] { chmod("x", 0600); });
  moved("chown", "x", [] { chown("x", 1, 1); });
  moved("link", "x", [] { link("x", "y"); });
  moved("unlink", "x", [] { unlink("y"); });
  moved("rename", "x", [] { rename("x", "z"), rename("z", "x"); });
  moved("truncate", "x", [] { truncate("x", 1); });
  moved("truncate to the same size", "x", [] { truncate("x", 1); });
  moved("nothing written", "x", [] {
    int fd = open("x", O_WRONLY);
    write(fd, "", 0);
    close(fd);
  });
  moved("read", "x", [] { frame::cat("x"); });
}

CASE(what_moves_the_times_of_a_directory) {
  CALL(mkdir("d", 0755));
  moved("create", "d", [] { frame::put("d/x", "content"); });
  moved("write", "d", [] { frame::put("d/x", "other"); });
  moved("chmod", "d", [] { chmod("d/x", 0600); });
  moved("rename", "d", [] { rename("d/x", "d/y"); });
  moved("link", "d", [] { link("d/y", "d/z"); });
  moved("unlink", "d", [] { unlink("d/y"); });
  moved("mkdir", "d", [] { mkdir("d/e", 0755); });
  moved("rmdir", "d", [] { rmdir("d/e"); });
  moved("symlink", "d", [] { symlink("x", "d/s"); });
}

CASE(sizes_and_blocks) {
  int fd = frame::made("x");
  CALL(pwrite(fd, "x", 1, 10000));
  struct stat found = of("x");
  SHOW(found.st_size);
  YES(found.st_blocks * 512 < 10000);
  YES(found.st_blocks > 0);
  YES(found.st_blksize >= 512);
  frame::put("empty", "");
  SHOW(of("empty").st_blocks);
}

CASE(links_to_one_file_have_one_inode) {
  frame::put("x", "");
  CALL(link("x", "y"));
  frame::put("z", "");
  YES(of("x").st_ino == of("y").st_ino);
  YES(of("x").st_ino != of("z").st_ino);
  YES(of("x").st_dev == of("z").st_dev);
}

CASE(stat_by_every_call) {
  int fd = frame::made("x");
  CALL(symlink("x", "s"));
  struct stat a, b;
  CALL(stat("s", &a));
  CALL(fstat(fd, &b));
  YES(a.st_ino == b.st_ino);
  CALL(fstatat(AT_FDCWD, "s", &b, AT_SYMLINK_NOFOLLOW));
  line("%s", frame::type_name(b.st_mode));
  CALL(fstatat(fd, "", &b, AT_EMPTY_PATH));
  YES(a.st_ino == b.st_ino);
  CALL(fstatat(AT_FDCWD, "", &b, AT_EMPTY_PATH));
  line("%s", frame::type_name(b.st_mode));
}

CASE(stat_refused) {
  struct stat found;
  frame::put("x", "");
  CALL(stat("missing", &found));
  CALL(stat("x/y", &found));
  CALL(stat("", &found));
  CALL(fstat(99, &found));
  CALL(fstatat(AT_FDCWD, "x", &found, 0x8000000));
  CALL(syscall(SYS_stat, "x", 1));
  CALL(syscall(SYS_fstat, 1, 1));
  CALL(syscall(SYS_newfstatat, AT_FDCWD, 1, &found, 0));
}

CASE(statx_of_a_file) {
  frame::put("x", "content");
  CALL(chmod("x", 0640));
  CALL(chown("x", 3, 4));
  struct statx found;
  CALL(statx(AT_FDCWD, "x", 0, STATX_BASIC_STATS, &found));
  line("mask %x mode %o links %u owner %u:%u size %llu", found.stx_mask & STATX_BASIC_STATS,
       found.stx_mode, found.stx_nlink, found.stx_uid, found.stx_gid, found.stx_size);
  struct stat same = of("x");
  YES(found.stx_ino == same.st_ino);
  YES(makedev(found.stx_dev_major, found.stx_dev_minor) == same.st_dev);
  YES(found.stx_mtime.tv_sec == same.st_mtim.tv_sec &&
      found.stx_mtime.tv_nsec == same.st_mtim.tv_nsec);
}

CASE(statx_refused) {
  struct statx found;
  frame::put("x", "");
  CALL(statx(AT_FDCWD, "missing", 0, STATX_BASIC_STATS, &found));
  CALL(statx(AT_FDCWD, "x", 0, 0x80000000, &found));
  CALL(statx(AT_FDCWD, "x", 0x40000, STATX_BASIC_STATS, &found));
  CALL(statx(AT_FDCWD, "x", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &found));
  CALL(statx(AT_FDCWD, "", 0, STATX_BASIC_STATS, &found));
  CALL(statx(AT_FDCWD, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &found));
  CALL(syscall(SYS_statx, AT_FDCWD, "x", 0, STATX_BASIC_STATS, 1));
}

CASE(statx_of_a_pipe_by_descriptor) {
  int ends[2];
  CALL(pipe(ends));
  struct statx found;
  CALL(statx(ends[0], "", AT_EMPTY_PATH, STATX_BASIC_STATS, &found));
  line("%s %o", frame::type_name(found.stx_mode), found.stx_mode & 07777);
}

CASE(birth_is_before_change) {
  frame::put("x", "");
  usleep(20000);
  CALL(chmod("x", 0600));
  struct statx found;
  CALL(statx(AT_FDCWD, "x", 0, STATX_ALL, &found));
  YES(found.stx_mask & STATX_BTIME);
  YES(found.stx_btime.tv_sec < found.stx_ctime.tv_sec ||
      (found.stx_btime.tv_sec == found.stx_ctime.tv_sec &&
       found.stx_btime.tv_nsec < found.stx_ctime.tv_nsec));
}

CASE(types_of_anonymous_descriptors) {
  struct stat found;
  int ends[2];
  pipe(ends);
  fstat(ends[0], &found);
  line("pipe: %s %o links %lu", frame::type_name(found.st_mode), found.st_mode & 07777,
       found.st_nlink);
  fstat(memfd_create("name", 0), &found);
  line("memfd: %s %o links %lu", frame::type_name(found.st_mode), found.st_mode & 07777,
       found.st_nlink);
}

CASE(statfs_of_a_tmpfs) {
  struct statfs found;
  CALL(statfs(".", &found));
  line("type %lx names %ld", static_cast<long>(found.f_type), static_cast<long>(found.f_namelen));
  YES(found.f_bsize == 4096);
  YES(found.f_bfree <= found.f_blocks);
  YES(found.f_bavail <= found.f_bfree);
  CALL(fstatfs(open(".", O_RDONLY), &found));
  CALL(statfs("missing", &found));
  CALL(fstatfs(99, &found));
  CALL(syscall(SYS_statfs, ".", 1));
}

CASE(statfs_of_the_special_ones) {
  struct statfs found;
  CALL(statfs("/proc", &found));
  line("%lx", static_cast<long>(found.f_type));
  int ends[2];
  pipe(ends);
  CALL(fstatfs(ends[0], &found));
  line("%lx", static_cast<long>(found.f_type));
}

CASE(umask_is_read_by_setting) {
  SHOW(umask(077));
  SHOW(umask(01777));
  SHOW(umask(0));
}

CASE(umask_is_inherited) {
  umask(0123);
  frame::in_child([] {
    SHOW(umask(0));
    frame::put("x", "");
  });
  SHOW(umask(0));
}

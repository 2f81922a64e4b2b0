// Names: links, renaming, removal, dots, slashes, lengths, loops, the working directory and the
// root.
#include <linux/fs.h>
#include <sys/sysmacros.h>

#include <string>

#include "frame.h"

CASE(hard_link_is_the_same_file) {
  frame::put("a", "content");
  CALL(link("a", "b"));
  frame::describe("a");
  frame::put("b", "other");
  frame::cat("a");
  CALL(unlink("a"));
  frame::describe("b");
}

CASE(hard_link_refused) {
  frame::put("a", "");
  CALL(mkdir("d", 0755));
  CALL(link("missing", "b"));
  CALL(link("d", "e"));
  CALL(link("a", "a"));
  CALL(link("a", "d"));
  CALL(link("a", "missing/b"));
  CALL(link("a", "b/"));
  CALL(link("a/", "b"));
  CALL(link("a", ""));
  CALL(link("", "b"));
}

CASE(hard_link_of_a_symbolic_one) {
  frame::put("a", "content");
  CALL(symlink("a", "s"));
  CALL(link("s", "l"));
  frame::describe("l");
  CALL(linkat(AT_FDCWD, "s", AT_FDCWD, "f", AT_SYMLINK_FOLLOW));
  frame::describe("f");
  CALL(linkat(AT_FDCWD, "s", AT_FDCWD, "g", 0x8000));
}

CASE(hard_link_to_a_descriptor) {
  int fd = frame::made("a");
  CALL(linkat(fd, "", AT_FDCWD, "b", AT_EMPTY_PATH));
  frame::describe("b");
  CALL(linkat(fd, "", AT_FDCWD, "c", 0));
  CALL(unlink("a"));
  CALL(unlink("b"));
  CALL(linkat(fd, "", AT_FDCWD, "d", AT_EMPTY_PATH));
}

CASE(symbolic_link_holds_any_text) {
  char target[64] = {};
  CALL(symlink("no such//place/", "s"));
  CALL(readlink("s", target, sizeof(target)));
  frame::text("target", target);
  frame::describe("s");
  memset(target, 0, sizeof(target));
  CALL(readlink("s", target, 4));
  frame::text("target", target);
  CALL(readlink("s", target, 0));
  CALL(readlink("s", target, -1UL));
}

CASE(symbolic_link_refused) {
  frame::put("a", "");
  CALL(symlink("x", "a"));
  CALL(symlink("", "s"));
  CALL(symlink("x", ""));
  CALL(symlink("x", "missing/s"));
  CALL(symlink("x", "a/s"));
  CALL(symlink("x", "s/"));
  std::string longest(4095, 'x'), too_long(4096, 'x');
  CALL(symlink(longest.c_str(), "longest"));
  CALL(symlink(too_long.c_str(), "long"));
  frame::describe("longest");
}

CASE(readlink_of_no_link) {
  char target[64];
  frame::put("a", "");
  CALL(readlink("a", target, sizeof(target)));
  CALL(readlink(".", target, sizeof(target)));
  CALL(readlink("missing", target, sizeof(target)));
  CALL(readlink("", target, sizeof(target)));
  CALL(readlink("a/x", target, sizeof(target)));
}

CASE(links_are_followed_in_the_middle_and_at_the_end) {
  CALL(mkdir("d", 0755));
  frame::put("d/x", "content");
  CALL(symlink("d", "to_d"));
  CALL(symlink("to_d/x", "to_x"));
  frame::cat("to_d/x");
  frame::cat("to_x");
  CALL(symlink("../d/x", "d/back"));
  frame::cat("to_d/back");
}

CASE(loops_end) {
  CALL(symlink("self", "self"));
  CALL(symlink("b", "a"));
  CALL(symlink("a", "b"));
  CALL(open("self", O_RDONLY));
  CALL(open("a", O_RDONLY));
  CALL(open("self/x", O_RDONLY));
  CALL(chdir("a"));
  CALL(open("a", O_RDONLY | O_NOFOLLOW));
  CALL(open("a", O_RDWR | O_CREAT, 0644));
  frame::describe("a");
}

CASE(forty_links_in_a_row) {
  frame::put("l0", "content");
  for (int count = 1; count <= 42; count++) {
    symlink(("l" + std::to_string(count - 1)).c_str(), ("l" + std::to_string(count)).c_str());
  }
  CALL(open("l39", O_RDONLY));
  CALL(open("l40", O_RDONLY));
  CALL(open("l41", O_RDONLY));
}

CASE(dots) {
  CALL(mkdir("d", 0755));
  frame::put("x", "content");
  frame::cat("./x");
  frame::cat("d/../x");
  frame::cat("d/./../d/.././x");
  CALL(open("missing/../x", O_RDONLY));
  CALL(open("x/../x", O_RDONLY));
  CALL(open("/..", O_RDONLY));
  CALL(access("/../../..", F_OK));
}

CASE(slashes) {
  CALL(mkdir("d", 0755));
  frame::put("d/x", "content");
  frame::cat("d//x");
  frame::cat("d///.//x");
  CALL(access("d/", F_OK));
  CALL(access("d//", F_OK));
  CALL(access("d/x/", F_OK));
  CALL(mkdir("e/", 0755));
  CALL(rmdir("e/"));
  CALL(unlink("d/x/"));
  CALL(mkdir("d/x/", 0755));
}

CASE(trailing_slash_follows_a_link) {
  CALL(mkdir("d", 0755));
  CALL(symlink("d", "s"));
  struct stat found;
  CALL(lstat("s", &found));
  line("%s", frame::type_name(found.st_mode));
  CALL(lstat("s/", &found));
  line("%s", frame::type_name(found.st_mode));
  CALL(rmdir("s"));
  CALL(rmdir("s/"));
  CALL(unlink("s/"));
  CALL(mkdir("s", 0755));
  CALL(symlink("new", "dangling"));
  CALL(mkdir("dangling", 0755));
  CALL(mkdir("dangling/", 0755));
}

CASE(longest_names) {
  std::string longest(255, 'n'), too_long(256, 'n');
  OK(open(longest.c_str(), O_RDWR | O_CREAT, 0644));
  OK(open(too_long.c_str(), O_RDWR | O_CREAT, 0644));
  OK(mkdir(too_long.c_str(), 0755));
  OK(access(too_long.c_str(), F_OK));
  OK(rename(longest.c_str(), too_long.c_str()));
  OK(unlink(longest.c_str()));
}

CASE(longest_paths) {
  std::string path;
  while (path.size() < 4093) path += "./";
  path += "x";
  frame::put("x", "content");
  SHOW(path.size());
  CALL(access(path.c_str(), F_OK));
  path = "/" + path;
  SHOW(path.size());
  CALL(access(path.c_str(), F_OK));
}

CASE(deep_directories) {
  std::string name(200, 'd');
  for (int depth = 0; depth < 30; depth++) {
    mkdir(name.c_str(), 0755);
    if (chdir(name.c_str()) != 0) line("chdir: %s", frame::error_name(errno));
  }
  char path[8192];
  YES(getcwd(path, sizeof(path)) != nullptr);
  CALL(open("x", O_RDWR | O_CREAT, 0644));
  CALL(syscall(SYS_getcwd, path, 100));
}

CASE(mkdir_and_rmdir) {
  CALL(mkdir("d", 0755));
  CALL(mkdir("d", 0755));
  CALL(mkdir("d/e", 0755));
  frame::describe("d");
  CALL(rmdir("d"));
  CALL(rmdir("d/e"));
  CALL(rmdir("d"));
  CALL(rmdir("d"));
  CALL(mkdir("missing/d", 0755));
  CALL(mkdir("", 0755));
  CALL(rmdir(""));
}

CASE(mkdir_modes) {
  umask(022);
  CALL(mkdir("a", 0777));
  CALL(mkdir("b", 01777));
  CALL(mkdir("c", 06777));
  for (const char* name : {"a", "b", "c"}) frame::describe(name);
}

CASE(mkdir_where_something_is) {
  frame::put("x", "");
  CALL(symlink("nowhere", "s"));
  CALL(mkdir("x", 0755));
  CALL(mkdir("s", 0755));
  CALL(mkdir("x/d", 0755));
  CALL(mkdir(".", 0755));
  CALL(mkdir("..", 0755));
  CALL(mkdir("/", 0755));
}

CASE(rmdir_refused) {
  frame::put("x", "");
  CALL(mkdir("d", 0755));
  CALL(rmdir("x"));
  CALL(rmdir("."));
  CALL(rmdir("d/."));
  CALL(rmdir("d/.."));
  CALL(rmdir(".."));
  CALL(rmdir("/"));
  CALL(rmdir("d/../d"));
}

CASE(unlink_refused) {
  CALL(mkdir("d", 0755));
  CALL(unlink("d"));
  CALL(unlink("missing"));
  CALL(unlink("."));
  CALL(unlink("/"));
  CALL(unlink(""));
  CALL(unlinkat(AT_FDCWD, "d", 0x1));
  CALL(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR));
  frame::put("x", "");
  CALL(unlinkat(AT_FDCWD, "x", AT_REMOVEDIR));
  CALL(unlinkat(99, "x", 0));
}

CASE(unlink_takes_the_link_not_its_target) {
  frame::put("x", "");
  CALL(symlink("x", "s"));
  CALL(unlink("s"));
  frame::list(".");
}

CASE(rename_files) {
  frame::put("a", "of a");
  frame::put("b", "of b");
  CALL(rename("a", "c"));
  CALL(rename("c", "b"));
  frame::cat("b");
  frame::list(".");
  CALL(rename("missing", "x"));
  CALL(rename("b", "missing/x"));
  CALL(rename("b", "b"));
  CALL(rename("b", ""));
}

CASE(rename_between_links_of_one_file) {
  frame::put("a", "");
  CALL(link("a", "b"));
  CALL(rename("a", "b"));
  frame::list(".");
}

CASE(rename_directories) {
  CALL(mkdir("a", 0755));
  CALL(mkdir("a/x", 0755));
  CALL(mkdir("b", 0755));
  CALL(mkdir("full", 0755));
  frame::put("full/f", "");
  frame::put("file", "");
  CALL(rename("a", "full"));
  CALL(rename("a", "file"));
  CALL(rename("file", "a"));
  CALL(rename("a", "b"));
  frame::list(".");
  frame::list("b");
}

CASE(rename_into_itself) {
  CALL(mkdir("a", 0755));
  CALL(mkdir("a/b", 0755));
  CALL(rename("a", "a/b"));
  CALL(rename("a", "a/b/c"));
  CALL(rename("a/b", "a"));
  CALL(rename("a", "a/."));
  CALL(rename("a/..", "x"));
  CALL(rename("/", "x"));
}

CASE(rename_with_slashes) {
  frame::put("x", "");
  CALL(mkdir("d", 0755));
  CALL(rename("d/", "e/"));
  CALL(rename("x/", "y"));
  CALL(rename("x", "y/"));
  frame::list(".");
}

CASE(rename_counts_directories) {
  CALL(mkdir("a", 0755));
  CALL(mkdir("b", 0755));
  CALL(mkdir("a/x", 0755));
  frame::describe("a");
  CALL(rename("a/x", "b/x"));
  frame::describe("a");
  frame::describe("b");
}

CASE(rename_links_themselves) {
  frame::put("x", "content");
  CALL(symlink("x", "s"));
  CALL(rename("s", "t"));
  frame::describe("t");
  frame::put("y", "");
  CALL(rename("y", "t"));
  frame::describe("t");
  frame::cat("x");
}

CASE(rename_of_an_open_file) {
  int fd = frame::made("x");
  CALL(rename("x", "y"));
  CALL(write(fd, "content", 7));
  frame::cat("y");
}

CASE(rename_over_an_open_file) {
  frame::put("x", "old");
  frame::put("y", "new");
  int fd = open("x", O_RDONLY);
  CALL(rename("y", "x"));
  char content[8] = {};
  CALL(read(fd, content, 7));
  frame::text("content", content);
  struct stat found;
  CALL(fstat(fd, &found));
  SHOW(found.st_nlink);
}

CASE(rename_without_replacing) {
  frame::put("a", "");
  frame::put("b", "");
  CALL(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE));
  CALL(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE));
  frame::list(".");
}

CASE(rename_by_exchange) {
  frame::put("a", "of a");
  CALL(mkdir("d", 0755));
  CALL(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "d", RENAME_EXCHANGE));
  frame::cat("d");
  frame::describe("a");
  CALL(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "none", RENAME_EXCHANGE));
  CALL(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "d", RENAME_EXCHANGE | RENAME_NOREPLACE));
  CALL(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "d", 0x100));
}

CASE(sticky_directory_protects) {
  CALL(mkdir("d", 01777));
  CALL(chmod("d", 01777));
  frame::put("d/roots", "");
  frame::put("d/own", "");
  CALL(chown("d/own", 1000, 1000));
  frame::in_child([] {
    CALL(setresuid(1000, 1000, 1000));
    CALL(unlink("d/roots"));
    CALL(rename("d/roots", "d/taken"));
    CALL(rename("d/own", "d/roots"));
    CALL(rename("d/own", "d/mine"));
    CALL(unlink("d/mine"));
  });
}

CASE(removal_needs_a_writable_directory) {
  CALL(mkdir("d", 0755));
  frame::put("d/x", "");
  CALL(chown("d/x", 1000, 1000));
  frame::in_child([] {
    CALL(setresuid(1000, 1000, 1000));
    CALL(unlink("d/x"));
    CALL(rename("d/x", "d/y"));
    CALL(mkdir("d/z", 0755));
    CALL(symlink("x", "d/s"));
    CALL(link("d/x", "d/l"));
    CALL(rmdir("d"));
  });
}

CASE(working_directory) {
  char path[4096];
  char before[4096];
  YES(getcwd(before, sizeof(before)) == before);
  CALL(mkdir("d", 0755));
  CALL(symlink("d", "s"));
  CALL(chdir("s"));
  YES(getcwd(path, sizeof(path)) == path);
  YES(strcmp(path, (std::string(before) + "/d").c_str()) == 0);
  CALL(chdir(".."));
  getcwd(path, sizeof(path));
  YES(strcmp(path, before) == 0);
  SHOW(syscall(SYS_getcwd, path, sizeof(path)) == static_cast<long>(strlen(before) + 1));
  CALL(syscall(SYS_getcwd, path, 2));
  CALL(syscall(SYS_getcwd, 1, 4096));
}

CASE(working_directory_refused) {
  frame::put("x", "");
  int file = open("x", O_RDONLY);
  CALL(chdir("x"));
  CALL(chdir("missing"));
  CALL(chdir(""));
  CALL(fchdir(file));
  CALL(fchdir(99));
}

CASE(working_directory_that_was_removed) {
  char path[4096];
  CALL(mkdir("d", 0755));
  CALL(chdir("d"));
  CALL(rmdir("../d"));
  CALL(syscall(SYS_getcwd, path, sizeof(path)));
  CALL(open("x", O_RDWR | O_CREAT, 0644));
  CALL(mkdir("e", 0755));
  CALL(open(".", O_RDONLY));
  CALL(access("..", F_OK));
  frame::list(".");
}

CASE(working_directory_that_was_renamed) {
  char path[4096];
  CALL(mkdir("d", 0755));
  CALL(chdir("d"));
  CALL(rename("../d", "../e"));
  getcwd(path, sizeof(path));
  frame::text("name", strrchr(path, '/'));
}

CASE(changed_root) {
  CALL(mkdir("d", 0755));
  frame::put("d/x", "inside");
  frame::put("x", "outside");
  CALL(symlink("/x", "d/s"));
  frame::in_child([] {
    CALL(chroot("d"));
    CALL(chdir("/"));
    frame::cat("/x");
    frame::cat("s");
    frame::cat("../../x");
    char path[64];
    CALL(syscall(SYS_getcwd, path, sizeof(path)));
    frame::text("path", path);
  });
  CALL(chroot("x"));
  CALL(chroot("missing"));
  frame::in_child([] {
    CALL(setresuid(1000, 1000, 1000));
    CALL(chroot("d"));
  });
}

CASE(directory_outside_of_the_root) {
  CALL(mkdir("d", 0755));
  frame::in_child([] {
    CALL(chroot("d"));
    char path[4096] = {};
    YES(syscall(SYS_getcwd, path, sizeof(path)) > 0);
    YES(strncmp(path, "(unreachable)", 13) == 0);
    CALL(access("d", F_OK));
  });
}

CASE(special_files) {
  CALL(mknod("fifo", S_IFIFO | 0640, 0));
  CALL(mknod("socket", S_IFSOCK | 0755, 0));
  CALL(mknod("file", S_IFREG | 0600, 0));
  CALL(mknod("plain", 0600, 0));
  CALL(mknod("directory", S_IFDIR | 0755, 0));
  CALL(mknod("fifo", S_IFIFO | 0640, 0));
  CALL(mknod("bad", 0170000, 0));
  for (const char* name : {"fifo", "socket", "file", "plain"}) frame::describe(name);
  CALL(open("socket", O_RDWR));
}

CASE(null_and_zero_devices) {
  char data[16] = "some content";
  int null = open("/dev/null", O_RDWR);
  CALL(write(null, data, 16));
  CALL(read(null, data, 16));
  int zero = open("/dev/zero", O_RDWR);
  CALL(read(zero, data, 16));
  frame::bytes("data", data, 16);
  CALL(write(zero, data, 16));
  int full = open("/dev/full", O_RDWR);
  CALL(write(full, data, 16));
  CALL(read(full, data, 16));
  struct stat found;
  CALL(stat("/dev/null", &found));
  line("%s %u:%u", frame::type_name(found.st_mode), major(found.st_rdev), minor(found.st_rdev));
}

CASE(access_asks_for_the_real_user) {
  frame::put("x", "");
  CALL(chmod("x", 0640));
  CALL(access("x", F_OK));
  CALL(access("x", R_OK | W_OK));
  CALL(access("x", X_OK));
  CALL(access("x", 010));
  frame::in_child([] {
    CALL(setresuid(1000, 0, 0));
    CALL(access("x", R_OK));
    CALL(faccessat(AT_FDCWD, "x", R_OK, AT_EACCESS));
    CALL(open("x", O_RDONLY));
  });
}

CASE(access_of_directories_and_links) {
  CALL(mkdir("d", 0));
  CALL(access("d", X_OK));
  CALL(symlink("nowhere", "s"));
  CALL(access("s", F_OK));
  CALL(faccessat(AT_FDCWD, "s", F_OK, AT_SYMLINK_NOFOLLOW));
  CALL(access("", F_OK));
  CALL(faccessat(99, "d", F_OK, 0));
}

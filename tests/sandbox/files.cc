// Opening: flags, their effects and their errors.
#include <linux/openat2.h>
#include <sys/resource.h>

#include "frame.h"

CASE(open_what_is_missing) {
  CALL(open("missing", O_RDONLY));
  CALL(open("missing/x", O_RDONLY));
  CALL(open("missing/x", O_RDWR | O_CREAT, 0644));
}

CASE(open_takes_the_lowest_descriptor) {
  CALL(open("a", O_RDWR | O_CREAT, 0644));
  CALL(open("b", O_RDWR | O_CREAT, 0644));
  CALL(close(3));
  CALL(open("c", O_RDWR | O_CREAT, 0644));
}

CASE(create_makes_an_empty_file) {
  CALL(open("x", O_RDONLY | O_CREAT, 0640));
  frame::describe("x");
  CALL(write(3, "x", 1));
}

CASE(create_applies_the_umask) {
  umask(027);
  CALL(open("a", O_CREAT | O_WRONLY, 0777));
  CALL(open("b", O_CREAT | O_WRONLY, 04666));
  CALL(creat("c", 0666));
  umask(0);
  CALL(open("d", O_CREAT | O_WRONLY, 01777));
  for (const char* name : {"a", "b", "c", "d"}) frame::describe(name);
}

CASE(create_leaves_the_mode_of_what_exists) {
  frame::put("x", "content");
  CALL(chmod("x", 0600));
  CALL(open("x", O_RDWR | O_CREAT, 0777));
  frame::describe("x");
}

CASE(exclusive_create) {
  CALL(open("x", O_RDWR | O_CREAT | O_EXCL, 0644));
  CALL(open("x", O_RDWR | O_CREAT | O_EXCL, 0644));
  CALL(symlink("nowhere", "link"));
  CALL(open("link", O_RDWR | O_CREAT | O_EXCL, 0644));
  CALL(mkdir("d", 0755));
  CALL(open("d", O_RDWR | O_CREAT | O_EXCL, 0644));
}

CASE(create_through_a_dangling_link) {
  CALL(symlink("target", "link"));
  CALL(open("link", O_RDWR | O_CREAT, 0644));
  frame::list(".");
  frame::describe("target");
}

CASE(truncate_empties) {
  frame::put("x", "content");
  CALL(open("x", O_WRONLY | O_TRUNC));
  frame::describe("x");
  frame::put("y", "content");
  CALL(open("y", O_RDONLY | O_TRUNC));
  frame::describe("y");
}

CASE(directory_for_writing) {
  CALL(mkdir("d", 0755));
  CALL(open("d", O_RDONLY));
  CALL(open("d", O_WRONLY));
  CALL(open("d", O_RDWR));
  CALL(open("d", O_RDONLY | O_TRUNC));
  CALL(open("d", O_RDONLY | O_CREAT, 0644));
  CALL(open("new/", O_RDONLY | O_CREAT, 0644));
}

CASE(only_a_directory) {
  frame::put("x", "");
  CALL(mkdir("d", 0755));
  CALL(symlink("d", "link"));
  CALL(open("x", O_RDONLY | O_DIRECTORY));
  CALL(open("d", O_RDONLY | O_DIRECTORY));
  CALL(open("link", O_RDONLY | O_DIRECTORY));
  CALL(open("link", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  CALL(open("d", O_RDONLY | O_DIRECTORY | O_CREAT, 0755));
  CALL(open("none", O_RDONLY | O_DIRECTORY | O_CREAT, 0755));
}

CASE(no_link_is_followed) {
  frame::put("x", "");
  CALL(symlink("x", "link"));
  CALL(symlink(".", "here"));
  CALL(open("link", O_RDONLY | O_NOFOLLOW));
  CALL(open("here/x", O_RDONLY | O_NOFOLLOW));
  CALL(open("here", O_RDONLY | O_NOFOLLOW));
  CALL(open("here/", O_RDONLY | O_NOFOLLOW));
}

CASE(file_used_as_a_directory) {
  frame::put("x", "");
  CALL(open("x/y", O_RDONLY));
  CALL(open("x/", O_RDONLY));
  CALL(open("x/.", O_RDONLY));
  CALL(open("x/..", O_RDONLY));
}

CASE(access_modes) {
  frame::put("x", "content");
  char byte;
  int reader = open("x", O_RDONLY);
  CALL(read(reader, &byte, 1));
  CALL(write(reader, "y", 1));
  int writer = open("x", O_WRONLY);
  CALL(read(writer, &byte, 1));
  CALL(write(writer, "y", 1));
  int neither = open("x", 3);
  CALL(read(neither, &byte, 1));
  CALL(write(neither, "y", 1));
  YES((fcntl(neither, F_GETFL) & O_ACCMODE) == 3);
}

CASE(path_descriptor) {
  frame::put("x", "content");
  int fd = open("x", O_PATH);
  char byte;
  struct stat found;
  CALL(read(fd, &byte, 1));
  CALL(write(fd, "y", 1));
  CALL(lseek(fd, 0, SEEK_SET));
  CALL(fstat(fd, &found));
  CALL(ftruncate(fd, 0));
  CALL(fchmod(fd, 0600));
  CALL(fchown(fd, 1, 1));
  CALL(ioctl(fd, 0x5401, &byte));
  CALL(fcntl(fd, F_GETFD));
  YES((fcntl(fd, F_GETFL) & O_PATH) != 0);
  CALL(fcntl(fd, F_SETFL, O_APPEND));
  CALL(dup(fd));
  OK(mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, fd, 0));
}

CASE(path_descriptor_of_a_link) {
  CALL(symlink("nowhere", "link"));
  int fd = open("link", O_PATH | O_NOFOLLOW);
  struct stat found;
  CALL(fstat(fd, &found));
  line("%s", frame::type_name(found.st_mode));
  char target[32] = {};
  CALL(readlinkat(fd, "", target, sizeof(target)));
  frame::text("target", target);
  CALL(open("link", O_PATH));
}

CASE(path_descriptor_needs_no_permission) {
  frame::put("x", "content");
  CALL(chmod("x", 0));
  frame::in_child([] {
    chmod(".", 0755);
    CALL(setresuid(1000, 1000, 1000));
    CALL(open("x", O_RDONLY));
    CALL(open("x", O_PATH));
  });
}

CASE(path_descriptor_as_a_place) {
  CALL(mkdir("d", 0755));
  frame::put("d/x", "content");
  int directory = open("d", O_PATH | O_DIRECTORY);
  CALL(openat(directory, "x", O_RDONLY));
  CALL(fchdir(directory));
  frame::cat("x");
}

CASE(openat_and_its_directory) {
  CALL(mkdir("d", 0755));
  frame::put("d/x", "in d");
  frame::put("f", "");
  int directory = open("d", O_RDONLY);
  int file = open("f", O_RDONLY);
  CALL(openat(directory, "x", O_RDONLY));
  CALL(openat(directory, "../f", O_RDONLY));
  CALL(openat(file, "x", O_RDONLY));
  CALL(openat(99, "x", O_RDONLY));
  CALL(openat(99, "/", O_RDONLY));
  CALL(openat(AT_FDCWD, "d/x", O_RDONLY));
  CALL(openat(-5, "d/x", O_RDONLY));
}

CASE(empty_path) {
  CALL(open("", O_RDONLY));
  CALL(openat(AT_FDCWD, "", O_RDONLY));
  int directory = open(".", O_RDONLY);
  CALL(openat(directory, "", O_RDONLY));
  CALL(openat(directory, "", O_PATH));
}

CASE(bad_path_address) {
  CALL(syscall(SYS_open, 1, O_RDONLY, 0));
  CALL(syscall(SYS_openat, AT_FDCWD, nullptr, O_RDONLY, 0));
  CALL(syscall(SYS_open, -1L, O_RDONLY, 0));
}

CASE(path_at_the_end_of_memory) {
  char* pages = static_cast<char*>(
      mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  munmap(pages + 4096, 4096);
  strcpy(pages + 4096 - 5, "name");
  CALL(syscall(SYS_open, pages + 4096 - 5, O_RDWR | O_CREAT, 0644));
  memcpy(pages + 4096 - 4, "name", 4);
  CALL(syscall(SYS_open, pages + 4096 - 4, O_RDWR | O_CREAT, 0644));
}

CASE(temporary_file_has_no_name) {
  CALL(open(".", O_TMPFILE | O_RDWR, 0600));
  CALL(write(3, "content", 7));
  struct stat found;
  CALL(fstat(3, &found));
  line("links %lu mode %o size %ld", found.st_nlink, found.st_mode & 07777, found.st_size);
  frame::list(".");
}

CASE(temporary_file_gets_a_name) {
  int fd = open(".", O_TMPFILE | O_RDWR, 0600);
  CALL(write(fd, "content", 7));
  CALL(linkat(fd, "", AT_FDCWD, "named", AT_EMPTY_PATH));
  frame::cat("named");
  frame::describe("named");
  int closed = open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600);
  CALL(linkat(closed, "", AT_FDCWD, "never", AT_EMPTY_PATH));
}

CASE(temporary_file_refused) {
  frame::put("x", "");
  CALL(open(".", O_TMPFILE | O_RDONLY, 0600));
  CALL(open("x", O_TMPFILE | O_RDWR, 0600));
  CALL(open("none", O_TMPFILE | O_RDWR, 0600));
}

CASE(close_twice) {
  int fd = frame::made("x");
  CALL(close(fd));
  CALL(close(fd));
  CALL(close(-1));
  CALL(close(5000));
}

CASE(status_flags_are_those_of_open) {
  constexpr int kShown =
      O_ACCMODE | O_APPEND | O_NONBLOCK | O_DIRECTORY | O_NOFOLLOW | O_SYNC | O_NOATIME;
  int fd = open("x", O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK | O_TRUNC | O_EXCL | O_CLOEXEC, 0644);
  line("%o", fcntl(fd, F_GETFL) & (kShown | O_CREAT | O_TRUNC | O_EXCL | O_CLOEXEC));
  fd = open("x", O_WRONLY | O_SYNC);
  line("%o", fcntl(fd, F_GETFL) & kShown);
  fd = open("x", O_RDONLY | O_NOATIME | O_NOFOLLOW);
  line("%o", fcntl(fd, F_GETFL) & kShown);
  fd = open(".", O_RDONLY | O_DIRECTORY);
  line("%o", fcntl(fd, F_GETFL) & kShown);
}

CASE(noatime_is_the_owners) {
  frame::put("x", "");
  CALL(open("x", O_RDONLY | O_NOATIME));
  frame::in_child([] {
    CALL(setresuid(1000, 1000, 1000));
    CALL(open("x", O_RDONLY | O_NOATIME));
  });
}

CASE(permission_of_others) {
  frame::put("r", "");
  frame::put("w", "");
  frame::put("n", "");
  CALL(chmod("r", 0604));
  CALL(chmod("w", 0602));
  CALL(chmod("n", 0660));
  CALL(chmod(".", 0755));
  frame::in_child([] {
    CALL(setresuid(1000, 1000, 1000));
    CALL(open("r", O_RDONLY));
    CALL(open("r", O_WRONLY));
    CALL(open("w", O_RDONLY));
    CALL(open("w", O_WRONLY));
    CALL(open("n", O_RDONLY));
    CALL(open("new", O_RDWR | O_CREAT, 0644));
    CALL(open("r", O_RDWR | O_CREAT, 0644));
  });
}

CASE(permission_of_the_group) {
  frame::put("x", "");
  CALL(chmod("x", 0060));
  CALL(chown("x", 5, 77));
  frame::in_child([] {
    gid_t groups[] = {77};
    setgroups(1, groups);
    setresgid(1000, 1000, 1000);
    CALL(setresuid(1000, 1000, 1000));
    CALL(open("x", O_RDWR));
  });
  frame::in_child([] {
    gid_t groups[] = {77};
    setgroups(1, groups);
    CALL(setresuid(5, 5, 5));  // the owner's bits count alone
    CALL(open("x", O_RDWR));
  });
}

CASE(directory_without_search_permission) {
  CALL(mkdir("d", 0644));
  frame::put("d/x", "");
  frame::in_child([] {
    CALL(setresuid(1000, 1000, 1000));
    CALL(open("d/x", O_RDONLY));
    CALL(open("d", O_RDONLY));
    CALL(open("d/missing", O_RDONLY));
    CALL(chdir("d"));
  });
}

CASE(unlinked_file_lives_on) {
  int fd = frame::made("x");
  CALL(write(fd, "content", 7));
  CALL(unlink("x"));
  char content[8] = {};
  CALL(pread(fd, content, 7, 0));
  frame::text("content", content);
  struct stat found;
  CALL(fstat(fd, &found));
  SHOW(found.st_nlink);
  CALL(open("x", O_RDONLY));
}

CASE(too_many_descriptors) {
  rlimit few = {6, 6};
  CALL(setrlimit(RLIMIT_NOFILE, &few));
  for (int count = 0; count < 4; count++) CALL(open(".", O_RDONLY));
  CALL(close(4));
  CALL(open(".", O_RDONLY));
}

CASE(unknown_flags_are_ignored) {
  frame::put("x", "");
  CALL(open("x", O_RDONLY | 040000000));
  CALL(syscall(SYS_openat, AT_FDCWD, "x", O_RDONLY | 0x40000000, 0));
}

namespace {
long openat2(const char* path, uint64_t flags, uint64_t resolve, uint64_t mode = 0) {
  open_how how = {flags, mode, resolve};
  return syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
}
}  // namespace

CASE(openat2_is_strict) {
  frame::put("x", "");
  CALL(openat2("x", O_RDONLY, 0));
  CALL(openat2("x", O_RDONLY | 0x40000000, 0));
  CALL(openat2("x", O_RDONLY, 0x1000));
  CALL(openat2("x", O_RDONLY, 0, 0644));
  CALL(openat2("y", O_RDWR | O_CREAT, 0, 0644));
  CALL(openat2("z", O_RDWR | O_CREAT, 0, 0200000));
  CALL(openat2("x", O_PATH | O_RDWR, 0));
}

CASE(openat2_and_the_size_of_its_structure) {
  frame::put("x", "");
  struct {
    open_how how;
    uint64_t more;
  } longer = {};
  CALL(syscall(SYS_openat2, AT_FDCWD, "x", &longer, sizeof(longer)));
  longer.more = 1;
  CALL(syscall(SYS_openat2, AT_FDCWD, "x", &longer, sizeof(longer)));
  CALL(syscall(SYS_openat2, AT_FDCWD, "x", &longer, 8));
  CALL(syscall(SYS_openat2, AT_FDCWD, "x", &longer, 5000));
  CALL(syscall(SYS_openat2, AT_FDCWD, "x", 1, sizeof(open_how)));
}

CASE(openat2_stays_beneath) {
  CALL(mkdir("d", 0755));
  frame::put("d/x", "");
  CALL(symlink("../outside", "d/up"));
  CALL(symlink("x", "d/link"));
  CALL(symlink("/", "d/root"));
  frame::put("outside", "");
  CALL(chdir("d"));
  CALL(openat2("x", O_RDONLY, RESOLVE_BENEATH));
  CALL(openat2("link", O_RDONLY, RESOLVE_BENEATH));
  CALL(openat2("up", O_RDONLY, RESOLVE_BENEATH));
  CALL(openat2("../outside", O_RDONLY, RESOLVE_BENEATH));
  CALL(openat2("root", O_RDONLY, RESOLVE_BENEATH));
  CALL(openat2("/", O_RDONLY, RESOLVE_BENEATH));
  CALL(openat2("../d/x", O_RDONLY, RESOLVE_BENEATH));
}

CASE(openat2_in_a_root) {
  CALL(mkdir("d", 0755));
  frame::put("d/x", "inside");
  frame::put("x", "outside");
  CALL(symlink("/x", "d/absolute"));
  CALL(symlink("../../../x", "d/up"));
  int root = open("d", O_PATH);
  open_how how = {O_RDONLY, 0, RESOLVE_IN_ROOT};
  for (const char* path : {"absolute", "up", "/x", "../x"}) {
    long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
    char content[16] = {};
    OK(fd);
    read(static_cast<int>(fd), content, 15);
    frame::text(path, content);
  }
}

CASE(openat2_without_links) {
  CALL(mkdir("d", 0755));
  frame::put("d/x", "");
  CALL(symlink("d", "link"));
  CALL(openat2("link/x", O_RDONLY, RESOLVE_NO_SYMLINKS));
  CALL(openat2("link", O_RDONLY, RESOLVE_NO_SYMLINKS));
  CALL(openat2("link", O_PATH | O_NOFOLLOW, RESOLVE_NO_SYMLINKS));
  CALL(openat2("d/x", O_RDONLY, RESOLVE_NO_SYMLINKS));
  CALL(openat2("link/x", O_RDONLY, RESOLVE_NO_MAGICLINKS));
}

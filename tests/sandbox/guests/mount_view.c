// Prints what the mounts of a container look like from inside: the list of mounts, then each path
// named as an argument. Static and small, so that hundreds of containers a minute can run it.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static const char* result(long value) { return value < 0 ? strerrorname_np(errno) : "ok"; }

static void print_file(const char* path) {
  char bytes[4096];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  printf(" open=%s", result(fd));
  if (fd < 0) return;
  ssize_t size = read(fd, bytes, sizeof bytes);
  if (size < 0) {
    printf(" read=%s", result(size));
  } else {
    printf(" content=\"%.*s\"", (int)size, bytes);
  }
  close(fd);
}

static int visible(const struct dirent* entry) {
  return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static void print_names(const char* path) {
  struct dirent** entries;
  int count = scandir(path, &entries, visible, alphasort);
  if (count < 0) {
    printf(" list=%s", result(count));
    return;
  }
  printf(" names=[");
  for (int i = 0; i < count; i++) printf("%s%s", i == 0 ? "" : " ", entries[i]->d_name);
  printf("]");
}

// What is written is taken back: a bind shows the same folder to the next container.
static void try_to_write(const char* path, mode_t mode) {
  if (S_ISDIR(mode)) {
    char name[4096];
    snprintf(name, sizeof name, "%s/written", path);
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    printf(" create=%s", result(fd));
    if (fd < 0) return;
    close(fd);
    unlink(name);
  } else {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    printf(" write=%s", result(fd));
    if (fd >= 0) close(fd);
  }
}

static void try_to_execute(const char* path) {
  char program[4096];
  snprintf(program, sizeof program, "%s/program", path);
  if (access(program, F_OK) != 0) return;
  pid_t pid = fork();
  if (pid == 0) {
    char* arguments[] = {program, NULL};
    execve(program, arguments, NULL);
    _exit(errno);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  printf(" execute=%s", WEXITSTATUS(status) == 0 ? "ok" : strerrorname_np(WEXITSTATUS(status)));
}

// What is in there is the kernel's own matter, and stays out of the comparison.
static int is_the_kernels(const char* path) {
  struct statfs fs;
  return statfs(path, &fs) == 0 && (fs.f_type == PROC_SUPER_MAGIC || fs.f_type == SYSFS_MAGIC);
}

static void describe(const char* path) {
  struct stat info;
  struct statvfs fs;
  printf("%s:", path);
  if (stat(path, &info) != 0) {
    printf(" stat=%s\n", result(-1));
    return;
  }
  printf(" mode=%o owner=%u:%u", info.st_mode, info.st_uid, info.st_gid);
  if (S_ISCHR(info.st_mode)) printf(" device=%u:%u", major(info.st_rdev), minor(info.st_rdev));
  if (is_the_kernels(path)) {
    printf("\n");
    return;
  }
  if (statvfs(path, &fs) == 0) {
    printf(" flags=%lx", fs.f_flag & (ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC | ST_NOATIME));
  }
  if (S_ISREG(info.st_mode)) print_file(path);
  if (S_ISDIR(info.st_mode)) print_names(path);
  if (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode)) try_to_write(path, info.st_mode);
  if (S_ISDIR(info.st_mode)) try_to_execute(path);
  printf("\n");
}

// "-PATH": modes differ as well.
static void describe_briefly(const char* path) {
  struct stat info;
  int found = stat(path, &info);
  if (found != 0) {
    printf("%s: stat=%s\n", path, result(found));
  } else {
    printf("%s: type=%o owner=%u:%u\n", path, info.st_mode & S_IFMT, info.st_uid, info.st_gid);
  }
}

int main(int count, char** arguments) {
  if (count == 1) return 0;  // executed to see whether it can be
  char line[8192];
  FILE* mounts = fopen("/proc/self/mountinfo", "re");
  if (!mounts) printf("no mountinfo: %s\n", strerror(errno));
  while (mounts && fgets(line, sizeof line, mounts)) printf("mount %s", line);
  if (mounts) fclose(mounts);
  fflush(stdout);
  for (int i = 1; i < count; i++) {
    if (arguments[i][0] == '-') {
      describe_briefly(arguments[i] + 1);
    } else {
      describe(arguments[i]);
    }
    fflush(stdout);
  }
  return 0;
}

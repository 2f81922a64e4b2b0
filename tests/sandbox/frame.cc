#include "frame.h"

#include <dirent.h>
#include <ftw.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/time.h>

#include <algorithm>
#include <string>
#include <vector>

extern "C" {
extern const frame::Case* const __start_frame_cases[];
extern const frame::Case* const __stop_frame_cases[];
extern const frame::Helper* const __start_frame_helpers[] __attribute__((weak));
extern const frame::Helper* const __stop_frame_helpers[] __attribute__((weak));
}

namespace frame {
namespace {

constexpr int kGateDescriptors = 200;  // above what a case opens itself
char program_path[4096];

void write_all(const char* data, size_t size) {
  while (size > 0) {
    ssize_t done = write(STDOUT_FILENO, data, size);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return;
    data += done;
    size -= static_cast<size_t>(done);
  }
}

const Case* find_case(const char* name) {
  for (auto entry = __start_frame_cases; entry != __stop_frame_cases; entry++) {
    if (strcmp((*entry)->name, name) == 0) return *entry;
  }
  return nullptr;
}

int run_helper(int count, char** arguments) {
  for (auto entry = __start_frame_helpers; entry != __stop_frame_helpers; entry++) {
    if (strcmp((*entry)->name, arguments[0] + 1) == 0) return (*entry)->function(count, arguments);
  }
  fprintf(stderr, "no helper '%s'\n", arguments[0]);
  return 2;
}

int remove_entry(const char* path, const struct stat*, int, struct FTW*) {
  (void)remove(path);  // what stays is seen by the next case of that name
  return 0;
}

void limit(int resource, rlim_t soft, rlim_t hard) {
  rlimit value = {soft, hard};
  (void)setrlimit(static_cast<__rlimit_resource>(resource), &value);
}

// Whether root may raise limits differs from machine to machine; here it may not.
void drop_resource_capability() {
  prctl(PR_CAPBSET_DROP, CAP_SYS_RESOURCE, 0, 0, 0);
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return;
  data[0].effective &= ~(1u << CAP_SYS_RESOURCE);
  data[0].permitted &= ~(1u << CAP_SYS_RESOURCE);
  syscall(SYS_capset, &header, data);
}

// What a case may have inherited, made the same everywhere.
void normalize() {
  umask(022);
  for (int signal = 1; signal < 32; signal++) ::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  limit(RLIMIT_CORE, 0, 0);
  limit(RLIMIT_NOFILE, 1024, 4096);
  limit(RLIMIT_STACK, 8 << 20, 64 << 20);
  limit(RLIMIT_MEMLOCK, 8 << 20, 8 << 20);
  setpriority(PRIO_PROCESS, 0, 0);
  drop_resource_capability();
  if (syscall(SYS_close_range, 3, ~0U, 0) != 0) {
    for (int fd = 3; fd < 1024; fd++) close(fd);
  }
  (void)!chdir("/");
}

std::string directory_of(const Case& which) {
  const char* base = getenv("TMPDIR");
  const char* name = strrchr(program_path, '/');
  return std::string(base ? base : "/tmp") + "/" + (name ? name + 1 : program_path) + "." +
         which.name;
}

[[noreturn]] void run_here(const Case& which, const std::string& directory) {
  normalize();
  if (mkdir(directory.c_str(), 0755) != 0 || chdir(directory.c_str()) != 0) {
    line("no directory %s: %s", directory.c_str(), error_name(errno));
    _exit(120);
  }
  which.function();
  _exit(0);
}

// Polls, so that no signal, timer or descriptor of ours is in the way of a case.
bool ended_within(pid_t pid, int* wait_status, int64_t deadline) {
  for (int pause = 50;; pause = std::min(pause * 2, 2000)) {
    pid_t ended = waitpid(pid, wait_status, WNOHANG);
    if (ended == pid) return true;
    if (ended < 0 && errno != EINTR) return true;
    if (now_ms() > deadline) return false;
    usleep(static_cast<useconds_t>(pause));
  }
}

// True when it came to its end.
bool run_case(const Case& which, int timeout_seconds) {
  std::string directory = directory_of(which);
  line("== %s", which.name);
  pid_t pid = fork();
  if (pid < 0) {
    line("-- not started: %s", error_name(errno));
    return false;
  }
  if (pid == 0) {
    setsid();
    run_here(which, directory);
  }
  int wait_status = 0;
  bool ended = ended_within(pid, &wait_status, now_ms() + timeout_seconds * 1000L);
  kill(-pid, SIGKILL);
  if (!ended) {
    kill(pid, SIGKILL);
    waitpid(pid, &wait_status, 0);
    line("-- timed out");
  } else {
    status("--", wait_status);
  }
  while (waitpid(-1, nullptr, WNOHANG) > 0) continue;
  nftw(directory.c_str(), remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  return ended && wait_status == 0;
}

int run_cases(const std::vector<const Case*>& cases) {
  const char* text = getenv("CASE_TIMEOUT");
  int seconds = text ? atoi(text) : 20;
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  signal(SIGPIPE, SIG_IGN);
  bool all = true;
  for (const Case* one : cases) all = run_case(*one, seconds) && all;
  return all ? 0 : 1;
}

int main_of_program(int count, char** arguments) {
  if (count > 1 && arguments[1][0] == '@') return run_helper(count - 1, arguments + 1);
  if (count > 1 && strcmp(arguments[1], "--list") == 0) {
    for (auto entry = __start_frame_cases; entry != __stop_frame_cases; entry++) {
      line("%s", (*entry)->name);
    }
    return 0;
  }
  bool here = count == 3 && strcmp(arguments[1], "--here") == 0;
  std::vector<const Case*> wanted;
  for (int index = here ? 2 : 1; index < count; index++) {
    const Case* found = find_case(arguments[index]);
    if (!found) {
      fprintf(stderr, "%s: no case '%s'; --list names them\n", arguments[0], arguments[index]);
      return 2;
    }
    wanted.push_back(found);
  }
  if (here) run_here(*wanted[0], directory_of(*wanted[0]));
  if (wanted.empty()) wanted.assign(__start_frame_cases, __stop_frame_cases);
  return run_cases(wanted);
}

int append_escaped(char* out, unsigned char byte) {
  if (byte == '\n') return sprintf(out, "\\n");
  if (byte == '\\') return sprintf(out, "\\\\");
  if (byte >= 32 && byte < 127) return sprintf(out, "%c", byte);
  return sprintf(out, "\\x%02x", byte);
}

}  // namespace

void line(const char* format, ...) {
  char buffer[4096];
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(buffer, sizeof(buffer) - 1, format, arguments);
  va_end(arguments);
  size = std::min(size, static_cast<int>(sizeof(buffer)) - 2);
  buffer[size] = '\n';
  int saved = errno;
  write_all(buffer, static_cast<size_t>(size) + 1);
  errno = saved;
}

const char* error_name(int error) {
  const char* name = error == 0 ? "0" : strerrorname_np(error);
  return name ? name : "an unknown errno";
}

const char* signal_name(int signal) {
  static thread_local char name[24];
  const char* short_name = sigabbrev_np(signal);
  if (short_name) {
    snprintf(name, sizeof(name), "SIG%s", short_name);
  } else if (signal >= SIGRTMIN) {
    snprintf(name, sizeof(name), "SIGRTMIN+%d", signal - SIGRTMIN);
  } else {
    snprintf(name, sizeof(name), "signal %d", signal);
  }
  return name;
}

long called(const char* text, long value) {
  if (value == -1) {
    line("%s = %s", text, error_name(errno));
  } else {
    line("%s = %ld", text, value);
  }
  return value;
}

long allowed(const char* text, long value) {
  line("%s = %s", text, value == -1 ? error_name(errno) : "ok");
  return value;
}

long shown(const char* text, long value) {
  line("%s: %ld", text, value);
  return value;
}

int failed(const char* text, int error) {
  line("%s = %s", text, error_name(error));
  return error;
}

void told(const char* text, bool value) { line("%s: %s", text, value ? "yes" : "no"); }

void text(const char* label, const char* value) { bytes(label, value, strlen(value)); }

void bytes(const char* label, const void* data, size_t size) {
  auto begin = static_cast<const unsigned char*>(data);
  char out[3000];
  int length = 0;
  for (size_t at = 0; at < size && length < 2900;) {
    size_t run = 1;
    while (at + run < size && begin[at + run] == begin[at]) run++;
    bool shorten = run > 8;
    length += append_escaped(out + length, begin[at]);
    if (shorten) length += sprintf(out + length, "{%zu}", run);
    at += shorten ? run : 1;
  }
  out[length] = '\0';
  line("%s: \"%s\"", label, out);
}

const char* program() { return program_path; }

void put(const char* path, const char* content) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0 || write(fd, content, strlen(content)) != static_cast<ssize_t>(strlen(content))) {
    line("%s could not be written: %s", path, error_name(errno));
  }
  close(fd);
}

void cat(const char* path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    line("%s: %s", path, error_name(errno));
    return;
  }
  std::vector<char> content(1 << 20);
  size_t size = 0;
  ssize_t more;
  while ((more = read(fd, content.data() + size, content.size() - size)) > 0) {
    size += static_cast<size_t>(more);
  }
  close(fd);
  bytes(path, content.data(), size);
}

void list(const char* path) {
  DIR* directory = opendir(path);
  if (!directory) {
    line("%s: %s", path, error_name(errno));
    return;
  }
  std::vector<std::string> names;
  while (dirent* entry = readdir(directory)) names.push_back(entry->d_name);
  closedir(directory);
  std::sort(names.begin(), names.end());
  std::string all;
  for (const std::string& name : names) all += " " + name;
  line("%s:%s", path, all.c_str());
}

const char* type_name(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG: return "file";
    case S_IFDIR: return "directory";
    case S_IFLNK: return "link";
    case S_IFIFO: return "fifo";
    case S_IFSOCK: return "socket";
    case S_IFCHR: return "character device";
    case S_IFBLK: return "block device";
    default: return "nothing known";
  }
}

bool exists(const char* path) {
  struct stat found;
  return lstat(path, &found) == 0;
}

void describe(const char* path) {
  struct stat found;
  if (lstat(path, &found) != 0) {
    line("%s: %s", path, error_name(errno));
    return;
  }
  char size[32] = "";
  if (S_ISREG(found.st_mode) || S_ISLNK(found.st_mode)) {
    snprintf(size, sizeof(size), " size %ld", static_cast<long>(found.st_size));
  }
  line("%s: %s %04o links %lu owner %u:%u%s", path, type_name(found.st_mode), found.st_mode & 07777,
       static_cast<unsigned long>(found.st_nlink), found.st_uid, found.st_gid, size);
}

int made(const char* path, int flags) {
  int fd = open(path, flags | O_CREAT, 0644);
  if (fd < 0) line("%s could not be made: %s", path, error_name(errno));
  return fd;
}

pid_t fork_child() {
  pid_t pid = fork();
  if (pid == 0) prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (pid < 0) line("fork: %s", error_name(errno));
  return pid;
}

void status(const char* label, int wait_status) {
  if (WIFEXITED(wait_status)) {
    line("%s exit %d", label, WEXITSTATUS(wait_status));
  } else if (WIFSIGNALED(wait_status)) {
    line("%s killed by %s", label, signal_name(WTERMSIG(wait_status)));
  } else if (WIFSTOPPED(wait_status)) {
    line("%s stopped by %s", label, signal_name(WSTOPSIG(wait_status)));
  } else {
    line("%s continued", label);
  }
}

void join(pid_t pid, const char* label) {
  int wait_status = 0;
  pid_t ended;
  do {
    ended = waitpid(pid, &wait_status, 0);
  } while (ended < 0 && errno == EINTR);
  if (ended < 0) {
    line("%s: %s", label, error_name(errno));
  } else {
    status(label, wait_status);
  }
}

void execute(const char* helper, const char* first, const char* second) {
  const char* arguments[] = {program_path, helper, first, second, nullptr};
  execv(program_path, const_cast<char**>(arguments));
  line("execv: %s", error_name(errno));
  _exit(121);
}

Gate::Gate() {
  int low[2];
  if (pipe2(low, O_CLOEXEC) != 0) {
    line("no gate: %s", error_name(errno));
    _exit(122);
  }
  for (int end = 0; end < 2; end++) {
    ends_[end] = fcntl(low[end], F_DUPFD_CLOEXEC, kGateDescriptors);
    close(low[end]);
  }
}

Gate::~Gate() {
  close(ends_[0]);
  close(ends_[1]);
}

void Gate::open() {
  while (write(ends_[1], "x", 1) < 0 && errno == EINTR) continue;
}

bool Gate::wait() {
  char byte;
  ssize_t done;
  do {
    done = read(ends_[0], &byte, 1);
  } while (done < 0 && errno == EINTR);
  return done == 1;
}

void settle(int milliseconds) {
  timespec rest = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
  while (nanosleep(&rest, &rest) != 0 && errno == EINTR) continue;
}

int64_t now_ms() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool wait_for(bool (*condition)(), int milliseconds) { return until(condition, milliseconds); }

void handle(int signal, void (*handler)(int), int flags) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigaction(signal, &action, nullptr);
}

void handle_info(int signal, void (*handler)(int, siginfo_t*, void*), int flags) {
  struct sigaction action = {};
  action.sa_sigaction = handler;
  action.sa_flags = flags | SA_SIGINFO;
  sigaction(signal, &action, nullptr);
}

void ignore_in_handler(int) {}

void ticks_start(int milliseconds) {
  itimerval interval = {{0, milliseconds * 1000}, {0, milliseconds * 1000}};
  setitimer(ITIMER_REAL, &interval, nullptr);
}

void ticks_stop() {
  itimerval none = {};
  setitimer(ITIMER_REAL, &none, nullptr);
}

}  // namespace frame

int main(int count, char** arguments) {
  bool helps = count > 1 && arguments[1][0] == '@';  // its own name may be anything
  if (arguments[0][0] == '/') {
    snprintf(frame::program_path, sizeof(frame::program_path), "%s", arguments[0]);
  } else if (!helps && !realpath(arguments[0], frame::program_path)) {
    fprintf(stderr, "%s: call it by a path\n", arguments[0]);
    return 2;
  }
  return frame::main_of_program(count, arguments);
}

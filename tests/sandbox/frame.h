// The frame of the differential programs: cases that print what the kernel under them answers. The
// same program runs on the host and in the sandbox, and both must print the same; so no line holds
// an address, a process id, an inode number or a time. The frame is no test library: it judges
// nothing.
//
//   PROGRAM --list          names of the cases
//   PROGRAM [CASE...]       runs these, or all; each in a child, a session and an empty directory
//   of its own PROGRAM --here CASE     runs one in this very process, for strace and gdb PROGRAM
//   @HELPER ARG...  what a case executes itself as
//
// TMPDIR is where the directories are made, CASE_TIMEOUT the seconds that a case may take (20).
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <initializer_list>
#include <type_traits>

namespace frame {

struct Case {
  const char* name;
  void (*function)();
};

struct Helper {
  const char* name;
  int (*function)(int count, char** arguments);
};

#define CASE(name)                                                                               \
  static void name();                                                                            \
  static constexpr frame::Case name##_case{#name, &name};                                        \
  [[gnu::section("frame_cases"), gnu::used]] static const frame::Case* const name##_case_entry = \
      &name##_case;                                                                              \
  static void name()

// arguments[0] is the helper's name with its '@'.
#define HELPER(name)                                                                    \
  static int name(int count, char** arguments);                                         \
  static constexpr frame::Helper name##_helper{#name, &name};                           \
  [[gnu::section("frame_helpers"),                                                      \
    gnu::used]] static const frame::Helper* const name##_helper_entry = &name##_helper; \
  static int name([[maybe_unused]] int count, [[maybe_unused]] char** arguments)

// One line of the result, by one write: lines of several processes never mix.
[[gnu::format(printf, 1, 2)]] void line(const char* format, ...);

template <typename T>
long word(T value) {
  if constexpr (std::is_pointer_v<T>) {
    return reinterpret_cast<long>(value);
  } else {
    return static_cast<long>(value);
  }
}

long called(const char* text, long value);   // "text = 3" or "text = ENOENT"
long allowed(const char* text, long value);  // "text = ok" or "text = ENOENT"
long shown(const char* text, long value);    // "text: 3"
int failed(const char* text, int error);     // "text = EBUSY" for functions that return an errno
void told(const char* text, bool value);     // "text: yes"
void text(const char* label, const char* value);
void bytes(const char* label, const void* data,
           size_t size);  // escaped, runs of one byte shortened

#define CALL(expression) frame::called(#expression, (errno = 0, frame::word(expression)))
#define OK(expression) frame::allowed(#expression, (errno = 0, frame::word(expression)))
#define SHOW(expression) frame::shown(#expression, frame::word(expression))
#define FAILS(expression) frame::failed(#expression, expression)
#define YES(expression) frame::told(#expression, static_cast<bool>(expression))

const char* error_name(int error);    // "ENOENT", "0"
const char* signal_name(int signal);  // "SIGUSR1", "SIGRTMIN+2"
const char* program();                // absolute path of this program

// Files.
void put(const char* path, const char* content);  // makes or replaces it; the result is not shown
void cat(const char* path);                       // shows content or errno
void list(const char* path);                      // shows the names in a directory, sorted
const char* type_name(mode_t mode);               // "file", "directory"
bool exists(const char* path);                    // lstat succeeds
void describe(const char* path);  // by lstat: type, mode, links, owner, a file's size
int made(const char* path, int flags = O_RDWR);  // opens it, made when missing; not shown

// Processes. A child ends with its parent at the latest.
pid_t fork_child();
template <typename F>
pid_t child(F body) {
  pid_t pid = fork_child();
  if (pid == 0) {
    body();
    _exit(0);
  }
  return pid;
}
void status(const char* label, int wait_status);    // "label: exit 3", "label: killed by SIGSEGV"
void join(pid_t pid, const char* label = "child");  // waits for its end and shows how it ended
template <typename F>
void in_child(F body) {
  join(child(body));
}
void execute(const char* helper, const char* first = nullptr, const char* second = nullptr);

// One process or thread lets another one pass, in either order. Its descriptors are high and are
// closed on exec, so that the numbers that a case sees stay the lowest.
class Gate {
 public:
  Gate();
  ~Gate();
  void open();
  bool wait();  // false when nobody is left to open it

 private:
  int ends_[2];
};

// Waits until a process sleeps, as by now it should; what follows must not depend on it.
void settle(int milliseconds = 20);
int64_t now_ms();  // CLOCK_MONOTONIC
bool wait_for(bool (*condition)(), int milliseconds = 5000);
template <typename F>
bool until(F condition, int milliseconds = 5000) {
  int64_t deadline = now_ms() + milliseconds;
  while (!condition()) {
    if (now_ms() > deadline) return false;
    usleep(1000);
  }
  return true;
}

// Installs a handler without flags but these.
void handle(int signal, void (*handler)(int), int flags = 0);
void handle_info(int signal, void (*handler)(int, siginfo_t*, void*), int flags = 0);
void ignore_in_handler(int);
// SIGALRM again and again until stopped: what blocks is interrupted sooner or later.
void ticks_start(int milliseconds = 10);
void ticks_stop();

template <typename T>
T* shared_memory(size_t count = 1) {
  void* memory =
      mmap(nullptr, sizeof(T) * count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return static_cast<T*>(memory);
}

}  // namespace frame

using frame::line;

// execve: arguments, environment, scripts, errors, what survives.
#include <sys/auxv.h>
#include <sys/resource.h>

#include <string>
#include <vector>

#include "frame.h"

extern char** environ;

HELPER(show_arguments) {
  line("%d arguments", count);
  for (int index = 0; index < count; index++) frame::text("argument", arguments[index]);
  return 0;
}

HELPER(show_environment) {
  for (char** entry = environ; *entry; entry++) frame::text("variable", *entry);
  return 0;
}

HELPER(show_signals) {
  sigset_t set;
  sigprocmask(SIG_BLOCK, nullptr, &set);
  for (int signal : {SIGUSR1, SIGUSR2, SIGTERM}) {
    struct sigaction action;
    sigaction(signal, nullptr, &action);
    line("%s %s %s", frame::signal_name(signal), sigismember(&set, signal) ? "blocked" : "open",
         action.sa_handler == SIG_IGN   ? "ignored"
         : action.sa_handler == SIG_DFL ? "default"
                                        : "handled");
  }
  sigpending(&set);
  line("pending %d", sigismember(&set, SIGUSR1));
  stack_t stack;
  sigaltstack(nullptr, &stack);
  line("another stack: %d", stack.ss_flags == 0);
  return 0;
}

HELPER(show_sizes) {
  size_t size = 0;
  for (int index = 1; index < count; index++) size += strlen(arguments[index]) + 1;
  line("%d arguments of %zu bytes", count, size);
  return 0;
}

HELPER(leave) { return count > 1 ? atoi(arguments[1]) : 0; }

namespace {

void script(const char* path, const std::string& text, mode_t mode = 0755) {
  frame::put(path, text.c_str());
  chmod(path, mode);
}

void run(const char* path, std::vector<const char*> arguments) {
  arguments.push_back(nullptr);
  frame::in_child([&] {
    execv(path, const_cast<char**>(arguments.data()));
    int error = errno;
    bool own = strcmp(path, frame::program()) == 0;
    line("execv %s: %s", own ? "the program" : path, frame::error_name(error));
  });
}

}  // namespace

CASE(exec_passes_arguments) {
  run(frame::program(), {"zero", "@show_arguments", "", "two words", "three\n", "\xff\xfe"});
}

CASE(exec_without_arguments) {
  frame::in_child([] {
    char* none[] = {nullptr};
    CALL(syscall(SYS_execve, "missing", none, none));
    CALL(syscall(SYS_execve, "missing", nullptr, nullptr));
  });
}

CASE(exec_passes_the_environment) {
  frame::in_child([] {
    const char* arguments[] = {"x", "@show_environment", nullptr};
    const char* environment[] = {"A=1", "B=", "no equals sign", "A=2", nullptr};
    execve(frame::program(), const_cast<char**>(arguments), const_cast<char**>(environment));
  });
}

CASE(exec_refused) {
  frame::put("plain", "x");
  script("empty", "");
  script("garbage", "neither ELF nor a script");
  CALL(mkdir("d", 0755));
  CALL(symlink("missing", "dangling"));
  CALL(symlink("loop", "loop"));
  for (const char* path : {"missing", "plain", "empty", "garbage", "d", "plain/x", "dangling",
                           "loop", "", "/dev/null"}) {
    run(path, {"x"});
  }
}

CASE(exec_with_bad_addresses) {
  frame::in_child([] {
    char* arguments[] = {nullptr};
    CALL(syscall(SYS_execve, 1, arguments, arguments));
    CALL(syscall(SYS_execve, frame::program(), 1, arguments));
    char* bad[] = {reinterpret_cast<char*>(1), nullptr};
    CALL(syscall(SYS_execve, frame::program(), bad, nullptr));
    CALL(syscall(SYS_execve, frame::program(), arguments, 1));
  });
}

CASE(exec_of_broken_programs) {
  script("short",
         "\x7f"
         "ELF");
  run("short", {"x"});
  std::string header(
      "\x7f"
      "ELF\2\1\1",
      7);
  header.resize(64);
  header[16] = 2;   // executable
  header[18] = 62;  // x86-64
  int fd = open("no_segments", O_CREAT | O_WRONLY, 0755);
  write(fd, header.data(), header.size());
  close(fd);
  run("no_segments", {"x"});
  header[18] = 40;  // another machine
  fd = open("other_machine", O_CREAT | O_WRONLY, 0755);
  write(fd, header.data(), header.size());
  close(fd);
  run("other_machine", {"x"});
}

CASE(exec_needs_permission) {
  script("others", "#!/bin/sh\necho run by others\n", 0701);
  script("nobodys", "#!/bin/sh\necho run\n", 0644);
  frame::in_child([] {
    setresuid(1000, 1000, 1000);
    run("others", {"x"});
    run("nobodys", {"x"});
  });
  run("nobodys", {"x"});
}

CASE(scripts) {
  script("s", std::string("#!") + frame::program() + " @show_arguments\n");
  run("./s", {"zero is lost", "one", "two"});
}

CASE(scripts_with_one_argument) {
  script("s", std::string("#! \t") + frame::program() + "  @show_arguments and more  \n");
  run("./s", {"x"});
  script("t", std::string("#!") + frame::program() + " @leave\n");
  run("./t", {"x"});
}

CASE(scripts_without_a_newline) {
  script("s", std::string("#!") + frame::program() + " @show_arguments");
  run("./s", {"x"});
}

CASE(scripts_refused) {
  script("missing_interpreter", "#!/missing/interpreter\n");
  script("no_interpreter", "#!\n");
  script("blanks", "#!   \n");
  script("directory", "#!/\n");
  for (const char* path : {"./missing_interpreter", "./no_interpreter", "./blanks", "./directory"})
    run(path, {"x"});
}

CASE(scripts_of_scripts) {
  script("s0", std::string("#!") + frame::program() + " @show_arguments\n");
  char path[4096];
  getcwd(path, sizeof(path));
  for (int depth = 1; depth < 7; depth++) {
    script(("s" + std::to_string(depth)).c_str(), "#!./s" + std::to_string(depth - 1) + "\n");
  }
  run("./s1", {"x"});
  run("./s4", {"x"});
  run("./s5", {"x"});
  run("./s6", {"x"});
}

CASE(scripts_with_long_first_lines) {
  script("fits", "#!" + std::string(260, ' ') + "\n");
  run("./fits", {"x"});
  script("cut", std::string("#!/bin/true ") + std::string(300, 'a') + "\n");
  run("./cut", {"x"});
  script("cut_in_the_name", "#!/" + std::string(300, 'a') + "\n");
  run("./cut_in_the_name", {"x"});
}

CASE(shell_scripts) {
  script("s", "#!/bin/sh\necho \"$# $1\"\nexit 7\n");
  run("./s", {"x", "one", "two"});
}

CASE(exec_by_descriptor) {
  int fd = open(frame::program(), O_RDONLY | O_CLOEXEC);
  frame::in_child([&] {
    const char* arguments[] = {"x", "@show_arguments", nullptr};
    CALL(fexecve(fd, const_cast<char**>(arguments), environ));
  });
  frame::in_child([&] {
    const char* arguments[] = {"x", "@show_arguments", nullptr};
    CALL(syscall(SYS_execveat, fd, "", arguments, environ, 0));
    CALL(syscall(SYS_execveat, fd, "", arguments, environ, 0x8000000));
    CALL(syscall(SYS_execveat, 99, "", arguments, environ, AT_EMPTY_PATH));
  });
}

CASE(exec_of_a_path_descriptor) {
  int fd = open(frame::program(), O_PATH);
  frame::in_child([&] {
    const char* arguments[] = {"x", "@leave", "4", nullptr};
    CALL(syscall(SYS_execveat, fd, "", arguments, environ, AT_EMPTY_PATH));
  });
}

CASE(exec_below_a_directory) {
  CALL(mkdir("d", 0755));
  script("d/s", "#!/bin/sh\nexit 9\n");
  CALL(symlink("s", "d/link"));
  int fd = open("d", O_RDONLY);
  const char* arguments[] = {"x", nullptr};
  frame::in_child([&] { CALL(syscall(SYS_execveat, fd, "s", arguments, environ, 0)); });
  frame::in_child(
      [&] { CALL(syscall(SYS_execveat, fd, "link", arguments, environ, AT_SYMLINK_NOFOLLOW)); });
  frame::in_child([&] { CALL(syscall(SYS_execveat, fd, "s", arguments, environ, 0x8000000)); });
}

CASE(script_by_a_closing_descriptor) {
  script("s", "#!/bin/sh\nexit 9\n");
  int fd = open("s", O_RDONLY | O_CLOEXEC);
  const char* arguments[] = {"x", nullptr};
  frame::in_child([&] { CALL(syscall(SYS_execveat, fd, "", arguments, environ, AT_EMPTY_PATH)); });
}

CASE(longest_argument) {
  std::string longest(131071, 'a'), too_long(131072, 'a');
  run(frame::program(), {"x", "@show_sizes", longest.c_str()});
  run(frame::program(), {"x", "@show_sizes", too_long.c_str()});
}

CASE(most_arguments) {
  std::string piece(100000, 'a');
  std::vector<const char*> arguments(17, piece.c_str());
  arguments.insert(arguments.begin(), {"x", "@show_sizes"});
  run(frame::program(), arguments);
  std::vector<const char*> more(25, piece.c_str());
  more.insert(more.begin(), {"x", "@show_sizes"});
  run(frame::program(), more);
}

CASE(arguments_and_the_stack_limit) {
  struct rlimit limit = {1 << 20, 1 << 20};
  CALL(setrlimit(RLIMIT_STACK, &limit));
  std::string piece(100000, 'a');
  std::vector<const char*> arguments(2, piece.c_str());
  arguments.insert(arguments.begin(), {"x", "@show_sizes"});
  run(frame::program(), arguments);
  arguments.resize(6, piece.c_str());
  run(frame::program(), arguments);
}

CASE(signals_after_exec) {
  frame::in_child([] {
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, frame::ignore_in_handler);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    static char space[65536];
    stack_t stack = {space, 0, sizeof(space)};
    sigaltstack(&stack, nullptr);
    frame::execute("@show_signals");
  });
}

CASE(pending_signals_survive_exec) {
  frame::in_child([] {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    raise(SIGUSR1);
    frame::execute("@show_signals");
  });
}

HELPER(show_surroundings) {
  char path[4096];
  getcwd(path, sizeof(path));
  frame::text("directory", strrchr(path, '/'));
  line("umask %o", umask(0));
  line("pid %s", arguments[1] && atoi(arguments[1]) == getpid() ? "same" : "another");
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  line("descriptors %lu", limit.rlim_cur);
  return 0;
}

CASE(surroundings_survive_exec) {
  CALL(mkdir("d", 0755));
  frame::in_child([] {
    chdir("d");
    umask(0123);
    struct rlimit limit = {77, 88};
    setrlimit(RLIMIT_NOFILE, &limit);
    char pid[16];
    sprintf(pid, "%d", getpid());
    frame::execute("@show_surroundings", pid);
  });
}

HELPER(show_auxiliary) {
  YES(getauxval(AT_PAGESZ) == 4096);
  YES(getauxval(AT_RANDOM) != 0);
  YES(getauxval(AT_PHDR) != 0);
  SHOW(getauxval(AT_PHENT));
  YES(getauxval(AT_PHNUM) > 0);
  YES(getauxval(AT_ENTRY) != 0);
  SHOW(getauxval(AT_UID));
  SHOW(getauxval(AT_EUID));
  SHOW(getauxval(AT_GID));
  SHOW(getauxval(AT_SECURE));
  SHOW(getauxval(AT_CLKTCK));
  frame::text("file", reinterpret_cast<char*>(getauxval(AT_EXECFN)));
  frame::text("platform", reinterpret_cast<char*>(getauxval(AT_PLATFORM)));
  return 0;
}

CASE(auxiliary_vector) {
  CALL(symlink(frame::program(), "link"));
  run("./link", {"x", "@show_auxiliary"});
}

HELPER(show_random) {
  frame::bytes("seen", reinterpret_cast<char*>(getauxval(AT_RANDOM)), 16);
  return 0;
}

CASE(random_bytes_differ) {
  int ends[2];
  CALL(pipe(ends));
  char seen[2][128] = {};
  for (auto& one : seen) {
    pid_t pid = frame::child([&] {
      dup2(ends[1], 1);
      frame::execute("@show_random");
    });
    waitpid(pid, nullptr, 0);
    read(ends[0], one, sizeof(one) - 1);
  }
  YES(strlen(seen[0]) > 16);
  YES(strcmp(seen[0], seen[1]) != 0);
}

CASE(program_is_found_by_proc) {
  char target[4096] = {};
  CALL(readlink("/proc/self/exe", target, sizeof(target) - 1) > 0);
  YES(strcmp(target, frame::program()) == 0);
  frame::in_child([] { execl("/proc/self/exe", "x", "@leave", "5", nullptr); });
}

CASE(running_file_is_not_written) {
  int from = open(frame::program(), O_RDONLY);
  int to = open("copy", O_CREAT | O_WRONLY, 0755);
  char buffer[65536];
  ssize_t size;
  while ((size = read(from, buffer, sizeof(buffer))) > 0)
    write(to, buffer, static_cast<size_t>(size));
  frame::in_child(
      [] { execl("./copy", "x", "@leave", nullptr), line("%s", frame::error_name(errno)); });
  close(to);
  int ends[2];
  pipe(ends);
  pid_t pid = frame::child([&] {
    dup2(ends[0], 0);
    // Who looks below whether it is busy has it open to write meanwhile.
    do {
      execl("./copy", "x", "@wait_for_input", nullptr);
    } while (errno == ETXTBSY && usleep(1000) == 0);
  });
  bool busy = frame::until(
      [] {
        int fd = open("copy", O_WRONLY);
        close(fd);
        return fd < 0;
      },
      2000);
  YES(busy);
  CALL(open("copy", O_RDWR));
  CALL(truncate("copy", 0));
  CALL(unlink("copy"));
  close(ends[1]);
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
}

HELPER(wait_for_input) {
  char byte;
  return static_cast<int>(read(0, &byte, 1));
}

CASE(dynamic_programs_run) {
  run("/bin/sh", {"sh", "-c", "exit 6"});
  run("/bin/true", {"true"});
  run("/bin/echo", {"echo", "text"});
}

CASE(shell_pipeline) {
  run("/bin/sh",
      {"sh", "-c", "echo b c a | tr ' ' '\\n' | sort | while read x; do echo \"<$x>\"; done"});
}

CASE(shell_substitution_and_redirection) {
  run("/bin/sh", {"sh", "-c",
                  "x=$(echo inner; exit 3); echo $? $x > f; cat < f; cat f 2>&1 missing; echo $?"});
}

CASE(shell_here_document) { run("/bin/sh", {"sh", "-c", "cat <<E\nline $((6 * 7))\nE\n"}); }

CASE(shell_traps_and_background) {
  run("/bin/sh",
      {"sh", "-c", "trap 'echo trapped' USR1; kill -USR1 $$; (exit 4) & wait $!; echo $?"});
}

CASE(shell_exit_by_signal) { run("/bin/sh", {"sh", "-c", "sh -c 'kill -TERM $$'; echo $?"}); }

// Runs commands in shuffled order inside rounds and writes down what each run cost.
//
// Interleaving is the point: noise of the machine (other jobs, clock, caches) then falls on every
// command alike, and ratios stay true where absolute figures do not. The parent is small, static
// and starts children by vfork, so that it adds the same little to each of them.
//
// The list of commands is a text file, one `key value` a line:
//   name  NAME      begins an entry; NAME stands in the rows
//   step  LABEL     begins a timed command of the entry; rows are called NAME:LABEL, and NAME holds
//   the sum quiet LABEL     begins a command that is run but not timed arg   TEXT      one argument
//   ("%c" becomes the number of the copy) env   K=V       one variable (no others are passed) cwd
//   DIR stdout TEXT     what the command must print, without the last line end copies N start N
//   copies at once and time them until the last has ended
// An entry with a single command needs no `step`.
//
// Rows: round,name,wall_ns,cpu_ns,status,load1. The time on the wall runs from just before the
// start until the command has ended; CPU is that of the command and all descendants that were
// waited for, by it or by us (we are their reaper).

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>
#include <string>
#include <vector>

namespace {

struct Command {
  std::string label;
  bool timed = true;
  bool checks_stdout = false;
  std::string expected_stdout;
  std::string directory;
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
  int copies = 1;
};

struct Entry {
  std::string name;
  std::vector<Command> commands;
};

struct Options {
  const char* list = nullptr;
  const char* out = nullptr;
  int rounds = 100;
  int warm_up = 5;
  int gap_ms = 0;
  unsigned seed = 1;
  int nice_level = 0;
  bool fifo = false;
  bool keep_going = false;
};

struct Cost {
  std::int64_t wall_ns = 0;
  std::int64_t cpu_ns = 0;
  int status = 0;
};

[[noreturn]] void die(const char* what, const char* detail) {
  std::fprintf(stderr, "interleave: %s: %s\n", what, detail);
  std::exit(1);
}

std::int64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

std::int64_t cpu_of(const rusage& usage) {
  const auto ns = [](const timeval& value) {
    return value.tv_sec * 1'000'000'000LL + value.tv_usec * 1000LL;
  };
  return ns(usage.ru_utime) + ns(usage.ru_stime);
}

void take_line(std::vector<Entry>& entries, const std::string& key, const std::string& value) {
  if (key == "name") {
    entries.push_back({value, {}});
    return;
  }
  if (entries.empty()) die("the list must begin with a name, not with", key.c_str());
  std::vector<Command>& commands = entries.back().commands;
  if (key == "step" || key == "quiet") {
    Command command;
    command.label = value;
    command.timed = key == "step";
    commands.push_back(command);
    return;
  }
  if (commands.empty()) commands.emplace_back();
  Command& command = commands.back();
  if (key == "arg") {
    command.arguments.push_back(value);
  } else if (key == "env") {
    command.environment.push_back(value);
  } else if (key == "cwd") {
    command.directory = value;
  } else if (key == "stdout") {
    command.checks_stdout = true;
    command.expected_stdout = value;
  } else if (key == "copies") {
    command.copies = std::max(1, std::atoi(value.c_str()));
  } else {
    die("unknown key in the list", key.c_str());
  }
}

std::vector<Entry> read_list(const char* path) {
  FILE* file = std::fopen(path, "re");
  if (file == nullptr) die(path, std::strerror(errno));
  std::vector<Entry> entries;
  char* line = nullptr;
  std::size_t capacity = 0;
  while (getline(&line, &capacity, file) > 0) {
    std::string text(line);
    while (!text.empty() && text.back() == '\n') text.pop_back();
    if (text.empty() || text.front() == '#') continue;
    const std::size_t space = text.find(' ');
    take_line(entries, text.substr(0, space),
              space == std::string::npos ? "" : text.substr(space + 1));
  }
  std::free(line);
  std::fclose(file);
  for (const Entry& entry : entries) {
    for (const Command& command : entry.commands) {
      if (command.arguments.empty()) die("a command without arguments in", entry.name.c_str());
    }
  }
  if (entries.empty()) die(path, "no commands");
  return entries;
}

class Outputs {
 public:
  Outputs()
      : null_(open("/dev/null", O_RDWR | O_CLOEXEC)),
        stdout_(memfd_create("stdout", MFD_CLOEXEC)),
        stderr_(memfd_create("stderr", MFD_CLOEXEC)) {
    if (null_ < 0 || stdout_ < 0 || stderr_ < 0) die("descriptors", std::strerror(errno));
  }

  void clear() const {
    for (const int fd : {stdout_, stderr_}) {
      if (ftruncate(fd, 0) != 0 || lseek(fd, 0, SEEK_SET) != 0) die("memfd", std::strerror(errno));
    }
  }

  static std::string text_of(int fd) {
    std::string text(16384, '\0');
    const ssize_t size = pread(fd, text.data(), text.size(), 0);
    text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
  }

  int null() const { return null_; }
  int standard_output() const { return stdout_; }
  int standard_error() const { return stderr_; }

 private:
  int null_;
  int stdout_;
  int stderr_;
};

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

std::vector<std::string> for_copy(const std::vector<std::string>& arguments, int copy) {
  std::vector<std::string> result = arguments;
  for (std::string& argument : result) {
    for (std::size_t at = argument.find("%c"); at != std::string::npos;
         at = argument.find("%c", at)) {
      argument.replace(at, 2, std::to_string(copy));
    }
  }
  return result;
}

int exit_code(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Everything that allocates happens before the clock is read.
class Prepared {
 public:
  Prepared(const Command& command, const Outputs& outputs) : environment_(command.environment) {
    for (int copy = 0; copy < command.copies; ++copy)
      arguments_.push_back(for_copy(command.arguments, copy));
    for (auto& arguments : arguments_) argument_pointers_.push_back(pointers(arguments));
    environment_pointers_ = pointers(environment_);
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_adddup2(&actions_, outputs.null(), 0);
    posix_spawn_file_actions_adddup2(
        &actions_, command.checks_stdout ? outputs.standard_output() : outputs.null(), 1);
    posix_spawn_file_actions_adddup2(&actions_, outputs.standard_error(), 2);
    if (!command.directory.empty())
      posix_spawn_file_actions_addchdir_np(&actions_, command.directory.c_str());
    children_.resize(arguments_.size());
  }
  ~Prepared() { posix_spawn_file_actions_destroy(&actions_); }
  Prepared(const Prepared&) = delete;
  Prepared& operator=(const Prepared&) = delete;

  Cost run() {
    Cost cost;
    const std::int64_t start = now_ns();
    for (std::size_t i = 0; i < children_.size(); ++i) {
      const int error = posix_spawnp(&children_[i], argument_pointers_[i][0], &actions_, nullptr,
                                     argument_pointers_[i].data(), environment_pointers_.data());
      if (error != 0) die(argument_pointers_[i][0], std::strerror(error));
    }
    // Any child, not just ours: an orphaned container must not stay a zombie while its `delete`
    // waits for it to go.
    for (std::size_t left = children_.size(); left > 0;) {
      int status = 0;
      rusage usage{};
      const pid_t ended = wait4(-1, &status, 0, &usage);
      if (ended < 0 && errno != EINTR) die("wait4", std::strerror(errno));
      if (ended < 0) continue;
      cost.cpu_ns += cpu_of(usage);
      if (std::find(children_.begin(), children_.end(), ended) == children_.end()) continue;
      --left;
      if (cost.status == 0) cost.status = exit_code(status);
    }
    cost.wall_ns = now_ns() - start;
    return cost;
  }

 private:
  std::vector<std::vector<std::string>> arguments_;
  std::vector<std::vector<char*>> argument_pointers_;
  std::vector<std::string> environment_;
  std::vector<char*> environment_pointers_;
  std::vector<pid_t> children_;
  posix_spawn_file_actions_t actions_{};
};

// Lets end what the entry left behind (bwrap does not wait for its helper), so that it neither
// disturbs the next entry nor is charged to it. Gives up after a second. Returns the CPU time of
// what ended.
std::int64_t settle() {
  std::int64_t cpu_ns = 0;
  for (const std::int64_t start = now_ns(); now_ns() - start < 1'000'000'000;) {
    rusage usage{};
    const pid_t ended = wait4(-1, nullptr, WNOHANG, &usage);
    if (ended < 0) break;
    if (ended > 0) cpu_ns += cpu_of(usage);
    if (ended == 0) usleep(100);
  }
  return cpu_ns;
}

void report_failure(const Entry& entry, const Command& command, const char* what,
                    const Outputs& outputs) {
  std::string line;
  for (const std::string& argument : command.arguments) line += " " + argument;
  std::fprintf(stderr, "interleave: %s %s: %s\n  command:%s\n  stderr: %s\n", entry.name.c_str(),
               command.label.c_str(), what, line.c_str(),
               Outputs::text_of(outputs.standard_error()).c_str());
}

bool run_command(const Entry& entry, const Command& command, const Outputs& outputs, Cost& cost) {
  outputs.clear();
  Prepared prepared(command, outputs);
  cost = prepared.run();
  if (cost.status != 0) {
    report_failure(entry, command, ("status " + std::to_string(cost.status)).c_str(), outputs);
    return false;
  }
  if (command.checks_stdout &&
      Outputs::text_of(outputs.standard_output()) != command.expected_stdout) {
    report_failure(entry, command, "not the expected output", outputs);
    cost.status = 256;
    return false;
  }
  return true;
}

double load_average() {
  double value = 0;
  return getloadavg(&value, 1) == 1 ? value : 0;
}

bool run_entry(const Entry& entry, int round, const Outputs& outputs, FILE* rows) {
  Cost sum;
  bool good = true;
  const double load = load_average();
  const auto write_row = [&](const std::string& name, const Cost& cost) {
    if (rows == nullptr) return;
    std::fprintf(rows, "%d,%s,%lld,%lld,%d,%.2f\n", round, name.c_str(),
                 static_cast<long long>(cost.wall_ns), static_cast<long long>(cost.cpu_ns),
                 cost.status, load);
  };
  for (const Command& command : entry.commands) {
    Cost cost;
    if (!run_command(entry, command, outputs, cost)) good = false;
    if (sum.status == 0) sum.status = cost.status;
    if (!command.timed) continue;
    sum.wall_ns += cost.wall_ns;
    sum.cpu_ns += cost.cpu_ns;
    if (!command.label.empty()) write_row(entry.name + ":" + command.label, cost);
  }
  sum.cpu_ns += settle();
  write_row(entry.name, sum);
  return good;
}

[[noreturn]] void usage() {
  std::fputs(
      "usage: interleave --list FILE --out FILE [--rounds N] [--warm-up N] [--gap-ms N] [--seed N] "
      "[--nice N] [--fifo]\n"
      "                  [--keep-going]\n"
      "--gap-ms  rest before each run, so that costs which busy hosts hide (RCU) show   --fifo  "
      "run as SCHED_FIFO\n",
      stderr);
  std::exit(2);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string key = argv[i];
    if (key == "--fifo") {
      options.fifo = true;
      continue;
    }
    if (key == "--keep-going") {
      options.keep_going = true;
      continue;
    }
    if (++i >= argc) usage();
    const char* value = argv[i];
    if (key == "--list")
      options.list = value;
    else if (key == "--out")
      options.out = value;
    else if (key == "--rounds")
      options.rounds = std::atoi(value);
    else if (key == "--warm-up")
      options.warm_up = std::atoi(value);
    else if (key == "--gap-ms")
      options.gap_ms = std::atoi(value);
    else if (key == "--seed")
      options.seed = static_cast<unsigned>(std::atoi(value));
    else if (key == "--nice")
      options.nice_level = std::atoi(value);
    else
      usage();
  }
  if (options.list == nullptr || options.out == nullptr) usage();
  return options;
}

// Niceness counts only inside a session where the kernel groups tasks by session: the session
// itself needs it too.
void set_session_priority(int level) {
  setsid();
  const int fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  const std::string text = std::to_string(level);
  if (write(fd, text.data(), text.size()) < 0)
    std::fputs("interleave: priority of the session: refused, ignoring\n", stderr);
  close(fd);
}

// A task that wakes waits for the end of the running one's slice, however low that one's priority,
// unless its own slice is shorter (Linux 6.12 and later). Older kernels ignore the wish.
void set_task_priority(int level) {
  struct {
    std::uint32_t size;
    std::uint32_t policy;
    std::uint64_t flags;
    std::int32_t nice;
    std::uint32_t priority;
    std::uint64_t runtime;
    std::uint64_t deadline;
    std::uint64_t period;
  } attributes{sizeof attributes, SCHED_OTHER, 0, level, 0, 100'000, 0, 0};
  if (syscall(SYS_sched_setattr, 0, &attributes, 0) != 0) {
    std::fprintf(stderr, "interleave: nice %d: %s, ignoring\n", level, std::strerror(errno));
  }
}

void set_priority(const Options& options) {
  if (options.nice_level != 0) {
    set_session_priority(options.nice_level);
    set_task_priority(options.nice_level);
  }
  const sched_param parameter{.sched_priority = 10};
  if (options.fifo && sched_setscheduler(0, SCHED_FIFO, &parameter) != 0)
    die("SCHED_FIFO", std::strerror(errno));
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  const std::vector<Entry> entries = read_list(options.list);
  FILE* rows = std::fopen(options.out, "we");
  if (rows == nullptr) die(options.out, std::strerror(errno));
  std::fputs("round,name,wall_ns,cpu_ns,status,load1\n", rows);
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  set_priority(options);
  const Outputs outputs;
  std::vector<std::size_t> order(entries.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::mt19937 random(options.seed);
  bool good = true;
  for (int round = -options.warm_up; round < options.rounds; ++round) {
    std::shuffle(order.begin(), order.end(), random);
    for (const std::size_t index : order) {
      if (options.gap_ms > 0) usleep(static_cast<useconds_t>(options.gap_ms) * 1000U);
      if (run_entry(entries[index], round, outputs, round < 0 ? nullptr : rows)) continue;
      good = false;
      if (options.keep_going) continue;
      std::fclose(rows);
      return 1;
    }
    std::fflush(rows);
  }
  std::fclose(rows);
  return good ? 0 : 1;
}

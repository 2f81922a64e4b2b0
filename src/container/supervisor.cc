#include "container/supervisor.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "container/errors.h"
#include "container/start_sequence.h"
#include "sys/event.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace caisson::container {
namespace {

constexpr char kDone = 'D', kError = 'E', kWarning = 'W', kStep = 'S';  // first byte of a message
constexpr int kFirstFd = 3;

// Hands steps of the timeline to the command that waits.
class RemoteTimeline : public plan::Timeline {
 public:
  explicit RemoteTimeline(FdRef socket) : socket_(socket) {}
  void step(std::string_view track, std::string_view name, std::int64_t begin_ns,
            std::int64_t end_ns) override {
    (void)sys::send_message(socket_, cat(kStep, track, '\n', name, '\n', begin_ns, '\n', end_ns));
  }

 private:
  FdRef socket_;
};

void tell_step(const Context& context, std::string_view text) {
  auto parts = split(text, '\n');
  if (context.timeline == nullptr || parts.size() != 4) return;
  context.timeline->step(parts[0], parts[1], parse_number<std::int64_t>(parts[2]).value_or(0),
                         parse_number<std::int64_t>(parts[3]).value_or(0));
}

// Closes what the daemon inherited from whoever called us: an open pipe would keep its reader
// waiting. Our own descriptors are all close-on-exec, which is how the two are told apart.
void close_inherited(int keep_fds) {
  auto dir = sys::openat(sys::kCwd, "/proc/self/fd", O_RDONLY | O_DIRECTORY);
  if (!dir) return;
  auto names = sys::list_directory(*dir);
  if (!names) return;
  for (const auto& name : *names) {
    int number = parse_number<int>(name).value_or(0);
    if (number < kFirstFd + keep_fds) continue;
    auto flags = sys::call(SYS_fcntl, number, F_GETFD);
    if (flags && (*flags & FD_CLOEXEC) == 0) Fd(number).reset();
  }
}

ErrnoOr<> detach_stdio() {
  Fd null = TRY(sys::openat(sys::kCwd, "/dev/null", O_RDWR));
  for (int number = 0; number < kFirstFd; ++number) TRY(sys::dup3(null, number, 0));
  return {};
}

ErrnoOr<> become_daemon(int keep_fds) {
  TRY(detach_stdio());
  close_inherited(keep_fds);
  TRY(sys::prctl(PR_SET_NAME, "caisson-super"));
  return {};
}

[[noreturn]] void daemon_process(const Context& outer, const DaemonMain& main, Fd report,
                                 int keep_fds) {
  RemoteTimeline timeline(report);
  Context context = outer;
  if (outer.timeline != nullptr) context.timeline = &timeline;
  context.warn = [&](std::string_view text) {
    (void)sys::send_message(report, cat(kWarning, text));
  };
  auto started = [&]() -> Result<DaemonStart> {
    TRY_CTX(become_daemon(keep_fds), "detach the supervisor");
    return main(context);
  }();
  context.warn = nullptr;
  context.timeline = nullptr;
  if (!started) {
    (void)sys::send_message(report, cat(kError, error_to_json(started.error())));
    sys::exit_process(1);
  }
  (void)sys::chdir("/");
  close_inherited(0);
  if (!started->watched) {
    (void)sys::send_message(report, cat(kDone, started->value));
    sys::exit_process(0);
  }
  auto monitor = Monitor::create(context, std::move(*started->watched));
  std::string answer =
      monitor ? cat(kDone, started->value) : cat(kError, error_to_json(monitor.error()));
  (void)sys::send_message(report, answer);
  report.reset();
  if (!monitor) sys::exit_process(1);
  monitor->run();
  sys::exit_process(0);
}

// The value that the daemon's main returned.
Result<int> wait_for_daemon(const Context& context, FdRef report) {
  for (;;) {
    auto message = TRY_CTX(sys::receive_message(report), "wait for the supervisor");
    std::string_view text = message.data;
    if (text.empty()) {
      return std::unexpected(
          Error::with_cause(EIO, "the supervisor was killed while it started the container")
              .cure("look whether the container is there, and remove it if so")
              .code("supervisor.killed"));
    }
    char kind = text[0];
    text.remove_prefix(1);
    if (kind == kDone) return parse_number<int>(text).value_or(0);
    if (kind == kError) return std::unexpected(error_from_json(text));
    if (kind == kWarning && context.warn) context.warn(text);
    if (kind == kStep) tell_step(context, text);
  }
}

// --- the supervisor of a new container

Fd take_terminal(Start& start) {
  if (!start.console_receiver.valid()) return {};
  auto message = sys::receive_message(start.console_receiver);
  if (!message || message->fds.empty()) return {};
  (void)sys::set_nonblocking(message->fds[0], true);
  return std::move(message->fds[0]);
}

Result<DaemonStart> run_in_daemon(Context& context, const RunOptions& options) {
  Start start(context, options.create);
  start.run = RunMode::kSupervised;
  start.remove_on_exit = options.remove_on_exit;
  start.log_limit = options.log_limit;
  TRY(run_start_sequence(start));
  Container& container = start.container;
  Watched watched;
  watched.log = std::move(start.log);
  watched.control = std::move(start.control);
  watched.folder = std::move(container.folder);
  watched.init = container.state.init;
  watched.init_pidfd = std::move(container.init);
  watched.out = std::move(start.out_reader);
  watched.err = std::move(start.err_reader);
  watched.terminal = take_terminal(start);
  watched.layers = std::move(start.layers);
  watched.cgroups = container.state.cgroups;
  watched.remove_on_exit = options.remove_on_exit;
  return DaemonStart{watched.init.pid, std::move(watched)};
}

}  // namespace

Result<int> start_daemon(Context& context, const DaemonMain& main, int keep_fds) {
  auto report = TRY_CTX(sys::socket_pair(), "make a socket pair");
  auto child = TRY_CTX(sys::fork_with_pidfd(), "start the supervisor");
  if (child.pid == 0) {
    report.first.reset();
    // Twice: the daemon is no session leader, so that it can't get a terminal, and none of our
    // children.
    (void)sys::setsid();
    auto grandchild = sys::fork_with_pidfd();
    if (!grandchild || grandchild->pid != 0) sys::exit_process(grandchild ? 0 : 1);
    daemon_process(context, main, std::move(report.second), keep_fds);
  }
  report.second.reset();
  (void)sys::wait_pidfd(child.pidfd);
  return wait_for_daemon(context, report.first);
}

Result<RunResult> run_supervised(Context& context, const RunOptions& options) {
  auto begin = realtime_ns();
  plan::TimedStep timed(context.timeline, "supervisor");
  auto pid = start_daemon(
      context, [&](Context& inner) { return run_in_daemon(inner, options); },
      options.create.preserve_fds);
  if (pid) return RunResult{*pid, {}, {}};
  if (pid.error().code() == "supervisor.killed") {
    // Looking at what it left removes a half-made container, and gives one that runs another
    // supervisor.
    auto left = query(context, options.create.id);
    if (left && left->state.created >= begin) return RunResult{left->pid(), {}, {}};
  }
  return std::unexpected(std::move(pid).error());
}

void trim_memory() {
  malloc_trim(0);
  // Read-only segments of the program come back from the page cache when they are needed. Writable
  // ones (and the relocated data that is read-only now) hold what was changed in memory: not these.
  auto forget = [](dl_phdr_info* object, std::size_t, void*) {
    for (int i = 0; i < object->dlpi_phnum; ++i) {
      const auto& segment = object->dlpi_phdr[i];
      if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
      auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
      std::uintptr_t begin = (object->dlpi_addr + segment.p_vaddr) & ~(page - 1);
      std::uintptr_t end = object->dlpi_addr + segment.p_vaddr + segment.p_memsz;
      (void)sys::call_void(SYS_madvise, begin, end - begin, MADV_DONTNEED);
    }
    return 0;
  };
  dl_iterate_phdr(forget, nullptr);
}

}  // namespace caisson::container

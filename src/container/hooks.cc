#include "container/hooks.h"

#include <sched.h>
#include <unistd.h>  // environ

#include <algorithm>
#include <optional>

#include "base/clock.h"
#include "container/errors.h"
#include "container/hook_child.h"
#include "spec/oci_config.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::container {
namespace {

constexpr std::size_t kOutputLimit = 4096;
constexpr int kKillTimeoutMs = 5000;

std::vector<char*> pointers(const spec::Strings& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (const auto& text : strings) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

// A file, not a pipe: a hook that does not read it can neither block nor kill us.
ErrnoOr<Fd> make_input(std::string_view state) {
  Fd input = TRY(sys::memfd_create("state"));
  TRY(sys::write_all(input, state));
  TRY(sys::call(SYS_lseek, input.number(), 0, SEEK_SET));
  return input;
}

struct RunningHook {
  sys::Forked process;
  Fd output;  // reading end
  Fd report;
  std::string text;  // what it wrote so far
};

ErrnoOr<RunningHook> spawn(const spec::Hook& hook, std::string_view state, const HookPlace& place) {
  const spec::Strings default_args{hook.path};
  auto args = pointers(hook.args.empty() ? default_args : hook.args);
  auto env = hook.env ? pointers(*hook.env) : std::vector<char*>();
  Fd input = TRY(make_input(state));
  auto output = TRY(sys::pipe());
  auto report = TRY(sys::pipe());
  Fd program;
  if (place.pidfd >= 0) {
    program = TRY(sys::openat(sys::kCwd, hook.path.c_str(), O_RDONLY));
  }
  HookChild child;
  child.path = hook.path.c_str();
  child.program = program.number();
  child.args = args.data();
  child.env = hook.env ? env.data() : environ;
  child.input = input.number();
  child.output = place.out >= 0 ? place.out : output.write.number();
  child.errors = place.err >= 0 ? place.err : output.write.number();
  child.report = report.write.number();
  child.pidfd = place.pidfd;
  child.namespaces = static_cast<int>(place.namespaces);
  RunningHook running;
  running.process = TRY(sys::fork_with_pidfd());
  if (running.process.pid == 0) run_hook_child(child);
  TRY(sys::set_nonblocking(output.read, true));
  running.output = std::move(output.read);
  running.report = std::move(report.read);
  return running;
}

// Takes what there is to read; false at the end of file.
bool take_output(RunningHook& hook) {
  char buffer[1024];
  for (;;) {
    auto got = sys::read(hook.output, buffer, sizeof buffer);
    if (!got) return got.error().value == EAGAIN;
    if (*got == 0) return false;
    std::size_t room = kOutputLimit - hook.text.size();
    hook.text.append(buffer, std::min(room, *got));
  }
}

// Reads the hook's output until it ends; false when `timeout_s` passed before.
ErrnoOr<bool> wait_for(RunningHook& hook, std::optional<int> timeout_s) {
  auto deadline = Deadline::in_ms(timeout_s.value_or(0) * std::int64_t{1000});
  pollfd fds[2] = {{hook.process.pidfd.number(), POLLIN, 0}, {hook.output.number(), POLLIN, 0}};
  for (;;) {
    TRY(sys::poll(fds, timeout_s ? deadline.left_ms() : -1));
    if (fds[1].revents != 0 && !take_output(hook)) fds[1].fd = -1;
    if (fds[0].revents != 0) {
      if (fds[1].fd >= 0) (void)take_output(hook);
      return true;
    }
    if (timeout_s && deadline.passed()) return false;
  }
}

// What the hook wrote, as one line for an error.
std::string described_output(const RunningHook& hook) {
  auto text = trim(hook.text);
  return text.empty() ? std::string() : cat(", output: ", text);
}

Error failure(int errno_value, std::string_view phase, std::size_t index, const spec::Hook& hook,
              const std::string& cause) {
  return Error::with_cause(errno_value, cat("error running ", phase, " hook #", index, ": ", cause))
      .doing("hook ", hook.path)
      .where("hooks.", phase, "[", index, "]")
      .code("hook.failed");
}

Result<> run_hook(const spec::Hook& hook, std::string_view phase, std::size_t index,
                  std::string_view state, const HookPlace& place) {
  auto running = spawn(hook, state, place);
  if (!running) {
    return std::unexpected(failure(running.error().value, phase, index, hook,
                                   std::string(errno_text(running.error().value))));
  }
  auto ended = wait_for(*running, hook.timeout);
  if (!ended || !*ended) {
    (void)sys::kill(-running->process.pid, SIGKILL);
    (void)sys::pidfd_send_signal(running->process.pidfd, SIGKILL);
    (void)sys::wait_readable(running->process.pidfd, kKillTimeoutMs);
    (void)sys::wait_pidfd(running->process.pidfd, WNOHANG);
    if (!ended) return std::unexpected(Error(ended.error()).doing("wait for hook ", hook.path));
    return std::unexpected(failure(ETIME, phase, index, hook,
                                   cat("it ran longer than its timeout of ", *hook.timeout, " s",
                                       described_output(*running))));
  }
  auto status = TRY_CTX(sys::wait_pidfd(running->process.pidfd), "wait for hook ", hook.path);
  if (status.code == CLD_EXITED && status.status == 0) return {};
  int exec_error = 0;
  auto got = sys::read(running->report, &exec_error, sizeof exec_error);
  if (got && *got == sizeof exec_error) {
    return std::unexpected(
        failure(exec_error, phase, index, hook, std::string(errno_text(exec_error))));
  }
  std::string how =
      status.code == CLD_EXITED ? cat("exit status ", status.status) : killed_text(status.status);
  return std::unexpected(
      failure(ECANCELED, phase, index, hook, cat(how, described_output(*running))));
}

constexpr std::uint64_t kNamespaceFlags[spec::kNamespaceKinds] = {
    CLONE_NEWPID, CLONE_NEWNET,  CLONE_NEWNS,     CLONE_NEWIPC,
    CLONE_NEWUTS, CLONE_NEWUSER, CLONE_NEWCGROUP, CLONE_NEWTIME,
};

}  // namespace

Result<HookOutput> HookOutput::open(const std::map<std::string, std::string>& annotations) {
  HookOutput output;
  for (auto [key, fd] : {std::pair("run.oci.hooks.stdout", &output.out),
                         std::pair("run.oci.hooks.stderr", &output.err)}) {
    auto path = annotations.find(key);
    if (path == annotations.end()) continue;
    *fd = TRY_CTX(sys::openat(sys::kCwd, path->second.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600),
                  "annotation ", key, ": open ", path->second);
  }
  return output;
}

Result<> run_hooks(const std::vector<spec::Hook>& hooks, std::string_view phase,
                   std::string_view state, const HookPlace& place) {
  for (std::size_t i = 0; i < hooks.size(); ++i) TRY(run_hook(hooks[i], phase, i, state, place));
  return {};
}

std::uint64_t own_namespaces(const plan::NamespacePlan& plan) {
  std::uint64_t flags = 0;
  for (const auto& step : plan.steps) {
    bool differs = step.action != plan::NamespaceAction::kKeep;
    // A new time namespace is for children only, and would need a process without threads.
    if (differs && step.kind != plan::NamespaceKind::kTime) {
      flags |= kNamespaceFlags[static_cast<std::size_t>(step.kind)];
    }
  }
  return flags;
}

void run_poststop_hooks(const Context& context, const Container& container,
                        std::string_view state) {
  // Most configurations have none and need not be parsed.
  if (container.config.find("\"poststop\"") == std::string::npos) return;
  auto spec = spec::read_oci_config(container.config, container.state.bundle);
  if (!spec) {
    if (context.warn) context.warn(cat("poststop hooks not run: ", spec.error().message()));
    return;
  }
  auto output = HookOutput::open(spec->annotations);
  HookPlace place = output ? output->place() : HookPlace();
  if (!output && context.warn) context.warn(output.error().message());
  for (std::size_t i = 0; i < spec->hooks.poststop.size(); ++i) {
    auto run = run_hook(spec->hooks.poststop[i], "poststop", i, state, place);
    if (!run && context.warn) context.warn(run.error().message());
  }
}

}  // namespace caisson::container

#include "linux/spawn.h"

#include <sys/mman.h>

#include <cstring>
#include <new>

#include "base/defer.h"
#include "linux/listener.h"
#include "sys/clone.h"
#include "sys/file.h"
#include "sys/process.h"

extern "C" const char caisson_launcher_begin[];
extern "C" const char caisson_launcher_end[];

namespace caisson::linux {
namespace {

ErrnoOr<void*> map_memory(std::size_t size, int flags) {
  long at =
      TRY(sys::call(SYS_mmap, nullptr, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0));
  return reinterpret_cast<void*>(at);
}

// Lists of strings and other parts, appended to the block; offsets are what the launcher follows.
class BlockWriter {
 public:
  BlockWriter() : text_(sizeof(LaunchHeader), '\0') {}

  std::uint32_t put(std::string_view bytes, std::size_t alignment = 1) {
    while (text_.size() % alignment != 0) text_ += '\0';
    auto at = static_cast<std::uint32_t>(text_.size());
    text_ += bytes;
    return at;
  }
  std::uint32_t put_strings(const plan::Strings& strings) {
    auto at = static_cast<std::uint32_t>(text_.size());
    for (const auto& string : strings) {
      text_ += string;
      text_ += '\0';
    }
    return at;
  }
  std::string finish(LaunchHeader header) {
    header.size = static_cast<std::uint32_t>(text_.size());
    std::memcpy(text_.data(), &header, sizeof header);
    return std::move(text_);
  }

 private:
  std::string text_;
};

template <typename T>
std::string_view bytes_of(const T* items, std::size_t count) {
  return {reinterpret_cast<const char*>(items), count * sizeof(T)};
}

void add_hooks(BlockWriter& writer, LaunchHeader& header, const LaunchBlock& block) {
  if (block.hooks == nullptr || block.hooks->empty()) return;
  std::vector<LaunchHook> hooks;
  for (const auto& hook : *block.hooks) {
    LaunchHook out;
    out.path = writer.put(hook.path + '\0');
    plan::Strings args = hook.args.empty() ? plan::Strings{hook.path} : hook.args;
    out.args = writer.put_strings(args);
    out.arg_count = static_cast<std::uint32_t>(args.size());
    const plan::Strings env = hook.env.value_or(plan::Strings());
    out.env = writer.put_strings(env);
    out.env_count = static_cast<std::uint32_t>(env.size());
    out.inherits_env = hook.env ? 0 : 1;
    out.timeout_s = static_cast<std::uint32_t>(hook.timeout.value_or(0));
    hooks.push_back(out);
  }
  header.hook_count = static_cast<std::uint32_t>(hooks.size());
  header.hooks = writer.put(bytes_of(hooks.data(), hooks.size()), alignof(LaunchHook));
  header.hook_state = writer.put(block.hook_state);
  header.hook_out = block.hook_out;
  header.hook_err = block.hook_err;
  header.hook_state_length = static_cast<std::uint32_t>(block.hook_state.size());
}

Error died(const Conversation& talk, const NewProcess& process) {
  bool oom = talk.oom_kills && talk.oom_kills() > 0;
  if (oom) {
    return Error::with_cause(ENOMEM, "container init was OOM-killed (memory limit too low?)")
        .cure("raise linux.resources.memory.limit")
        .code("start.oom");
  }
  (void)process;
  return Error::with_cause(ECHILD, "the container's init was killed while it was being set up")
      .code("start.killed");
}

// The child waits for it, in the middle of its mounts.
Result<> map_ids_for_child(const Conversation& talk, const sys::Message& message) {
  IdMapMessage wanted;
  const auto& steps = talk.plan->mounts.steps;
  bool whole = message.data.size() == sizeof wanted && message.fds.size() == 1;
  if (whole) std::memcpy(&wanted, message.data.data(), sizeof wanted);
  auto index = static_cast<std::size_t>(wanted.index);
  if (!whole || index >= steps.size()) {
    return std::unexpected(Error(Errno{EPROTO}).doing("map ids of a mount"));
  }
  auto mapped = set_id_map(steps[index], message.fds[0], talk.context->id_map_namespaces[index]);
  if (mapped) return say(talk, "I");
  ChildReport& report = *talk.context->report;
  report.step = ChildStep::kMounts;
  report.error = mapped.error().value;
  return std::unexpected(child_error(report, *talk.plan, *talk.context->process));
}

Result<Event> decode(const Conversation& talk, const NewProcess& process, sys::Message& message,
                     Passed& passed, bool& again) {
  const ChildReport& report = *talk.context->report;
  again = false;
  if (message.data.empty()) {
    if (report.launched != 0) return Event::kRunning;
    return std::unexpected(died(talk, process));
  }
  if (message.data.size() == sizeof(LaunchReport)) {
    LaunchReport launch;
    std::memcpy(&launch, message.data.data(), sizeof launch);
    if (launch.what == LaunchWhat::kWaiting) return Event::kWaiting;
    if (launch.what == LaunchWhat::kMade) {
      passed.pid = launch.error;
      return Event::kMade;
    }
    if (launch.what == LaunchWhat::kListener && !message.fds.empty()) {
      passed.listener_page = std::move(message.fds[0]);
      return Event::kListener;
    }
    return std::unexpected(launch_error(launch, talk.context->process->args[0]));
  }
  switch (message.data[0]) {
    case 'I':
      TRY(map_ids_for_child(talk, message));
      again = true;
      return Event::kRunning;
    case 'N': return Event::kNetDevicesWanted;
    case 'H': return Event::kHooksWanted;
    case 'D': return Event::kDeviceRulesWanted;
    case 'S': return Event::kScopeWanted;
    case 'U': return Event::kIdsWanted;
    case 'L':
      if (!message.fds.empty()) passed.layers = std::move(message.fds[0]);
      again = true;
      return Event::kRunning;
    default: return std::unexpected(child_error(report, *talk.plan, *talk.context->process));
  }
}

struct Entry {
  ChildContext* context;
  void (*run)(ChildContext&);
};

void enter(void* argument) {
  auto* entry = static_cast<Entry*>(argument);
  entry->run(*entry->context);
}

}  // namespace

Result<SharedReport> SharedReport::create(std::size_t mount_steps) {
  std::size_t size = sizeof(ChildReport) + mount_steps;
  void* memory = TRY_CTX(map_memory(size, MAP_SHARED), "map shared memory");
  auto* report = new (memory) ChildReport();
  report->skipped = reinterpret_cast<std::uint8_t*>(report + 1);
  return SharedReport(report, size);
}

SharedReport::~SharedReport() {
  if (report_ != nullptr) sys::raw(SYS_munmap, report_, size_);
}

Result<Fd> launcher_file() {
  constexpr unsigned kAllowSealing = 2, kExecutable = 16;  // MFD_*
  auto file = sys::memfd_create("caisson-launcher", kAllowSealing | kExecutable);
  if (!file && file.error().value == EINVAL) {
    file = sys::memfd_create("caisson-launcher", kAllowSealing);  // before Linux 6.3
  }
  if (file) return std::move(*file);
  return std::unexpected(Error(file.error())
                             .doing("make the launcher's memory file")
                             .cure("vm.memfd_noexec must not be 2"));
}

Result<> fill_launcher(FdRef file) {
  std::string_view bytes(caisson_launcher_begin,
                         static_cast<std::size_t>(caisson_launcher_end - caisson_launcher_begin));
  TRY_CTX(sys::write_all(file, bytes), "write the launcher");
  TRY_CTX(sys::fchmod(file, 0555), "make the launcher executable");
  constexpr int kSeals = 0x1 | 0x2 | 0x4 | 0x8;  // SEAL, SHRINK, GROW, WRITE
  TRY_CTX(sys::call(SYS_fcntl, file.number(), 1033 /* F_ADD_SEALS */, kSeals), "seal the launcher");
  return {};
}

Result<> write_launch_block(FdRef file, const LaunchBlock& block) {
  BlockWriter writer;
  LaunchHeader header;
  header.report_fd = block.report_fd;
  header.start_fd = block.start_fd;
  header.clone = block.clone ? 1 : 0;
  header.new_session = block.new_session ? 1 : 0;
  header.terminal = block.terminal ? 1 : 0;
  const auto& seccomp = block.process->seccomp;
  if (!seccomp.program.empty()) {
    header.seccomp = writer.put(bytes_of(seccomp.program.data(), seccomp.program.size()), 8);
    header.seccomp_length = static_cast<std::uint32_t>(seccomp.program.size());
    header.seccomp_flags = seccomp.filter_flags;
    if (!block.process->no_new_privileges) {
      constexpr std::uint64_t kAdmin = std::uint64_t{1} << 21;  // CAP_SYS_ADMIN
      const auto& wanted = block.process->capabilities;
      header.admin_inheritable = (wanted.inheritable & kAdmin) == 0 ? 1 : 0;
      header.admin_ambient = (wanted.ambient & kAdmin) == 0 ? 1 : 0;
    }
  }
  if (block.process->apparmor_profile) {
    header.exec_label = writer.put(cat("exec ", *block.process->apparmor_profile, '\0'));
  } else if (block.process->selinux_label) {
    header.exec_label = writer.put(cat(*block.process->selinux_label, '\0'));
  }
  add_hooks(writer, header, block);
  TRY_CTX(sys::write_all(file, writer.finish(header)), "write the launch block");
  return {};
}

void fill_arguments(ChildContext& context, const plan::ProcessPlan& process,
                    const plan::Strings& extra_env) {
  auto text = [](const std::string& string) { return const_cast<char*>(string.c_str()); };
  *std::to_chars(context.control, context.control + sizeof context.control - 1,
                 context.launch_data_fd)
       .ptr = '\0';
  context.argv = {context.control, context.program};
  for (const auto& argument : process.args) context.argv.push_back(text(argument));
  context.argv.push_back(nullptr);
  context.envp.clear();
  for (const auto& entry : process.env) {
    if (!process.set_home || !entry.starts_with("HOME=")) context.envp.push_back(text(entry));
  }
  for (const auto& entry : extra_env) context.envp.push_back(text(entry));
  if (process.set_home) context.envp.push_back(context.home);
  context.envp.push_back(nullptr);
}

void NewProcess::kill_and_reap() {
  if (pid_ == 0) return;
  (void)sys::pidfd_send_signal(pidfd_, SIGKILL);
  bool ended = sys::wait_readable(pidfd_, 10'000).value_or(false);
  (void)sys::wait_pidfd(pidfd_, WNOHANG);
  pid_ = 0;
  pidfd_.reset();
  // One that is stuck in the kernel still stands on it.
  if (ended) unmap_stack();
}

void NewProcess::unmap_stack() {
  if (stack_ != nullptr) sys::raw(SYS_munmap, std::exchange(stack_, nullptr), kStackSize);
}

namespace {

// ENOSYS is also what system call filters answer.
Error clone_error(Errno error) {
  Error out = Error(error).doing("clone3");
  if (error.value != ENOSYS && error.value != EPERM) return out;
  return std::move(out).cure(
      "in a container, start the outer one with \"--cap-add ALL --seccomp unconfined\"; elsewhere "
      "\"caisson doctor\" says what is missing");
}

}  // namespace

Result<NewProcess> spawn(ChildContext& context, Sharing sharing, void (*entry)(ChildContext&)) {
  int pidfd = -1;
  clone_args args{};
  args.flags = context.clone_flags | std::uint64_t{CLONE_PIDFD} | CLONE_CLEAR_SIGHAND;
  args.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  if (context.cgroup_fd >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<__u64>(static_cast<unsigned>(context.cgroup_fd));
  }
  if (sharing == Sharing::kNothing || !kMayShareMemory) {
    auto pid = sys::call(SYS_clone3, &args, sizeof args);
    if (!pid) return std::unexpected(clone_error(pid.error()));
    if (*pid == 0) {
      entry(context);
      sys::exit_process(1);
    }
    return NewProcess(static_cast<int>(*pid), Fd(pidfd));
  }
  constexpr std::size_t kStackSize = NewProcess::kStackSize;
  void* stack =
      TRY_CTX(map_memory(kStackSize, MAP_PRIVATE | MAP_STACK | MAP_NORESERVE), "map a stack");
  args.flags |= CLONE_VM;
  args.stack = reinterpret_cast<std::uintptr_t>(stack);
  args.stack_size = kStackSize;
  // Lives at the foot of the child's own stack memory, which outlives this frame.
  auto* start = new (stack) Entry{&context, entry};
  auto pid = sys::clone_sharing_memory(args, enter, start);
  NewProcess process(pid.value_or(0), Fd(pidfd), stack);
  if (pid) return process;
  process.release();
  return std::unexpected(clone_error(pid.error()));
}

Result<Event> next_event(const Conversation& talk, const NewProcess& process, int timeout_ms,
                         Passed& passed) {
  for (;;) {
    bool ready =
        TRY_CTX(sys::wait_readable(talk.socket, timeout_ms), "wait for the container's init");
    if (!ready) {
      auto step = child_step_name(talk.context->report->step);
      return std::unexpected(
          Error::with_cause(
              ETIMEDOUT, cat("the container's init did not get ready in ", timeout_ms / 1000, " s"))
              .step(step));
    }
    auto received = sys::receive_message(talk.socket, sizeof(LaunchReport));
    // A child that ends before it has read our last word resets the connection; the reset is
    // reported once and ahead of what it still had to say.
    if (!received && received.error().value == ECONNRESET) {
      received = sys::receive_message(talk.socket, sizeof(LaunchReport));
    }
    if (!received && received.error().value == ECONNRESET) received = sys::Message{};
    if (!received)
      return std::unexpected(Error(received.error()).doing("hear from the container's init"));
    bool again = false;
    auto event = decode(talk, process, *received, passed, again);
    if (!again) return event;
  }
}

Result<Event> last_event(const Conversation& talk, const NewProcess& process, int timeout_ms,
                         Passed& passed, const plan::ListenerFunction& on_listener) {
  auto event = TRY(next_event(talk, process, timeout_ms, passed));
  if (event != Event::kListener) return event;
  TRY(pass_listener_on(passed.listener_page, process.pid(), process.pidfd(), timeout_ms,
                       on_listener));
  return next_event(talk, process, timeout_ms, passed);
}

Result<> say(const Conversation& talk, std::string_view message, std::span<const int> fds) {
  auto sent = sys::send_message(talk.socket, message, fds);
  // A child that died has said why; next_event() reads it.
  if (!sent && sent.error().value != EPIPE && sent.error().value != ECONNRESET) {
    return std::unexpected(Error(sent.error()).doing("talk to the container's init"));
  }
  return {};
}

void replay_times(const ChildReport& report, plan::Timeline* timeline) {
  if (timeline == nullptr) return;
  for (int i = 1; i < static_cast<int>(ChildStep::kCount); ++i) {
    if (report.begin_ns[i] == 0) continue;
    timeline->step("child", child_step_name(static_cast<ChildStep>(i)), report.begin_ns[i],
                   report.end_ns[i] != 0 ? report.end_ns[i] : report.begin_ns[i]);
  }
}

}  // namespace caisson::linux

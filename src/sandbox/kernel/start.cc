// The first process of a container, and further ones that come from outside (exec).
#include <sys/resource.h>

#include <utility>

#include "sandbox/kernel/garbage.h"
#include "sandbox/kernel/loader.h"
#include "sandbox/kernel/task_runner.h"

namespace caisson::sandbox::kernel {
namespace {

// The loader asks for whom a path is walked; there is no task yet.
class Starter final : public vfs::Caller {
 public:
  explicit Starter(const vfs::Credentials& credentials) : credentials_(credentials) {}
  const vfs::Credentials& credentials() const override { return credentials_; }
  vfs::Memory& memory() override { return no_memory_; }

 private:
  class NoMemory final : public vfs::Memory {
   public:
    ErrnoOr<std::size_t> read(std::uint64_t, std::span<std::byte>) override {
      return std::unexpected(Errno{EFAULT});
    }
    ErrnoOr<std::size_t> write(std::uint64_t, std::span<const std::byte>) override {
      return std::unexpected(Errno{EFAULT});
    }
  };
  const vfs::Credentials& credentials_;
  NoMemory no_memory_;
};

mm::MemoryLimits memory_limits(const ProcessRequest& request) {
  mm::MemoryLimits limits;
  limits.address_space = request.limits[RLIMIT_AS].soft;
  limits.data = request.limits[RLIMIT_DATA].soft;
  limits.stack = request.limits[RLIMIT_STACK].soft;
  limits.locked = request.limits[RLIMIT_MEMLOCK].soft;
  return limits;
}

// The value of PATH in the environment of the new process, as execvp(3) has it.
std::string_view search_path(const std::vector<std::string>& env) {
  for (const std::string& line : env)
    if (line.starts_with("PATH=")) return std::string_view(line).substr(5);
  return "/bin:/usr/bin";
}

struct Program {
  Ref<vfs::File> file;
  std::string path;
};

// argv[0] by PATH, relative to the working directory: a name with a slash is a path.
Result<Program> find_program(const vfs::WalkContext& walk, const ProcessRequest& request) {
  std::string name = !request.executable.empty() ? request.executable : request.args.front();
  if (name.find('/') != std::string::npos) {
    auto file = open_program(walk, name);
    if (!file) return std::unexpected(Error(file.error()).doing("execute ", name));
    return Program{*std::move(file), name};
  }
  Errno last{ENOENT};
  std::string_view rest = search_path(request.env);
  for (;;) {
    std::size_t end = rest.find(':');
    std::string_view folder = rest.substr(0, end);
    std::string path = cat(folder.empty() ? "." : folder, "/", name);
    auto file = open_program(walk, path);
    if (file) return Program{*std::move(file), path};
    if (file.error().value != ENOENT && file.error().value != ENOTDIR) last = file.error();
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  return std::unexpected(
      Error(last).doing("execute ", name, ": looked for in ", search_path(request.env)));
}

}  // namespace

Result<Ref<ThreadGroup>> Kernel::start_process(const ProcessRequest& request) {
  if (request.args.empty()) return std::unexpected(Error::invalid("a process needs arguments"));
  Starter starter(*request.credentials);
  vfs::WalkContext walk;
  walk.mounts = request.container->mounts.get();
  walk.root = walk.mounts->root();
  walk.base = walk.root;
  walk.caller = &starter;
  walk.credentials = request.credentials.get();
  walk.base = TRY_CTX(vfs::walk(walk, request.cwd, {.must_be_directory = true}),
                      "enter the working directory ", request.cwd);
  Program program = TRY(find_program(walk, request));
  LoadContext context{*platform_, walk, memory_limits(request), 0, host_figures.get()};
  ExecRequest execute{program.file, program.path, request.args, request.env};
  LoadedProgram loaded =
      TRY_CTX(load_program(context, std::move(execute)), "execute ", program.path);
  auto fs = make_ref<FsContext>(walk.root, walk.base, request.umask);
  return start_loaded(request, std::move(fs), std::move(loaded));
}

ErrnoOr<> Kernel::link_first(const ProcessRequest& request, Task& task) {
  ThreadGroup& group = task.group();
  Locked tree(task_lock_);
  PidNamespace& ns = *group.pid_namespace;
  // Nobody gets into a namespace whose init is gone.
  if (ns.ending || (ns.init == nullptr && ns.last != 0)) return std::unexpected(Errno{ENOMEM});
  if (!allocate_ids(group.pid_namespace, task.ids)) return std::unexpected(Errno{EAGAIN});
  group.ids = task.ids;
  group.leader = &task;
  group.leader_kept = Ref<Task>::share(&task);
  group.tasks.push_back(&task);
  group.executed = true;
  group.is_init = group.unkillable = ns.init == nullptr;
  if (group.is_init) ns.init = &group;
  start_session(group);
  if (request.terminal) {
    group.process_group->session->terminal = request.terminal;
    group.process_group->session->foreground_group = group.id();
    request.terminal->set_session(group.process_group->session.get());
  }
  count_process(group, request.credentials->uid);
  Container& container = *request.container;
  if (!container.init) container.init = Ref<ThreadGroup>::share(&group);
  ++container.processes;
  enter_tables(task);
  return {};
}

Result<Ref<ThreadGroup>> Kernel::start_loaded(const ProcessRequest& request, Ref<FsContext> fs,
                                              LoadedProgram program) {
  Container& container = *request.container;
  auto group = make_ref<ThreadGroup>(*this, container);
  group->pid_namespace = container.pids;
  group->limits = request.limits;
  group->start_time_ns = boottime_ns();
  auto task = make_ref<Task>(*this, group);
  task->set_credentials(program.credentials);
  task->set_files(request.files);
  task->set_fs(std::move(fs));
  task->set_mounts(container.mounts);
  task->set_uts(container.uts);
  task->ipc = container.ipc;
  task->network = container.network;
  task->set_name(program.name);
  task->personality = program.personality;
  task->start_time_ns = group->start_time_ns;
  task->set_memory(program.memory);
  task->thread_ = TRY_CTX(program.memory->space().new_thread(program.registers, nullptr),
                          "start a thread for ", program.name);
  TRY_CTX(link_first(request, *task), "add a process to container ", container.id);
  if (auto started = TaskRunner::start(*task); !started) {
    unlink_child(*task);
    return std::unexpected(Error(started.error()).doing("start a thread for ", program.name));
  }
  return group;
}

}  // namespace caisson::sandbox::kernel

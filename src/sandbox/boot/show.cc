#include "sandbox/boot/show.h"

#include <fcntl.h>

#include <vector>

#include "base/text.h"
#include "sandbox/boot/syscall_page.h"
#include "sandbox/syscalls/table.h"

namespace caisson::sandbox::boot {
namespace {

using kernel::Container;
using kernel::Kernel;
using kernel::Task;

std::vector<Ref<Task>> tasks_of(Kernel& kernel, Container& container) {
  std::vector<Ref<Task>> tasks;
  Locked lock(kernel.task_lock());
  for (auto& [id, task] : container.pids->tasks)
    if (task != nullptr && task->try_add_ref()) tasks.push_back(Ref<Task>::adopt(task));
  return tasks;
}

std::string title(const Task& task, const Container& container) {
  return cat(task.id_in(*container.pids), " ", task.name(), " ",
             static_cast<char>(task.state.load()), "\n");
}

std::string descriptors(Task& task) {
  std::string out;
  auto files = task.files_ref();
  auto fs = task.fs_ref();
  if (!files || !fs) return out;
  for (int number : files->numbers()) {
    auto file = files->get(number);
    if (file) append(out, "  ", number, " -> ", (*file)->link_text(fs->root()), "\n");
  }
  return out;
}

std::string maps(Task& task, Container& container) {
  auto memory = task.memory_ref();
  auto fs = task.fs_ref();
  if (!memory || !fs) return {};
  return memory->maps_text(fs->root(), *container.mounts, false);
}

// Where each thread is: in which call, or in its own code.
std::string calls(Task& task) {
  std::uint64_t number = task.state.load() == kernel::RunState::kRunning ? 0 : 1;
  if (number == 0) return "  in user code\n";
  auto name = syscalls::name(number);
  return cat("  in ", name.empty() ? cat("call ", number) : std::string(name), "\n");
}

template <typename Text>
std::string for_each_task(Kernel& kernel, Container& container, bool leaders_only, Text text) {
  std::string out;
  for (auto& task : tasks_of(kernel, container)) {
    bool leads = task->id_in(*container.pids) == task->group().id_in(*container.pids);
    if (leaders_only && !leads) continue;
    out += title(*task, container);
    out += text(*task);
  }
  return out;
}

}  // namespace

std::string missing_calls_text(const Kernel& kernel) {
  std::string out;
  for (auto [number, count] : kernel.missing_calls())
    append(out, call_name(number), ": asked for ", count, count == 1 ? " time\n" : " times\n");
  return out;
}

std::string show_text(Kernel& kernel, Container& container, std::string_view what) {
  if (what == "fds") {
    return for_each_task(kernel, container, true, [](Task& task) { return descriptors(task); });
  }
  if (what == "maps") {
    return for_each_task(kernel, container, true,
                         [&](Task& task) { return maps(task, container); });
  }
  if (what == "stacks") {
    return for_each_task(kernel, container, false, [](Task& task) { return calls(task); });
  }
  if (what == "processes") {
    return for_each_task(kernel, container, true, [](Task&) { return std::string(); });
  }
  if (what == "mounts") return vfs::mountinfo_text(*container.mounts, container.mounts->root());
  if (what == "syscalls") return missing_calls_text(kernel);
  return cat("nothing is known as ", quoted(what), "\n");
}

}  // namespace caisson::sandbox::boot

#include "sandbox/boot/guest_processes.h"

#include <algorithm>

#include "base/text.h"
#include "sandbox/fs/proc/proc.h"

namespace caisson::sandbox::boot {
namespace {

using kernel::Task;
using kernel::ThreadGroup;

struct Found {
  plan::GuestProcess process;
  Ref<Task> leader;
};

// What the tables know. Under the task lock.
plan::GuestProcess described(const ThreadGroup& group, const kernel::PidNamespace& pids) {
  plan::GuestProcess process;
  process.pid = group.id_in(pids);
  process.parent = group.parent != nullptr ? group.parent->id_in(pids) : 0;
  process.threads = static_cast<int>(group.tasks.size());
  auto usage = group.total_usage();
  process.cpu_ns = usage.user_ns + usage.system_ns;
  process.started_ns =
      group.kernel.realtime_ns() - group.kernel.boottime_ns() + group.start_time_ns;
  const auto& session = group.process_group->session;
  if (session->terminal) {
    std::string name = session->terminal->name();
    constexpr std::string_view kDevices = "/dev/";
    process.terminal = name.starts_with(kDevices) ? name.substr(kDevices.size()) : name;
  }
  return process;
}

// What the process itself knows, and may change or take along meanwhile.
void add_own(plan::GuestProcess& process, const Task& leader) {
  process.state = static_cast<char>(leader.state.load());
  process.name = leader.name();
  if (auto credentials = leader.credentials_ref()) {
    process.uid = credentials->euid;
    process.gid = credentials->egid;
  }
  auto memory = leader.memory_ref();
  if (!memory) return;
  std::string text = fs::command_line(*memory);
  while (text.ends_with('\0')) text.pop_back();
  if (text.empty()) return;
  for (auto word : split(text, '\0')) process.args.emplace_back(word);
}

}  // namespace

std::vector<plan::GuestProcess> guest_processes(kernel::Kernel& kernel,
                                                const kernel::Container& container) {
  std::vector<Found> found;
  {
    Locked lock(kernel.task_lock());
    for (const ThreadGroup* group : kernel.all_groups(*container.pids)) {
      if (&group->container != &container || !group->leader_kept) continue;
      found.push_back({described(*group, *container.pids), group->leader_kept});
    }
  }
  std::vector<plan::GuestProcess> processes;
  for (auto& each : found) {
    add_own(each.process, *each.leader);
    processes.push_back(std::move(each.process));
  }
  std::ranges::sort(processes, {}, &plan::GuestProcess::pid);
  return processes;
}

bool init_drops(kernel::Kernel& kernel, const kernel::Container& container, int signal) {
  using kernel::DefaultAction;
  if (!kernel::is_valid_signal(signal)) return false;
  kernel::SignalSet bit = kernel::signal_bit(signal);
  auto action = kernel::default_action(signal);
  bool ends = action == DefaultAction::kTerminate || action == DefaultAction::kCoreDump;
  if (!ends || (bit & kernel::kUnblockable) != 0) return false;
  Locked lock(kernel.task_lock());
  if (!container.init || container.init->zombie) return false;
  const ThreadGroup& init = *container.init;
  Locked signal_lock(init.signal_mutex);
  if (!init.unkillable || init.actions[static_cast<std::size_t>(signal)].handler != 0) return false;
  return std::ranges::none_of(
      init.tasks, [&](const Task* task) { return ((task->blocked | task->awaited) & bit) != 0; });
}

}  // namespace caisson::sandbox::boot

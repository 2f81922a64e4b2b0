// /proc/PID and /proc/PID/task/TID. Only for the files of this folder.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/fs/proc/proc.h"

namespace caisson::sandbox::fs {

// What a task's files are made from. Everything about the task may change or go meanwhile.
struct TaskView {
  ProcFilesystem& proc;
  kernel::Task& task;
  bool whole_group;  // /proc/PID, not /proc/PID/task/TID
  kernel::Task& reader;
  kernel::ThreadGroup& group() const { return task.group(); }
};

// ESRCH: the task is gone.
using TaskText = ErrnoOr<std::string> (*)(const TaskView& view);
using TaskStore = ErrnoOr<> (*)(const TaskView& view, std::string_view text);

struct TaskFileEntry {
  std::string_view name;
  TaskText text;
  std::uint32_t permissions = 0444;
  bool inspects = false;  // only for who may trace the task (ptrace(2), PTRACE_MODE_READ)
  TaskStore store = nullptr;
};

std::span<const TaskFileEntry> task_figures();  // stat, statm, status ...
std::span<const TaskFileEntry> task_memory_files();
std::span<const TaskFileEntry> task_settings();  // limits, comm, oom_score_adj ...
std::span<const TaskFileEntry> task_mount_files();

// ESRCH: it is in no table any more; only an open directory still leads to it.
ErrnoOr<> check_there(const ProcFilesystem& proc, const kernel::Task& task);
// PTRACE_MODE_READ. EACCES.
ErrnoOr<> may_inspect(const vfs::Credentials& reader, const kernel::Task& task);

// Base of what stands below a task's directory: its owner is the task's.
template <typename Base>
class OfTask : public Base {
 public:
  template <typename... Args>
  OfTask(ProcFilesystem& proc, Ref<kernel::Task> task, Args&&... args)
      : Base(proc, std::forward<Args>(args)...), proc_(proc), task_(std::move(task)) {}
  bool caches_names() const override { return false; }

 protected:
  typename Base::Owner owner() override {
    Ref<vfs::Credentials> credentials = task_->credentials_ref();
    if (!credentials || !task_->group().dumpable) return {};
    return {credentials->euid, credentials->egid};
  }
  ProcFilesystem& proc() const { return proc_; }
  const Ref<kernel::Task>& task() const { return task_; }

 private:
  ProcFilesystem& proc_;
  const Ref<kernel::Task> task_;
};

Ref<vfs::Inode> make_task_directory(ProcFilesystem& proc, Ref<kernel::Task> task, bool whole_group,
                                    std::uint64_t number);
// Those of the directory that are no plain texts: fd, fdinfo, cwd, root, exe, ns.
ErrnoOr<Ref<vfs::Inode>> make_task_special(ProcFilesystem& proc, const Ref<kernel::Task>& task,
                                           std::string_view name, std::uint64_t number);
struct TaskSpecialName {
  std::string_view name;
  std::uint32_t type;
};
std::span<const TaskSpecialName> task_special_names();

}  // namespace caisson::sandbox::fs

#include "sandbox/fs/proc/task_directory.h"

#include <dirent.h>
#include <linux/capability.h>

#include <array>
#include <cerrno>

#include "base/text.h"

namespace caisson::sandbox::fs {
namespace {

constexpr std::uint32_t kDirectoryMode = 0555;

class TaskFile final : public OfTask<GeneratedFile> {
 public:
  TaskFile(ProcFilesystem& proc, Ref<kernel::Task> task, const TaskFileEntry& entry,
           bool whole_group, std::uint64_t number)
      : OfTask(proc, std::move(task), S_IFREG | entry.permissions, number),
        entry_(entry),
        whole_group_(whole_group) {}
  ErrnoOr<std::string> text(vfs::Caller& caller) override {
    TRY(check_there(proc(), *task()));
    return entry_.text(view(caller));
  }
  ErrnoOr<> store(std::string_view text, vfs::Caller& caller) override {
    if (entry_.store == nullptr) return std::unexpected(Errno{EIO});
    return entry_.store(view(caller), text);
  }
  ErrnoOr<Ref<vfs::File>> open(const vfs::Path& path, vfs::OpenFlags flags,
                               vfs::Caller& caller) override {
    if (entry_.inspects) TRY(may_inspect(caller.credentials(), *task()));
    return GeneratedFile::open(path, flags, caller);
  }

 private:
  TaskView view(vfs::Caller& caller) { return {proc(), *task(), whole_group_, task_of(caller)}; }
  const TaskFileEntry& entry_;
  const bool whole_group_;
};

std::array<std::span<const TaskFileEntry>, 4> all_entries() {
  return {task_figures(), task_memory_files(), task_settings(), task_mount_files()};
}

// /proc/PID/task.
class ThreadsDirectory final : public OfTask<GeneratedDirectory> {
 public:
  using OfTask::OfTask;
  ErrnoOr<Ref<vfs::Inode>> lookup(std::string_view name) override {
    auto id = parse_number<int>(name);
    if (!id || name.front() == '0') return std::unexpected(Errno{ENOENT});
    Ref<kernel::Task> found;
    {
      Locked lock(proc().kernel().task_lock());
      kernel::Task* other = proc().kernel().find_task(proc().pids(), *id);
      if (other != nullptr && &other->group() == &task()->group())
        found = Ref<kernel::Task>::share(other);
    }
    if (!found) return std::unexpected(Errno{ENOENT});
    return make_task_directory(proc(), std::move(found), false, child(name));
  }
  ErrnoOr<> list(Listing& listing, vfs::Caller&) override {
    Locked lock(proc().kernel().task_lock());
    for (kernel::Task* other : task()->group().tasks) {
      int id = other->id_in(proc().pids());
      if (id != 0) listing.add(cat(id), child(cat(id)), DT_DIR);
    }
    return {};
  }
};

class TaskDirectory final : public OfTask<GeneratedDirectory> {
 public:
  TaskDirectory(ProcFilesystem& proc, Ref<kernel::Task> task, bool whole_group,
                std::uint64_t number)
      : OfTask(proc, std::move(task), kDirectoryMode, number), whole_group_(whole_group) {}

  ErrnoOr<Ref<vfs::Inode>> lookup(std::string_view name) override {
    TRY(check_there(proc(), *task()));
    for (std::span<const TaskFileEntry> entries : all_entries())
      for (const TaskFileEntry& entry : entries)
        if (entry.name == name)
          return Ref<vfs::Inode>(
              make_ref<TaskFile>(proc(), task(), entry, whole_group_, child(name)));
    if (name == "task" && whole_group_)
      return Ref<vfs::Inode>(
          make_ref<ThreadsDirectory>(proc(), task(), kDirectoryMode, child(name)));
    if (name == "net" || name == "attr") return proc_net_or_attr(name);
    return make_task_special(proc(), task(), name, child(name));
  }

  ErrnoOr<> list(Listing& listing, vfs::Caller&) override {
    for (std::span<const TaskFileEntry> entries : all_entries())
      for (const TaskFileEntry& entry : entries) listing.add(entry.name, child(entry.name), DT_REG);
    if (whole_group_) listing.add("task", child("task"), DT_DIR);
    for (std::string_view name : {"net", "attr"}) listing.add(name, child(name), DT_DIR);
    for (const TaskSpecialName& special : task_special_names())
      listing.add(special.name, child(special.name),
                  static_cast<unsigned char>(IFTODT(special.type)));
    return {};
  }

 private:
  ErrnoOr<Ref<vfs::Inode>> proc_net_or_attr(std::string_view name);
  const bool whole_group_;
};

ErrnoOr<Ref<vfs::Inode>> TaskDirectory::proc_net_or_attr(std::string_view name) {
  auto directory = make_ref<StaticDirectory>(proc(), child(name));
  if (name == "net") {
    add_network_files(proc(), task(), *directory);
  } else {
    // Without a security module: what reads as empty in Linux is EINVAL there as well.
    for (std::string_view file : {"current", "exec", "prev", "fscreate", "keycreate", "sockcreate"})
      directory->add(
          file, [](vfs::Caller&) { return ErrnoOr<std::string>(std::unexpected(Errno{EINVAL})); });
  }
  return Ref<vfs::Inode>(std::move(directory));
}

}  // namespace

ErrnoOr<> check_there(const ProcFilesystem& proc, const kernel::Task& task) {
  Locked lock(proc.kernel().task_lock());
  int id = task.id_in(proc.pids());
  if (id == 0 || proc.kernel().find_task(proc.pids(), id) != &task)
    return std::unexpected(Errno{ESRCH});
  return {};
}

ErrnoOr<> may_inspect(const vfs::Credentials& reader, const kernel::Task& task) {
  if (reader.has(CAP_SYS_PTRACE)) return {};
  Ref<vfs::Credentials> target = task.credentials_ref();
  if (!target) return std::unexpected(Errno{ESRCH});
  bool same = reader.fsuid == target->uid && reader.fsuid == target->euid &&
              reader.fsuid == target->suid && reader.fsgid == target->gid &&
              reader.fsgid == target->egid && reader.fsgid == target->sgid;
  bool within = (target->permitted & ~reader.permitted) == 0;
  if (&reader != target.get() && (!same || !within || !task.group().dumpable))
    return std::unexpected(Errno{EACCES});
  return {};
}

Ref<vfs::Inode> make_task_directory(ProcFilesystem& proc, Ref<kernel::Task> task, bool whole_group,
                                    std::uint64_t number) {
  return make_ref<TaskDirectory>(proc, std::move(task), whole_group, number);
}

}  // namespace caisson::sandbox::fs

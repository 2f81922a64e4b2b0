#include "sandbox/fs/proc/proc.h"

#include <dirent.h>
#include <linux/magic.h>

#include <cerrno>

#include "base/text.h"
#include "sandbox/fs/proc/task_directory.h"

namespace caisson::sandbox::fs {
namespace {

// A file without a place in a tree, as an inode that can be looked at and perhaps opened again.
class FileInode final : public vfs::Inode {
 public:
  FileInode(vfs::Filesystem& filesystem, std::uint32_t type, Ref<vfs::File> file)
      : Inode(filesystem, type), file_(std::move(file)) {}
  ErrnoOr<vfs::Attributes> attributes() override { return file_->attributes(); }
  ErrnoOr<> change(const vfs::AttributeChange& change) override { return file_->change(change); }
  ErrnoOr<Ref<vfs::File>> open(const vfs::Path&, vfs::OpenFlags flags,
                               vfs::Caller& caller) override {
    return file_->reopen(flags.flags, caller);
  }

 private:
  Ref<vfs::File> file_;
};

class EmptyDirectory final : public GeneratedDirectory {
 public:
  using GeneratedDirectory::GeneratedDirectory;
  ErrnoOr<Ref<vfs::Inode>> lookup(std::string_view) override {
    return std::unexpected(Errno{ENOENT});
  }
  ErrnoOr<> list(Listing&, vfs::Caller&) override { return {}; }
};

class AnonymousFilesystem final : public GeneratedFilesystem {
 public:
  AnonymousFilesystem() : GeneratedFilesystem("anon_inodefs", ANON_INODE_FS_MAGIC) {
    set_root(make_ref<EmptyDirectory>(*this, 0555U, kGeneratedRoot));
  }
};

class ProcRoot final : public StaticDirectory {
 public:
  explicit ProcRoot(ProcFilesystem& proc) : StaticDirectory(proc, kGeneratedRoot), proc_(proc) {}
  bool caches_names() const override { return false; }

  ErrnoOr<Ref<vfs::Inode>> lookup(std::string_view name) override {
    auto id = parse_number<int>(name);
    if (!id || *id <= 0 || name.front() == '0') return StaticDirectory::lookup(name);
    Ref<kernel::Task> found;
    {
      Locked lock(proc_.kernel().task_lock());
      found = Ref<kernel::Task>::share(proc_.kernel().find_task(proc_.pids(), *id));
    }
    if (!found) return std::unexpected(Errno{ENOENT});
    return make_task_directory(proc_, std::move(found), true, child(name));
  }

  ErrnoOr<> list(Listing& listing, vfs::Caller& caller) override {
    TRY(StaticDirectory::list(listing, caller));
    Locked lock(proc_.kernel().task_lock());
    for (kernel::ThreadGroup* group : proc_.kernel().all_groups(proc_.pids())) {
      std::string id = cat(group->id_in(proc_.pids()));
      listing.add(id, child(id), DT_DIR);
    }
    return {};
  }

 private:
  ProcFilesystem& proc_;
};

ErrnoOr<std::string> self_text(ProcFilesystem& proc, vfs::Caller* caller, bool thread) {
  if (caller == nullptr) return std::unexpected(Errno{ENOENT});
  kernel::Task& task = task_of(*caller);
  int group = task.group().id_in(proc.pids());
  int id = task.id_in(proc.pids());
  if (group == 0 || id == 0) return std::unexpected(Errno{ENOENT});
  return thread ? cat(group, "/task/", id) : cat(group);
}

}  // namespace

ProcFilesystem::ProcFilesystem(kernel::Kernel& kernel, Ref<kernel::PidNamespace> pids,
                               MachineFacts facts)
    : GeneratedFilesystem("proc", PROC_SUPER_MAGIC),
      kernel_(kernel),
      pids_(std::move(pids)),
      facts_(std::move(facts)) {
  auto anonymous = make_ref<AnonymousFilesystem>();
  auto top = vfs::Dentry::make_root(anonymous->root());
  anonymous_ = make_ref<vfs::Mount>(std::move(anonymous), std::move(top), std::uint64_t{0},
                                    std::string("none"));
}

Ref<ProcFilesystem> ProcFilesystem::create(kernel::Kernel& kernel, Ref<kernel::PidNamespace> pids,
                                           MachineFacts facts, NetworkText network_text) {
  auto proc =
      Ref<ProcFilesystem>::adopt(new ProcFilesystem(kernel, std::move(pids), std::move(facts)));
  proc->network_text_ = network_text;
  auto root = make_ref<ProcRoot>(*proc);
  ProcFilesystem* raw = proc.get();  // outlives its inodes
  root->add_link("self", [raw](vfs::Caller* caller) { return self_text(*raw, caller, false); });
  root->add_link("thread-self",
                 [raw](vfs::Caller* caller) { return self_text(*raw, caller, true); });
  root->add_link("mounts", "self/mounts");
  root->add_link("net", "self/net");
  add_machine_files(*proc, *root);
  add_sysctl(*proc, *root);
  add_ipc_files(*root);
  proc->set_root(std::move(root));
  return proc;
}

vfs::Path ProcFilesystem::place_of(Ref<vfs::File> file) {
  if (file->path()) return file->path();
  std::uint32_t type = file->attributes().value_or(vfs::Attributes{}).mode & S_IFMT;
  std::string name = file->link_text({});
  auto inode = make_ref<FileInode>(anonymous_->filesystem(), type, std::move(file));
  return {anonymous_, vfs::Dentry::make_root(std::move(inode), std::move(name))};
}

}  // namespace caisson::sandbox::fs

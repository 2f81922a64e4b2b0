// /proc/PID/{fd,fdinfo,cwd,root,exe,ns}.
#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <span>

#include "base/text.h"
#include "sandbox/fs/proc/task_directory.h"
#include "sandbox/vfs/walk.h"

namespace caisson::sandbox::fs {
namespace {

std::string text_of(const vfs::Path& path, vfs::Caller* caller) {
  vfs::Path root = caller != nullptr ? task_of(*caller).fs().root() : vfs::Path{};
  return vfs::path_text(path, root);
}

// --- links to places: cwd, root, exe

enum class Place : std::uint8_t { kCwd, kRoot, kExecutable };

class PlaceLink final : public OfTask<GeneratedLink> {
 public:
  PlaceLink(ProcFilesystem& proc, Ref<kernel::Task> task, Place place, std::uint64_t number)
      : OfTask(proc, std::move(task), number), place_(place) {}

  ErrnoOr<std::string> read_link(vfs::Caller* caller) override {
    if (caller != nullptr) TRY(may_inspect(caller->credentials(), *task()));
    return text_of(TRY(target()), caller);
  }
  ErrnoOr<vfs::Path> magic_link(vfs::Caller& caller) override {
    TRY(may_inspect(caller.credentials(), *task()));
    return target();
  }

 private:
  ErrnoOr<vfs::Path> target() {
    vfs::Path path;
    if (place_ == Place::kExecutable) {
      Ref<mm::MemoryMap> memory = task()->memory_ref();
      Ref<vfs::File> file = memory ? memory->layout().executable : Ref<vfs::File>();
      if (file) path = proc().place_of(std::move(file));
    } else if (Ref<kernel::FsContext> fs = task()->fs_ref()) {
      path = place_ == Place::kCwd ? fs->cwd() : fs->root();
    }
    if (!path) return std::unexpected(Errno{ENOENT});
    return path;
  }
  const Place place_;
};

// --- fd

ErrnoOr<Ref<vfs::File>> file_of(const kernel::Task& task, int fd) {
  Ref<kernel::FdTable> files = task.files_ref();
  if (!files) return std::unexpected(Errno{ENOENT});
  auto file = files->get(fd);
  if (!file) return std::unexpected(Errno{ENOENT});
  return file;
}

// The owner may do with the link what the descriptor may do (proc(5)).
std::uint32_t link_permissions(const vfs::File& file) {
  std::uint32_t permissions = 0100;
  if (file.readable()) permissions |= 0400;
  if (file.writable()) permissions |= 0200;
  return permissions;
}

class FdLink final : public OfTask<GeneratedLink> {
 public:
  FdLink(ProcFilesystem& proc, Ref<kernel::Task> task, int fd, std::uint64_t number,
         std::uint32_t permissions)
      : OfTask(proc, std::move(task), number, permissions), fd_(fd) {}

  ErrnoOr<std::string> read_link(vfs::Caller* caller) override {
    Ref<vfs::File> file = TRY(file_of(*task(), fd_));
    return file->link_text(caller != nullptr ? task_of(*caller).fs().root() : vfs::Path{});
  }
  ErrnoOr<vfs::Path> magic_link(vfs::Caller& caller) override {
    TRY(may_inspect(caller.credentials(), *task()));
    return proc().place_of(TRY(file_of(*task(), fd_)));
  }
  ErrnoOr<vfs::Attributes> attributes() override {
    vfs::Attributes attributes = TRY(GeneratedLink::attributes());
    attributes.size = 64;
    return attributes;
  }

 private:
  const int fd_;
};

class FdInfo final : public OfTask<GeneratedFile> {
 public:
  FdInfo(ProcFilesystem& proc, Ref<kernel::Task> task, int fd, std::uint64_t number)
      : OfTask(proc, std::move(task), std::uint32_t{S_IFREG | 0444}, number), fd_(fd) {}

  ErrnoOr<std::string> text(vfs::Caller&) override {
    Ref<kernel::FdTable> files = task()->files_ref();
    Ref<vfs::File> file = TRY(file_of(*task(), fd_));
    std::uint32_t flags = file->flags();
    if (files && files->is_close_on_exec(fd_).value_or(false)) flags |= O_CLOEXEC;
    std::uint64_t inode = file->attributes().value_or(vfs::Attributes{}).inode;
    std::uint64_t mount = file->path().mount ? file->path().mount->id() : 0;
    return cat("pos:\t", file->seek(0, SEEK_CUR).value_or(0), "\nflags:\t0", octal(flags),
               "\nmnt_id:\t", mount, "\nino:\t", inode, "\n", file->info_text());
  }

 private:
  const int fd_;
};

class FdDirectory final : public OfTask<GeneratedDirectory> {
 public:
  FdDirectory(ProcFilesystem& proc, Ref<kernel::Task> task, bool info, std::uint64_t number)
      : OfTask(proc, std::move(task), info ? 0555U : 0500U, number), info_(info) {}

  ErrnoOr<Ref<vfs::Inode>> lookup(std::string_view name) override {
    auto fd = parse_number<int>(name);
    if (!fd || *fd < 0 || (name.size() > 1 && name.front() == '0'))
      return std::unexpected(Errno{ENOENT});
    Ref<vfs::File> file = TRY(file_of(*task(), *fd));
    if (info_) return Ref<vfs::Inode>(make_ref<FdInfo>(proc(), task(), *fd, child(name)));
    return Ref<vfs::Inode>(
        make_ref<FdLink>(proc(), task(), *fd, child(name), link_permissions(*file)));
  }
  ErrnoOr<> list(Listing& listing, vfs::Caller& caller) override {
    TRY(may_inspect(caller.credentials(), *task()));
    Ref<kernel::FdTable> files = task()->files_ref();
    if (!files) return {};
    for (int fd : files->numbers()) listing.add(cat(fd), child(cat(fd)), info_ ? DT_REG : DT_LNK);
    return {};
  }
  // A thread may always look at its own process (fs/proc/fd.c: proc_fd_permission()).
  ErrnoOr<> may_access(const vfs::Credentials& credentials, int) override {
    return may_inspect(credentials, *task());
  }

 private:
  const bool info_;
};

// --- namespaces

enum class Kind : std::uint8_t {
  kCgroup,
  kIpc,
  kMount,
  kNetwork,
  kPid,
  kPidChildren,
  kTime,
  kUser,
  kUts
};

struct NamespaceName {
  std::string_view name, shown;
  Kind kind;
};
constexpr NamespaceName kNamespaces[] = {
    {"cgroup", "cgroup", Kind::kCgroup}, {"ipc", "ipc", Kind::kIpc},
    {"mnt", "mnt", Kind::kMount},        {"net", "net", Kind::kNetwork},
    {"pid", "pid", Kind::kPid},          {"pid_for_children", "pid", Kind::kPidChildren},
    {"time", "time", Kind::kTime},       {"time_for_children", "time", Kind::kTime},
    {"user", "user", Kind::kUser},       {"uts", "uts", Kind::kUts},
};

// Of the only user and time namespaces, as Linux numbers its first ones (linux/proc_ns.h).
constexpr std::uint64_t kFirstUserNamespace = 0xEFFFFFFD, kFirstTimeNamespace = 0xEFFFFFFA,
                        kFirstCgroupNamespace = 0xEFFFFFFB;

std::uint64_t number_of(const kernel::Task& task, Kind kind) {
  switch (kind) {
    case Kind::kCgroup: return task.cgroup ? task.cgroup->inode : kFirstCgroupNamespace;
    case Kind::kIpc: return task.ipc ? task.ipc->inode : 0;
    case Kind::kNetwork: return task.network ? task.network->inode : 0;
    case Kind::kPid: return task.group().pid_namespace->inode;
    case Kind::kPidChildren:
      return task.children_pids ? task.children_pids->inode : task.group().pid_namespace->inode;
    case Kind::kTime: return kFirstTimeNamespace;
    case Kind::kUser: return kFirstUserNamespace;
    case Kind::kUts: {
      Ref<kernel::UtsNamespace> uts = task.uts_ref();
      return uts ? uts->inode : 0;
    }
    case Kind::kMount: {
      Ref<vfs::MountNamespace> mounts = task.mounts_ref();
      return mounts ? mounts->id() : 0;
    }
  }
  return 0;
}

// What stands behind a link: only its number can be had (setns(2) takes pidfds).
class NamespaceFile final : public vfs::File {
 public:
  NamespaceFile(std::string name, std::uint64_t number)
      : File({}, {}, O_RDONLY), name_(std::move(name)), number_(number) {}
  ErrnoOr<vfs::Attributes> attributes() override {
    vfs::Attributes attributes;
    attributes.mode = S_IFREG | 0444;
    attributes.inode = number_;
    attributes.device = 4;  // nsfs
    return attributes;
  }
  std::string link_text(const vfs::Path&) override { return name_; }
  ErrnoOr<Ref<vfs::File>> reopen(std::uint32_t, vfs::Caller&) override {
    return Ref<vfs::File>(make_ref<NamespaceFile>(name_, number_));
  }

 private:
  const std::string name_;
  const std::uint64_t number_;
};

class NamespaceLink final : public OfTask<GeneratedLink> {
 public:
  NamespaceLink(ProcFilesystem& proc, Ref<kernel::Task> task, const NamespaceName& name,
                std::uint64_t number)
      : OfTask(proc, std::move(task), number), name_(name) {}
  ErrnoOr<std::string> read_link(vfs::Caller*) override {
    return cat(name_.shown, ":[", number_of(*task(), name_.kind), "]");
  }
  ErrnoOr<vfs::Path> magic_link(vfs::Caller& caller) override {
    TRY(may_inspect(caller.credentials(), *task()));
    std::string text = TRY(read_link(&caller));
    return proc().place_of(
        make_ref<NamespaceFile>(std::move(text), number_of(*task(), name_.kind)));
  }

 private:
  const NamespaceName& name_;
};

class NamespaceDirectory final : public OfTask<GeneratedDirectory> {
 public:
  using OfTask::OfTask;
  ErrnoOr<Ref<vfs::Inode>> lookup(std::string_view name) override {
    for (const NamespaceName& each : kNamespaces)
      if (each.name == name)
        return Ref<vfs::Inode>(make_ref<NamespaceLink>(proc(), task(), each, child(name)));
    return std::unexpected(Errno{ENOENT});
  }
  ErrnoOr<> list(Listing& listing, vfs::Caller&) override {
    for (const NamespaceName& each : kNamespaces) listing.add(each.name, child(each.name), DT_LNK);
    return {};
  }
};

// --- mem

class MemoryFile final : public vfs::File {
 public:
  MemoryFile(const vfs::Path& path, Ref<vfs::Inode> inode, std::uint32_t flags,
             Ref<mm::MemoryMap> memory)
      : File(path, std::move(inode), flags), memory_(std::move(memory)) {}
  ErrnoOr<std::size_t> read_at(vfs::IoBuffer& to, std::uint64_t offset, vfs::Caller&) override {
    if (to.remaining() == 0) return 0;
    std::string bytes(std::min<std::uint64_t>(to.remaining(), kPiece), '\0');
    auto got = memory_->read(offset, std::as_writable_bytes(std::span(bytes)));
    if (!got) return std::unexpected(Errno{EIO});
    return to.put(std::as_bytes(std::span(bytes)).first(*got));
  }
  ErrnoOr<std::size_t> write_at(vfs::IoBuffer& from, std::uint64_t offset, vfs::Caller&) override {
    if (from.remaining() == 0) return 0;
    std::string bytes(std::min<std::uint64_t>(from.remaining(), kPiece), '\0');
    std::size_t copied = TRY(from.peek(std::as_writable_bytes(std::span(bytes))));
    auto put = memory_->write_forced(offset, std::as_bytes(std::span(bytes)).first(copied));
    if (!put) return std::unexpected(Errno{EIO});
    from.skip(*put);
    return put;
  }
  ErrnoOr<std::uint64_t> seek(std::int64_t offset, int whence) override {
    if (whence != SEEK_SET && whence != SEEK_CUR) return std::unexpected(Errno{EINVAL});
    Locked lock(position_mutex_);
    auto by = static_cast<std::uint64_t>(offset);  // addresses may be above the signed range
    position_ = whence == SEEK_SET ? by : position_ + by;
    return position_;
  }

 private:
  static constexpr std::size_t kPiece = 64 * 1024;
  Ref<mm::MemoryMap> memory_;
};

class MemoryInode final : public OfTask<GeneratedInode> {
 public:
  MemoryInode(ProcFilesystem& proc, Ref<kernel::Task> task, std::uint64_t number)
      : OfTask(proc, std::move(task), std::uint32_t{S_IFREG | 0600}, number) {}
  ErrnoOr<Ref<vfs::File>> open(const vfs::Path& path, vfs::OpenFlags flags,
                               vfs::Caller& caller) override {
    TRY(may_inspect(caller.credentials(), *task()));
    Ref<mm::MemoryMap> memory = task()->memory_ref();
    if (!memory) return std::unexpected(Errno{ESRCH});
    return Ref<vfs::File>(
        make_ref<MemoryFile>(path, Ref<vfs::Inode>::share(this), flags.flags, std::move(memory)));
  }
};

constexpr TaskSpecialName kSpecialNames[] = {
    {"mem", S_IFREG}, {"fd", S_IFDIR},   {"fdinfo", S_IFDIR}, {"ns", S_IFDIR},
    {"cwd", S_IFLNK}, {"root", S_IFLNK}, {"exe", S_IFLNK},
};

}  // namespace

std::span<const TaskSpecialName> task_special_names() { return kSpecialNames; }

ErrnoOr<Ref<vfs::Inode>> make_task_special(ProcFilesystem& proc, const Ref<kernel::Task>& task,
                                           std::string_view name, std::uint64_t number) {
  Ref<vfs::Inode> inode;
  if (name == "fd") inode = make_ref<FdDirectory>(proc, task, false, number);
  if (name == "fdinfo") inode = make_ref<FdDirectory>(proc, task, true, number);
  if (name == "ns") inode = make_ref<NamespaceDirectory>(proc, task, 0511U, number);
  if (name == "cwd") inode = make_ref<PlaceLink>(proc, task, Place::kCwd, number);
  if (name == "root") inode = make_ref<PlaceLink>(proc, task, Place::kRoot, number);
  if (name == "mem") inode = make_ref<MemoryInode>(proc, task, number);
  if (name == "exe") inode = make_ref<PlaceLink>(proc, task, Place::kExecutable, number);
  if (!inode) return std::unexpected(Errno{ENOENT});
  return inode;
}

}  // namespace caisson::sandbox::fs

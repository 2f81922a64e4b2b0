// mount(2), umount2(2), pivot_root(2), mount_setattr(2), memfd_create(2).
#include <linux/capability.h>
#include <linux/memfd.h>
#include <linux/mount.h>
#include <sys/mount.h>

#include <algorithm>
#include <vector>

#include "sandbox/syscalls/file_families.h"
#include "sandbox/syscalls/file_guest.h"

namespace caisson::sandbox::syscalls {
namespace {

constexpr std::uint64_t kPropagation = MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE;
constexpr std::uint64_t kOfMounts = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME |
                                    MS_NODIRATIME | MS_RELATIME | vfs::kNoSymlinkFollow;

bool may_mount(const Task& task) { return task.credentials().has(CAP_SYS_ADMIN); }

ErrnoOr<std::string> load_text(Task& task, std::uint64_t address) {
  if (address == 0) return std::string();
  return task.memory().read_string(address, 4096);
}

// Flags of a mount from those of mount(2): relatime unless asked otherwise.
std::uint64_t mount_flags(std::uint64_t flags) {
  std::uint64_t kept = flags & kOfMounts;
  if ((flags & (MS_NOATIME | MS_STRICTATIME)) == 0) kept |= MS_RELATIME;
  if ((flags & MS_STRICTATIME) != 0) kept &= ~std::uint64_t{MS_RELATIME | MS_NOATIME};
  return kept;
}

bool is_mount_root(const vfs::Path& path) {
  return path.mount && path.dentry == path.mount->root() && path.mount->is_attached();
}

struct MountRequest {
  std::string source, type, options;
  vfs::Path target;
  std::uint64_t flags = 0;
};

Value change_propagation(const MountRequest& request) {
  std::uint64_t kinds = request.flags & kPropagation;
  if ((request.flags & ~(kPropagation | MS_REC | MS_SILENT)) != 0) return fail(EINVAL);
  if ((kinds & (kinds - 1)) != 0 || !is_mount_root(request.target)) return fail(EINVAL);
  // No mount receives what happens to another, so all are private; none can be made otherwise.
  if ((kinds & MS_SHARED) != 0) return fail(EINVAL);
  return 0;
}

Value remount(const MountRequest& request) {
  if (!is_mount_root(request.target)) return fail(EINVAL);
  vfs::Mount& mount = *request.target.mount;
  if ((request.flags & MS_BIND) == 0)
    TRY(mount.filesystem().remount(request.options, (request.flags & MS_RDONLY) != 0));
  mount.set_flags(mount_flags(request.flags));
  return 0;
}

Value bind(Task& task, const MountRequest& request) {
  if (request.source.empty()) return fail(EINVAL);
  vfs::WalkContext context = TRY(task.walk_context(AT_FDCWD));
  vfs::Path source = TRY(vfs::walk(context, request.source, {}));
  Ref<vfs::Mount> made = TRY(task.mounts().clone(source, (request.flags & MS_REC) != 0));
  TRY(task.mounts().attach(std::move(made), request.target));
  return 0;
}

Value move(Task& task, const MountRequest& request) {
  if (request.source.empty()) return fail(EINVAL);
  vfs::WalkContext context = TRY(task.walk_context(AT_FDCWD));
  vfs::Path source = TRY(vfs::walk(context, request.source, {}));
  TRY(task.mounts().move(source, request.target));
  return 0;
}

Value mount_new(Task& task, const MountRequest& request) {
  if (request.type.empty()) return fail(EINVAL);
  kernel::FileServices* services = task.kernel().file_services(task.group().container);
  if (services == nullptr) return fail(ENODEV);
  Ref<vfs::Filesystem> filesystem =
      TRY(services->make_filesystem(task, request.type, request.source, request.options));
  auto root = vfs::Dentry::make_root(filesystem->root());
  auto made = make_ref<vfs::Mount>(std::move(filesystem), std::move(root),
                                   mount_flags(request.flags), request.source);
  TRY(task.mounts().attach(std::move(made), request.target));
  return 0;
}

// The tasks that stood at the old root go on at the new one (chroot_fs_refs()).
void move_roots(Task& task, const vfs::Path& from, const vfs::Path& to) {
  std::vector<Ref<kernel::FsContext>> contexts;
  {
    Locked lock(task.kernel().task_lock());
    const kernel::PidNamespace* all = task.group().pid_namespace.get();
    while (all->parent) all = all->parent.get();
    for (kernel::ThreadGroup* group : task.kernel().all_groups(*all))
      for (kernel::Task* other : group->tasks) {
        Ref<vfs::MountNamespace> mounts = other->mounts_ref();
        Ref<kernel::FsContext> context = other->fs_ref();
        if (context && mounts.get() == &task.mounts()) contexts.push_back(std::move(context));
      }
  }
  for (const Ref<kernel::FsContext>& context : contexts) {
    if (context->root() == from) context->set_root(to);
    if (context->cwd() == from) context->set_cwd(to);
  }
}

// --- mount_setattr

struct FlagPair {
  std::uint64_t attribute, flag;
};
constexpr FlagPair kAttributes[] = {
    {MOUNT_ATTR_RDONLY, MS_RDONLY},         {MOUNT_ATTR_NOSUID, MS_NOSUID},
    {MOUNT_ATTR_NODEV, MS_NODEV},           {MOUNT_ATTR_NOEXEC, MS_NOEXEC},
    {MOUNT_ATTR_NODIRATIME, MS_NODIRATIME}, {0x200000 /* NOSYMFOLLOW */, vfs::kNoSymlinkFollow}};

std::uint64_t known_attributes() {
  std::uint64_t known = MOUNT_ATTR__ATIME;
  for (const FlagPair& pair : kAttributes) known |= pair.attribute;
  return known;
}

std::uint64_t changed_flags(std::uint64_t flags, const mount_attr& change) {
  for (const FlagPair& pair : kAttributes) {
    if ((change.attr_clr & pair.attribute) != 0) flags &= ~pair.flag;
    if ((change.attr_set & pair.attribute) != 0) flags |= pair.flag;
  }
  if ((change.attr_clr & MOUNT_ATTR__ATIME) == 0) return flags;
  flags &= ~std::uint64_t{MS_NOATIME | MS_RELATIME};
  std::uint64_t kind = change.attr_set & MOUNT_ATTR__ATIME;
  if (kind == MOUNT_ATTR_NOATIME) flags |= MS_NOATIME;
  if (kind == MOUNT_ATTR_RELATIME) flags |= MS_RELATIME;
  return flags;
}

ErrnoOr<> check_change(const mount_attr& change) {
  std::uint64_t known = known_attributes();
  if (((change.attr_set | change.attr_clr) & ~known) != 0) return fail(EINVAL);
  // The kinds of access times exclude each other: whoever sets one clears all.
  std::uint64_t set_times = change.attr_set & MOUNT_ATTR__ATIME;
  std::uint64_t cleared_times = change.attr_clr & MOUNT_ATTR__ATIME;
  if (cleared_times != 0 && cleared_times != MOUNT_ATTR__ATIME) return fail(EINVAL);
  if (cleared_times == 0 && set_times != 0) return fail(EINVAL);
  if (set_times == MOUNT_ATTR__ATIME) return fail(EINVAL);
  if ((change.propagation & ~std::uint64_t{MS_PRIVATE | MS_SLAVE}) != 0) return fail(EINVAL);
  return {};
}

bool is_below(const Ref<vfs::Mount>& mount, const Ref<vfs::Mount>& top) {
  for (Ref<vfs::Mount> at = mount; at; at = at->mount_point().mount)
    if (at == top) return true;
  return false;
}

}  // namespace

Value sys_mount(Task& task, const Arguments& arguments) {
  MountRequest request;
  request.type = TRY(load_text(task, arguments.u64(2)));
  request.source = TRY(load_text(task, arguments.u64(0)));
  if (arguments.u64(4) != 0) request.options = TRY(load_text(task, arguments.u64(4)));
  request.flags = arguments.u64(3);
  if ((request.flags & MS_MGC_MSK) == MS_MGC_VAL) request.flags &= ~std::uint64_t{MS_MGC_MSK};
  request.target = TRY(walk_at(task, AT_FDCWD, arguments.u64(1), 0));
  if (!may_mount(task)) return fail(EPERM);
  if ((request.flags & MS_REMOUNT) != 0) return remount(request);
  if ((request.flags & MS_BIND) != 0) return bind(task, request);
  if ((request.flags & kPropagation) != 0) return change_propagation(request);
  if ((request.flags & MS_MOVE) != 0) return move(task, request);
  return mount_new(task, request);
}

Value sys_umount2(Task& task, const Arguments& arguments) {
  int flags = arguments.i32(1);
  if ((flags & ~(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW)) != 0) return fail(EINVAL);
  int walk_flags = (flags & UMOUNT_NOFOLLOW) != 0 ? AT_SYMLINK_NOFOLLOW : 0;
  vfs::Path path = TRY(walk_at(task, AT_FDCWD, arguments.u64(0), walk_flags));
  if (!may_mount(task)) return fail(EPERM);
  if (!path.mount) return fail(EINVAL);
  TRY(task.mounts().detach(path, flags));
  return 0;
}

Value sys_pivot_root(Task& task, const Arguments& arguments) {
  if (!may_mount(task)) return fail(EPERM);
  vfs::Path new_root = TRY(walk_at(task, AT_FDCWD, arguments.u64(0), 0));
  if (!new_root.inode()->is_directory()) return fail(ENOTDIR);
  vfs::Path put_old = TRY(walk_at(task, AT_FDCWD, arguments.u64(1), 0));
  if (!put_old.inode()->is_directory()) return fail(ENOTDIR);
  vfs::Path old_root = task.mounts().root();
  if (task.fs().root() != old_root) return fail(EINVAL);
  TRY(task.mounts().pivot(new_root, put_old));
  move_roots(task, old_root, new_root);
  return 0;
}

Value sys_mount_setattr(Task& task, const Arguments& arguments) {
  std::uint32_t flags = arguments.u32(2);
  std::uint64_t size = arguments.u64(4);
  constexpr std::uint32_t kKnown =
      AT_EMPTY_PATH | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
  if ((flags & ~kKnown) != 0) return fail(EINVAL);
  if (size > 4096) return fail(E2BIG);
  if (size < MOUNT_ATTR_SIZE_VER0) return fail(EINVAL);
  if (!may_mount(task)) return fail(EPERM);
  mount_attr change{};
  TRY(load_sized(task, arguments.u64(3), size, std::as_writable_bytes(std::span(&change, 1))));
  if (change.attr_set == 0 && change.attr_clr == 0 && change.propagation == 0) return 0;
  TRY(check_change(change));
  int walk_flags = static_cast<int>(flags) & (AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
  vfs::Path path = TRY(walk_at(task, arguments.i32(0), arguments.u64(1), walk_flags));
  if (!is_mount_root(path)) return fail(EINVAL);
  if ((flags & AT_RECURSIVE) == 0) {
    path.mount->set_flags(changed_flags(path.mount->flags(), change));
    return 0;
  }
  for (const Ref<vfs::Mount>& mount : task.mounts().mounts())
    if (is_below(mount, path.mount)) mount->set_flags(changed_flags(mount->flags(), change));
  return 0;
}

Value sys_memfd_create(Task& task, const Arguments& arguments) {
  constexpr std::uint32_t kNoExecSeal = 8, kExec = 16, kSealExec = 0x20;  // MFD_*, F_SEAL_EXEC
  constexpr std::size_t kLongestName = 249;
  std::uint32_t flags = arguments.u32(1);
  if ((flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING | kNoExecSeal | kExec)) != 0) return fail(EINVAL);
  if ((flags & kNoExecSeal) != 0 && (flags & kExec) != 0) return fail(EINVAL);
  auto name = task.memory().read_string(arguments.u64(0), kLongestName + 1);
  if (!name) return fail(name.error().value == ENAMETOOLONG ? EINVAL : name.error().value);
  kernel::FileServices* services = task.kernel().file_services(task.group().container);
  if (services == nullptr) return fail(ENOSYS);
  bool sealable = (flags & (MFD_ALLOW_SEALING | kNoExecSeal)) != 0;
  std::uint32_t seals = sealable ? 0 : F_SEAL_SEAL;
  if ((flags & kNoExecSeal) != 0) seals |= kSealExec;
  std::uint32_t mode = (flags & kNoExecSeal) != 0 ? 0666 : 0777;
  Ref<vfs::File> file = TRY(services->make_memory_file(task, *name, mode, seals));
  return TRY(task.add_file(std::move(file), (flags & MFD_CLOEXEC) != 0));
}

}  // namespace caisson::sandbox::syscalls

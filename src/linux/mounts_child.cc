// Executes the mount steps of a plan inside the new mount namespace: every file system is made
// detached, finished (options, attributes, propagation), and attached by descriptor.

#include <linux/magic.h>
#include <sys/sysmacros.h>

#include <cstring>

#include "linux/child.h"
#include "sys/file.h"
#include "sys/mount.h"
#include "sys/process.h"

namespace caisson::linux {
namespace {

using plan::IfMissing;
using plan::MountOp;
using plan::MountStep;

void keep_mount_log(ChildContext& context, FdRef filesystem) {
  auto got = sys::read(filesystem, context.report->log, sizeof context.report->log - 1);
  context.report->log[got ? *got : 0] = '\0';
}

Make make_for(const MountStep& step, FdRef source) {
  if (step.if_missing == IfMissing::kMakeDirectory) return Make::kDirectory;
  if (step.if_missing == IfMissing::kMakeFile) return Make::kFile;
  if (step.if_missing != IfMissing::kMakeLikeSource) return Make::kNothing;
  auto info = sys::fstat(source);
  return info && S_ISDIR(info->st_mode) ? Make::kDirectory : Make::kFile;
}

ErrnoOr<Fd> find_target(ChildContext& context, const MountStep& step, Make make) {
  if (step.no_symlink_target) {
    auto link = open_link_in_root(context, step.target);
    if (link || link.error().value != ENOENT) return link;
  }
  return open_in_root(context, step.target, make, 0755, step.inside_directory_only);
}

// What may be mounted inside /proc was decided by its name. A link of the image's leads there by
// another one (CVE-2019-16884, CVE-2019-19921): inside a procfs only names without links count.
ErrnoOr<Fd> open_target(ChildContext& context, int index, const MountStep& step, Make make) {
  note(context, Operation::kResolveTarget, step.target, index);
  Fd target = TRY(find_target(context, step, make));
  if (step.phase == plan::Phase::kFinal) return target;  // hides, and shows nothing else
  auto filesystem = TRY(sys::fstatfs(target));
  if (filesystem.f_type != PROC_SUPER_MAGIC) return target;
  return open_in_root(context, step.target, Make::kNothing, 0, true);
}

ErrnoOr<> attach(ChildContext& context, int index, const MountStep& step, FdRef tree,
                 FdRef target) {
  note(context, Operation::kAttach, step.target, index);
  TRY(sys::move_mount(tree, target));
  forget_cached_parent(context);
  return {};
}

struct MountPoint {
  Fd fd;
  bool fresh = false;
};

// Makes the directory when there is none. Whether it did matters only to a tmpfs: see configure().
ErrnoOr<MountPoint> open_mount_point(ChildContext& context, int index, const MountStep& step) {
  if (step.mode_of_target) {
    auto found = open_target(context, index, step, Make::kNothing);
    if (found) return MountPoint{std::move(*found), false};
    if (found.error().value != ENOENT) return std::unexpected(found.error());
  }
  return MountPoint{TRY(open_target(context, index, step, Make::kDirectory)), true};
}

ErrnoOr<> configure(ChildContext& context, int index, const MountStep& step, FdRef filesystem,
                    const MountPoint& target) {
  note(context, Operation::kConfigure, step.target, index);
  if (!step.source.empty()) {
    TRY(sys::fsconfig_string(filesystem, "source", step.source.c_str()));
  }
  for (const auto& option : step.options) {
    auto done = option.value.empty()
                    ? sys::fsconfig_flag(filesystem, option.key.c_str())
                    : sys::fsconfig_string(filesystem, option.key.c_str(), option.value.c_str());
    if (!done) {
      note(context, Operation::kConfigure, option.key, index);
      return done;
    }
  }
  if (step.mode_of_target && !target.fresh) {
    // A tmpfs takes the mode of the directory that it covers; without one it is for everybody.
    auto info = TRY(sys::fstat(target.fd));
    char mode[8];
    *std::to_chars(mode, mode + sizeof mode - 1, info.st_mode & 07777U, 8).ptr = '\0';
    TRY(sys::fsconfig_string(filesystem, "mode", mode));
  }
  return {};
}

ErrnoOr<Fd> make_filesystem(ChildContext& context, int index, const MountStep& step,
                            const MountPoint& target) {
  note(context, Operation::kOpenFilesystem, step.type, index);
  Fd filesystem = TRY(sys::fsopen(step.type.c_str()));
  auto configured = configure(context, index, step, filesystem, target);
  if (configured) {
    note(context, Operation::kMount, step.type, index);
    configured = sys::fsconfig_create(filesystem);
  }
  if (!configured) {
    keep_mount_log(context, filesystem);
    return std::unexpected(configured.error());
  }
  return sys::fsmount(filesystem, step.attr_set);
}

// A clone of a shared mount is its peer: what is mounted in either shows up in the other. Only
// linux.rootfsPropagation "shared" asks for that; else mounts of the host's at most come in.
ErrnoOr<> part_from_host(ChildContext& context, int index, const MountStep& step, FdRef tree) {
  const auto& root = context.plan->mounts.root;
  bool parts_itself = step.propagation_recursive && step.propagation != MS_SHARED;
  if (root.propagation == MS_SHARED || (step.propagation != 0 && parts_itself)) return {};
  mount_attr propagation{};
  bool listens = step.propagation != 0 || root.propagation == MS_SLAVE;
  propagation.propagation = listens ? MS_SLAVE : MS_PRIVATE;
  note(context, Operation::kAttributes, step.target, index);
  return sys::mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, propagation);
}

// The tree of the host's where a file system of its own is refused. The children of its mount have
// the same attributes: they are part of what the file system shows.
ErrnoOr<Fd> host_tree(ChildContext& context, int index, const MountStep& step) {
  note(context, Operation::kOpenSource, step.host_tree, index);
  Fd& opened = context.sources[static_cast<std::size_t>(index)];
  Fd tree =
      opened
          ? std::move(opened)
          : TRY(sys::open_tree(sys::kCwd, step.host_tree.c_str(), OPEN_TREE_CLONE | AT_RECURSIVE));
  TRY(part_from_host(context, index, step, tree));
  mount_attr attributes{};
  attributes.attr_set = step.attr_set;
  if ((step.attr_set & MOUNT_ATTR__ATIME) != 0) attributes.attr_clr = MOUNT_ATTR__ATIME;
  note(context, Operation::kAttributes, step.target, index);
  TRY(sys::mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, attributes));
  context.report->log[0] = '\0';
  return tree;
}

ErrnoOr<> new_filesystem(ChildContext& context, int index, const MountStep& step) {
  MountPoint target = TRY(open_mount_point(context, index, step));
  auto made = make_filesystem(context, index, step, target);
  bool refused = !made && made.error().value == EPERM && !step.host_tree.empty();
  Fd tree = TRY(refused ? host_tree(context, index, step) : std::move(made));
  TRY(finish_tree(context, index, step, tree, true));
  TRY(attach(context, index, step, tree, target.fd));
  if (step.type == "devpts") {
    if (context.devpts_fd >= 0) Fd(context.devpts_fd).reset();
    context.devpts_fd = tree.release();
  }
  return {};
}

// crun's copy-symlink. False: the source is something else.
ErrnoOr<bool> copy_symlink(ChildContext& context, int index, const MountStep& step) {
  char link[PATH_MAX];
  auto length = sys::call(SYS_readlinkat, AT_FDCWD, step.source.c_str(), link, sizeof link - 1);
  if (!length && length.error().value == EINVAL) return false;
  link[TRY(length)] = '\0';
  const char* name = nullptr;
  note(context, Operation::kMakeLink, step.target, index);
  FdRef parent = TRY(parent_in_root(context, step.target, name));
  auto made = sys::symlinkat(link, parent, name);
  if (made) return true;
  if (made.error().value != EEXIST) return std::unexpected(made.error());
  char there[PATH_MAX];
  auto size = sys::call(SYS_readlinkat, parent.number(), name, there, sizeof there);
  bool same =
      size && *size == *length && std::memcmp(there, link, static_cast<std::size_t>(*size)) == 0;
  if (!same) return std::unexpected(Errno{EEXIST});
  return true;
}

ErrnoOr<Fd> open_source(ChildContext& context, const MountStep& step) {
  if (!step.source_in_root) return open_bind_source(step);
  Fd source = TRY(step.no_symlink_source ? open_link_in_root(context, step.source)
                                         : open_in_root(context, step.source, Make::kNothing));
  unsigned recursive = step.recursive ? AT_RECURSIVE : 0;
  return sys::open_tree(source, "", OPEN_TREE_CLONE | AT_EMPTY_PATH | recursive);
}

ErrnoOr<> bind(ChildContext& context, int index, const MountStep& step) {
  auto slot = static_cast<std::size_t>(index);
  note(context, Operation::kOpenSource, step.source, index);
  if (step.copy_symlink && TRY(copy_symlink(context, index, step))) return {};
  Fd own;
  if (!context.sources[slot]) own = TRY(open_source(context, step));
  FdRef tree = own ? own.ref() : context.sources[slot].ref();
  Fd target = TRY(open_target(context, index, step, make_for(step, tree)));
  if (!step.source_in_root) TRY(part_from_host(context, index, step, tree));
  // What the parent opened has its ids mapped by it.
  TRY(apply_attributes(context, index, step, tree, static_cast<bool>(own)));
  TRY(attach(context, index, step, tree, target));
  return {};
}

ErrnoOr<> set_attributes(ChildContext& context, int index, const MountStep& step) {
  Fd target = TRY(open_target(context, index, step, Make::kNothing));
  return apply_attributes(context, index, step, target, false);
}

// tmpfs filled with what the root had at its target: a bind of the old directory stays reachable by
// its descriptor while the new file system is attached over it.
ErrnoOr<> copy_entries(FdRef from, FdRef to, int depth);

ErrnoOr<> copy_regular(FdRef from, FdRef to, const char* name, const struct stat& info) {
  Fd source = TRY(sys::openat(from, name, O_RDONLY | O_NOFOLLOW));
  Fd target = TRY(sys::openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  char buffer[16384];
  for (;;) {
    std::size_t got = TRY(sys::read(source, buffer, sizeof buffer));
    if (got == 0) break;
    for (std::size_t done = 0; done < got;)
      done += TRY(sys::write(target, buffer + done, got - done));
  }
  (void)sys::fchownat(target, "", info.st_uid, info.st_gid, AT_EMPTY_PATH);
  return sys::fchmod(target, info.st_mode & 07777U);
}

ErrnoOr<> copy_entry(FdRef from, FdRef to, const char* name, int depth) {
  auto info = TRY(sys::fstatat(from, name, AT_SYMLINK_NOFOLLOW));
  if (S_ISREG(info.st_mode)) return copy_regular(from, to, name, info);
  if (S_ISLNK(info.st_mode)) {
    char link[PATH_MAX];
    long length = TRY(sys::call(SYS_readlinkat, from.number(), name, link, sizeof link - 1));
    link[length] = '\0';
    TRY(sys::symlinkat(link, to, name));
    (void)sys::fchownat(to, name, info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW);
    return {};
  }
  if (S_ISDIR(info.st_mode)) {
    TRY(sys::mkdirat(to, name, 0700));
    Fd source = TRY(sys::openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    Fd target = TRY(sys::openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    TRY(copy_entries(source, target, depth + 1));
    (void)sys::fchownat(target, "", info.st_uid, info.st_gid, AT_EMPTY_PATH);
    return sys::fchmod(target, info.st_mode & 07777U);
  }
  TRY(sys::mknodat(to, name, info.st_mode, info.st_rdev));
  (void)sys::fchownat(to, name, info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW);
  return {};
}

ErrnoOr<> copy_entries(FdRef from, FdRef to, int depth) {
  if (depth > 64) return std::unexpected(Errno{ELOOP});
  alignas(8) char buffer[4096];
  for (;;) {
    long bytes = TRY(sys::call(SYS_getdents64, from.number(), buffer, sizeof buffer));
    if (bytes == 0) return {};
    for (long at = 0; at < bytes;) {
      unsigned short length;
      std::memcpy(&length, buffer + at + 16, sizeof length);
      const char* name = buffer + at + 19;
      bool dots = std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0;
      if (!dots) TRY(copy_entry(from, to, name, depth));
      at += length;
    }
  }
}

ErrnoOr<> copy_up(ChildContext& context, int index, const MountStep& step) {
  MountPoint target = TRY(open_mount_point(context, index, step));
  Fd tree = TRY(make_filesystem(context, index, step, target));
  note(context, Operation::kRead, step.target, index);
  Fd old_content = TRY(sys::openat(target.fd, ".", O_RDONLY | O_DIRECTORY));
  Fd new_content = TRY(sys::openat(tree, ".", O_RDONLY | O_DIRECTORY));
  TRY(copy_entries(old_content, new_content, 0));
  new_content.reset();
  TRY(finish_tree(context, index, step, tree, true));
  return attach(context, index, step, tree, target.fd);
}

// --- masks
// ------------------------------------------------------------------------------------------

// CVE-2025-31133: what we hide files with must really be the null device.
bool is_null_device(FdRef fd) {
  auto info = sys::fstat(fd);
  return info && S_ISCHR(info->st_mode) && info->st_rdev == makedev(1, 3);
}

// A detached clone of the mask that was attached first, or a new one. Clones share one super block.
ErrnoOr<Fd> null_mask(ChildContext& context) {
  if (context.null_mask_fd >= 0) {
    return sys::open_tree(FdRef(context.null_mask_fd), "", OPEN_TREE_CLONE | AT_EMPTY_PATH);
  }
  // The container's own, whose mode and owner are the container's to change.
  auto own = open_in_root(context, "/dev/null", Make::kNothing, 0, true);
  if (own && is_null_device(*own)) {
    return sys::open_tree(*own, "", OPEN_TREE_CLONE | AT_EMPTY_PATH);
  }
  Fd host = TRY(sys::openat(sys::kCwd, "/dev/null", O_PATH | O_NOFOLLOW));
  if (!is_null_device(host)) return std::unexpected(Errno{ENODEV});
  Fd tree = TRY(sys::open_tree(host, "", OPEN_TREE_CLONE | AT_EMPTY_PATH));
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  TRY(sys::mount_setattr(tree, "", AT_EMPTY_PATH, attributes));
  return tree;
}

ErrnoOr<Fd> empty_mask(ChildContext& context) {
  if (context.empty_mask_fd >= 0) {
    return sys::open_tree(FdRef(context.empty_mask_fd), "", OPEN_TREE_CLONE | AT_EMPTY_PATH);
  }
  Fd filesystem = TRY(sys::fsopen("tmpfs"));
  TRY(sys::fsconfig_string(filesystem, "source", "tmpfs"));
  TRY(sys::fsconfig_string(filesystem, "mode", "755"));
  TRY(sys::fsconfig_string(filesystem, "nr_blocks", "1"));
  TRY(sys::fsconfig_string(filesystem, "nr_inodes", "1"));
  TRY(sys::fsconfig_create(filesystem));
  return sys::fsmount(filesystem, MOUNT_ATTR_RDONLY);
}

ErrnoOr<> mask(ChildContext& context, int index, const MountStep& step) {
  Fd target = TRY(open_target(context, index, step, Make::kNothing));
  auto info = TRY(sys::fstat(target));
  note(context, Operation::kMount, step.target, index);
  bool directory = S_ISDIR(info.st_mode);
  Fd tree = TRY(directory ? empty_mask(context) : null_mask(context));
  int& first = directory ? context.empty_mask_fd : context.null_mask_fd;
  TRY(attach(context, index, step, tree, target));
  if (first < 0) first = tree.release();
  return {};
}

ErrnoOr<> make_readonly(ChildContext& context, int index, const MountStep& step) {
  Fd target = TRY(open_target(context, index, step, Make::kNothing));
  note(context, Operation::kMount, step.target, index);
  Fd tree = TRY(sys::open_tree(target, "", OPEN_TREE_CLONE | AT_EMPTY_PATH | AT_RECURSIVE));
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  note(context, Operation::kAttributes, step.target, index);
  TRY(sys::mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, attributes));
  return attach(context, index, step, tree, target);
}

// --- nodes
// ------------------------------------------------------------------------------------------

ErrnoOr<> symlink(ChildContext& context, int index, const MountStep& step) {
  const char* name = nullptr;
  note(context, Operation::kMakeLink, step.target, index);
  FdRef parent = TRY(parent_in_root(context, step.target, name));
  auto made = sys::symlinkat(step.source.c_str(), parent, name);
  if (!made && made.error().value == EEXIST) return {};
  return made;
}

ErrnoOr<> own_node(FdRef parent, const char* name, const MountStep& step) {
  if (!step.uid && !step.gid) return {};
  return sys::fchownat(parent, name, step.uid.value_or(0), step.gid.value_or(0),
                       AT_SYMLINK_NOFOLLOW);
}

ErrnoOr<> directory(ChildContext& context, int index, const MountStep& step) {
  const char* name = nullptr;
  note(context, Operation::kMakeTarget, step.target, index);
  FdRef parent = TRY(parent_in_root(context, step.target, name));
  auto made = sys::mkdirat(parent, name, step.mode);
  if (!made && made.error().value == EEXIST) return {};
  TRY(made);
  return own_node(parent, name, step);
}

ErrnoOr<> bind_device(ChildContext& context, int index, const MountStep& step) {
  note(context, Operation::kOpenSource, step.source, index);
  Fd tree = TRY(sys::open_tree(sys::kCwd, step.source.c_str(), OPEN_TREE_CLONE));
  note(context, Operation::kResolveTarget, step.target, index);
  Fd target = TRY(open_in_root(context, step.target, Make::kFile, 0, in_devices(step.target)));
  return attach(context, index, step, tree, target);
}

std::uint32_t type_bits(char type) {
  if (type == 'b') return S_IFBLK;
  return type == 'p' ? S_IFIFO : S_IFCHR;
}

// An existing node of that name is fine when it is the same device.
ErrnoOr<> check_existing(FdRef parent, const char* name, const MountStep& step) {
  auto info = TRY(sys::fstatat(parent, name, AT_SYMLINK_NOFOLLOW));
  bool same = (info.st_mode & S_IFMT) == type_bits(step.device_type) &&
              (step.device_type == 'p' || info.st_rdev == makedev(step.major, step.minor));
  if (!same) return std::unexpected(Errno{EEXIST});
  return {};
}

ErrnoOr<> device_node(ChildContext& context, int index, const MountStep& step) {
  if (step.bind_device) return bind_device(context, index, step);
  const char* name = nullptr;
  note(context, Operation::kMakeNode, step.target, index);
  FdRef parent = TRY(parent_in_root(context, step.target, name));
  auto made = sys::mknodat(parent, name, type_bits(step.device_type) | step.mode,
                           makedev(step.major, step.minor));
  if (!made && made.error().value == EEXIST) return check_existing(parent, name, step);
  TRY(made);
  return own_node(parent, name, step);
}

// umount2(2) takes a path only. Ours names the descriptor, which was resolved inside the root.
ErrnoOr<> unmount(ChildContext& context, int index, const MountStep& step) {
  Fd target = TRY(open_target(context, index, step, Make::kNothing));
  note(context, Operation::kDetach, step.target, index);
  bool is_root = TRY(sys::mount_id(target)) == TRY(sys::mount_id(FdRef(context.root_fd)));
  if (is_root) return std::unexpected(Errno{EINVAL});
  char name[12];
  *std::to_chars(name, name + sizeof name - 1, target.number()).ptr = '\0';
  TRY(sys::call_void(SYS_fchdir, context.own_fds_fd));
  return sys::umount(name, MNT_DETACH);
}

// --- dispatch
// ---------------------------------------------------------------------------------------

ErrnoOr<> cgroup_step(ChildContext& context, int index, const MountStep& step) {
  Fd target = TRY(open_target(context, index, step, Make::kDirectory));
  TRY(mount_cgroups(context, step, target));
  forget_cached_parent(context);
  return {};
}

ErrnoOr<> run_step(ChildContext& context, int index, const MountStep& step) {
  switch (step.op) {
    case MountOp::kNewFilesystem: return new_filesystem(context, index, step);
    case MountOp::kOverlayView: return overlay_view(context, static_cast<std::size_t>(index), step);
    case MountOp::kBind: return bind(context, index, step);
    case MountOp::kSetAttributes:
    case MountOp::kPropagation: return set_attributes(context, index, step);
    case MountOp::kMask: return mask(context, index, step);
    case MountOp::kReadonlyPath: return make_readonly(context, index, step);
    case MountOp::kSymlink: return symlink(context, index, step);
    case MountOp::kDirectory: return directory(context, index, step);
    case MountOp::kDeviceNode: return device_node(context, index, step);
    case MountOp::kCopyUp: return copy_up(context, index, step);
    case MountOp::kCgroup: return cgroup_step(context, index, step);
    case MountOp::kConsole: return make_console(context, step);
    case MountOp::kUnmount: return unmount(context, index, step);
  }
  return std::unexpected(Errno{EINVAL});
}

bool may_be_missing(const MountStep& step, Errno error, Operation operation) {
  bool absent = error.value == ENOENT || error.value == ENOTDIR;
  return step.if_missing == IfMissing::kSkip && absent && operation == Operation::kResolveTarget;
}

ErrnoOr<> run_numbered(ChildContext& context, std::size_t i) {
  const auto& step = context.plan->mounts.steps[i];
  auto done = run_step(context, static_cast<int>(i), step);
  if (done || may_be_missing(step, done.error(), context.report->operation)) return {};
  if (!step.optional) return done;
  context.report->skipped[i] = 1;
  context.report->log[0] = '\0';
  return {};
}

}  // namespace

ErrnoOr<> run_mounts(ChildContext& context, bool without_cgroups) {
  const auto& steps = context.plan->mounts.steps;
  for (auto& i = context.mounts_made; i < steps.size(); ++i) {
    if (steps[i].phase != plan::Phase::kBeforePivot) continue;
    bool needs_cgroups = steps[i].op == MountOp::kCgroup || steps[i].op == MountOp::kCopyUp;
    if (without_cgroups && needs_cgroups) return {};
    TRY(run_numbered(context, i));
  }
  forget_cached_parent(context);
  return {};
}

// Backwards: what was mounted last may stand on what was mounted before.
ErrnoOr<> unmount_targets(ChildContext& context, std::size_t steps) {
  for (std::size_t i = steps; i-- > 0;) {
    const auto& step = context.plan->mounts.steps[i];
    bool attached = step.op == MountOp::kNewFilesystem || step.op == MountOp::kBind ||
                    step.op == MountOp::kCopyUp;
    if (attached) TRY(unmount(context, static_cast<int>(i), step));
  }
  return {};
}

ErrnoOr<> run_final_mounts(ChildContext& context) {
  const auto& steps = context.plan->mounts.steps;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].phase == plan::Phase::kFinal) TRY(run_numbered(context, i));
  }
  forget_cached_parent(context);
  return {};
}

}  // namespace caisson::linux

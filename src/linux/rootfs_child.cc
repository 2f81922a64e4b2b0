// The root file system: attached in the new mount namespace, made the root, the host's tree let go.

#include <cstring>

#include "linux/child.h"
#include "sys/file.h"
#include "sys/mount.h"

namespace caisson::linux {
namespace {

constexpr unsigned long kRecursive = 1UL << 14;  // MS_REC
constexpr unsigned long kPrivate = 1UL << 18;    // MS_PRIVATE
constexpr unsigned long kSlave = 1UL << 19;      // MS_SLAVE
constexpr unsigned long kMove = 1UL << 13;       // MS_MOVE

// In the layers tmpfs; layers themselves are called "root" and "mN".
constexpr const char* kMountPoint = "new-root";

// Appends to a fixed buffer; false when it does not fit.
class Path {
 public:
  explicit Path(char (&buffer)[PATH_MAX]) : buffer_(buffer) { buffer_[0] = '\0'; }
  Path& add(std::string_view part) {
    if (length_ + part.size() + 1 > PATH_MAX) {
      overflown_ = true;
      return *this;
    }
    std::memcpy(buffer_ + length_, part.data(), part.size());
    length_ += part.size();
    buffer_[length_] = '\0';
    return *this;
  }
  // A path as a value of lowerdir=: the separator and the escape itself are escaped.
  Path& add_escaped(std::string_view part) {
    for (char c : part) {
      if (c == ':' || c == '\\') add("\\");
      add(std::string_view(&c, 1));
    }
    return *this;
  }
  bool overflown() const { return overflown_; }
  const char* text() const { return buffer_; }

 private:
  char* buffer_;
  std::size_t length_ = 0;
  bool overflown_ = false;
};

// A tmpfs that takes everything that is written to a machine view, mounted over the container's
// state folder in this namespace only, so that overlayfs can find its upper directories by path.
ErrnoOr<> mount_layers(ChildContext& context) {
  note(context, Operation::kMount, "tmpfs for the changes");
  Fd filesystem = TRY(sys::fsopen("tmpfs"));
  TRY(sys::fsconfig_string(filesystem, "source", "caisson-layers"));
  TRY(sys::fsconfig_string(filesystem, "mode", "755"));
  if (context.plan->mounts.root.layers_size != 0) {
    char size[24];
    *std::to_chars(size, size + sizeof size - 1, context.plan->mounts.root.layers_size).ptr = '\0';
    TRY(sys::fsconfig_string(filesystem, "size", size));
  }
  TRY(sys::fsconfig_create(filesystem));
  Fd tree = TRY(sys::fsmount(filesystem, 0));
  TRY(sys::move_mount_at(tree, sys::kCwd, context.scratch_dir));
  TRY(sys::mkdirat(tree, kMountPoint, 0755));
  context.layers_fd = tree.release();
  return {};
}

// The upper and work directories of one layer; the upper one looks like the directory that it
// covers.
ErrnoOr<> make_layer(ChildContext& context, const plan::MountStep& step) {
  FdRef layers(context.layers_fd);
  TRY(sys::mkdirat(layers, step.layer.c_str(), 0755));
  Fd layer = TRY(sys::openat(layers, step.layer.c_str(), O_PATH | O_DIRECTORY));
  TRY(sys::mkdirat(layer, "upper", 0755));
  TRY(sys::mkdirat(layer, "work", 0755));
  auto info = sys::fstatat(sys::kCwd, step.source.c_str());
  if (!info) return {};
  // In a user namespace the owner may not be mapped; the directory then stays ours.
  (void)sys::fchownat(layer, "upper", info->st_uid, info->st_gid, 0);
  (void)sys::call_void(SYS_fchmodat, layer.number(), "upper", info->st_mode & 07777U);
  return {};
}

ErrnoOr<Fd> overlay(ChildContext& context, const plan::MountStep& step) {
  TRY(make_layer(context, step));
  Fd filesystem = TRY(sys::fsopen("overlay"));
  TRY(sys::fsconfig_string(filesystem, "source", "caisson"));
  char buffer[PATH_MAX];
  Path lower(buffer);
  if (lower.add_escaped(step.source).overflown()) return std::unexpected(Errno{ENAMETOOLONG});
  TRY(sys::fsconfig_string(filesystem, "lowerdir", lower.text()));
  for (const char* name : {"upper", "work"}) {
    Path path(buffer);
    path.add(context.scratch_dir).add("/").add(step.layer).add("/").add(name);
    if (path.overflown()) return std::unexpected(Errno{ENAMETOOLONG});
    const char* key = name[0] == 'u' ? "upperdir" : "workdir";
    TRY(sys::fsconfig_string(filesystem, key, path.text()));
  }
  for (const auto& option : step.options) {
    if (option.value.empty()) {
      TRY(sys::fsconfig_flag(filesystem, option.key.c_str()));
    } else {
      TRY(sys::fsconfig_string(filesystem, option.key.c_str(), option.value.c_str()));
    }
  }
  auto created = sys::fsconfig_create(filesystem);
  if (!created) {
    auto got = sys::read(filesystem, context.report->log, sizeof context.report->log - 1);
    context.report->log[got ? *got : 0] = '\0';
    return std::unexpected(created.error());
  }
  return sys::fsmount(filesystem, step.attr_set);
}

ErrnoOr<Fd> readonly_bind(const plan::MountStep& step) {
  Fd tree = TRY(sys::open_tree(sys::kCwd, step.source.c_str(), OPEN_TREE_CLONE));
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY | step.attr_set;
  TRY(sys::mount_setattr(tree, "", AT_EMPTY_PATH, attributes));
  return tree;
}

ErrnoOr<Fd> view_tree(ChildContext& context, std::size_t index, const plan::MountStep& step) {
  note(context, Operation::kMount, step.source, static_cast<int>(index));
  auto tree = overlay(context, step);
  bool refused = !tree && (tree.error().value == EINVAL || tree.error().value == ELOOP ||
                           tree.error().value == EOPNOTSUPP);
  if (!refused || !step.fallback_readonly_bind) return tree;
  context.report->skipped[index] = 1;
  context.report->log[0] = '\0';
  return readonly_bind(step);
}

// A machine view: the root is an overlay over the host's root, or a tmpfs that the steps fill.
ErrnoOr<> prepare_view_root(ChildContext& context) {
  TRY(mount_layers(context));
  Fd tree;
  const auto& steps = context.plan->mounts.steps;
  if (context.plan->mounts.root.empty_tmpfs) {
    Fd filesystem = TRY(sys::fsopen("tmpfs"));
    TRY(sys::fsconfig_string(filesystem, "source", "caisson"));
    TRY(sys::fsconfig_string(filesystem, "mode", "755"));
    TRY(sys::fsconfig_create(filesystem));
    tree = TRY(sys::fsmount(filesystem, MOUNT_ATTR_NODEV));
  } else {
    std::size_t root = 0;
    while (root < steps.size() && steps[root].target != "/") ++root;
    if (root == steps.size()) return std::unexpected(Errno{EINVAL});
    tree = TRY(view_tree(context, root, steps[root]));
  }
  TRY(sys::move_mount_at(tree, FdRef(context.layers_fd), kMountPoint));
  context.root_fd = tree.release();
  return {};
}

ErrnoOr<> prepare_directory_root(ChildContext& context) {
  const auto& root = context.plan->mounts.root;
  note(context, Operation::kAttach, root.path);
  Fd own;
  if (!context.root_tree) {
    own = TRY(sys::open_tree(sys::kCwd, root.path.c_str(), OPEN_TREE_CLONE | AT_RECURSIVE));
  }
  // The number alone: the object that owns it may be our parent's, who closes its own.
  Fd tree(own ? own.release() : context.root_tree.number());
  // The clone of a shared mount is its peer, and no peer of the host's can be pivoted to.
  mount_attr propagation{};
  propagation.propagation = root.propagation == kSlave ? kSlave : kPrivate;
  TRY(sys::mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, propagation));
  const char* place = context.empty_namespace_fd >= 0 ? "/" : root.path.c_str();
  TRY(sys::move_mount_at(tree, sys::kCwd, place));
  context.root_fd = tree.release();
  return {};
}

}  // namespace

ErrnoOr<> prepare_root(ChildContext& context) {
  const auto& root = context.plan->mounts.root;
  // Nothing that happens from here on may reach the host; what the host mounts may reach us only
  // where the configuration asks for it.
  if (context.empty_namespace_fd >= 0) return prepare_directory_root(context);
  bool slave = root.propagation == kSlave || root.propagation == (1UL << 20) /* MS_SHARED */;
  note(context, Operation::kAttributes, "/");
  TRY(sys::mount(nullptr, "/", nullptr, kRecursive | (slave ? kSlave : kPrivate), nullptr));
  return root.machine_view ? prepare_view_root(context) : prepare_directory_root(context);
}

ErrnoOr<> overlay_view(ChildContext& context, std::size_t index, const plan::MountStep& step) {
  if (step.target == "/") return {};  // made by prepare_root()
  Fd tree = TRY(view_tree(context, index, step));
  note(context, Operation::kResolveTarget, step.target, static_cast<int>(index));
  Fd target = TRY(open_in_root(context, step.target, Make::kDirectory));
  note(context, Operation::kAttach, step.target, static_cast<int>(index));
  TRY(sys::move_mount(tree, target));
  forget_cached_parent(context);
  return {};
}

ErrnoOr<> pivot_into_root(ChildContext& context) {
  note(context, Operation::kAttach, context.plan->mounts.root.path);
  TRY(sys::fchdir(FdRef(context.root_fd)));
  if (context.empty_namespace_fd >= 0) {
    // Over the empty root already: there is nothing to let go.
    TRY(sys::chroot("."));
    return sys::chdir("/");
  }
  if (context.plan->mounts.root.pivot) {
    TRY(sys::pivot_root(".", "."));
    // The old root lies over the new one now; "." is the old one.
    TRY(sys::umount(".", MNT_DETACH));
    TRY(sys::chdir("/"));
    return {};
  }
  // What stays below the new root must not be what allows a user namespace inside to mount a whole
  // /proc or /sys of its own (mount_namespaces(7)).
  for (const char* revealing : {"/proc", "/sys"}) (void)sys::umount(revealing, MNT_DETACH);
  TRY(sys::mount(".", "/", nullptr, kMove, nullptr));
  TRY(sys::chroot("."));
  return sys::chdir("/");
}

ErrnoOr<> apply_root_propagation(ChildContext& context) {
  const auto& root = context.plan->mounts.root;
  note(context, Operation::kAttributes, "/");
  if (root.propagation != 0 && root.propagation != kPrivate) {
    unsigned long recursive = root.propagation_recursive ? kRecursive : 0;
    TRY(sys::mount(nullptr, "/", nullptr, root.propagation | recursive, nullptr));
  }
  if (!root.readonly) return {};
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  return sys::mount_setattr(sys::kCwd, "/", 0, attributes);
}

}  // namespace caisson::linux

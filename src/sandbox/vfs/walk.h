// The path walk (path_resolution(7), openat2(2)), and what system calls do by path.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sandbox/vfs/caller.h"
#include "sandbox/vfs/file.h"
#include "sandbox/vfs/mount.h"

namespace caisson::sandbox::vfs {

// From where and as whom a path is walked. Nothing here is taken from "the current task".
struct WalkContext {
  MountNamespace* mounts = nullptr;
  Path root;  // ".." does not lead above it, absolute paths begin here
  Path base;  // relative paths begin here
  Caller* caller = nullptr;
  const Credentials* credentials = nullptr;  // with fsuid and fsgid; access(2) passes others
};

struct WalkFlags {
  bool follow_last = true;  // a symbolic link at the end is followed
  bool must_be_directory = false;
  bool allow_empty = false;   // AT_EMPTY_PATH: "" is the base
  std::uint64_t resolve = 0;  // RESOLVE_* of openat2(2)
};

// ENOENT ENOTDIR EACCES ELOOP ENAMETOOLONG EXDEV.
ErrnoOr<Path> walk(const WalkContext& context, std::string_view path, WalkFlags flags);

// The directory of the last component and its name, for calls that make or remove names. The name
// may be "." or ".." or have had a trailing slash: the calls know what that means for them.
struct LastComponent {
  Path directory;
  std::string name;
  bool trailing_slash = false;
};
ErrnoOr<LastComponent> walk_to_parent(const WalkContext& context, std::string_view path,
                                      std::uint64_t resolve = 0);

// --- calls by path; permissions, read-only mounts and sticky directories are checked here.
struct OpenRequest {
  std::uint32_t flags = 0;    // O_*
  std::uint32_t mode = 0;     // for O_CREAT, umask applied
  std::uint64_t resolve = 0;  // RESOLVE_*
};
ErrnoOr<Ref<File>> open(const WalkContext& context, std::string_view path,
                        const OpenRequest& request);
ErrnoOr<> make_directory(const WalkContext& context, std::string_view path, std::uint32_t mode);
ErrnoOr<> make_node(const WalkContext& context, std::string_view path, std::uint32_t mode,
                    std::uint64_t device);
ErrnoOr<> make_symlink(const WalkContext& context, std::string_view target, std::string_view path);
ErrnoOr<> link(const WalkContext& context, const Path& target, std::string_view path);
ErrnoOr<> unlink(const WalkContext& context, std::string_view path);
// For the composition of a container's mounts: no permission is asked. EEXIST.
ErrnoOr<> make_mount_point(const Path& directory, std::string_view name, std::uint32_t type);
ErrnoOr<> remove_directory(const WalkContext& context, std::string_view path);
ErrnoOr<> rename(const WalkContext& from, std::string_view old_path, const WalkContext& to,
                 std::string_view new_path, std::uint32_t flags);
// With the rules of notify_change(): who may change what, what chown takes off the mode.
ErrnoOr<> change(const Path& path, const Credentials& credentials, AttributeChange change);
// truncate(2): EISDIR, EINVAL, EROFS, EACCES. The limit RLIMIT_FSIZE is the caller's to keep.
ErrnoOr<> truncate(const Path& path, const Credentials& credentials, std::uint64_t size);
// The same of a file that was opened for writing: ftruncate(2), O_TRUNC.
ErrnoOr<> truncate_opened(Inode& inode, const Credentials& credentials, std::uint64_t size);
// What writing takes off the mode: set-id bits, unless by CAP_FSETID.
ErrnoOr<> drop_set_ids(Inode& inode, const Credentials& credentials);
ErrnoOr<Ref<File>> open_path(const Path& path, std::uint32_t flags, Caller& caller,
                             const Credentials& credentials);
// The same without a name being made: memfd, O_TMPFILE, reopening of /proc/self/fd/N.

// The text of a place as seen from `root`: "/usr/bin"; " (deleted)" is added to removed names,
// places outside begin with "(unreachable)".
std::string path_text(const Path& path, const Path& root);
std::string path_text(const Path& path, const Path& root, const MountNamespace& mounts);
// Whether a walk upwards from `path` meets `root`.
bool is_reachable(const Path& path, const Path& root);

// The lines of /proc/PID/mountinfo as seen from `root`.
std::string mountinfo_text(const MountNamespace& mounts, const Path& root);

}  // namespace caisson::sandbox::vfs

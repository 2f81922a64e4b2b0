// The vocabulary of mount options: words to mount attributes, propagation and file-system options.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plan/plan.h"

namespace caisson::plan {

struct Propagation {
  std::uint64_t flag = 0;  // MS_SHARED, MS_PRIVATE, MS_SLAVE, MS_UNBINDABLE
  bool recursive = false;
  friend bool operator==(const Propagation&, const Propagation&) = default;
};

enum class Idmap { kNone, kMount, kTree };

struct MountOptions {
  std::uint64_t attr_set = 0, attr_clear = 0;            // MOUNT_ATTR_*
  std::uint64_t recursive_set = 0, recursive_clear = 0;  // from the words that begin with r: "rro"
  bool names_flags = false;  // a word asks for an attribute, or for none, or for a superblock flag
  bool access_time_mode = false;  // noatime, relatime or strictatime is asked for
  bool bind = false, bind_tree = false;
  bool remount = false;
  bool copy_up = false;            // tmpcopyup
  bool no_symlink_source = false;  // src-nofollow
  bool copy_symlink = false;       // a source that is a symbolic link is made anew at the target
  bool no_symlink_target = false;  // dest-nofollow
  Idmap idmap = Idmap::kNone;
  std::string idmap_text;                // what stood behind "idmap="
  std::vector<Propagation> propagation;  // in the order given
  Strings superblock;                    // flags of the file system by name: "sync", "lazytime"
  std::vector<KeyValue> data;            // everything that is no word of ours: for the file system
};

MountOptions parse_mount_options(const Strings& options);

// "0-1000-10#10-@5-1"-like ranges of an id map in an option, see mounts.cc; `own` is the map of the
// container's user namespace. Empty: malformed.
std::optional<std::vector<IdMapping>> parse_id_ranges(std::string_view text,
                                                      const std::vector<IdMapping>& own);

// The words of linux.rootfsPropagation are the same; empty flag: not one of them.
Propagation parse_propagation(std::string_view word);

// All words known here, for `features`.
Strings known_mount_options();

// "ro,nosuid" for MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID.
std::string attribute_names(std::uint64_t attributes);

}  // namespace caisson::plan

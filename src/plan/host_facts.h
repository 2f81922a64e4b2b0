// HostFacts: what the planner may know about this machine. Filled by linux/host_facts.cc or a test.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "plan/plan.h"

namespace caisson::plan {

struct CgroupHierarchy {
  std::string controllers;  // "memory", "cpu,cpuacct", "name=systemd"; empty: the v2 hierarchy
  std::string mount_point;  // "/sys/fs/cgroup/memory"
  std::string own_path;     // of the calling process: "/user.slice/..."
  bool v2 = false;
  bool writable = true;  // the caller may make directories in its own cgroup (false: not delegated)
};

struct CgroupFacts {
  CgroupMode mode = CgroupMode::kNone;
  std::vector<CgroupHierarchy> hierarchies;  // v1 ones in the kernel's order, the v2 one last
  std::vector<std::string> v2_controllers;   // cgroup.controllers of the v2 root
};

struct HostMount {  // one line of mountinfo that the calling process can see, in mount order
  int id = 0, parent_id = 0;
  std::string root;         // within its file system
  std::string mount_point;  // as seen by the caller
  std::string fs_type, source;
  bool is_directory = true;
  bool readonly = false;
  bool readable = true;  // the caller may search it
};

// A direct entry of a directory, for views that are put together entry by entry.
struct DirectoryEntry {
  std::string path;  // absolute
  char type = 'd';   // d directory, l symbolic link, f anything else
  std::string link_target;
  bool readable = true;  // a directory that the caller may read and search
};

struct HostFacts {
  std::uint32_t uid = 0, gid = 0;  // effective ids of the caller
  std::vector<std::uint32_t> groups;
  bool in_user_namespace = false;  // not in the initial one
  bool setgroups_denied = false;   // in our user namespace, and with it in all below
  // The maps of our user namespace; empty in the initial one, where every id is there.
  std::vector<spec::IdMapping> uid_map, gid_map;
  bool privileged = false;   // CAP_SYS_ADMIN over our own user namespace
  int last_capability = 40;  // /proc/sys/kernel/cap_last_cap
  // Those we hold (permitted); more can be granted in a new user namespace only. Absent: not known.
  std::optional<std::uint64_t> own_capabilities;
  CgroupFacts cgroup;
  bool apparmor = false, selinux = false;
  bool machine_swap_accounting = true;
  bool kcore = false;  // /proc/kcore exists
  // Filled for a machine view only:
  std::vector<HostMount> mounts;
  // Entries of "/" and of every directory on the way to a mount.
  std::vector<DirectoryEntry> root_entries;
  std::string current_directory;
};

}  // namespace caisson::plan

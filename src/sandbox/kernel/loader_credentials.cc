#include "sandbox/kernel/loader_credentials.h"

#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

namespace caisson::sandbox::kernel {
namespace {

using vfs::CapabilitySet;

bool is_subset(CapabilitySet part, CapabilitySet whole) { return (part & ~whole) == 0; }

// bprm_fill_uid() of Linux.
bool take_set_ids(const ExecutedFile& file, vfs::Credentials& after) {
  if (after.no_new_privileges) return false;
  bool user = (file.mode & S_ISUID) != 0;
  // Without the group's execute bit it marks a file for mandatory locks.
  bool group = (file.mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP);
  if (user) after.euid = file.uid;
  if (group) after.egid = file.gid;
  return user || group;
}

struct Gained {
  CapabilitySet permitted = 0;
  bool effective = false;
};

ErrnoOr<Gained> file_gains(const vfs::Credentials& before, const vfs::Credentials& after,
                           const ExecutedFile& file) {
  Gained gained;
  if (file.capabilities) {
    gained.permitted = (before.bounding & file.capabilities->permitted) |
                       (before.inheritable & file.capabilities->inheritable);
    gained.effective = file.capabilities->effective;
    // A program that does not know of capabilities gets all of them or does not run.
    if (gained.effective && !is_subset(file.capabilities->permitted, gained.permitted))
      return std::unexpected(Errno{EPERM});
  }
  bool root_is_nothing = (before.securebits & SECBIT_NOROOT) != 0;
  bool set_id_with_capabilities = file.capabilities && after.uid != 0 && after.euid == 0;
  if (root_is_nothing || set_id_with_capabilities) return gained;
  if (after.euid == 0 || after.uid == 0) gained.permitted = before.bounding | before.inheritable;
  if (after.euid == 0) gained.effective = true;
  return gained;
}

}  // namespace

ErrnoOr<FileCapabilities> parse_file_capabilities(std::string_view value) {
  std::uint32_t words[6] = {};
  if (value.size() < sizeof(std::uint32_t) || value.size() > sizeof words)
    return std::unexpected(Errno{EINVAL});
  std::memcpy(words, value.data(), value.size());
  std::uint32_t revision = words[0] & VFS_CAP_REVISION_MASK;
  bool fits = (revision == VFS_CAP_REVISION_1 && value.size() == XATTR_CAPS_SZ_1) ||
              (revision == VFS_CAP_REVISION_2 && value.size() == XATTR_CAPS_SZ_2) ||
              (revision == VFS_CAP_REVISION_3 && value.size() == XATTR_CAPS_SZ_3);
  if (!fits) return std::unexpected(Errno{EINVAL});
  FileCapabilities capabilities;
  capabilities.effective = (words[0] & VFS_CAP_FLAGS_EFFECTIVE) != 0;
  capabilities.permitted = words[1];
  capabilities.inheritable = words[2];
  if (revision != VFS_CAP_REVISION_1) {
    capabilities.permitted |= CapabilitySet{words[3]} << 32;
    capabilities.inheritable |= CapabilitySet{words[4]} << 32;
  }
  capabilities.permitted &= vfs::kAllCapabilities;
  capabilities.inheritable &= vfs::kAllCapabilities;
  return capabilities;
}

// cap_bprm_creds_from_file() of Linux, without its cases for tracers.
ErrnoOr<ExecCredentials> credentials_after_exec(const vfs::Credentials& before,
                                                const ExecutedFile& file) {
  ExecCredentials result{before.copy()};
  vfs::Credentials& after = *result.credentials;
  result.has_set_id = take_set_ids(file, after);
  Gained gained = TRY(file_gains(before, after, file));
  after.permitted = gained.permitted;
  bool ids_changed = after.euid != before.euid || after.egid != before.egid;
  bool grows = !is_subset(gained.permitted, before.permitted);
  if (before.no_new_privileges && (ids_changed || grows)) after.permitted &= before.permitted;
  after.suid = after.fsuid = after.euid;
  after.sgid = after.fsgid = after.egid;
  if (file.capabilities || ids_changed) after.ambient = 0;
  after.permitted |= after.ambient;
  after.effective = gained.effective ? after.permitted : after.ambient;
  after.securebits &= ~std::uint32_t{SECBIT_KEEP_CAPS};
  after.keep_capabilities = false;
  bool raised = after.uid != 0 && (gained.effective || !is_subset(after.permitted, after.ambient));
  result.secure = ids_changed || after.euid != before.uid || after.egid != before.gid || raised;
  return result;
}

}  // namespace caisson::sandbox::kernel

#include "sandbox/vfs/permission.h"

#include <linux/capability.h>
#include <unistd.h>

#include <cerrno>

namespace caisson::sandbox::vfs {
namespace {

// The bits of the mode that count for these credentials, as R_OK, W_OK, X_OK.
std::uint32_t granted(const Ownership& of, const Credentials& credentials) {
  if (credentials.fsuid == of.uid) return of.mode >> 6 & 7U;
  // The group's and the others' bits are mostly the same: then no list is searched.
  if ((of.mode >> 3 & 7U) == (of.mode & 7U)) return of.mode & 7U;
  return credentials.in_group(of.gid) ? of.mode >> 3 & 7U : of.mode & 7U;
}

bool overridden(const Ownership& of, const Credentials& credentials, std::uint32_t mask) {
  bool directory = S_ISDIR(of.mode);
  if (directory ? (mask & W_OK) == 0 : mask == R_OK)
    if (credentials.has(CAP_DAC_READ_SEARCH)) return true;
  // Nobody may execute what nobody may execute.
  if (!directory && (mask & X_OK) != 0 && (of.mode & 0111U) == 0) return false;
  return credentials.has(CAP_DAC_OVERRIDE);
}

}  // namespace

ErrnoOr<> may_access(Inode& inode, const Credentials& credentials, int mask) {
  Ownership of = TRY(inode.ownership());
  auto wanted = static_cast<std::uint32_t>(mask) & 7U;
  if ((granted(of, credentials) & wanted) != wanted && !overridden(of, credentials, wanted))
    return std::unexpected(Errno{EACCES});
  return inode.may_access(credentials, mask);
}

bool owns(const Attributes& attributes, const Credentials& credentials) {
  return attributes.uid == credentials.fsuid || credentials.has(CAP_FOWNER);
}

ErrnoOr<> may_remove(Inode& directory, Inode& victim, const Credentials& credentials) {
  TRY(may_access(directory, credentials, W_OK | X_OK));
  Ownership of = TRY(directory.ownership());
  if ((of.mode & S_ISVTX) == 0 || of.uid == credentials.fsuid || credentials.has(CAP_FOWNER))
    return {};
  if (TRY(victim.ownership()).uid == credentials.fsuid) return {};
  return std::unexpected(Errno{EPERM});
}

}  // namespace caisson::sandbox::vfs

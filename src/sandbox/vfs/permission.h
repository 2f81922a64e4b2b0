// Who may do what with an inode (path_resolution(7), "Permissions"; capabilities(7)).
#pragma once

#include "base/result.h"
#include "sandbox/vfs/credentials.h"
#include "sandbox/vfs/inode.h"

namespace caisson::sandbox::vfs {

// `mask` of R_OK, W_OK, X_OK (<unistd.h>). EACCES. Mode bits with fsuid, fsgid, groups;
// CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH.
ErrnoOr<> may_access(Inode& inode, const Credentials& credentials, int mask);
// Whether these credentials own it or may act as if (CAP_FOWNER).
bool owns(const Attributes& attributes, const Credentials& credentials);
// Removing or renaming `victim` from `directory`: write and search there, sticky bit. EACCES,
// EPERM.
ErrnoOr<> may_remove(Inode& directory, Inode& victim, const Credentials& credentials);

}  // namespace caisson::sandbox::vfs

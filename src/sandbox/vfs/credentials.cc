#include "sandbox/vfs/credentials.h"

namespace caisson::sandbox::vfs {

Ref<Credentials> Credentials::copy() const {
  auto made = make_ref<Credentials>();
  made->uid = uid, made->euid = euid, made->suid = suid, made->fsuid = fsuid;
  made->gid = gid, made->egid = egid, made->sgid = sgid, made->fsgid = fsgid;
  made->groups = groups;
  made->permitted = permitted, made->effective = effective, made->inheritable = inheritable;
  made->bounding = bounding, made->ambient = ambient;
  made->securebits = securebits;
  made->keep_capabilities = keep_capabilities;
  made->no_new_privileges = no_new_privileges;
  return made;
}

Ref<Credentials> Credentials::root() {
  auto made = make_ref<Credentials>();
  made->permitted = made->effective = made->bounding = kAllCapabilities;
  return made;
}

}  // namespace caisson::sandbox::vfs

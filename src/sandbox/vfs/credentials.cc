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
  made->user_namespace = user_namespace;
  return made;
}

Ref<Credentials> Credentials::root() {
  auto made = make_ref<Credentials>();
  made->permitted = made->effective = made->bounding = kAllCapabilities;
  return made;
}

// ns_capable() of Linux: who made a namespace has all capabilities in it.
bool Credentials::has_in(const UserNamespace* target, int capability) const {
  for (;; target = target->parent.get()) {
    if (target == user_namespace.get()) return bit(capability);
    if (target == nullptr) return false;
    if (target->parent.get() == user_namespace.get() && target->owner == euid) return true;
  }
}

bool Credentials::has_over(Uid owner, Gid group, int capability) const {
  if (!bit(capability)) return false;
  if (!user_namespace) return true;
  using Kind = UserNamespace::Kind;
  return user_namespace->from_sandbox(Kind::kUsers, owner).has_value() &&
         user_namespace->from_sandbox(Kind::kGroups, group).has_value();
}

}  // namespace caisson::sandbox::vfs

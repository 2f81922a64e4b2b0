// Credentials of a guest task (credentials(7), capabilities(7)). Immutable: a change makes a copy.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/ref.h"
#include "base/result.h"
#include "sandbox/state/tag.h"
#include "sandbox/vfs/user_namespace.h"

namespace caisson::sandbox::vfs {

using Uid = std::uint32_t;
using Gid = std::uint32_t;
using CapabilitySet = std::uint64_t;  // bit n is capability n

constexpr CapabilitySet kAllCapabilities =
    (CapabilitySet{1} << 41) - 1;  // up to CHECKPOINT_RESTORE

class Credentials : public RefCounted {
 public:
  Credentials() = default;
  Uid uid = 0, euid = 0, suid = 0, fsuid = 0;
  Gid gid = 0, egid = 0, sgid = 0, fsgid = 0;
  std::vector<Gid> groups;  // supplementary
  CapabilitySet permitted = 0, effective = 0, inheritable = 0, bounding = 0, ambient = 0;
  std::uint32_t securebits = 0;
  bool keep_capabilities = false;  // PR_SET_KEEPCAPS
  bool no_new_privileges = false;

  Ref<UserNamespace> user_namespace;  // where the capabilities count; null: the sandbox's own

  // In the sandbox's own user namespace: over everything.
  bool has(int capability) const { return !user_namespace && bit(capability); }
  // Over what belongs to a user namespace (null: the sandbox's own).
  bool has_in(const UserNamespace* target, int capability) const;
  // Over what has these owners: both have numbers in the namespace where the capabilities count.
  bool has_over(Uid owner, Gid group, int capability) const;
  bool in_group(Gid group) const {
    return group == fsgid || std::find(groups.begin(), groups.end(), group) != groups.end();
  }
  Ref<Credentials> copy() const;
  // uid 0 with every capability.
  static Ref<Credentials> root();

  state::Tag save_tag() const { return state::Tag::kCredentials; }
  Result<> save(state::Writer& to);
  static Result<Ref<Credentials>> restore(state::Reader& from);

 private:
  bool bit(int capability) const { return (effective >> capability & 1) != 0; }
};

}  // namespace caisson::sandbox::vfs

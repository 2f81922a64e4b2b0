// Landlock (Linux 5.13): a process gives up the use of files, but for those below given ones.
#pragma once

#include <linux/landlock.h>

#include <cstdint>

#include "sys/call.h"

namespace caisson::sys {

// Newer than Debian 12's headers.
inline constexpr std::uint64_t kLandlockTruncate = std::uint64_t{1} << 14;
inline constexpr std::uint64_t kLandlockIoctlDevice = std::uint64_t{1} << 15;

// The version of the interface. ENOSYS, EOPNOTSUPP: the kernel has none, or it is off.
inline ErrnoOr<long> landlock_version() {
  return call(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
}
inline ErrnoOr<Fd> landlock_ruleset(std::uint64_t handled_files) {
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = handled_files;
  return call_fd(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
}
inline ErrnoOr<> landlock_allow_below(FdRef ruleset, FdRef parent, std::uint64_t access) {
  landlock_path_beneath_attr rule{};
  rule.allowed_access = access;
  rule.parent_fd = parent.number();
  return call_void(SYS_landlock_add_rule, ruleset.number(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}
inline ErrnoOr<> landlock_restrict_self(FdRef ruleset) {
  return call_void(SYS_landlock_restrict_self, ruleset.number(), 0);
}

}  // namespace caisson::sys

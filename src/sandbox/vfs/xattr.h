// Extended attributes with the rules of their namespaces (xattr(7); fs/xattr.c of Linux).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sandbox/vfs/mount.h"

namespace caisson::sandbox::vfs {

inline constexpr std::size_t kLongestAttributeName = 255;
inline constexpr std::size_t kLongestAttribute = 65536;

// EROFS EPERM EACCES EOPNOTSUPP ENODATA ERANGE E2BIG, and what the inode says.
ErrnoOr<std::string> get_attribute(const Path& path, const Credentials& credentials,
                                   std::string_view name);
ErrnoOr<> set_attribute(const Path& path, const Credentials& credentials, std::string_view name,
                        std::string_view value, int flags);
ErrnoOr<> remove_attribute(const Path& path, const Credentials& credentials, std::string_view name);
// Without those that the caller may not know of (trusted.*).
ErrnoOr<std::vector<std::string>> list_attributes(const Path& path, const Credentials& credentials);

}  // namespace caisson::sandbox::vfs

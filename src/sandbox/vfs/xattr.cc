#include "sandbox/vfs/xattr.h"

#include <linux/capability.h>
#include <sys/inotify.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "sandbox/vfs/permission.h"
#include "sandbox/vfs/walker.h"
#include "sandbox/vfs/watches.h"

namespace caisson::sandbox::vfs {
namespace {

std::unexpected<Errno> failed(int errno_value) { return std::unexpected(Errno{errno_value}); }

ErrnoOr<> may_use(Inode& inode, const Credentials& credentials, std::string_view name, int mask) {
  bool writes = (mask & W_OK) != 0;
  // Security modules decide about these; reading is free.
  if (name.starts_with("security.")) {
    if (!writes || credentials.has(CAP_SYS_ADMIN)) return {};
    if (name == "security.capability" && credentials.has(CAP_SETFCAP)) return {};
    return failed(EPERM);
  }
  if (name.starts_with("system.")) return {};
  if (name.starts_with("trusted.")) {
    if (credentials.has(CAP_SYS_ADMIN)) return {};
    return failed(writes ? EPERM : ENODATA);
  }
  if (name.starts_with("user.")) {
    if (!S_ISREG(inode.type()) && !inode.is_directory()) return failed(writes ? EPERM : ENODATA);
    if (inode.is_directory() && writes) {
      Attributes now = TRY(inode.attributes());
      if ((now.mode & S_ISVTX) != 0 && !owns(now, credentials)) return failed(EPERM);
    }
  }
  return may_access(inode, credentials, mask);
}

ErrnoOr<> check_name(std::string_view name) {
  if (name.empty() || name.size() > kLongestAttributeName) return failed(ERANGE);
  return {};
}

// cap_convert_nscap() of Linux: what execve(2) could not read is not stored.
ErrnoOr<> check_capabilities(std::string_view value) {
  std::uint32_t magic = 0;
  if (value.size() >= sizeof magic) std::memcpy(&magic, value.data(), sizeof magic);
  std::uint32_t revision = magic & VFS_CAP_REVISION_MASK;
  bool fits = (revision == VFS_CAP_REVISION_2 && value.size() == XATTR_CAPS_SZ_2) ||
              (revision == VFS_CAP_REVISION_3 && value.size() == XATTR_CAPS_SZ_3);
  if (!fits) return failed(EINVAL);
  return {};
}

// Of what the kernel hands to file systems at all.
ErrnoOr<> check_namespace(std::string_view name) {
  for (std::string_view prefix : {"user.", "trusted.", "security."})
    if (name.starts_with(prefix)) {
      if (name.size() == prefix.size()) return failed(EINVAL);
      return {};
    }
  return failed(EOPNOTSUPP);
}

}  // namespace

ErrnoOr<std::string> get_attribute(const Path& path, const Credentials& credentials,
                                   std::string_view name) {
  TRY(check_name(name));
  TRY(may_use(*path.inode(), credentials, name, R_OK));
  TRY(check_namespace(name));
  return path.inode()->get_attribute(name);
}

ErrnoOr<> set_attribute(const Path& path, const Credentials& credentials, std::string_view name,
                        std::string_view value, int flags) {
  if ((flags & ~(XATTR_CREATE | XATTR_REPLACE)) != 0) return failed(EINVAL);
  TRY(check_name(name));
  if (value.size() > kLongestAttribute) return failed(E2BIG);
  TRY(may_write(path));
  TRY(may_use(*path.inode(), credentials, name, W_OK));
  TRY(check_namespace(name));
  if (name == "security.capability") TRY(check_capabilities(value));
  TRY(path.inode()->set_attribute(name, value, flags));
  tell_of(path, IN_ATTRIB);
  return {};
}

ErrnoOr<> remove_attribute(const Path& path, const Credentials& credentials,
                           std::string_view name) {
  TRY(check_name(name));
  TRY(may_write(path));
  TRY(may_use(*path.inode(), credentials, name, W_OK));
  TRY(check_namespace(name));
  TRY(path.inode()->remove_attribute(name));
  tell_of(path, IN_ATTRIB);
  return {};
}

ErrnoOr<std::vector<std::string>> list_attributes(const Path& path,
                                                  const Credentials& credentials) {
  std::vector<std::string> names = TRY(path.inode()->list_attributes());
  if (!credentials.has(CAP_SYS_ADMIN))
    std::erase_if(names, [](const std::string& name) { return name.starts_with("trusted."); });
  return names;
}

}  // namespace caisson::sandbox::vfs

// Extended attributes of what a directory's descriptor and a name lead to, never through a symbolic
// link: getxattrat(2) and its like (Linux 6.13). They fail with ENOSYS on older kernels, where only
// the calls by an open file remain.
#pragma once

#include <cstdint>
#include <span>

#include "sys/call.h"

namespace caisson::sys {

// struct xattr_args of the kernel.
struct XattrArguments {
  std::uint64_t value = 0;  // address
  std::uint32_t size = 0;
  std::uint32_t flags = 0;
};

// `flags`: AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH. The size of the value; with an empty span that is
// all that is asked.
inline ErrnoOr<std::size_t> getxattrat(FdRef dir, const char* path, int flags, const char* name,
                                       std::span<char> to) {
  XattrArguments arguments{reinterpret_cast<std::uint64_t>(to.data()),
                           static_cast<std::uint32_t>(to.size()), 0};
  return static_cast<std::size_t>(
      TRY(call(464, dir.number(), path, flags, name, &arguments, sizeof arguments)));
}
inline ErrnoOr<> setxattrat(FdRef dir, const char* path, int flags, const char* name,
                            std::span<const char> value, int how) {
  XattrArguments arguments{reinterpret_cast<std::uint64_t>(value.data()),
                           static_cast<std::uint32_t>(value.size()),
                           static_cast<std::uint32_t>(how)};
  return call_void(463, dir.number(), path, flags, name, &arguments, sizeof arguments);
}
inline ErrnoOr<std::size_t> listxattrat(FdRef dir, const char* path, int flags,
                                        std::span<char> to) {
  return static_cast<std::size_t>(TRY(call(465, dir.number(), path, flags, to.data(), to.size())));
}
inline ErrnoOr<> removexattrat(FdRef dir, const char* path, int flags, const char* name) {
  return call_void(466, dir.number(), path, flags, name);
}

inline ErrnoOr<std::size_t> fgetxattr(FdRef file, const char* name, std::span<char> to) {
  return static_cast<std::size_t>(
      TRY(call(SYS_fgetxattr, file.number(), name, to.data(), to.size())));
}
inline ErrnoOr<> fsetxattr(FdRef file, const char* name, std::span<const char> value, int how) {
  return call_void(SYS_fsetxattr, file.number(), name, value.data(), value.size(), how);
}
inline ErrnoOr<std::size_t> flistxattr(FdRef file, std::span<char> to) {
  return static_cast<std::size_t>(TRY(call(SYS_flistxattr, file.number(), to.data(), to.size())));
}
inline ErrnoOr<> fremovexattr(FdRef file, const char* name) {
  return call_void(SYS_fremovexattr, file.number(), name);
}

}  // namespace caisson::sys

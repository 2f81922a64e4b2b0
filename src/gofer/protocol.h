// What a sandbox's kernel process asks of its gofer, and the answers, as bytes: one message of a
// SOCK_SEQPACKET socket each. Both ends are this program; the kernel process is not trusted all the
// same, for guest code may have taken it over.
//
// A file is named by the number of a mount and a path beneath its root. Descriptors go along with
// answers only.
#pragma once

#include <sys/stat.h>
#include <time.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace caisson::gofer {

enum class Operation : std::uint32_t {
  kOpen = 1,         // flags
  kCreate,           // mode, uid, gid
  kMake,             // mode with type, uid, gid, number: device
  kMakeSymlink,      // second: its text; uid, gid
  kLink,             // second: the new path
  kUnlink,           // flags: AT_REMOVEDIR
  kRename,           // second: the new path; flags: RENAME_*
  kStat,             //
  kReadLink,         //
  kSetMode,          // mode
  kSetOwner,         // uid, gid; ~0 leaves one
  kSetTimes,         // times
  kSetSize,          // number
  kGetAttribute,     // second: its name
  kSetAttribute,     // second: its name; value; flags: XATTR_*
  kListAttributes,   //
  kRemoveAttribute,  // second: its name
};
inline constexpr auto kLastOperation = Operation::kRemoveAttribute;

// Of one message, with the longest value that an extended attribute may have.
inline constexpr std::size_t kMaxMessage = 80 * 1024;

struct Request {
  Operation operation = Operation::kStat;
  std::uint32_t mount = 0;
  std::string path;  // "" is the mount's root
  std::string second;
  std::string value;
  std::uint32_t flags = 0, mode = 0, uid = 0, gid = 0;
  std::uint64_t number = 0;
  std::array<timespec, 2> times{};
};
std::string encode(const Request& request);
// EPROTO: no request. Paths that come out have no empty, "." or ".." component and no slash at
// either end.
ErrnoOr<Request> decode_request(std::string_view message);

struct Reply {
  int errno_value = 0;  // 0: done
  std::string text;     // a link's target, an attribute's value; names, each with a NUL behind it
  struct statx info{};
};
std::string encode(const Reply& reply);
ErrnoOr<Reply> decode_reply(std::string_view message);

}  // namespace caisson::gofer

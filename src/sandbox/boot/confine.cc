#include "sandbox/boot/confine.h"

#include <linux/capability.h>
#include <linux/landlock.h>
#include <sys/stat.h>

#include <cerrno>

#include "sys/file.h"
#include "sys/process.h"

namespace caisson::sandbox::boot {
namespace {

constexpr std::uint64_t kReadFile = LANDLOCK_ACCESS_FS_READ_FILE;
constexpr std::uint64_t kReadDirectory = LANDLOCK_ACCESS_FS_READ_DIR;
// Rights of later versions than the C library's headers know.
constexpr std::uint64_t kRefer = 1ULL << 13, kTruncate = 1ULL << 14, kIoctlDevice = 1ULL << 15;
constexpr std::uint64_t kWriteFile = LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate;
constexpr std::uint64_t kChangeDirectory =
    LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
    LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
    LANDLOCK_ACCESS_FS_MAKE_SYM | kRefer;
constexpr std::uint64_t kFirstVersion = (1ULL << 13) - 1;

// What a ruleset of this version of Landlock can handle.
std::uint64_t handled_by(long version) {
  std::uint64_t rights = kFirstVersion;
  if (version >= 2) rights |= kRefer;
  if (version >= 3) rights |= kTruncate;
  if (version >= 5) rights |= kIoctlDevice;
  return rights;
}

bool is_directory(FdRef place) {
  auto info = sys::fstatat(place, "", AT_EMPTY_PATH);
  return info && S_ISDIR(info->st_mode);
}

Result<> allow_place(FdRef ruleset, const Reachable& place, std::uint64_t handled) {
  bool directory = is_directory(place.place);
  std::uint64_t rights = kReadFile;
  if (directory) rights |= kReadDirectory;
  if (place.writable) rights |= kWriteFile | (directory ? kChangeDirectory : 0);
  landlock_path_beneath_attr rule{};
  rule.allowed_access = rights & handled;
  rule.parent_fd = place.place.number();
  TRY_CTX(
      sys::call_void(SYS_landlock_add_rule, ruleset.number(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0),
      "allow a mount's files");
  return {};
}

}  // namespace

Result<> drop_capabilities(std::uint64_t kept) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct left[2] = {};
  TRY_CTX(sys::call_void(SYS_capget, &header, left), "look at the capabilities");
  for (int word : {0, 1}) {
    left[word].permitted &= static_cast<std::uint32_t>(kept >> (32 * word));
    left[word].effective = left[word].permitted;
    left[word].inheritable = 0;
  }
  for (int capability = 0; capability <= 63; ++capability) {
    // EINVAL: the kernel knows no further ones; EPERM: none are left to drop them with.
    if (!sys::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)) break;
  }
  TRY_CTX(sys::call_void(SYS_capset, &header, left), "drop capabilities");
  return {};
}

Result<> restrict_paths(const std::vector<Reachable>& places) {
  auto version =
      sys::call(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  TRY_CTX(sys::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "set no_new_privs");
  // A host without it: the empty root and the filter remain.
  if (!version) return {};
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = handled_by(*version);
  Fd ruleset = TRY_CTX(sys::call_fd(SYS_landlock_create_ruleset, &attributes,
                                    sizeof attributes.handled_access_fs, 0),
                       "make a Landlock ruleset");
  for (const auto& place : places) TRY(allow_place(ruleset, place, attributes.handled_access_fs));
  TRY_CTX(sys::call_void(SYS_landlock_restrict_self, ruleset.number(), 0), "restrict paths");
  return {};
}

Result<> give_up_calls(const Confinement& confinement) { return kernel_filter(confinement).load(); }

}  // namespace caisson::sandbox::boot

// What the gofer gives up before it reads its first request.
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "gofer/filter.h"
#include "gofer/start.h"
#include "sys/file_at.h"
#include "sys/landlock.h"
#include "sys/mount.h"
#include "sys/process.h"

namespace caisson::gofer {
namespace {

constexpr std::uint64_t kCapabilities =
    std::uint64_t{1} << CAP_CHOWN | std::uint64_t{1} << CAP_DAC_OVERRIDE |
    std::uint64_t{1} << CAP_DAC_READ_SEARCH | std::uint64_t{1} << CAP_FOWNER |
    std::uint64_t{1} << CAP_FSETID;

ErrnoOr<> close_others(FdRef socket, const std::vector<Mount>& mounts) {
  std::vector<int> kept{socket.number()};
  for (const Mount& mount : mounts) kept.push_back(mount.root.number());
  std::sort(kept.begin(), kept.end());
  unsigned next = 0;
  for (int number : kept) {
    auto keep = static_cast<unsigned>(number);
    if (keep > next) TRY(sys::close_range(next, keep - 1, 0));
    next = keep + 1;
  }
  return sys::close_range(next, ~0U, 0);
}

// An empty, read-only root; the old one is let go of.
ErrnoOr<> empty_root() {
  TRY(sys::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr));
  Fd context = TRY(sys::fsopen("tmpfs"));
  TRY(sys::fsconfig_string(context, "mode", "0555"));
  TRY(sys::fsconfig_string(context, "size", "4k"));
  TRY(sys::fsconfig_create(context));
  Fd root = TRY(sys::fsmount(
      context, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  TRY(sys::move_mount_at(root, sys::kCwd, "/"));
  TRY(sys::fchdir(root));
  TRY(sys::pivot_root(".", "."));
  TRY(sys::umount(".", MNT_DETACH));
  return sys::chdir("/");
}

ErrnoOr<> drop_privileges() {
  TRY(sys::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
  for (unsigned capability = 0; capability < 64; ++capability) {
    if ((kCapabilities >> capability & 1) != 0) continue;
    auto dropped = sys::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    if (!dropped && dropped.error().value == EINVAL) break;  // the kernel knows no more
    if (!dropped) return std::unexpected(dropped.error());
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_header_struct asked = header;
  std::array<__user_cap_data_struct, 2> data{};
  TRY(sys::call_void(SYS_capget, &asked, data.data()));
  // No more than there were: whoever starts without one of them does without.
  data[0].permitted &= static_cast<std::uint32_t>(kCapabilities);
  data[1].permitted = 0;
  data[0].effective = data[0].permitted;
  data[1].effective = 0;
  data[0].inheritable = data[1].inheritable = 0;
  TRY(sys::call_void(SYS_capset, &header, data.data()));
  TRY(sys::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
  TRY(sys::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  return {};
}

constexpr std::uint64_t kReadFiles = LANDLOCK_ACCESS_FS_READ_FILE;
constexpr std::uint64_t kWriteFiles = LANDLOCK_ACCESS_FS_WRITE_FILE | sys::kLandlockTruncate;
constexpr std::uint64_t kWriteDirectories =
    LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
    LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER;

// All rights that this version of the interface knows.
std::uint64_t known_rights(long version) {
  std::uint64_t rights = (std::uint64_t{1} << 13) - 1;
  if (version >= 2) rights |= LANDLOCK_ACCESS_FS_REFER;
  if (version >= 3) rights |= sys::kLandlockTruncate;
  if (version >= 5) rights |= sys::kLandlockIoctlDevice;
  return rights;
}

ErrnoOr<> allow_mounts_only(const std::vector<Mount>& mounts) {
  auto version = sys::landlock_version();
  // A second wall: the first, that nothing else is in reach, stands without it.
  if (!version) return {};
  std::uint64_t known = known_rights(*version);
  Fd rules = TRY(sys::landlock_ruleset(known));
  for (const Mount& mount : mounts) {
    struct stat info = TRY(sys::fstat(mount.root));
    std::uint64_t rights = kReadFiles;
    if (!mount.readonly) rights |= kWriteFiles;
    if (S_ISDIR(info.st_mode)) rights |= LANDLOCK_ACCESS_FS_READ_DIR;
    if (S_ISDIR(info.st_mode) && !mount.readonly) rights |= kWriteDirectories;
    TRY(sys::landlock_allow_below(rules, mount.root, rights & known));
  }
  return sys::landlock_restrict_self(rules);
}

}  // namespace

std::string_view step_name(Step step) {
  switch (step) {
    case Step::kDescriptors: return "descriptors";
    case Step::kRoot: return "root";
    case Step::kPrivileges: return "privileges";
    case Step::kLandlock: return "landlock";
    case Step::kFilter: return "filter";
  }
  return "unknown step";
}

std::expected<void, ConfineFailure> confine(FdRef socket, const std::vector<Mount>& mounts) {
  auto failed = [](Step step, const ErrnoOr<>& result) {
    return std::unexpected(ConfineFailure{step, result.error().value});
  };
  (void)sys::umask(0);  // modes that are asked for have the guest's applied
  if (auto done = close_others(socket, mounts); !done) return failed(Step::kDescriptors, done);
  if (auto done = empty_root(); !done) return failed(Step::kRoot, done);
  if (auto done = drop_privileges(); !done) return failed(Step::kPrivileges, done);
  if (auto done = allow_mounts_only(mounts); !done) return failed(Step::kLandlock, done);
  if (auto done = load_filter(); !done) return failed(Step::kFilter, done);
  return {};
}

}  // namespace caisson::gofer

#include "cli/caller.h"

#include <linux/capability.h>
#include <unistd.h>

#include "base/text.h"
#include "sys/call.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::cli {
namespace {

constexpr std::size_t kAccountFileLimit = std::size_t{16} << 20;

bool has_effective(unsigned capability) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (!sys::call_void(SYS_capget, &header, data)) return false;
  return (data[capability / 32].effective >> (capability % 32) & 1) != 0;
}

// A missing file is an empty one: a root file system need not have any.
Result<std::string> read_below(FdRef root, const std::string& rootfs, const char* path) {
  auto file = sys::openat2(root, path, O_RDONLY, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
  if (!file && file.error().value == ENOENT) return std::string();
  if (!file) return std::unexpected(Error(file.error()).doing("open ", rootfs, "/", path));
  return TRY_CTX(sys::read_all(*file, kAccountFileLimit), "read ", rootfs, "/", path);
}

}  // namespace

bool is_privileged() { return sys::geteuid() == 0 && has_effective(CAP_SYS_ADMIN); }

Result<Accounts> read_accounts(const std::string& rootfs) {
  std::string path = rootfs.empty() ? "/" : rootfs;
  Fd root = TRY_CTX(sys::openat(sys::kCwd, path.c_str(), O_PATH | O_DIRECTORY),
                    "open the root file system ", path);
  Accounts accounts;
  accounts.passwd = TRY(read_below(root, rootfs, "etc/passwd"));
  accounts.group = TRY(read_below(root, rootfs, "etc/group"));
  return accounts;
}

Result<spec::CallerFacts> look_at_caller() {
  spec::CallerFacts facts;
  facts.uid = sys::geteuid();
  facts.gid = sys::getegid();
  facts.privileged = is_privileged();
  int count = ::getgroups(0, nullptr);
  // Groups that nobody in this user namespace may set are not ours to hand on.
  auto setgroups = sys::read_file(sys::kCwd, "/proc/self/setgroups");
  if (count > 0 && !(setgroups && setgroups->starts_with("deny"))) {
    facts.groups.resize(static_cast<std::size_t>(count));
    count = ::getgroups(count, facts.groups.data());
    facts.groups.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  }
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    facts.env.emplace_back(*entry);
  }
  char cwd[4096];
  if (::getcwd(cwd, sizeof cwd) == nullptr) {
    return std::unexpected(Error(Errno{errno})
                               .doing("find the current directory")
                               .cure("change to a directory that exists"));
  }
  facts.cwd = cwd;
  return facts;
}

}  // namespace caisson::cli

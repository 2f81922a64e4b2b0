#include "cli/caller.h"

#include <unistd.h>

#include "base/text.h"
#include "library/state_root.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::cli {
namespace {

constexpr std::size_t kAccountFileLimit = std::size_t{16} << 20;

// A missing file is an empty one: a root file system need not have any.
Result<std::string> read_below(FdRef root, const std::string& rootfs, const char* path) {
  auto file = sys::openat2(root, path, O_RDONLY, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
  if (!file && file.error().value == ENOENT) return std::string();
  if (!file) return std::unexpected(Error(file.error()).doing("open ", rootfs, "/", path));
  return TRY_CTX(sys::read_all(*file, kAccountFileLimit), "read ", rootfs, "/", path);
}

}  // namespace

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
  facts.privileged = library::is_privileged();
  // Groups that nobody in this user namespace may set are not ours to hand on.
  auto setgroups = sys::read_file(sys::kCwd, "/proc/self/setgroups");
  if (!(setgroups && setgroups->starts_with("deny"))) {
    facts.groups = sys::getgroups().value_or(std::vector<std::uint32_t>());
  }
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    facts.env.emplace_back(*entry);
  }
  auto cwd = sys::getcwd();
  if (!cwd) {
    return std::unexpected(Error(cwd.error())
                               .doing("find the current directory")
                               .cure("change to a directory that exists"));
  }
  facts.cwd = std::move(*cwd);
  return facts;
}

}  // namespace caisson::cli

// getdents(2), getcwd(2), chdir(2), chroot(2), umask(2).
#include <limits.h>
#include <linux/capability.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "sandbox/syscalls/file_families.h"
#include "sandbox/syscalls/file_guest.h"
#include "sandbox/vfs/permission.h"
#include "sandbox/vfs/watches.h"

namespace caisson::sandbox::syscalls {
namespace {

constexpr std::size_t kMostEntries = std::size_t{128} << 10;  // bytes of one call

// Lays entries out as struct linux_dirent64, or the older linux_dirent with its type at the end.
class EntryWriter final : public vfs::DirectorySink {
 public:
  EntryWriter(std::size_t room, bool old) : bytes_(room), old_(old) {}

  bool entry(std::string_view name, std::uint64_t inode, unsigned char type,
             std::uint64_t next) override {
    constexpr std::size_t kHeader = 18;  // inode, next, length
    std::size_t begin = old_ ? kHeader : kHeader + 1;
    std::size_t plain = begin + name.size() + 1 + (old_ ? 1 : 0);
    std::size_t length = (plain + 7) / 8 * 8;
    if (used_ + length > bytes_.size()) {
      full_ = true;
      return false;
    }
    char* at = bytes_.data() + used_;
    std::memset(at, 0, length);
    auto short_length = static_cast<std::uint16_t>(length);
    std::memcpy(at, &inode, sizeof inode);
    std::memcpy(at + 8, &next, sizeof next);
    std::memcpy(at + 16, &short_length, sizeof short_length);
    at[old_ ? length - 1 : kHeader] = static_cast<char>(type);
    std::memcpy(at + begin, name.data(), name.size());
    used_ += length;
    return true;
  }
  std::span<const char> bytes() const { return {bytes_.data(), used_}; }
  bool had_no_room() const { return full_ && used_ == 0; }

 private:
  std::vector<char> bytes_;
  std::size_t used_ = 0;
  bool old_, full_ = false;
};

Value get_entries(Task& task, const Arguments& arguments, bool old) {
  Ref<vfs::File> file = TRY(usable_file(task, arguments.i32(0)));
  if (file->inode() == nullptr || !file->inode()->is_directory()) return fail(ENOTDIR);
  EntryWriter writer(std::min<std::size_t>(arguments.u32(2), kMostEntries), old);
  TRY(file->read_directory(writer, task));
  vfs::tell_of(*file, IN_ACCESS);
  if (writer.had_no_room()) return fail(EINVAL);
  std::span<const char> bytes = writer.bytes();
  if (!bytes.empty()) TRY(UserPtr<char>(arguments.u64(1)).store(task.memory(), bytes));
  return static_cast<std::int64_t>(bytes.size());
}

ErrnoOr<> may_enter(Task& task, const vfs::Path& path) {
  if (path.inode() == nullptr || !path.inode()->is_directory()) return fail(ENOTDIR);
  return vfs::may_access(*path.inode(), task.credentials(), X_OK);
}

ErrnoOr<vfs::Path> directory_argument(Task& task, std::uint64_t address) {
  PathArgument path = TRY(load_path_at(task, AT_FDCWD, address));
  return vfs::walk(path.context, path.text, {.must_be_directory = true});
}

}  // namespace

Value sys_getdents(Task& task, const Arguments& arguments) {
  return get_entries(task, arguments, true);
}
Value sys_getdents64(Task& task, const Arguments& arguments) {
  return get_entries(task, arguments, false);
}

Value sys_getcwd(Task& task, const Arguments& arguments) {
  vfs::Path cwd = task.fs().cwd();
  if (cwd.dentry->is_removed()) return fail(ENOENT);
  std::string text = vfs::path_text(cwd, task.fs().root());
  if (text.size() + 1 > PATH_MAX) return fail(ENAMETOOLONG);
  if (text.size() + 1 > arguments.u64(1)) return fail(ERANGE);
  TRY(UserPtr<char>(arguments.u64(0))
          .store(task.memory(), std::span<const char>(text.c_str(), text.size() + 1)));
  return static_cast<std::int64_t>(text.size() + 1);
}

Value sys_chdir(Task& task, const Arguments& arguments) {
  vfs::Path path = TRY(directory_argument(task, arguments.u64(0)));
  TRY(may_enter(task, path));
  task.fs().set_cwd(std::move(path));
  return 0;
}

Value sys_fchdir(Task& task, const Arguments& arguments) {
  Ref<vfs::File> file = TRY(task.file(arguments.i32(0)));
  TRY(may_enter(task, file->path()));
  task.fs().set_cwd(file->path());
  return 0;
}

Value sys_chroot(Task& task, const Arguments& arguments) {
  vfs::Path path = TRY(directory_argument(task, arguments.u64(0)));
  TRY(may_enter(task, path));
  if (!task.credentials().has(CAP_SYS_CHROOT)) return fail(EPERM);
  task.fs().set_root(std::move(path));
  return 0;
}

Value sys_umask(Task& task, const Arguments& arguments) {
  return task.fs().set_umask(arguments.u32(0) & 0777U);
}

}  // namespace caisson::sandbox::syscalls

// getxattr(2) and its eleven siblings.
#include <limits.h>

#include "sandbox/syscalls/file_families.h"
#include "sandbox/syscalls/file_guest.h"
#include "sandbox/vfs/xattr.h"

namespace caisson::sandbox::syscalls {
namespace {

// By path, by path of a link itself, or by descriptor.
enum class By : std::uint8_t { kPath, kLink, kDescriptor };

ErrnoOr<vfs::Path> place_of(Task& task, const Arguments& arguments, By by) {
  if (by != By::kDescriptor)
    return walk_at(task, AT_FDCWD, arguments.u64(0), by == By::kLink ? AT_SYMLINK_NOFOLLOW : 0);
  Ref<vfs::File> file = TRY(usable_file(task, arguments.i32(0)));
  if (file->path().inode() != nullptr) return file->path();
  return fail(EOPNOTSUPP);  // what is in no tree has none
}

ErrnoOr<std::string> load_name(Task& task, std::uint64_t address) {
  auto name = task.memory().read_string(address, XATTR_NAME_MAX + 1);
  if (!name && name.error().value == ENAMETOOLONG) return fail(ERANGE);
  if (name && name->empty()) return fail(ERANGE);
  return name;
}

// A size of zero asks how much there is.
Value store_answer(Task& task, std::string_view answer, std::uint64_t address, std::uint64_t size) {
  if (size == 0) return static_cast<std::int64_t>(answer.size());
  if (answer.size() > size) return fail(ERANGE);
  if (!answer.empty())
    TRY(UserPtr<char>(address).store(task.memory(), std::span<const char>(answer)));
  return static_cast<std::int64_t>(answer.size());
}

Value get(Task& task, const Arguments& arguments, By by) {
  vfs::Path path = TRY(place_of(task, arguments, by));
  std::string name = TRY(load_name(task, arguments.u64(1)));
  std::string value = TRY(vfs::get_attribute(path, task.credentials(), name));
  return store_answer(task, value, arguments.u64(2), arguments.u64(3));
}

Value set(Task& task, const Arguments& arguments, By by) {
  std::uint64_t size = arguments.u64(3);
  vfs::Path path = TRY(place_of(task, arguments, by));
  std::string name = TRY(load_name(task, arguments.u64(1)));
  if (size > vfs::kLongestAttribute) return fail(E2BIG);
  std::string value(size, '\0');
  if (size != 0) TRY(UserPtr<char>(arguments.u64(2)).load(task.memory(), std::span(value)));
  TRY(vfs::set_attribute(path, task.credentials(), name, value, arguments.i32(4)));
  return 0;
}

Value list(Task& task, const Arguments& arguments, By by) {
  vfs::Path path = TRY(place_of(task, arguments, by));
  std::string names;
  auto found = vfs::list_attributes(path, task.credentials());
  // A file system without any has none to list.
  if (!found && found.error().value != ENOTSUP) return std::unexpected(found.error());
  if (found)
    for (const std::string& name : *found) names.append(name).push_back('\0');
  return store_answer(task, names, arguments.u64(1), arguments.u64(2));
}

Value remove(Task& task, const Arguments& arguments, By by) {
  vfs::Path path = TRY(place_of(task, arguments, by));
  std::string name = TRY(load_name(task, arguments.u64(1)));
  TRY(vfs::remove_attribute(path, task.credentials(), name));
  return 0;
}

}  // namespace

Value sys_getxattr(Task& task, const Arguments& arguments) {
  return get(task, arguments, By::kPath);
}
Value sys_lgetxattr(Task& task, const Arguments& arguments) {
  return get(task, arguments, By::kLink);
}
Value sys_fgetxattr(Task& task, const Arguments& arguments) {
  return get(task, arguments, By::kDescriptor);
}
Value sys_setxattr(Task& task, const Arguments& arguments) {
  return set(task, arguments, By::kPath);
}
Value sys_lsetxattr(Task& task, const Arguments& arguments) {
  return set(task, arguments, By::kLink);
}
Value sys_fsetxattr(Task& task, const Arguments& arguments) {
  return set(task, arguments, By::kDescriptor);
}
Value sys_listxattr(Task& task, const Arguments& arguments) {
  return list(task, arguments, By::kPath);
}
Value sys_llistxattr(Task& task, const Arguments& arguments) {
  return list(task, arguments, By::kLink);
}
Value sys_flistxattr(Task& task, const Arguments& arguments) {
  return list(task, arguments, By::kDescriptor);
}
Value sys_removexattr(Task& task, const Arguments& arguments) {
  return remove(task, arguments, By::kPath);
}
Value sys_lremovexattr(Task& task, const Arguments& arguments) {
  return remove(task, arguments, By::kLink);
}
Value sys_fremovexattr(Task& task, const Arguments& arguments) {
  return remove(task, arguments, By::kDescriptor);
}

}  // namespace caisson::sandbox::syscalls

#include "cli/general_cures.h"

#include <cerrno>
#include <string_view>

namespace caisson::cli {
namespace {

// Whatever the place says: nothing of it is to blame.
std::string_view overriding_cure(int errno_value) {
  switch (errno_value) {
    case EMFILE: return "raise the limit of open files: ulimit -n 1024";
    case ENFILE: return "the machine has no open files left: raise fs.file-max";
    case ENOSPC: return "free space or inodes there, or keep the state elsewhere with --root";
    case EDQUOT: return "free space in your quota, or keep the state elsewhere with --root";
    case EROFS: return "keep the state where it can be written, with --root";
    case ENOMEM: return "free memory on this machine, or raise the limit of the cgroup you are in";
    default: return {};
  }
}

std::string_view cure_by_code(std::string_view code) {
  if (code == "container.missing") return "\"caisson ps --all\" lists those that exist";
  if (code == "spec.invalid") return "correct it, and try \"caisson explain --bundle DIR\"";
  return {};
}

std::string_view cure_by_errno(int errno_value) {
  switch (errno_value) {
    case EACCES:
    case EPERM:
      return "\"caisson doctor\" says what this user may do here; --root says where state is kept";
    case ENOENT:
    case ENOTDIR: return "correct the path";
    default: return {};
  }
}

}  // namespace

Error with_general_cure(Error error) {
  auto cure = overriding_cure(error.errno_value());
  if (cure.empty() && error.cure().empty()) cure = cure_by_code(error.code());
  if (cure.empty() && error.cure().empty()) cure = cure_by_errno(error.errno_value());
  if (cure.empty()) return error;
  return std::move(error).cure(cure);
}

}  // namespace caisson::cli

#include "container/family.h"

#include <algorithm>

#include "base/text.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::container {
namespace {

struct Process {
  int pid = 0, parent = 0;
  bool in_namespace = false;
};

// 0: it may not be looked at, or is gone.
ino_t pid_namespace_of(int pid) {
  auto info = sys::fstatat(sys::kCwd, cat("/proc/", pid, "/ns/pid").c_str());
  return info ? info->st_ino : 0;
}

}  // namespace

Result<std::vector<int>> family_of(int init) {
  Fd proc = TRY_CTX(sys::openat(sys::kCwd, "/proc", O_RDONLY | O_DIRECTORY), "open /proc");
  const auto names = TRY_CTX(sys::list_directory(proc), "list /proc");
  const ino_t wanted = pid_namespace_of(init);
  const bool own = wanted != 0 && wanted != pid_namespace_of(sys::getpid());
  std::vector<Process> all;
  for (const auto& name : names) {
    auto pid = parse_number<int>(name);
    auto parent = pid ? sys::process_parent(*pid) : std::unexpected(Errno{ESRCH});
    if (parent) all.push_back({*pid, *parent, own && pid_namespace_of(*pid) == wanted});
  }
  std::vector<int> family;
  auto is_member = [&](int pid) { return std::ranges::find(family, pid) != family.end(); };
  // Pids are no order: a child may have a lower one than its parent. Each pass finds one
  // generation.
  for (std::size_t found = 1; found != 0;) {
    found = std::erase_if(all, [&](const Process& process) {
      if (process.pid != init && !process.in_namespace && !is_member(process.parent)) return false;
      family.push_back(process.pid);
      return true;
    });
  }
  std::ranges::sort(family);
  return family;
}

}  // namespace caisson::container

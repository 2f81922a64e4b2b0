#include "cli/failed_runs.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/text.h"
#include "cli/error_report.h"
#include "sys/file.h"

namespace caisson::cli {
namespace {

constexpr const char* kFolder = "@failed";
constexpr std::size_t kKept = 32;

// Removes the oldest ones above kKept.
void prune(FdRef folder) {
  auto names = sys::list_directory(folder);
  if (!names || names->size() <= kKept) return;
  std::vector<std::pair<std::int64_t, std::string>> by_age;
  for (auto& name : *names) {
    auto info = sys::fstatat(folder, name.c_str(), AT_SYMLINK_NOFOLLOW);
    if (info) by_age.emplace_back(info->st_mtim.tv_sec, std::move(name));
  }
  std::ranges::sort(by_age);
  for (std::size_t i = 0; i + kKept < by_age.size(); ++i) {
    (void)sys::unlinkat(folder, by_age[i].second.c_str());
  }
}

}  // namespace

void note_failed_run(const std::string& root, const std::string& name, const Error& error) {
  std::string path = cat(root, "/", kFolder);
  if (!sys::make_directories(path, 0700)) return;
  auto folder = sys::openat(sys::kCwd, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!folder) return;
  std::string line = error_json(message_of(error), {}, error, realtime_ns());
  if (sys::write_atomically(*folder, name.c_str(), line)) prune(*folder);
}

void forget_failed_run(const std::string& root, const std::string& name) {
  (void)sys::unlinkat(sys::kCwd, cat(root, "/", kFolder, "/", name).c_str());
}

Result<std::string> failed_run(const std::string& root, const std::string& name) {
  std::string path = cat(root, "/", kFolder, "/", name);
  return TRY_CTX(sys::read_file(sys::kCwd, path.c_str()), "read ", path);
}

}  // namespace caisson::cli

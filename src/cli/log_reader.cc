#include "cli/log_reader.h"

#include <cerrno>
#include <deque>

#include "base/text.h"
#include "sys/event.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::cli {
namespace {

// The log grows unseen only between two looks: when the watch has no event for what happened, such
// as the death of the supervisor.
constexpr int kLookAgainMs = 500;
constexpr std::size_t kChunk = 64 * 1024;

std::string path_of(const std::string& folder, const char* file) { return cat(folder, "/", file); }

// Takes the whole lines off the front of `text`.
template <typename Visit>
Result<> take_lines(std::string& text, Visit visit) {
  std::size_t begin = 0;
  for (;;) {
    auto end = text.find('\n', begin);
    if (end == std::string::npos) break;
    TRY(visit(std::string_view(text).substr(begin, end - begin)));
    begin = end + 1;
  }
  text.erase(0, begin);
  return {};
}

}  // namespace

Result<std::vector<std::string>> last_log_lines(const std::string& folder, long count) {
  std::deque<std::string> lines;
  for (const char* name : {container::kOldLogFile, container::kLogFile}) {
    std::string path = path_of(folder, name);
    auto text = sys::read_file(sys::kCwd, path.c_str(), std::size_t{1} << 30);
    if (!text && text.error().value == ENOENT) continue;
    if (!text) return std::unexpected(Error(text.error()).doing("read the log ", path));
    TRY(take_lines(*text, [&](std::string_view line) -> Result<> {
      lines.emplace_back(line);
      if (count >= 0 && lines.size() > static_cast<std::size_t>(count)) lines.pop_front();
      return {};
    }));
  }
  return std::vector<std::string>(lines.begin(), lines.end());
}

Result<LogFollower> LogFollower::open(const std::string& folder) {
  LogFollower out;
  out.folder_ = folder;
  out.watch_ = TRY_CTX(sys::inotify(), "watch ", folder);
  TRY_CTX(sys::inotify_add(out.watch_, folder.c_str(),
                           IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF),
          "watch ", folder);
  std::string path = path_of(folder, container::kLogFile);
  out.file_ = TRY_CTX(sys::openat(sys::kCwd, path.c_str(), O_RDONLY), "open the log ", path);
  return out;
}

Result<bool> LogFollower::read_more(const LogVisitor& visit) {
  bool any = false;
  for (;;) {
    std::size_t old = pending_.size();
    pending_.resize(old + kChunk);
    auto got = sys::read(file_, pending_.data() + old, kChunk);
    pending_.resize(old + got.value_or(0));
    if (!got) return std::unexpected(Error(got.error()).doing("read the log in ", folder_));
    if (*got == 0) return any;
    any = true;
    TRY(take_lines(pending_, [&](std::string_view text) -> Result<> {
      auto line = container::parse_log_line(text);
      return line ? visit(*line) : Result<>{};
    }));
  }
}

Result<> LogFollower::read_past(long count, std::string_view stream, const LogVisitor& visit) {
  std::deque<std::string> records;
  long whole = 0;
  auto is_partial = [](std::string_view record) {
    auto line = container::parse_log_line(record);
    return line && line->partial;
  };
  auto take = [&](std::string_view text) -> Result<> {
    auto line = container::parse_log_line(text);
    if (!line || (!stream.empty() && line->stream != stream)) return {};
    records.emplace_back(text);
    whole += line->partial ? 0 : 1;
    // A line may stand in several records, of which only the last is not partial.
    while (count >= 0 && whole > count) {
      whole -= is_partial(records.front()) ? 0 : 1;
      records.pop_front();
    }
    return {};
  };
  auto old = sys::read_file(sys::kCwd, path_of(folder_, container::kOldLogFile).c_str(),
                            std::size_t{1} << 30);
  if (old) TRY(take_lines(*old, take));
  std::string text =
      TRY_CTX(sys::read_all(file_, std::size_t{1} << 30), "read the log in ", folder_);
  TRY(take_lines(text, take));
  pending_ = std::move(text);
  for (const auto& record : records) {
    auto line = container::parse_log_line(record);
    if (line) TRY(visit(*line));
  }
  return {};
}

// True when what is open is no longer the log: it was rotated out, and a new one stands there.
Result<bool> LogFollower::reopen_if_rotated() {
  std::string path = path_of(folder_, container::kLogFile);
  auto now = sys::fstatat(sys::kCwd, path.c_str());
  if (!now) return false;
  struct stat ours = TRY(sys::fstat(file_));
  if (now->st_ino == ours.st_ino) return false;
  file_ = TRY_CTX(sys::openat(sys::kCwd, path.c_str(), O_RDONLY), "open the log ", path);
  pending_.clear();
  return true;
}

Result<> LogFollower::follow(container::Context& containers, const std::string& name,
                             const LogVisitor& visit) {
  for (;;) {
    // In this order: what was written before the end is read after the end was seen.
    auto now = container::query(containers, name);
    bool ended = !now || now->status == container::Status::kStopped;
    bool more = TRY(read_more(visit));
    more |= TRY(reopen_if_rotated());
    if (more) continue;
    if (ended) return {};
    if (TRY_CTX(sys::wait_readable(watch_, kLookAgainMs), "watch ", folder_)) {
      char events[4096];
      (void)sys::read(watch_, events, sizeof events);
    }
  }
}

}  // namespace caisson::cli

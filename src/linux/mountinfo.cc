#include "linux/mountinfo.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.h"

namespace caisson::linux {
namespace {

bool is_octal(char digit) { return digit >= '0' && digit <= '7'; }

bool has_option(std::string_view options, std::string_view name) {
  auto all = split(options, ',');
  return std::ranges::find(all, name) != all.end();
}

Error bad_line(std::string_view line) {
  return Error::invalid(cat("not a line of mountinfo: ", quoted(line.substr(0, 200))))
      .doing("read the mount table")
      .cure("Check that /proc is the kernel's own.")
      .code("host.mountinfo");
}

// Takes the next word off; words are separated by one blank.
std::string_view take_word(std::string_view& line) {
  auto [word, rest] = split_once(line, ' ');
  line = rest;
  return word;
}

Result<MountInfo> parse_line(std::string_view line) {
  std::string_view rest = line;
  MountInfo info;
  const auto id = parse_number<int>(take_word(rest));
  const auto parent = parse_number<int>(take_word(rest));
  info.device = take_word(rest);
  info.mount.root = unescape_octal(take_word(rest));
  info.mount.mount_point = unescape_octal(take_word(rest));
  info.mount.readonly = has_option(take_word(rest), "ro");
  // Optional fields ("shared:1") up to the separator.
  while (!rest.empty() && take_word(rest) != "-") {
  }
  info.mount.fs_type = unescape_octal(take_word(rest));
  info.mount.source = unescape_octal(take_word(rest));
  info.super_options = unescape_octal(take_word(rest));
  const bool complete = id && parent && info.mount.mount_point.starts_with('/') &&
                        !info.mount.root.empty() && !info.mount.fs_type.empty();
  if (!complete) return std::unexpected(bad_line(line));
  info.mount.id = *id;
  info.mount.parent_id = *parent;
  info.mount.readonly = info.mount.readonly || has_option(info.super_options, "ro");
  return info;
}

// Follows paths through the mounts as the kernel does: at each step on to the mount that stands
// there, as long as there is one.
class Walk {
 public:
  explicit Walk(const std::vector<MountInfo>& mounts) {
    std::vector<int> ids;
    for (const auto& info : mounts) ids.push_back(info.mount.id);
    std::ranges::sort(ids);
    for (const auto& info : mounts) {
      const bool known = std::ranges::binary_search(ids, info.mount.parent_id) &&
                         info.mount.parent_id != info.mount.id;
      steps_.push_back({known ? info.mount.parent_id : kOutside, info.mount.mount_point,
                        info.mount.id, steps_.size()});
    }
    // Of two on the same parent and place the later is on top, and must stay the last.
    std::ranges::sort(steps_, {},
                      [](const Step& step) { return std::pair(step.key(), step.order); });
  }

  // The mount that is seen at `path`.
  int at(std::string_view path) const {
    int here = climb(kOutside, "/");
    for (std::size_t end = path.find('/', 1); path.size() > 1; end = path.find('/', end + 1)) {
      here = climb(here, path.substr(0, end));
      if (end == path.npos) break;
    }
    return here;
  }

 private:
  // Stands for what holds mounts whose parent the process can't see.
  static constexpr int kOutside = -1;
  struct Step {
    int parent;
    std::string_view place;
    int id;
    std::size_t order;
    std::pair<int, std::string_view> key() const { return {parent, place}; }
  };

  int climb(int here, std::string_view place) const {
    // Bounded: a table made up by hand may hold a circle.
    for (std::size_t i = 0; i <= steps_.size(); ++i) {
      auto found = std::ranges::upper_bound(steps_, std::pair{here, place}, {}, &Step::key);
      if (found == steps_.begin()) return here;
      --found;
      if (found->key() != std::pair{here, place} || found->id == here) return here;
      here = found->id;
    }
    return here;
  }

  std::vector<Step> steps_;
};

}  // namespace

std::string unescape_octal(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '\\' && i + 3 < text.size() && text[i + 1] <= '3' &&
                        is_octal(text[i + 1]) && is_octal(text[i + 2]) && is_octal(text[i + 3]);
    if (!escape) {
      out += text[i];
      continue;
    }
    int value = (text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0');
    out += static_cast<char>(value);
    i += 3;
  }
  return out;
}

Result<std::vector<MountInfo>> parse_mountinfo(std::string_view text) {
  std::vector<MountInfo> mounts;
  for (auto line : split(text, '\n')) {
    if (!line.empty()) mounts.push_back(TRY(parse_line(line)));
  }
  return mounts;
}

std::vector<MountInfo> visible_mounts(std::vector<MountInfo> mounts) {
  std::vector<bool> seen;
  {
    const Walk walk(mounts);
    for (const auto& info : mounts)
      seen.push_back(walk.at(info.mount.mount_point) == info.mount.id);
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < mounts.size(); ++i) {
    if (!seen[i]) continue;
    if (kept != i) mounts[kept] = std::move(mounts[i]);
    ++kept;
  }
  mounts.resize(kept);
  return mounts;
}

}  // namespace caisson::linux

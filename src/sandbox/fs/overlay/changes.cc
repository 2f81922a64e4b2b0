#include "sandbox/fs/overlay/changes.h"

#include <fcntl.h>

#include <algorithm>
#include <vector>

#include "base/text.h"
#include "sandbox/fs/overlay/file.h"

namespace caisson::sandbox::fs {
namespace {

constexpr int kMaxDepth = 256;

class Names final : public vfs::DirectorySink {
 public:
  bool entry(std::string_view name, std::uint64_t, unsigned char, std::uint64_t) override {
    if (name != "." && name != ".." && !OverlayFilesystem::is_hidden(name))
      names.emplace_back(name);
    return true;
  }
  std::vector<std::string> names;
};

ErrnoOr<std::vector<std::string>> names_in(vfs::Inode& directory) {
  OverlayCaller caller;
  auto file = TRY(directory.open(vfs::Path(), vfs::OpenFlags{O_RDONLY | O_DIRECTORY}, caller));
  Names sink;
  std::size_t before;
  do {
    before = sink.names.size();
    TRY(file->read_directory(sink, caller));
  } while (sink.names.size() != before);
  return std::move(sink.names);
}

// A directory of the upper layer, and what it stands over.
struct Place {
  Ref<vfs::Inode> upper;
  Ref<vfs::Inode> lower;  // null: nothing is below, or no directory
  std::string path;
  bool opaque = false;  // what is below does not show through
};

class Lister {
 public:
  Lister(OverlayFilesystem& overlay, const OverlayChangeSink& sink)
      : overlay_(overlay), sink_(sink) {}

  ErrnoOr<> walk(const Place& place, int depth) {
    if (depth > kMaxDepth) return std::unexpected(Errno{ELOOP});
    auto names = TRY(names_in(*place.upper));
    for (const auto& name : names) TRY(add(place, name, depth));
    if (!place.opaque || !place.lower) return {};
    for (const auto& name : TRY(names_in(*place.lower)))
      if (std::ranges::find(names, name) == names.end())
        sink_(OverlayChange::kDeleted, joined(place.path, name));
    return {};
  }

 private:
  static std::string joined(const std::string& path, const std::string& name) {
    return path.empty() ? name : cat(path, "/", name);
  }

  ErrnoOr<> add(const Place& place, const std::string& name, int depth) {
    auto upper = TRY(find_in(place.upper.get(), name));
    if (!upper) return {};  // gone meanwhile
    auto lower = TRY(find_in(place.lower.get(), name));
    std::string path = joined(place.path, name);
    if (TRY(is_whiteout(*upper))) {
      if (lower) sink_(OverlayChange::kDeleted, std::move(path));
      return {};
    }
    sink_(lower ? OverlayChange::kChanged : OverlayChange::kAdded, path);
    if (!upper->is_directory()) return {};
    bool redirected = upper->get_attribute(kRedirect).has_value();
    auto opaque = upper->get_attribute(kOpaque);
    Place inner{upper, lower && lower->is_directory() ? lower : nullptr, std::move(path),
                (opaque && *opaque == "y") || (redirected && lower)};
    if (redirected && !inner.lower) return add_moved(inner.path);
    return walk(inner, depth + 1);
  }

  // All that came along with a directory of the lower layer has new names.
  ErrnoOr<> add_moved(const std::string& path) {
    auto root = overlay_.root();
    for (auto part : split(path, '/')) root = TRY(root->lookup(part));
    return add_all(*root, path, 0);
  }
  ErrnoOr<> add_all(vfs::Inode& directory, const std::string& path, int depth) {
    if (depth > kMaxDepth) return std::unexpected(Errno{ELOOP});
    for (const auto& name : TRY(names_in(directory))) {
      auto inode = TRY(find_in(&directory, name));
      if (!inode) continue;
      std::string inner = joined(path, name);
      sink_(OverlayChange::kAdded, inner);
      if (inode->is_directory()) TRY(add_all(*inode, inner, depth + 1));
    }
    return {};
  }

  OverlayFilesystem& overlay_;
  const OverlayChangeSink& sink_;
};

}  // namespace

ErrnoOr<> list_changes(OverlayFilesystem& overlay, const OverlayChangeSink& sink) {
  Place root;
  root.upper = Ref<vfs::Inode>::share(&overlay.upper_root());
  vfs::Inode* lower = overlay.lower_root();
  if (lower == nullptr || !lower->is_directory()) return std::unexpected(Errno{ENOTDIR});
  root.lower = Ref<vfs::Inode>::share(lower);
  auto opaque = root.upper->get_attribute(kOpaque);
  root.opaque = opaque && *opaque == "y";
  return Lister(overlay, sink).walk(root, 0);
}

}  // namespace caisson::sandbox::fs

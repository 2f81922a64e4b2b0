// What stands at a name, and all names of a directory.
#include <dirent.h>
#include <fcntl.h>

#include <unordered_set>

#include "base/text.h"
#include "sandbox/fs/overlay/file.h"
#include "sandbox/fs/overlay/inode.h"

namespace caisson::sandbox::fs {
namespace {

std::string joined(const std::string& directory, std::string_view name) {
  return directory.empty() ? std::string(name) : cat(directory, "/", name);
}

}  // namespace

ErrnoOr<Ref<vfs::Inode>> OverlayInode::lookup(std::string_view name) {
  if (!is_directory()) return std::unexpected(Errno{ENOTDIR});
  if (OverlayFilesystem::is_hidden(name)) return std::unexpected(Errno{ENOENT});
  Locked lock(directory_mutex_);
  return find_locked(name);
}

OverlayInode::Made OverlayInode::find_locked(std::string_view name) {
  auto upper = TRY(find_in(this->upper(), name));
  if (upper && TRY(is_whiteout(*upper))) return std::unexpected(Errno{ENOENT});
  if (upper && upper->is_directory()) return upper_directory(name, std::move(upper));
  if (upper) return upper_node(name, std::move(upper));
  auto lower = TRY(find_in(lower_.get(), name));
  if (!lower) return std::unexpected(Errno{ENOENT});
  return lower_node(name, std::move(lower));
}

Ref<OverlayInode> OverlayInode::node(std::string_view name, Ref<vfs::Inode> lower,
                                     Ref<vfs::Inode> upper, std::uint64_t number) {
  auto inode = overlay().inode_of(std::move(lower), std::move(upper), number);
  inode->set_place(*this, name);
  return inode;
}

OverlayInode::Made OverlayInode::upper_node(std::string_view name, Ref<vfs::Inode> upper) {
  std::uint64_t number = upper_number(TRY(upper->attributes()).inode);
  if (auto origin = number_attribute(*upper, kOrigin)) number = *origin;
  auto several = number_attribute(*upper, kLinks);
  // The layer is to know that name, too, should this one go.
  if (several) (void)overlay().indexed(number);
  auto inode = node(name, nullptr, std::move(upper), number);
  if (several) inode->is_one_of_several(*several);
  return Ref<vfs::Inode>(std::move(inode));
}

// Symbolic links of the layer are not followed: a redirect goes along names only.
ErrnoOr<Ref<vfs::Inode>> OverlayInode::redirected(std::string_view path) {
  auto at = Ref<vfs::Inode>::share(overlay().lower_root());
  while (at && !path.empty()) {
    std::string_view name = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), name.size() + 1));
    if (!name.empty()) at = TRY(find_in(at.get(), name));
  }
  return at && at->is_directory() ? at : Ref<vfs::Inode>();
}

OverlayInode::Made OverlayInode::upper_directory(std::string_view name, Ref<vfs::Inode> upper) {
  Ref<vfs::Inode> lower;
  std::string path;
  if (auto redirect = upper->get_attribute(kRedirect)) {
    path = redirect->starts_with('/') ? redirect->substr(1) : *redirect;
    lower = TRY(redirected(path));
  } else if (!upper->get_attribute(kOpaque)) {
    path = joined(lower_path(), name);
    lower = TRY(find_in(lower_.get(), name));
    if (lower && !lower->is_directory()) lower = nullptr;
  }
  std::uint64_t number =
      lower ? TRY(lower->attributes()).inode : upper_number(TRY(upper->attributes()).inode);
  bool merged = static_cast<bool>(lower);
  auto inode = node(name, std::move(lower), std::move(upper), number);
  Locked lock(overlay().mutex());
  if (merged) inode->lower_path_ = std::move(path);
  lock.unlock();
  return Ref<vfs::Inode>(std::move(inode));
}

OverlayInode::Made OverlayInode::lower_node(std::string_view name, Ref<vfs::Inode> lower) {
  vfs::Attributes seen = TRY(lower->attributes());
  bool directory = lower->is_directory();
  bool several = !directory && seen.links > 1;
  Ref<vfs::Inode> copy;
  if (several) copy = TRY(overlay().indexed(seen.inode));
  std::uint64_t links = seen.links;
  if (several)
    links =
        (copy ? number_attribute(*copy, kLinks) : overlay().kept_links(seen.inode)).value_or(links);
  std::string path = directory ? joined(lower_path(), name) : std::string();
  auto inode = node(name, std::move(lower), std::move(copy), seen.inode);
  if (several) inode->is_one_of_several(links);
  Locked lock(overlay().mutex());
  if (directory) inode->lower_path_ = std::move(path);
  lock.unlock();
  return Ref<vfs::Inode>(std::move(inode));
}

// --- listing

// The entries of one layer's directory.
struct OverlayInode::Layer final : vfs::DirectorySink {
  struct Entry {
    std::string name;
    std::uint64_t inode;
    unsigned char type;
  };
  std::vector<Entry> entries;

  bool entry(std::string_view name, std::uint64_t inode, unsigned char type,
             std::uint64_t /*next*/) override {
    if (name != "." && name != ".." && !OverlayFilesystem::is_hidden(name))
      entries.push_back({std::string(name), inode, type});
    return true;
  }
  ErrnoOr<> read(vfs::Inode& directory) {
    OverlayCaller caller;
    auto file = TRY(directory.open(vfs::Path(), vfs::OpenFlags{O_RDONLY | O_DIRECTORY}, caller));
    return file->read_directory(*this, caller);
  }
};

ErrnoOr<Listing> OverlayInode::list() {
  Listing list;
  auto above = place().directory;
  list.add(".", number_, DT_DIR);
  list.add("..", above ? above->number() : number_, DT_DIR);
  Layer upper;
  Layer lower;
  if (this->upper() != nullptr) TRY(upper.read(*this->upper()));
  if (lower_) TRY(lower.read(*lower_));
  std::unordered_set<std::string_view> below;
  if (!upper.entries.empty())
    for (const auto& entry : lower.entries) below.insert(entry.name);
  std::unordered_set<std::string_view> covered;
  for (const auto& entry : upper.entries) {
    covered.insert(entry.name);
    std::uint64_t number = upper_number(entry.inode);
    bool maybe_whiteout = entry.type == DT_CHR || entry.type == DT_UNKNOWN;
    // What is in both layers may be a copy, or a directory of both.
    if (maybe_whiteout || below.contains(entry.name)) {
      auto found = lookup(entry.name);
      if (!found && found.error().value == ENOENT) continue;
      number = static_cast<OverlayInode&>(*TRY(std::move(found))).number();
    }
    list.add(entry.name, number, entry.type);
  }
  for (const auto& entry : lower.entries)
    if (!covered.contains(entry.name)) list.add(entry.name, entry.inode, entry.type);
  return list;
}

}  // namespace caisson::sandbox::fs

// Which names an inode has, and the ways along them.
#include <algorithm>

#include "sandbox/fs/host/filesystem.h"
#include "sandbox/fs/host/inode.h"
#include "sys/file_at.h"

namespace caisson::sandbox::fs {
namespace {

constexpr std::size_t kLongestWay = PATH_MAX - NAME_MAX - 2;

void prepend(std::string& path, std::string_view name) {
  if (!path.empty()) path.insert(0, 1, '/');
  path.insert(0, name);
}

}  // namespace

ErrnoOr<HostFilesystem::Way> HostFilesystem::way_to(HostInode& directory) {
  Way way;
  Locked lock(mutex_);
  for (HostInode* node = &directory;;) {
    if (node == root_.get()) {
      way.handle = root_handle_;
      return way;
    }
    Handle* open = node->handles_[0].get();
    if (open != nullptr || way.path.size() > kLongestWay) {
      way.handle = node->handles_[0];
      way.from = Ref<HostInode>::share(node);
      return way;
    }
    if (node->names_.empty()) return std::unexpected(Errno{ENOENT});
    prepend(way.path, node->names_.front().text);
    node = node->names_.front().directory.get();
  }
}

ErrnoOr<std::string> HostFilesystem::path_locked(const HostInode* inode) const {
  std::string path;
  while (inode != root_.get()) {
    if (inode->names_.empty()) return std::unexpected(Errno{ENOENT});
    prepend(path, inode->names_.front().text);
    if (path.size() >= PATH_MAX) return std::unexpected(Errno{ENAMETOOLONG});
    inode = inode->names_.front().directory.get();
  }
  return path;
}

ErrnoOr<std::string> HostFilesystem::path_of(HostInode& inode) {
  Locked lock(mutex_);
  return path_locked(&inode);
}

ErrnoOr<std::string> HostFilesystem::path_in(HostInode& directory, std::string_view name) {
  std::string path = TRY(path_of(directory));
  if (!path.empty()) path += '/';
  path += name;
  if (path.size() >= PATH_MAX) return std::unexpected(Errno{ENAMETOOLONG});
  return path;
}

void HostFilesystem::named(HostInode& inode, HostInode& directory, std::string_view name) {
  HostInode::Name entry{Ref<HostInode>::share(&directory), std::string(name)};
  std::vector<HostInode::Name> old;  // ends behind the lock
  Locked lock(mutex_);
  auto same = [&](const HostInode::Name& other) {
    return other.directory.get() == &directory && other.text == name;
  };
  if (std::any_of(inode.names_.begin(), inode.names_.end(), same)) return;
  // A directory has one name; should the host have moved it, the new one is that.
  if (inode.is_directory()) old.swap(inode.names_);
  inode.names_.push_back(std::move(entry));
}

bool HostFilesystem::unnamed(HostInode& inode, const HostInode& directory, std::string_view name) {
  HostInode::Name old;
  Locked lock(mutex_);
  auto& names = inode.names_;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i].directory.get() != &directory || names[i].text != name) continue;
    old = std::move(names[i]);
    names.erase(names.begin() + static_cast<std::ptrdiff_t>(i));
    break;
  }
  return names.empty();
}

bool HostFilesystem::is_named(HostInode& inode, const HostInode& directory, std::string_view name) {
  Locked lock(mutex_);
  return std::any_of(inode.names_.begin(), inode.names_.end(), [&](const HostInode::Name& other) {
    return other.directory.get() == &directory && other.text == name;
  });
}

}  // namespace caisson::sandbox::fs

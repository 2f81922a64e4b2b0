#include "sandbox/fs/listing.h"

namespace caisson::sandbox::fs {

void Listing::add(std::string_view name, std::uint64_t inode, unsigned char type) {
  entries_.push_back({inode, static_cast<std::uint32_t>(names_.size()), type});
  names_ += name;
}

std::string_view Listing::name(std::size_t index) const {
  std::size_t begin = entries_[index].name;
  std::size_t end = index + 1 < entries_.size() ? entries_[index + 1].name : names_.size();
  return std::string_view(names_).substr(begin, end - begin);
}

void Listing::read(std::uint64_t& position, vfs::DirectorySink& sink) const {
  while (position < entries_.size()) {
    const Entry& entry = entries_[position];
    if (!sink.entry(name(position), entry.inode, entry.type, position + 1)) return;
    ++position;
  }
}

ListedDirectory::ListedDirectory(vfs::Path path, Ref<vfs::Inode> inode, std::uint32_t flags,
                                 Listing listing)
    : File(std::move(path), std::move(inode), flags), listing_(std::move(listing)) {}

ErrnoOr<> ListedDirectory::read_directory(vfs::DirectorySink& sink, vfs::Caller& /*caller*/) {
  Locked lock(position_mutex_);
  listing_.read(position_, sink);
  return {};
}

}  // namespace caisson::sandbox::fs

// Listing: the entries of a directory as they were when it was first read, for directories that are
// put together from several sources. Positions are places in the list, so they stay what they are
// whatever happens to the directory meanwhile.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/vfs/file.h"

namespace caisson::sandbox::fs {

class Listing {
 public:
  void add(std::string_view name, std::uint64_t inode, unsigned char type);
  std::size_t size() const { return entries_.size(); }
  // Hands over the entries from `position` on; moves it behind the last that was taken.
  void read(std::uint64_t& position, vfs::DirectorySink& sink) const;

 private:
  struct Entry {
    std::uint64_t inode;
    std::uint32_t name;  // where it begins in names_; it ends where the next begins
    unsigned char type;
  };
  std::string_view name(std::size_t index) const;
  std::vector<Entry> entries_;
  std::string names_;
};

// An open directory whose entries do not change while it is open.
class ListedDirectory final : public vfs::File {
 public:
  ListedDirectory(vfs::Path path, Ref<vfs::Inode> inode, std::uint32_t flags, Listing listing);
  ErrnoOr<> read_directory(vfs::DirectorySink& sink, vfs::Caller& caller) override;
  ErrnoOr<> sync(bool /*data_only*/) override { return {}; }

 private:
  Listing listing_;
};

}  // namespace caisson::sandbox::fs

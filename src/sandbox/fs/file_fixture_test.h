// What tests of file systems share: a caller, a folder of the host, short ways to read and write.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "base/text.h"
#include "sandbox/vfs/caller.h"
#include "sandbox/vfs/file.h"
#include "sandbox/vfs/inode.h"
#include "sys/file_at.h"

namespace caisson::sandbox::fs {

class NowhereMemory final : public vfs::Memory {
 public:
  ErrnoOr<std::size_t> read(std::uint64_t, std::span<std::byte>) override {
    return std::unexpected(Errno{EFAULT});
  }
  ErrnoOr<std::size_t> write(std::uint64_t, std::span<const std::byte>) override {
    return std::unexpected(Errno{EFAULT});
  }
};

class FolderCaller final : public vfs::Caller {
 public:
  const vfs::Credentials& credentials() const override { return *credentials_; }
  vfs::Memory& memory() override { return memory_; }

 private:
  Ref<vfs::Credentials> credentials_ = vfs::Credentials::root();
  NowhereMemory memory_;
};

// A folder that goes with the test.
class TestFolder {
 public:
  TestFolder() {
    std::string name = ::testing::TempDir() + "caisson-fs-XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    path_ = name;
    EXPECT_EQ(::chmod(path_.c_str(), 0755), 0);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  ~TestFolder() { (void)sys::remove_tree(sys::kCwd, path_.c_str()); }

  std::string at(std::string_view name) const { return cat(path_, "/", name); }
  const std::string& path() const { return path_; }
  void write(std::string_view name, std::string_view text, std::uint32_t mode = 0644) const {
    Fd file = MUST(sys::openat(sys::kCwd, at(name).c_str(), O_WRONLY | O_CREAT | O_TRUNC, mode));
    MUST(sys::write_all(file, text));
    MUST(sys::fchmod(file, mode));
  }
  std::string read(std::string_view name) const {
    return MUST(sys::read_file(sys::kCwd, at(name).c_str()));
  }
  void make_directory(std::string_view name, std::uint32_t mode = 0755) const {
    MUST(sys::mkdirat(sys::kCwd, at(name).c_str(), mode));
  }
  bool has(std::string_view name) const {
    return sys::fstatat(sys::kCwd, at(name).c_str(), AT_SYMLINK_NOFOLLOW).has_value();
  }
  struct stat stat(std::string_view name) const {
    return MUST(sys::fstatat(sys::kCwd, at(name).c_str(), AT_SYMLINK_NOFOLLOW));
  }
  Fd open(int flags = O_PATH | O_DIRECTORY) const {
    return MUST(sys::openat(sys::kCwd, path_.c_str(), flags));
  }

 private:
  std::string path_;
};

template <typename T>
int errno_of(const ErrnoOr<T>& result) {
  return result ? 0 : result.error().value;
}

// The inode at "a/b/c" below `root`, looked up afresh.
inline ErrnoOr<Ref<vfs::Inode>> find(Ref<vfs::Inode> root, std::string_view path) {
  while (!path.empty()) {
    std::size_t end = std::min(path.find('/'), path.size());
    root = TRY(root->lookup(path.substr(0, end)));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return root;
}

inline ErrnoOr<Ref<vfs::File>> open_inode(vfs::Inode& inode, std::uint32_t flags) {
  FolderCaller caller;
  return inode.open(vfs::Path(), vfs::OpenFlags{flags}, caller);
}

inline ErrnoOr<std::string> read_file(vfs::File& file, std::size_t limit = 1 << 20,
                                      std::uint64_t offset = 0) {
  FolderCaller caller;
  std::string text(limit, '\0');
  auto buffer = vfs::IoBuffer::of(std::as_writable_bytes(std::span(text)));
  text.resize(TRY(file.read_at(buffer, offset, caller)));
  return text;
}
inline ErrnoOr<std::string> read_inode(vfs::Inode& inode) {
  auto file = TRY(open_inode(inode, O_RDONLY));
  return read_file(*file);
}
inline ErrnoOr<std::size_t> write_file(vfs::File& file, std::string_view text,
                                       std::uint64_t offset = 0) {
  FolderCaller caller;
  auto buffer = vfs::IoBuffer::of(std::as_bytes(std::span(text)));
  return file.write_at(buffer, offset, caller);
}
inline ErrnoOr<std::size_t> write_inode(vfs::Inode& inode, std::string_view text) {
  auto file = TRY(open_inode(inode, O_WRONLY));
  return write_file(*file, text);
}

// Takes `limit` entries of a directory.
struct Entries final : vfs::DirectorySink {
  struct Entry {
    std::string name;
    std::uint64_t inode;
    unsigned char type;
    std::uint64_t next;
  };
  explicit Entries(std::size_t most = ~std::size_t{0}) : limit(most) {}
  bool entry(std::string_view name, std::uint64_t inode, unsigned char type,
             std::uint64_t next) override {
    if (list.size() == limit) return false;
    list.push_back({std::string(name), inode, type, next});
    return true;
  }
  std::size_t limit;
  std::vector<Entry> list;
};

// Sorted, without "." and "..".
inline std::vector<std::string> names_of(vfs::Inode& directory) {
  FolderCaller caller;
  auto file = MUST(open_inode(directory, O_RDONLY | O_DIRECTORY));
  Entries entries;
  MUST(file->read_directory(entries, caller));
  std::vector<std::string> names;
  for (const auto& entry : entries.list)
    if (entry.name != "." && entry.name != "..") names.push_back(entry.name);
  std::sort(names.begin(), names.end());
  return names;
}

inline vfs::Creation creation(std::uint32_t mode, vfs::Uid uid = 0, vfs::Gid gid = 0) {
  return {mode, uid, gid};
}

}  // namespace caisson::sandbox::fs

// Tree: a file system mounted at "/" and used by path, as system calls do it. Results are texts:
// what was read, "ok", or the errno's name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "sandbox/fs/file_fixture_test.h"
#include "sandbox/vfs/walk.h"

namespace caisson::sandbox::fs {

class Tree {
 public:
  explicit Tree(Ref<vfs::Filesystem> filesystem) {
    auto root = vfs::Dentry::make_root(filesystem->root());
    auto mount =
        make_ref<vfs::Mount>(std::move(filesystem), std::move(root), std::uint64_t{0}, "test");
    mounts_ = vfs::MountNamespace::create(std::move(mount));
    context_.mounts = mounts_.get();
    context_.root = context_.base = mounts_->root();
    context_.caller = &caller_;
    context_.credentials = &caller_.credentials();
  }

  ErrnoOr<vfs::Path> find(std::string_view path, bool follow = false) const {
    return vfs::walk(context_, path, {.follow_last = follow});
  }
  Ref<vfs::File> open(std::string_view path, std::uint32_t flags, std::uint32_t mode = 0644) const {
    auto file = vfs::open(context_, path, {flags, mode, 0});
    EXPECT_TRUE(file) << path << ": " << (file ? "" : errno_name(file.error().value));
    return file ? *file : nullptr;
  }
  std::string try_open(std::string_view path, std::uint32_t flags,
                       std::uint32_t mode = 0644) const {
    return said(vfs::open(context_, path, {flags, mode, 0}));
  }
  std::string read(std::string_view path) const {
    auto file = vfs::open(context_, path, {O_RDONLY, 0, 0});
    if (!file) return said(file);
    auto text = read_file(**file);
    return text ? *text : said(text);
  }
  std::string write(std::string_view path, std::string_view text,
                    std::uint32_t flags = O_WRONLY | O_CREAT | O_TRUNC,
                    std::uint32_t mode = 0644) const {
    auto file = vfs::open(context_, path, {flags, mode, 0});
    if (!file) return said(file);
    auto from = vfs::IoBuffer::of(std::as_bytes(std::span(text)));
    return said((*file)->write(from, *context_.caller));
  }
  std::string append(std::string_view path, std::string_view text) const {
    return write(path, text, O_WRONLY | O_APPEND);
  }
  std::string make_directory(std::string_view path, std::uint32_t mode = 0755) const {
    return said(vfs::make_directory(context_, path, mode));
  }
  std::string make_node(std::string_view path, std::uint32_t mode, std::uint64_t device = 0) const {
    return said(vfs::make_node(context_, path, mode, device));
  }
  std::string make_symlink(std::string_view target, std::string_view path) const {
    return said(vfs::make_symlink(context_, target, path));
  }
  std::string link(std::string_view target, std::string_view path) const {
    auto found = find(target);
    return found ? said(vfs::link(context_, *found, path)) : said(found);
  }
  std::string unlink(std::string_view path) const { return said(vfs::unlink(context_, path)); }
  std::string remove_directory(std::string_view path) const {
    return said(vfs::remove_directory(context_, path));
  }
  std::string rename(std::string_view from, std::string_view to, std::uint32_t flags = 0) const {
    return said(vfs::rename(context_, from, context_, to, flags));
  }
  std::string change(std::string_view path, const vfs::AttributeChange& change) const {
    auto found = find(path);
    return found ? said(vfs::change(*found, *context_.credentials, change)) : said(found);
  }
  std::string set_mode(std::string_view path, std::uint32_t mode) const {
    vfs::AttributeChange wanted;
    wanted.mode = mode;
    auto found = find(path, true);
    return found ? said(vfs::change(*found, *context_.credentials, wanted)) : said(found);
  }
  std::string truncate(std::string_view path, std::uint64_t size) const {
    auto found = find(path, true);
    return found ? said(vfs::truncate(*found, *context_.credentials, size)) : said(found);
  }
  vfs::Attributes stat(std::string_view path) const {
    auto found = find(path);
    EXPECT_TRUE(found) << path;
    return found ? MUST(found->inode()->attributes()) : vfs::Attributes{};
  }
  std::string exists(std::string_view path) const { return said(find(path)); }
  std::string read_link(std::string_view path) const {
    auto found = find(path);
    return found ? MUST(found->inode()->read_link(nullptr)) : said(found);
  }
  std::vector<std::string> list(std::string_view path = "/") const {
    auto found = find(path);
    return found ? names_of(*found->inode()) : std::vector<std::string>{said(found)};
  }
  std::vector<Entries::Entry> entries(std::string_view path) const {
    auto file = open(path, O_RDONLY | O_DIRECTORY);
    Entries all;
    MUST(file->read_directory(all, *context_.caller));
    return all.list;
  }
  vfs::Inode& inode(std::string_view path) const { return *MUST(find(path)).inode(); }
  const vfs::WalkContext& context() const { return context_; }

  template <typename T>
  static std::string said(const ErrnoOr<T>& result) {
    return result ? "ok" : std::string(errno_name(result.error().value));
  }

 private:
  FolderCaller caller_;
  Ref<vfs::MountNamespace> mounts_;
  vfs::WalkContext context_;
};

}  // namespace caisson::sandbox::fs

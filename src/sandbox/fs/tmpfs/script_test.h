// Scripts of file operations that run on a tmpfs through the VFS and on a directory of the host, so
// that what Linux answers is the measure of what we answer.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ref.h"
#include "sandbox/fs/tmpfs/tmp_filesystem.h"
#include "sandbox/vfs/walk.h"

namespace caisson::sandbox::fs {

// Executes one line: "mkdir a 755", "rename a b", "open f wronly,creat 644". Answers "ok", "ok:
// TEXT" or the name of an errno. Paths begin at a root of its own.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual std::string run(std::string_view line) = 0;
};

// Splits a line; "''" is an empty word.
std::vector<std::string> words_of(std::string_view line);
std::uint32_t open_flags_of(std::string_view names);
std::uint64_t resolve_flags_of(std::string_view names);

// In a child process, chrooted to a new directory on a tmpfs; null without the privilege.
std::unique_ptr<Executor> make_host_executor();

class ScriptMemory final : public vfs::Memory {
 public:
  ErrnoOr<std::size_t> read(std::uint64_t address, std::span<std::byte> to) override;
  ErrnoOr<std::size_t> write(std::uint64_t address, std::span<const std::byte> from) override;
};

class ScriptCaller final : public vfs::Caller {
 public:
  const vfs::Credentials& credentials() const override { return *credentials_; }
  vfs::Memory& memory() override { return memory_; }
  void become(Ref<vfs::Credentials> credentials) { credentials_ = std::move(credentials); }

 private:
  Ref<vfs::Credentials> credentials_ = vfs::Credentials::root();
  ScriptMemory memory_;
};

// A namespace with one tmpfs.
class GuestExecutor final : public Executor {
 public:
  explicit GuestExecutor(const TmpOptions& options = {});
  ~GuestExecutor() override;
  std::string run(std::string_view line) override;

  vfs::WalkContext context();
  ErrnoOr<Ref<vfs::File>> open(std::string_view path, int flags, std::uint32_t mode = 0644);
  ErrnoOr<vfs::Path> find(std::string_view path);
  ScriptCaller& caller() { return caller_; }
  Ref<TmpFilesystem> filesystem() { return filesystem_; }
  Ref<FileMemory> memory() { return memory_; }
  vfs::MountNamespace& mounts() { return *mounts_; }
  void become(unsigned uid, unsigned gid);
  // Mounts a new tmpfs there.
  ErrnoOr<Ref<vfs::Mount>> mount(std::string_view path, std::uint64_t flags = 0);
  vfs::Path& cwd() { return cwd_; }

 private:
  using Words = std::vector<std::string>;
  ErrnoOr<std::string> dispatch(const Words& words);
  ErrnoOr<std::string> change_tree(const Words& words);
  ErrnoOr<std::string> change_attributes(const Words& words);
  ErrnoOr<std::string> ask(const Words& words);
  ErrnoOr<std::string> bytes(const Words& words);
  ErrnoOr<std::string> list(std::string_view path);

  Ref<FileMemory> memory_;
  Ref<TmpFilesystem> filesystem_;
  Ref<vfs::MountNamespace> mounts_;
  vfs::Path root_, cwd_;
  ScriptCaller caller_;
  std::uint32_t umask_ = 0;
};

}  // namespace caisson::sandbox::fs

// tmpfs: files in memory (tmpfs(5)), for mounts, for the upper part of overlays, and inside for
// files without a name (memfd_create(2), shared anonymous memory).
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ref.h"
#include "base/result.h"
#include "sandbox/fs/special.h"
#include "sandbox/fs/tmpfs/file_bytes.h"
#include "sandbox/fs/tmpfs/file_memory.h"
#include "sandbox/vfs/inode.h"

namespace caisson::sandbox::fs {

class TmpInode;

// Options of mount(2). Without a size: half of the machine's memory; 0 bytes or inodes: no limit.
struct TmpOptions {
  std::optional<std::uint64_t> size;    // bytes
  std::optional<std::uint64_t> inodes;  // as many as pages in half of the memory
  std::uint32_t mode = 01777;
  vfs::Uid uid = 0;
  vfs::Gid gid = 0;
  bool readonly = false;

  // "size=64m,mode=755,nr_inodes=1k,uid=0,gid=5"; size= with k, m, g, t or %. EINVAL for what tmpfs
  // does not know, too.
  static ErrnoOr<TmpOptions> parse(std::string_view text);
};

class TmpFilesystem final : public vfs::Filesystem {
 public:
  // `type`: what mountinfo shows; `special` may be null: device nodes cannot be opened then.
  static Ref<TmpFilesystem> create(Ref<FileMemory> memory, Ref<SpecialFiles> special,
                                   const TmpOptions& options, std::string type = "tmpfs");

  Ref<vfs::Inode> root() override;
  ErrnoOr<vfs::FilesystemStatus> status() override;
  std::string options_text() const override;
  bool is_readonly() const override { return readonly_.load(std::memory_order_relaxed); }
  // EINVAL when more is used than would be allowed.
  ErrnoOr<> remount(std::string_view options, bool readonly) override;

  Result<> save_contents(state::Writer& to) override;
  // In place of what is in it.
  Result<> restore_contents(state::Reader& from) override;

  // A regular file that has no name. ENOSPC.
  ErrnoOr<Ref<TmpInode>> make_unnamed(const vfs::Creation& creation);

  // --- for its inodes
  FileMemory& memory() { return *memory_; }
  PageQuota& pages() { return pages_; }
  SpecialFiles* special() { return special_.get(); }
  ErrnoOr<> take_inode();
  void give_inode() { inodes_.give(1); }
  std::uint64_t next_inode() { return next_inode_.fetch_add(1, std::memory_order_relaxed); }

 private:
  TmpFilesystem(Ref<FileMemory> memory, Ref<SpecialFiles> special, const TmpOptions& options,
                std::string type);
  ~TmpFilesystem() override;

  Ref<FileMemory> memory_;
  Ref<SpecialFiles> special_;
  PageQuota pages_, inodes_;
  TmpOptions options_;
  std::atomic<bool> readonly_;
  std::atomic<std::uint64_t> next_inode_{1};
  Ref<TmpInode> root_;
};

}  // namespace caisson::sandbox::fs

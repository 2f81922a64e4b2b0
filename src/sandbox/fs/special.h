// What stands behind the special nodes of any file system: drivers by device number, and a meeting
// point for each FIFO. A node's inode asks here when it is opened.
#pragma once

#include <cstdint>
#include <vector>

#include "base/mutex.h"
#include "base/ref.h"
#include "base/result.h"
#include "sandbox/vfs/caller.h"
#include "sandbox/vfs/file.h"

namespace caisson::sandbox::fs {

// Opens the character devices of a range of numbers.
class DeviceDriver : public RefCounted {
 public:
  // `flags`: O_*. `device`: makedev(3). `inode` is the node that was opened, at `path`.
  virtual ErrnoOr<Ref<vfs::File>> open(const vfs::Path& path, Ref<vfs::Inode> inode,
                                       std::uint64_t device, std::uint32_t flags,
                                       vfs::Caller& caller) = 0;
};

// The drivers of a sandbox. Filled at boot, shared by all its file systems.
class SpecialFiles final : public RefCounted {
 public:
  void add_character_devices(unsigned major, unsigned first_minor, unsigned count,
                             Ref<DeviceDriver> driver);
  // Opens a device node; block devices have no drivers. ENXIO.
  ErrnoOr<Ref<vfs::File>> open(const vfs::Path& path, Ref<vfs::Inode> inode, std::uint64_t device,
                               std::uint32_t flags, vfs::Caller& caller);

 private:
  ~SpecialFiles() override = default;
  struct Range {
    unsigned major, first_minor, count;
    Ref<DeviceDriver> driver;
  };
  mutable Mutex mutex_;
  std::vector<Range> ranges_;
};

// What the opens of one FIFO node share (fifo(7)): held by the node's inode from its birth on.
class FifoNode : public RefCounted {
 public:
  // The open call then waits by File::finish_open(). ENXIO: O_WRONLY | O_NONBLOCK without a reader.
  virtual ErrnoOr<Ref<vfs::File>> open(const vfs::Path& path, Ref<vfs::Inode> inode,
                                       std::uint32_t flags) = 0;
  state::Tag save_tag() const { return state::Tag::kFifoNode; }
  virtual Result<> save(state::Writer& to) = 0;
};
Ref<FifoNode> make_fifo_node();
Result<Ref<FifoNode>> restore_fifo_node(state::Reader& from);

}  // namespace caisson::sandbox::fs

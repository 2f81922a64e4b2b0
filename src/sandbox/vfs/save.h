// What the VFS's parts have in common when they are written to a checkpoint and read again.
#pragma once

#include <string>
#include <string_view>

#include "base/ref.h"
#include "base/result.h"
#include "sandbox/state/reader.h"
#include "sandbox/state/writer.h"
#include "sandbox/vfs/file.h"
#include "sandbox/vfs/inode.h"
#include "sandbox/vfs/mount.h"

namespace caisson::sandbox::vfs {

template <typename Stream>
void describe(Stream& stream, Timestamp& time) {
  stream(time.seconds, time.nanoseconds);
}

// Where file systems come from at a restore (a service of the Reader).
class FilesystemSource {
 public:
  virtual ~FilesystemSource() = default;
  // The one of the plan's with this number.
  virtual Result<Ref<Filesystem>> of_plan(std::uint32_t number) = 0;
  // One that a guest mounted. EOPNOTSUPP: of this type none can be made.
  virtual Result<Ref<Filesystem>> of_guest(std::string_view type, std::string_view options) = 0;
};

void save_path(state::Writer& to, const Path& path);
Result<Path> restore_path(state::Reader& from);

// "/tmp/x" as far as the tree of the file system tells it.
std::string place_text(const Path& path);

// The locks of an owner on the inode, and of a new owner the same again.
void save_locks(state::Writer& to, Inode& inode, const void* owner);
Result<> restore_locks(state::Reader& from, Inode& inode, const void* owner);

}  // namespace caisson::sandbox::vfs

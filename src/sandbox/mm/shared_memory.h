// Memory that processes share without a file of theirs: mmap(2) of MAP_SHARED | MAP_ANONYMOUS or of
// /dev/zero. A file of the sandbox's own that no name leads to, inherited by fork.
#pragma once

#include <cstdint>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "sandbox/vfs/file.h"

namespace caisson::sandbox::mm {

class SharedMemory final : public vfs::File {
 public:
  // ENOMEM, ENFILE.
  static ErrnoOr<Ref<vfs::File>> create(std::uint64_t length);

  ErrnoOr<vfs::Attributes> attributes() override;
  ErrnoOr<vfs::MapSource> map_source(std::uint64_t offset, std::uint64_t length, int protection,
                                     bool shared) override;
  std::string link_text(const vfs::Path& root) override;
  ErrnoOr<> allocate(int mode, std::uint64_t offset, std::uint64_t length) override;
  state::Tag save_tag() const override { return state::Tag::kSharedMemory; }
  Result<> save(state::Writer& to) override;
  static Result<Ref<vfs::File>> restore(state::Reader& from);

 private:
  SharedMemory(Fd memory, std::uint64_t length);

  Fd memory_;
  std::uint64_t length_;
  std::uint64_t number_;  // the inode number in /proc/PID/maps
};

}  // namespace caisson::sandbox::mm

#include "sandbox/mm/shared_memory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <atomic>
#include <utility>

#include "sys/file.h"

namespace caisson::sandbox::mm {
namespace {

std::uint64_t next_number() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

SharedMemory::SharedMemory(Fd memory, std::uint64_t length)
    : File(vfs::Path{}, nullptr, O_RDWR),
      memory_(std::move(memory)),
      length_(length),
      number_(next_number()) {}

ErrnoOr<Ref<vfs::File>> SharedMemory::create(std::uint64_t length) {
  if (length > static_cast<std::uint64_t>(INT64_MAX)) return std::unexpected(Errno{ENOMEM});
  Fd memory = TRY(sys::memfd_create("shared"));
  TRY(sys::ftruncate(memory, static_cast<std::int64_t>(length)));
  return Ref<vfs::File>(Ref<SharedMemory>::adopt(new SharedMemory(std::move(memory), length)));
}

ErrnoOr<vfs::Attributes> SharedMemory::attributes() {
  vfs::Attributes attributes;
  attributes.mode = S_IFREG | 0777;
  attributes.links = 0;
  attributes.inode = number_;
  attributes.device = makedev(0, 1);  // of the kernel's own, unmounted tmpfs
  attributes.size = length_;
  return attributes;
}

ErrnoOr<vfs::MapSource> SharedMemory::map_source(std::uint64_t offset, std::uint64_t, int, bool) {
  return vfs::MapSource{.fd = memory_.number(), .offset = offset};
}

std::string SharedMemory::link_text(const vfs::Path&) { return "/dev/zero (deleted)"; }

ErrnoOr<> SharedMemory::allocate(int mode, std::uint64_t offset, std::uint64_t length) {
  return sys::call_void(SYS_fallocate, memory_.number(), mode, offset, length);
}

}  // namespace caisson::sandbox::mm

#include "sandbox/fs/dev/memory_devices.h"

#include <fcntl.h>
#include <linux/random.h>
#include <poll.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>

#include "sys/call.h"

namespace caisson::sandbox::fs {
namespace {

constexpr unsigned kMajor = 1;
enum Minor : unsigned { kNull = 3, kZero = 5, kFull = 7, kRandom = 8, kUrandom = 9 };

// Position and offset mean nothing to these.
class MemoryDevice : public vfs::File {
 public:
  using File::File;
  ErrnoOr<std::size_t> write(vfs::IoBuffer& from, vfs::Caller&) override {
    std::size_t size = from.remaining();
    from.skip(size);
    return size;
  }
  ErrnoOr<std::size_t> read_at(vfs::IoBuffer& to, std::uint64_t, vfs::Caller& caller) override {
    return read(to, caller);
  }
  ErrnoOr<std::size_t> write_at(vfs::IoBuffer& from, std::uint64_t, vfs::Caller& caller) override {
    return write(from, caller);
  }
  ErrnoOr<std::uint64_t> seek(std::int64_t, int) override { return 0; }
  ErrnoOr<> sync(bool) override { return std::unexpected(Errno{EINVAL}); }
  ErrnoOr<> allocate(int, std::uint64_t, std::uint64_t) override {
    return std::unexpected(Errno{ENODEV});
  }
};

class NullFile final : public MemoryDevice {
 public:
  using MemoryDevice::MemoryDevice;
  ErrnoOr<std::size_t> read(vfs::IoBuffer&, vfs::Caller&) override { return 0; }
};

class ZeroFile : public MemoryDevice {
 public:
  using MemoryDevice::MemoryDevice;
  ErrnoOr<std::size_t> read(vfs::IoBuffer& to, vfs::Caller&) override {
    return to.put_zeroes(to.remaining());
  }
  ErrnoOr<vfs::MapSource> map_source(std::uint64_t, std::uint64_t, int, bool) override {
    return vfs::MapSource{};
  }
};

class FullFile final : public ZeroFile {
 public:
  using ZeroFile::ZeroFile;
  ErrnoOr<std::size_t> write(vfs::IoBuffer&, vfs::Caller&) override {
    return std::unexpected(Errno{ENOSPC});
  }
};

class RandomFile final : public MemoryDevice {
 public:
  using MemoryDevice::MemoryDevice;
  ErrnoOr<std::size_t> read(vfs::IoBuffer& to, vfs::Caller&) override {
    std::array<std::byte, 4096> bytes;
    std::size_t total = 0;
    while (to.remaining() > 0 && total < kMost) {
      auto piece = std::span(bytes).first(std::min<std::size_t>(bytes.size(), to.remaining()));
      auto got = sys::call_retry(SYS_getrandom, piece.data(), piece.size(), 0);
      if (!got) return std::unexpected(got.error());
      auto put = to.put(piece.first(static_cast<std::size_t>(*got)));
      if (!put && total == 0) return put;
      if (!put) break;
      total += *put;
      if (*put < piece.size()) break;
    }
    return total;
  }
  ErrnoOr<std::int64_t> ioctl(vfs::Caller& caller, std::uint32_t request,
                              std::uint64_t argument) override {
    if (request != RNDGETENTCNT) return std::unexpected(Errno{EINVAL});
    int bits = 256;  // what Linux says for ever once it has been seeded
    if (TRY(caller.memory().write(argument, std::as_bytes(std::span(&bits, 1)))) != sizeof bits)
      return std::unexpected(Errno{EFAULT});
    return 0;
  }
  // Always ready, but may be waited for, unlike null and zero.
  vfs::WaitQueue* wait_queue() override { return &queue_; }

 private:
  // Then other guest threads and signals have their turn.
  static constexpr std::size_t kMost = std::size_t{1} << 20;
  vfs::WaitQueue queue_;
};

class Driver final : public DeviceDriver {
 public:
  ErrnoOr<Ref<vfs::File>> open(const vfs::Path& path, Ref<vfs::Inode> inode, std::uint64_t device,
                               std::uint32_t flags, vfs::Caller&) override {
    switch (gnu_dev_minor(device)) {
      case kNull: return Ref<vfs::File>(make_ref<NullFile>(path, std::move(inode), flags));
      case kZero: return Ref<vfs::File>(make_ref<ZeroFile>(path, std::move(inode), flags));
      case kFull: return Ref<vfs::File>(make_ref<FullFile>(path, std::move(inode), flags));
      case kRandom:
      case kUrandom: return Ref<vfs::File>(make_ref<RandomFile>(path, std::move(inode), flags));
      default: return std::unexpected(Errno{ENXIO});
    }
  }
};

}  // namespace

void add_memory_devices(SpecialFiles& special) {
  special.add_character_devices(kMajor, 0, 256, make_ref<Driver>());
}

}  // namespace caisson::sandbox::fs

#include "sandbox/syscalls/socket_guest.h"

#include <fcntl.h>
#include <sys/uio.h>

#include <algorithm>
#include <limits>

namespace caisson::sandbox::syscalls {

namespace {
constexpr std::uint64_t kMaxSegments = 1024;        // UIO_MAXIOV
constexpr std::uint64_t kMaxTransfer = 0x7ffff000;  // MAX_RW_COUNT
}  // namespace

ErrnoOr<Ref<net::Socket>> socket_of(Task& task, int fd) {
  Ref<vfs::File> file = TRY(task.file(fd));
  if ((file->flags() & O_PATH) != 0) return std::unexpected(Errno{EBADF});
  auto* socket = vfs::file_as<net::Socket>(*file);
  if (socket == nullptr) return std::unexpected(Errno{ENOTSOCK});
  return Ref<net::Socket>::share(socket);
}

ErrnoOr<net::Address> load_address(Task& task, std::uint64_t address, std::int32_t length) {
  if (length < 0 || static_cast<std::size_t>(length) > net::Address::kCapacity)
    return std::unexpected(Errno{EINVAL});
  std::array<std::byte, net::Address::kCapacity> bytes;
  std::span<std::byte> wanted(bytes.data(), static_cast<std::size_t>(length));
  if (!wanted.empty()) TRY(UserPtr<std::byte>(address).load(task.memory(), wanted));
  return net::Address(wanted);
}

ErrnoOr<> store_address(Task& task, const net::Address& from, std::uint64_t address,
                        UserPtr<std::int32_t> length) {
  std::int32_t room = TRY(length.load(task.memory()));
  if (room < 0) return std::unexpected(Errno{EINVAL});
  auto bytes = from.bytes();
  bytes = bytes.first(std::min<std::size_t>(bytes.size(), static_cast<std::size_t>(room)));
  if (!bytes.empty()) TRY(UserPtr<std::byte>(address).store(task.memory(), bytes));
  return length.store(task.memory(), static_cast<std::int32_t>(from.length()));
}

ErrnoOr<vfs::IoBuffer> load_segments(Task& task, const MessageHeader& header) {
  if (header.segment_count > kMaxSegments) return std::unexpected(Errno{EMSGSIZE});
  std::vector<vfs::IoSegment> segments(header.segment_count);
  if (!segments.empty())
    TRY(UserPtr<vfs::IoSegment>(header.segments)
            .load(task.memory(), std::span<vfs::IoSegment>(segments)));
  std::uint64_t total = 0;
  for (auto& segment : segments) {
    if (segment.length > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      return std::unexpected(Errno{EINVAL});
    segment.length = std::min(segment.length, kMaxTransfer - total);
    total += segment.length;
  }
  return vfs::IoBuffer(task.memory(), std::move(segments));
}

Patience patience_of(Task& task, bool nonblocking, std::int64_t timeout_ns) {
  Patience patience;
  patience.none = nonblocking || timeout_ns == 0;
  if (!patience.none && timeout_ns > 0)
    patience.deadline = task.kernel().monotonic_ns() + timeout_ns;
  return patience;
}

}  // namespace caisson::sandbox::syscalls

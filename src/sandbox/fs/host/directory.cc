#include "sandbox/fs/host/directory.h"

#include <dirent.h>

#include <cstring>

#include "sandbox/fs/host/inode.h"
#include "sys/file_at.h"

namespace caisson::sandbox::fs {
namespace {

constexpr std::size_t kBufferSize = 32768;

struct Collector final : vfs::DirectorySink {
  explicit Collector(Listing& target) : listing(target) {}
  bool entry(std::string_view name, std::uint64_t inode, unsigned char type,
             std::uint64_t /*next*/) override {
    listing.add(name, inode, type);
    return true;
  }
  Listing& listing;
};

}  // namespace

ErrnoOr<Ref<vfs::File>> HostDirectory::open(const vfs::Path& path, HostInode& inode,
                                            std::uint32_t flags) {
  HostFilesystem& host = inode.host();
  auto handle = TRY(host.directory_handle(inode));
  ErrnoOr<Fd> fd = with_descriptors(
      host, [&] { return sys::openat2(handle->fd(), ".", O_RDONLY | O_DIRECTORY, sys::kBeneath); });
  if (!fd && is_denied(fd.error()) && host.gofer() != nullptr)
    fd = host.gofer()->open(TRY(host.path_of(inode)), O_RDONLY | O_DIRECTORY);
  if (!fd) return std::unexpected(fd.error());
  return Ref<vfs::File>(make_ref<HostDirectory>(path, inode, flags, std::move(*fd)));
}

HostDirectory::HostDirectory(vfs::Path path, HostInode& inode, std::uint32_t flags, Fd fd)
    : File(std::move(path), Ref<vfs::Inode>::share(&inode), flags), fd_(std::move(fd)) {}

HostInode& HostDirectory::host_inode() const { return static_cast<HostInode&>(*inode()); }

ErrnoOr<> HostDirectory::sync(bool data_only) {
  return data_only ? sys::fdatasync(fd_) : sys::fsync(fd_);
}

// Reads on where the buffer ended, or from elsewhere after a seek.
ErrnoOr<> HostDirectory::fill(std::uint64_t position) {
  bool follows = positioned_ && next_ == records_.size() && next_position_ == position;
  if (!follows) TRY(sys::lseek(fd_, static_cast<std::int64_t>(position), SEEK_SET));
  records_.resize(kBufferSize);
  auto got = sys::getdents64(fd_, records_);
  records_.resize(got ? *got : 0);
  next_ = 0;
  next_position_ = position;
  positioned_ = got.has_value();
  if (!got) return std::unexpected(got.error());
  return {};
}

ErrnoOr<> HostDirectory::read_host(std::uint64_t& position, vfs::DirectorySink& sink) {
  HostFilesystem& host = host_inode().host();
  for (;;) {
    if (next_ == records_.size() || next_position_ != position) {
      TRY(fill(position));
      if (records_.empty()) return {};
    }
    sys::DirectoryRecord record;
    std::memcpy(&record, records_.data() + next_, sizeof record);
    const auto* name =
        reinterpret_cast<const char*>(records_.data()) + next_ + sys::DirectoryRecord::kNameOffset;
    auto after = static_cast<std::uint64_t>(record.offset);
    if (!sink.entry(name, host.inode_number(record.inode), record.type, after)) return {};
    next_ += record.length;
    next_position_ = position = after;
  }
}

ErrnoOr<> HostDirectory::make_list() {
  auto list = std::make_unique<Listing>();
  Collector collector(*list);
  std::uint64_t position = 0;
  TRY(read_host(position, collector));
  for (const auto& [name, node] : host_inode().mount_points())
    list->add(name, TRY(node->attributes()).inode, IFTODT(node->type()));
  list_ = std::move(list);
  return {};
}

ErrnoOr<> HostDirectory::read_directory(vfs::DirectorySink& sink, vfs::Caller& /*caller*/) {
  Locked lock(position_mutex_);
  if (position_ == 0 && (list_ || !host_inode().mount_points().empty())) TRY(make_list());
  if (list_) {
    list_->read(position_, sink);
    return {};
  }
  TRY(read_host(position_, sink));
  host_inode().was_read();
  return {};
}

}  // namespace caisson::sandbox::fs

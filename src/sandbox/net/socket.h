// Socket: the open file of an endpoint.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>

#include "base/ref.h"
#include "sandbox/net/endpoint.h"
#include "sandbox/net/network.h"
#include "sandbox/vfs/file.h"

namespace caisson::sandbox::net {

// The inode of one socket: what fstat(2), fchmod(2) and fchown(2) see.
class SocketInode final : public vfs::Inode {
 public:
  SocketInode(Ref<SocketFilesystem> filesystem, const vfs::Credentials& owner);
  std::uint64_t number() const { return number_; }
  ErrnoOr<vfs::Attributes> attributes() override;
  ErrnoOr<> change(const vfs::AttributeChange& change) override;
  ErrnoOr<Ref<vfs::File>> open(const vfs::Path& path, vfs::OpenFlags flags,
                               vfs::Caller& caller) override;

 private:
  Ref<SocketFilesystem> filesystem_;
  const std::uint64_t number_;
  mutable Mutex mutex_;
  std::uint32_t mode_ = S_IFSOCK | 0777;
  vfs::Uid uid_;
  vfs::Gid gid_;
};

class Socket final : public vfs::File {
 public:
  static constexpr char kKind = 0;
  const void* kind() const override { return &kKind; }

  Socket(Ref<Endpoint> endpoint, Ref<SocketInode> inode, std::uint32_t flags);

  Endpoint& endpoint() const { return *endpoint_; }

  ErrnoOr<std::size_t> read(vfs::IoBuffer& to, vfs::Caller& caller) override;
  ErrnoOr<std::size_t> write(vfs::IoBuffer& from, vfs::Caller& caller) override;
  ErrnoOr<std::size_t> read_at(vfs::IoBuffer& to, std::uint64_t offset,
                               vfs::Caller& caller) override;
  ErrnoOr<std::size_t> write_at(vfs::IoBuffer& from, std::uint64_t offset,
                                vfs::Caller& caller) override;
  ErrnoOr<std::uint64_t> seek(std::int64_t offset, int whence) override;
  vfs::ReadyMask ready() override { return endpoint_->ready(); }
  vfs::WaitQueue* wait_queue() override { return &endpoint_->queue(); }
  ErrnoOr<std::int64_t> ioctl(vfs::Caller& caller, std::uint32_t request,
                              std::uint64_t argument) override;
  ErrnoOr<> sync(bool data_only) override;
  ErrnoOr<> change(const vfs::AttributeChange& change) override;
  std::string link_text(const vfs::Path& root) override;
  std::optional<std::int64_t> wait_limit_ns(bool writing) override;

 private:
  ~Socket() override;
  Ref<Endpoint> endpoint_;
};

// socket(2). EAFNOSUPPORT, ESOCKTNOSUPPORT, EPROTONOSUPPORT, EINVAL, EPERM.
ErrnoOr<Ref<Endpoint>> create_endpoint(Network& network, int domain, int type, int protocol,
                                       Requester& requester);

}  // namespace caisson::sandbox::net

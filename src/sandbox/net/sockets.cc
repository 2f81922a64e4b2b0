#include "sandbox/net/sockets.h"

#include "sandbox/net/socket.h"
#include "sandbox/net/unix_endpoint.h"

namespace caisson::sandbox::net {

namespace {
constexpr std::int64_t kSocketMagic = 0x534f434b;  // SOCKFS_MAGIC
}

ErrnoOr<vfs::FilesystemStatus> SocketFilesystem::status() {
  vfs::FilesystemStatus status;
  status.type = kSocketMagic;
  return status;
}

Ref<Socket> Sockets::make_file(Ref<Endpoint> endpoint, std::uint32_t flags,
                               const vfs::Credentials& owner) {
  auto inode = make_ref<SocketInode>(filesystem_, owner);
  endpoint->set_inode_number(inode->number());
  return make_ref<Socket>(std::move(endpoint), std::move(inode), flags);
}

bool Sockets::add_bound(vfs::Inode& inode, UnixEndpoint& endpoint) {
  Locked lock(mutex_);
  return bound_.emplace(&inode, &endpoint).second;
}

void Sockets::remove_bound(vfs::Inode& inode) {
  Locked lock(mutex_);
  bound_.erase(&inode);
}

Ref<UnixEndpoint> Sockets::find_bound(vfs::Inode& inode) const {
  Locked lock(mutex_);
  auto found = bound_.find(&inode);
  if (found == bound_.end() || !found->second->try_add_ref()) return nullptr;
  return Ref<UnixEndpoint>::adopt(found->second);
}

}  // namespace caisson::sandbox::net

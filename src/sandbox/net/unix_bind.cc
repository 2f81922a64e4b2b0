// Names of unix sockets: binding and finding them (unix(7), "Address format").
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>

#include "sandbox/net/network.h"
#include "sandbox/net/unix_endpoint.h"
#include "sandbox/vfs/permission.h"

namespace caisson::sandbox::net {

namespace {

ErrnoOr<> check_address(const Address& address) {
  bool fits = address.length() > sizeof(sa_family_t) && address.length() <= sizeof(sockaddr_un);
  if (!fits || address.family() != AF_UNIX) return std::unexpected(Errno{EINVAL});
  return {};
}

bool is_abstract(const Address& address) { return address.tail().front() == '\0'; }

// Up to the null byte, which need not be there.
std::string_view path_of(const Address& address) {
  std::string_view tail = address.tail();
  return tail.substr(0, tail.find('\0'));
}

}  // namespace

ErrnoOr<> UnixEndpoint::bind(const Address& address, Requester& requester) {
  if (address.length() == sizeof(sa_family_t) && address.family() == AF_UNIX) return autobind();
  TRY(check_address(address));
  return is_abstract(address) ? bind_abstract(address) : bind_path(address, requester);
}

ErrnoOr<> UnixEndpoint::set_name(Ref<UnixName> name) {
  Locked lock(mutex());
  if (name_) return std::unexpected(Errno{EINVAL});
  name_ = std::move(name);
  owns_name_ = true;
  return {};
}

ErrnoOr<> UnixEndpoint::bind_path(const Address& address, Requester& requester) {
  std::string_view path = path_of(address);
  vfs::WalkContext context = TRY(requester.walk_context());
  std::uint32_t mode = inode_mode_ & ~requester.umask();
  auto made = vfs::make_node(context, path, S_IFSOCK | mode, 0);
  if (!made)
    return std::unexpected(made.error().value == EEXIST ? Errno{EADDRINUSE} : made.error());
  auto name = make_ref<UnixName>();
  name->address = Address::unix_name(std::string(path) + '\0');
  name->path = TRY(vfs::walk(context, path, {.follow_last = false}));
  vfs::Inode* inode = name->path.inode();
  // Somebody may have put another socket there in between.
  if (inode == nullptr || inode->type() != S_IFSOCK ||
      !network().sockets().add_bound(inode->data_inode(), *this))
    return std::unexpected(Errno{EADDRINUSE});
  auto named = set_name(name);
  if (!named) {
    network().sockets().remove_bound(inode->data_inode());
    (void)vfs::unlink(context, path);  // as if it had never been made
  }
  return named;
}

ErrnoOr<> UnixEndpoint::bind_abstract(const Address& address) {
  auto name = make_ref<UnixName>();
  name->address = address;
  name->abstract = true;
  std::string key(address.tail());
  if (!network().add_abstract(type(), key, *this)) return std::unexpected(Errno{EADDRINUSE});
  auto named = set_name(name);
  if (!named) network().remove_abstract(type(), key);
  return named;
}

ErrnoOr<> UnixEndpoint::autobind() {
  {
    Locked lock(mutex());
    if (name_) return {};
  }
  std::string key = network().add_autobound(type(), *this);
  if (key.empty()) return std::unexpected(Errno{ENOSPC});
  auto name = make_ref<UnixName>();
  name->address = Address::unix_name(key);
  name->abstract = true;
  // Bound by another thread meanwhile: that name stays.
  if (!set_name(name)) network().remove_abstract(type(), key);
  return {};
}

ErrnoOr<Ref<UnixEndpoint>> UnixEndpoint::find(const Address& address, Requester& requester) {
  TRY(check_address(address));
  if (!is_abstract(address)) return find_path(path_of(address), requester);
  auto found = network().find_abstract(type(), std::string(address.tail()));
  if (!found) return std::unexpected(Errno{ECONNREFUSED});
  return found;
}

ErrnoOr<Ref<UnixEndpoint>> UnixEndpoint::find_path(std::string_view path, Requester& requester) {
  vfs::WalkContext context = TRY(requester.walk_context());
  vfs::Path place = TRY(vfs::walk(context, path, {}));
  vfs::Inode* inode = place.inode();
  if (inode == nullptr) return std::unexpected(Errno{ENOENT});
  TRY(vfs::may_access(*inode, requester.credentials(), W_OK));
  if (inode->type() != S_IFSOCK) return std::unexpected(Errno{ECONNREFUSED});
  auto found = network().sockets().find_bound(inode->data_inode());
  if (!found) return std::unexpected(Errno{ECONNREFUSED});
  if (found->type() != type()) return std::unexpected(Errno{EPROTOTYPE});
  return found;
}

}  // namespace caisson::sandbox::net

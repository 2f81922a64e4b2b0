// Sockets: what all sockets of one sandbox share, whatever their network namespace.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>

#include "base/mutex.h"
#include "base/ref.h"
#include "sandbox/net/requester.h"
#include "sandbox/net/rights.h"
#include "sandbox/vfs/inode.h"

namespace caisson::sandbox::net {

class Endpoint;
class Socket;
class UnixEndpoint;

// Whose process a caller is: the floor above knows.
using ProcessOf = Ref<const Process> (*)(vfs::Caller& caller);

// The file system of sockets' inodes; never mounted.
class SocketFilesystem final : public vfs::Filesystem {
 public:
  SocketFilesystem() : Filesystem("sockfs") {}
  Ref<vfs::Inode> root() override { return nullptr; }
  ErrnoOr<vfs::FilesystemStatus> status() override;
  std::uint64_t next_inode() { return next_.fetch_add(1, std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> next_{1000};
};

class Sockets final : public RefCounted {
 public:
  explicit Sockets(ProcessOf how) : process_of_(how) {}

  // A file for an endpoint, which it closes at its end.
  Ref<Socket> make_file(Ref<Endpoint> endpoint, std::uint32_t flags, const vfs::Credentials& owner);
  Ref<const Process> process_of(vfs::Caller& caller) const { return process_of_(caller); }
  RightsTable& rights() { return rights_; }

  // Unix sockets bound to names in the file system, by the inode that stands there. False: another
  // is bound to it.
  bool add_bound(vfs::Inode& inode, UnixEndpoint& endpoint);
  void remove_bound(vfs::Inode& inode);
  Ref<UnixEndpoint> find_bound(vfs::Inode& inode) const;

 private:
  ProcessOf process_of_;
  Ref<SocketFilesystem> filesystem_ = make_ref<SocketFilesystem>();
  RightsTable rights_{*this};
  mutable Mutex mutex_;
  std::map<vfs::Inode*, UnixEndpoint*> bound_;
};

}  // namespace caisson::sandbox::net

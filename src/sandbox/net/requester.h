// Who makes a socket call, as far as sockets need to know it.
#pragma once

#include <sys/types.h>

#include <cerrno>
#include <cstdint>

#include "base/ref.h"
#include "base/result.h"
#include "sandbox/vfs/caller.h"
#include "sandbox/vfs/walk.h"

namespace caisson::sandbox::net {

// The ids of a process, which last longer than itself: SO_PEERCRED, SCM_CREDENTIALS.
class Process : public RefCounted {
 public:
  // 0: not visible from the pid namespace of `viewer`.
  virtual int id_for(const Process& viewer) const = 0;
};

struct ProcessCredentials {
  Ref<const Process> process;
  vfs::Uid uid = 65534;  // overflow ids, as for a sender who is not known
  vfs::Gid gid = 65534;
  friend bool operator==(const ProcessCredentials& a, const ProcessCredentials& b) = default;
};

class Requester {
 public:
  virtual ~Requester() = default;
  virtual vfs::Caller& caller() = 0;
  virtual Ref<const Process> process() = 0;
  // Where the names of unix sockets are looked up.
  virtual ErrnoOr<vfs::WalkContext> walk_context() = 0;
  virtual std::uint32_t umask() = 0;
  // RLIMIT_NOFILE, which bounds how many sockets are in flight too.
  virtual std::uint64_t file_limit() = 0;

  const vfs::Credentials& credentials() { return caller().credentials(); }
};

}  // namespace caisson::sandbox::net

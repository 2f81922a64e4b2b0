// The namespaces of the guest that are not mounts (namespaces(7)).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/ref.h"
#include "base/result.h"
#include "sandbox/state/tag.h"
#include "sandbox/vfs/user_namespace.h"
#include "sandbox/vfs/wait_queue.h"

namespace caisson::sandbox::net {
class Network;
}

namespace caisson::sandbox::kernel {

class IpcNamespace;
class ProcessGroup;
class Session;
class Task;
class ThreadGroup;

// Ids of tasks, thread groups and sessions as seen by its members. All under the kernel's task
// lock. What lives in a namespace has an id in each of its ancestors too.
class PidNamespace final : public RefCounted {
 public:
  explicit PidNamespace(Ref<PidNamespace> parent);
  const Ref<PidNamespace> parent;  // null: the sandbox's own
  const int depth;
  const std::uint64_t inode;   // of /proc/PID/ns/pid
  int allocate();              // the next id that names nothing; -1: exhausted
  std::map<int, Task*> tasks;  // by id, in order; leaders stay until they are reaped
  std::map<int, ProcessGroup*> process_groups;
  std::map<int, Session*> sessions;
  ThreadGroup* init = nullptr;  // whose end ends all
  bool ending = false;          // the init ended: no more tasks
  vfs::WaitQueue reaped;        // tells the init that waits for the others' end
  int last = 0;
  int limit = 1 << 22;            // kernel.pid_max
  Ref<vfs::UserNamespace> owner;  // as in OpaqueNamespace

  // Itself, its parent ... whose depth is the given one; null: deeper than this.
  const PidNamespace* ancestor_at(int at_depth) const;
  // Of the ids that something in `from` has per depth, the one that is seen here; 0: none.
  int pick(const std::vector<int>& ids, const PidNamespace& from) const;

  state::Tag save_tag() const { return state::Tag::kPidNamespace; }
  Result<> save(state::Writer& to);
  static Result<Ref<PidNamespace>> restore(state::Reader& from);

 private:
  ~PidNamespace() override = default;
};

class UtsNamespace final : public RefCounted {
 public:
  UtsNamespace(std::string host, std::string domain);
  std::string host_name() const;
  std::string domain_name() const;
  void set_host_name(std::string name);
  void set_domain_name(std::string name);
  Ref<UtsNamespace> copy() const;
  const std::uint64_t inode;
  Ref<vfs::UserNamespace> owner;  // as in OpaqueNamespace

  state::Tag save_tag() const { return state::Tag::kUtsNamespace; }
  Result<> save(state::Writer& to);
  static Result<Ref<UtsNamespace>> restore(state::Reader& from);

 private:
  ~UtsNamespace() override = default;
  mutable Mutex mutex_;
  std::string host_, domain_;
};

// Carried through clone and unshare for floors above the kernel: IPC objects, the network.
class OpaqueNamespace : public RefCounted {
 public:
  OpaqueNamespace();
  const std::uint64_t inode;
  // A new and empty one of its kind: CLONE_NEWIPC, CLONE_NEWNET.
  virtual Ref<OpaqueNamespace> make_another() const { return make_ref<OpaqueNamespace>(); }
  // The network that it is (net/network.h); null for others.
  virtual net::Network* network() { return nullptr; }
  // The System V and POSIX objects that it holds (kernel/ipc_namespace.h); null for others.
  virtual IpcNamespace* ipc() { return nullptr; }
  // Whose capabilities count for it; null: the sandbox's own. Before others see it.
  Ref<vfs::UserNamespace> owner;

  state::Tag save_tag() const { return state::Tag::kOpaqueNamespace; }
  Result<> save(state::Writer& to);
  static Result<Ref<OpaqueNamespace>> restore(state::Reader& from);
};

// A number for the next namespace's inode, unique in the sandbox.
std::uint64_t next_namespace_inode();

}  // namespace caisson::sandbox::kernel

// The namespaces of the guest that are not mounts (namespaces(7)).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/ref.h"

namespace caisson::sandbox::net {
class Network;
}

namespace caisson::sandbox::kernel {

class Task;
class ThreadGroup;

// Ids of tasks, thread groups and sessions as seen by its members. All under the kernel's task
// lock.
class PidNamespace final : public RefCounted {
 public:
  explicit PidNamespace(Ref<PidNamespace> parent);
  const Ref<PidNamespace> parent;  // null: the sandbox's own
  const int depth;
  const std::uint64_t inode;    // of /proc/PID/ns/pid
  int allocate();               // the next free id; -1: exhausted
  std::map<int, Task*> tasks;   // by id, in order
  ThreadGroup* init = nullptr;  // whose end ends all
  int last = 0;
  int limit = 1 << 22;  // kernel.pid_max

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
};

// A number for the next namespace's inode, unique in the sandbox.
std::uint64_t next_namespace_inode();

}  // namespace caisson::sandbox::kernel

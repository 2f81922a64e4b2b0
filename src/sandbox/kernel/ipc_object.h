// What the three kinds of System V objects have in common (sysvipc(7)): keys, ids, permission.
#pragma once

#include <cerrno>
#include <cstdint>
#include <map>
#include <vector>

#include "base/ref.h"
#include "base/result.h"
#include "sandbox/vfs/credentials.h"

namespace caisson::sandbox::kernel {

struct IpcPermission {
  std::int32_t key = 0;  // IPC_PRIVATE: found by its id only
  vfs::Uid uid = 0, creator_uid = 0;
  vfs::Gid gid = 0, creator_gid = 0;
  std::uint32_t mode = 0;  // permission bits
  std::uint16_t sequence = 0;
  int id = -1;

  bool owned_by(const vfs::Credentials& who) const;
  // `wanted`: as in a mode, of any class (0600, 0444 ...). EACCES.
  ErrnoOr<> check(const vfs::Credentials& who, const vfs::UserNamespace* owner,
                  std::uint32_t wanted) const;
};

struct IpcRequest {  // semget(2) and its like
  std::int32_t key = 0;
  std::uint32_t flags = 0;  // IPC_CREAT, IPC_EXCL, permission bits
};

// The objects of one kind, of an IPC namespace and under its lock. T has `permission`.
template <typename T>
class IpcTable {
 public:
  explicit IpcTable(std::size_t most) : most_(most) {}
  bool is_empty() const { return objects_.empty(); }

  // EINVAL: there is none, or the number belongs to one that is gone.
  ErrnoOr<Ref<T>> find(int id) const {
    auto found = objects_.find(id & kIndexMask);
    if (id < 0 || found == objects_.end() || found->second->permission.id != id)
      return std::unexpected(Errno{EINVAL});
    return found->second;
  }
  // The n-th place, as SHM_STAT and its like count them.
  ErrnoOr<Ref<T>> at_index(int index) const {
    auto found = objects_.find(index);
    if (found == objects_.end()) return std::unexpected(Errno{EINVAL});
    return found->second;
  }
  Ref<T> by_key(std::int32_t key) const {
    for (const auto& [index, object] : objects_)
      if (key != 0 && object->permission.key == key) return object;
    return nullptr;
  }
  // ENOSPC.
  ErrnoOr<int> add(Ref<T> object) {
    if (objects_.size() >= most_) return std::unexpected(Errno{ENOSPC});
    int index = 0;
    for (const auto& [used, other] : objects_) {
      if (used != index) break;
      ++index;
    }
    IpcPermission& permission = object->permission;
    permission.sequence = sequence_;
    sequence_ = static_cast<std::uint16_t>((sequence_ + 1) & 0x7fff);
    permission.id = permission.sequence << kIndexBits | index;
    objects_[index] = std::move(object);
    return objects_[index]->permission.id;
  }
  void remove(const T& object) { objects_.erase(object.permission.id & kIndexMask); }
  std::size_t size() const { return objects_.size(); }
  int highest_index() const { return objects_.empty() ? 0 : objects_.rbegin()->first; }
  std::vector<Ref<T>> all() const {
    std::vector<Ref<T>> found;
    for (const auto& [index, object] : objects_) found.push_back(object);
    return found;
  }

 private:
  static constexpr int kIndexBits = 15, kIndexMask = (1 << kIndexBits) - 1;
  const std::size_t most_;
  std::map<int, Ref<T>> objects_;  // by index
  std::uint16_t sequence_ = 0;
};

}  // namespace caisson::sandbox::kernel

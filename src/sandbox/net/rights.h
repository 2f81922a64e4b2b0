// Rights: open files on their way through unix sockets (SCM_RIGHTS). A socket in flight may hold,
// in its own queue, the last reference to itself; such rings are found and taken apart here.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/mutex.h"
#include "base/ref.h"
#include "base/result.h"
#include "sandbox/vfs/file.h"

namespace caisson::sandbox::net {

class RightsTable;
class UnixEndpoint;

// The files of one message. Counted in the table as long as they are in flight.
class Rights {
 public:
  Rights() = default;
  Rights(Rights&& other) noexcept;
  Rights& operator=(Rights&& other) noexcept;
  ~Rights();

  bool empty() const { return files_.empty(); }
  const std::vector<Ref<vfs::File>>& files() const { return files_; }
  // Delivered: in flight no more.
  std::vector<Ref<vfs::File>> take();

 private:
  friend class RightsTable;
  RightsTable* table_ = nullptr;
  std::vector<Ref<vfs::File>> files_;
  std::uint32_t uid_ = 0;
};

// One per sandbox. Its lock comes before those of endpoints.
class RightsTable {
 public:
  // `owner` holds the table.
  explicit RightsTable(const RefCounted& owner) : owner_(owner) {}

  // ETOOMANYREFS: more than `limit` files of this user are in flight (0: no limit).
  ErrnoOr<Rights> send(std::vector<Ref<vfs::File>> files, std::uint32_t uid, std::uint64_t limit);
  // Drops files. What closing them drops in turn is dropped by the outermost call, so that the
  // depth of the stack does not depend on what guests put into each other.
  void drop(std::vector<Ref<vfs::File>> files);
  // A unix socket was closed: rings may have come loose.
  void collect();
  std::size_t sockets_in_flight() const;

 private:
  friend class Rights;
  struct InFlight {
    vfs::File* file = nullptr;
    std::uint32_t count = 0;
    // For one collection:
    std::uint32_t internal = 0;
    bool candidate = false, reached = false;
  };
  using Table = std::map<UnixEndpoint*, InFlight>;

  void forget(const std::vector<Ref<vfs::File>>& files, std::uint32_t uid);
  void drain();
  std::vector<Rights> find_garbage();
  void mark_reached(UnixEndpoint& from);

  const RefCounted& owner_;
  mutable Mutex mutex_;
  Table sockets_;
  std::map<std::uint32_t, std::uint64_t> by_user_;
  std::vector<Ref<vfs::File>> dropped_;
  bool draining_ = false;
  bool collection_wanted_ = false;
};

}  // namespace caisson::sandbox::net

// User namespaces (user_namespaces(7)): which ids of the sandbox their members see under which
// numbers. The sandbox's own is not an object: null.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "base/ref.h"

namespace caisson::sandbox::vfs {

struct IdRange {
  std::uint32_t inside = 0, outside = 0, count = 0;  // `outside`: an id of the sandbox
};

class UserNamespace final : public RefCounted {
 public:
  UserNamespace(Ref<UserNamespace> its_parent, std::uint32_t its_owner, std::uint64_t its_inode);
  const Ref<UserNamespace> parent;  // null: the sandbox's own
  const std::uint32_t owner;        // who made it, an id of the sandbox
  const std::uint64_t inode;
  const int depth;

  enum class Kind : std::uint8_t { kUsers, kGroups };
  // None: it has no number there.
  std::optional<std::uint32_t> to_sandbox(Kind kind, std::uint32_t inside) const;
  std::optional<std::uint32_t> from_sandbox(Kind kind, std::uint32_t id) const;
  std::vector<IdRange> ranges(Kind kind) const;
  // Once for each kind; false: it was set already.
  bool set_ranges(Kind kind, std::vector<IdRange> ranges);
  // setgroups(2) is allowed: until denied, which holds for good and comes before the groups' map.
  bool allows_groups() const;
  bool deny_groups();  // false: too late

 private:
  ~UserNamespace() override = default;
  mutable Mutex mutex_;
  std::vector<IdRange> users_, groups_;
  bool allows_groups_ = true;
};

constexpr std::uint32_t kOverflowId = 65534;  // of those without a number

}  // namespace caisson::sandbox::vfs

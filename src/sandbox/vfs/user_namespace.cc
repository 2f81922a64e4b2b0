#include "sandbox/vfs/user_namespace.h"

#include <utility>

namespace caisson::sandbox::vfs {
namespace {

std::optional<std::uint32_t> mapped(const std::vector<IdRange>& ranges, std::uint32_t id,
                                    std::uint32_t IdRange::* from, std::uint32_t IdRange::* to) {
  for (const IdRange& range : ranges)
    if (id >= range.*from && id - range.*from < range.count) return range.*to + (id - range.*from);
  return std::nullopt;
}

}  // namespace

UserNamespace::UserNamespace(Ref<UserNamespace> its_parent, std::uint32_t its_owner,
                             std::uint64_t its_inode)
    : parent(std::move(its_parent)),
      owner(its_owner),
      inode(its_inode),
      depth(parent ? parent->depth + 1 : 1) {}

std::optional<std::uint32_t> UserNamespace::to_sandbox(Kind kind, std::uint32_t inside) const {
  Locked lock(mutex_);
  return mapped(kind == Kind::kUsers ? users_ : groups_, inside, &IdRange::inside,
                &IdRange::outside);
}

std::optional<std::uint32_t> UserNamespace::from_sandbox(Kind kind, std::uint32_t id) const {
  Locked lock(mutex_);
  return mapped(kind == Kind::kUsers ? users_ : groups_, id, &IdRange::outside, &IdRange::inside);
}

std::vector<IdRange> UserNamespace::ranges(Kind kind) const {
  Locked lock(mutex_);
  return kind == Kind::kUsers ? users_ : groups_;
}

bool UserNamespace::set_ranges(Kind kind, std::vector<IdRange> ranges) {
  Locked lock(mutex_);
  std::vector<IdRange>& place = kind == Kind::kUsers ? users_ : groups_;
  if (!place.empty()) return false;
  place = std::move(ranges);
  return true;
}

bool UserNamespace::allows_groups() const {
  Locked lock(mutex_);
  return allows_groups_ && !groups_.empty();
}

bool UserNamespace::deny_groups() {
  Locked lock(mutex_);
  if (!groups_.empty() && allows_groups_) return false;
  allows_groups_ = false;
  return true;
}

}  // namespace caisson::sandbox::vfs

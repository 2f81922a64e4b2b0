#include "sandbox/kernel/user_counts.h"

namespace caisson::sandbox::kernel {

bool UserCounts::charge(UserCount kind, std::uint32_t uid, std::uint64_t amount,
                        std::uint64_t limit) {
  Locked lock(mutex_);
  auto found = counts_.find({kind, uid});
  std::uint64_t now = found == counts_.end() ? 0 : found->second;
  if (amount > limit || now > limit - amount) return false;
  counts_[{kind, uid}] = now + amount;
  return true;
}

void UserCounts::release(UserCount kind, std::uint32_t uid, std::uint64_t amount) {
  Locked lock(mutex_);
  auto found = counts_.find({kind, uid});
  if (found == counts_.end()) return;
  found->second -= amount;
  if (found->second == 0) counts_.erase(found);
}

}  // namespace caisson::sandbox::kernel

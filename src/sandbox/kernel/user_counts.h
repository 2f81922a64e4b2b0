// What users have of things that are limited for each of them, over all their processes.
#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "base/mutex.h"

namespace caisson::sandbox::kernel {

enum class UserCount : std::uint8_t { kInotifyInstances, kInotifyWatches, kMessageQueueBytes };

class UserCounts {
 public:
  // False, and nothing is counted: there would be more than `limit`.
  bool charge(UserCount kind, std::uint32_t uid, std::uint64_t amount, std::uint64_t limit);
  void release(UserCount kind, std::uint32_t uid, std::uint64_t amount);

 private:
  Mutex mutex_;
  std::map<std::pair<UserCount, std::uint32_t>, std::uint64_t> counts_;
};

}  // namespace caisson::sandbox::kernel

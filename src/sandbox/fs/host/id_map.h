// IdMap: owners of the host's files as the guest sees them, and back.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace caisson::sandbox::fs {

// What user_namespaces(7) shows for an id that has no mapping.
inline constexpr std::uint32_t kOverflowId = 65534;

struct IdRange {
  std::uint32_t guest = 0, host = 0, count = 0;
};

class IdMap {
 public:
  // Every id is itself.
  IdMap() = default;
  explicit IdMap(std::vector<IdRange> ranges) : ranges_(std::move(ranges)), identity_(false) {}

  std::uint32_t to_guest(std::uint32_t host) const;  // kOverflowId: none
  std::optional<std::uint32_t> to_host(std::uint32_t guest) const;

 private:
  std::vector<IdRange> ranges_;
  bool identity_ = true;
};

}  // namespace caisson::sandbox::fs

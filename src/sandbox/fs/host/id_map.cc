#include "sandbox/fs/host/id_map.h"

namespace caisson::sandbox::fs {

std::uint32_t IdMap::to_guest(std::uint32_t host) const {
  if (identity_) return host;
  for (const IdRange& range : ranges_)
    if (host >= range.host && host - range.host < range.count)
      return range.guest + (host - range.host);
  return kOverflowId;
}

std::optional<std::uint32_t> IdMap::to_host(std::uint32_t guest) const {
  if (identity_) return guest;
  for (const IdRange& range : ranges_)
    if (guest >= range.guest && guest - range.guest < range.count)
      return range.host + (guest - range.guest);
  return std::nullopt;
}

}  // namespace caisson::sandbox::fs

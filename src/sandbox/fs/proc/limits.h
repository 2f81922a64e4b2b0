// What a container is told about the machine: at most what it may use of it. Read on the host
// before the kernel process loses sight of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace caisson::sandbox::fs {

struct MachineFacts {
  std::uint64_t memory = 0;  // bytes
  unsigned processors = 1;
  std::vector<std::string> cpu_texts;  // of /proc/cpuinfo, one per processor, from 0 on
  // uname(2)'s release and version, as /proc/version has them.
  std::string release, version;

  // The host's own.
  static ErrnoOr<MachineFacts> of_host();
  // The same with no more than this; 0: no limit.
  MachineFacts limited(std::uint64_t memory_limit, unsigned processor_limit) const;
};

}  // namespace caisson::sandbox::fs

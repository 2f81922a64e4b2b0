// What a container is told about the machine: at most what it may use of it. Read on the host
// before the kernel process loses sight of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "sandbox/kernel/kernel.h"

namespace caisson::sandbox::fs {

struct MachineFacts {
  std::uint64_t memory = 0;  // bytes
  unsigned processors = 1;
  std::vector<std::string> cpu_texts;  // of /proc/cpuinfo, one per processor, from 0 on
  // uname(2)'s release and version, as /proc/version has them.
  std::string release, version;

  // What the container may use of it, which changes; null: all.
  Ref<kernel::ToldLimits> told;

  // The host's own.
  static ErrnoOr<MachineFacts> of_host();
  std::uint64_t shown_memory() const { return told ? told->memory_of(memory) : memory; }
  unsigned shown_processors() const { return told ? told->processors_of(processors) : processors; }
};

}  // namespace caisson::sandbox::fs

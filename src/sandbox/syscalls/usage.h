// struct rusage of a guest.
#pragma once

#include <array>
#include <cstdint>

#include "sandbox/kernel/thread_group.h"
#include "sandbox/syscalls/answer.h"

namespace caisson::sandbox::syscalls {

struct GuestUsage {
  GuestTime user, system;
  std::int64_t max_resident = 0;  // kilobytes
  std::array<std::int64_t, 3> memory_integrals{};
  std::int64_t minor_faults = 0, major_faults = 0, swaps = 0, blocks_in = 0, blocks_out = 0;
  std::int64_t messages_sent = 0, messages_received = 0, signals = 0;
  std::int64_t voluntary_switches = 0, involuntary_switches = 0;
};
static_assert(sizeof(GuestUsage) == 144);

GuestUsage guest_usage(const kernel::ResourceUsage& usage);

}  // namespace caisson::sandbox::syscalls

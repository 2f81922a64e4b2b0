// The device rules of a v2 cgroup as an eBPF program (BPF_PROG_TYPE_CGROUP_DEVICE).
#pragma once

#include <cstdint>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "plan/plan.h"

namespace caisson::linux {

// struct bpf_insn of <linux/bpf.h>: src and dst are nibbles of one byte there.
struct DeviceInstruction {
  std::uint8_t code = 0;
  std::uint8_t registers = 0;  // dst | src << 4
  std::int16_t offset = 0;
  std::int32_t immediate = 0;
  friend bool operator==(const DeviceInstruction&, const DeviceInstruction&) = default;
};

// Pure. The last rule that matches decides; without a match access is denied.
std::vector<DeviceInstruction> compile_device_program(const std::vector<plan::CgroupDevice>& rules);

// Loads the rules and puts them on the v2 cgroup directory behind `cgroup` (opened for reading). A
// device program that is there already is replaced in one step, so that access is never wider or
// narrower than one of the two.
Result<> set_device_program(FdRef cgroup, const std::vector<plan::CgroupDevice>& rules);

}  // namespace caisson::linux

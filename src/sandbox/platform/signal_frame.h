// The signal frame that the host's kernel builds on a guest thread's alternate stack, behind the
// return address: struct ucontext as the kernel has it, and the siginfo_t behind it. From the host
// kernel: arch/x86/include/asm/sigframe.h, struct rt_sigframe; uapi/asm/sigcontext.h.
#pragma once

#include <signal.h>
#include <ucontext.h>

#include <cstddef>
#include <cstdint>

#include "sandbox/abi/registers.h"
#include "sandbox/platform/layout.h"

namespace caisson::sandbox::platform {

struct SignalFrame {
  std::uint64_t flags, link;
  stack_t stack;
  greg_t registers[NGREG];
  std::uint64_t extended_state;  // its address
  std::uint64_t reserved[8];
  std::uint64_t blocked;
  siginfo_t info;
};
static_assert(offsetof(SignalFrame, info) == 304);

void copy_registers(abi::Registers& to, const greg_t (&from)[NGREG]);
void copy_registers(abi::Registers& to, const CallRecord& from);
void copy_registers(SignalFrame& to, const abi::Registers& from);

}  // namespace caisson::sandbox::platform

// Registers in the layouts of ptrace(2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "sandbox/abi/registers.h"

namespace caisson::sandbox::kernel {

// NT_PRSTATUS, which is struct user_regs_struct.
std::vector<std::byte> general_registers(const abi::Registers& registers);
// EIO: no guest can have these; shorter sets leave the rest as it is.
ErrnoOr<> set_general_registers(abi::Registers& registers, std::span<const std::byte> set);
// The task is not in a system call (any more): nothing is to be restarted.
void forget_call(abi::Registers& registers);
bool is_in_call(const abi::Registers& registers);
std::uint32_t call_architecture();  // AUDIT_ARCH_*

}  // namespace caisson::sandbox::kernel

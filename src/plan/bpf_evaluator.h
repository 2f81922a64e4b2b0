// Classic BPF as seccomp(2) uses it: check, run and print a program without a kernel.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "plan/plan.h"

namespace caisson::plan {

// struct seccomp_data of <linux/seccomp.h>.
struct SeccompData {
  std::int32_t number = 0;
  std::uint32_t arch = 0;  // AUDIT_ARCH_*
  std::uint64_t instruction_pointer = 0;
  std::uint64_t args[6] = {};
};

struct BpfOutcome {
  std::uint32_t value = 0;  // SECCOMP_RET_* with its data
  std::uint32_t steps = 0;  // instructions executed
};

// Whether the kernel would load the program: known operations, jumps forward and inside, aligned
// loads inside seccomp_data, a return at the end, at most BPF_MAXINSNS (4096) instructions.
Result<> check_bpf(std::span<const BpfInstruction> program);

// Runs a program that check_bpf() accepts.
BpfOutcome evaluate_bpf(std::span<const BpfInstruction> program, const SeccompData& data);

// One instruction a line: "  12  jge  318            ->  40 else  13".
std::string disassemble_bpf(std::span<const BpfInstruction> program);

// "allow", "errno 38 (ENOSYS)", "kill process" ... for a filter's return value.
std::string describe_seccomp_action(std::uint32_t value);

}  // namespace caisson::plan

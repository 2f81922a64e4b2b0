// The devices that every container may use, as v1 rules and as a program for cgroup v2. For
// floor.cc only.
#pragma once

#include <linux/bpf.h>

#include <array>
#include <cstdint>
#include <vector>

struct DeviceRule {
  int type;  // BPF_DEVCG_DEV_CHAR or BPF_DEVCG_DEV_BLOCK
  int major;
  int minor;  // -1: any
  int access;
  const char* v1;
};

// What runc and crun allow in every container beside the (empty) list of the configuration.
inline constexpr int kRwm = BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE | BPF_DEVCG_ACC_MKNOD;
inline constexpr std::array<DeviceRule, 11> kDeviceRules{{
    {BPF_DEVCG_DEV_CHAR, -1, -1, BPF_DEVCG_ACC_MKNOD, "c *:* m"},
    {BPF_DEVCG_DEV_BLOCK, -1, -1, BPF_DEVCG_ACC_MKNOD, "b *:* m"},
    {BPF_DEVCG_DEV_CHAR, 1, 3, kRwm, "c 1:3 rwm"},
    {BPF_DEVCG_DEV_CHAR, 1, 8, kRwm, "c 1:8 rwm"},
    {BPF_DEVCG_DEV_CHAR, 1, 7, kRwm, "c 1:7 rwm"},
    {BPF_DEVCG_DEV_CHAR, 5, 0, kRwm, "c 5:0 rwm"},
    {BPF_DEVCG_DEV_CHAR, 1, 5, kRwm, "c 1:5 rwm"},
    {BPF_DEVCG_DEV_CHAR, 1, 9, kRwm, "c 1:9 rwm"},
    {BPF_DEVCG_DEV_CHAR, 5, 1, kRwm, "c 5:1 rwm"},
    {BPF_DEVCG_DEV_CHAR, 136, -1, kRwm, "c 136:* rwm"},
    {BPF_DEVCG_DEV_CHAR, 5, 2, kRwm, "c 5:2 rwm"},
}};

inline bpf_insn instruction(int code, int destination, int source, int offset, int immediate) {
  bpf_insn result{};
  result.code = static_cast<std::uint8_t>(code);
  result.dst_reg = static_cast<std::uint8_t>(destination & 0xf);
  result.src_reg = static_cast<std::uint8_t>(source & 0xf);
  result.off = static_cast<std::int16_t>(offset);
  result.imm = immediate;
  return result;
}

inline std::vector<bpf_insn> device_program() {
  constexpr int kLoadWord = BPF_LDX | BPF_MEM | BPF_W;
  constexpr int kJumpUnequal = BPF_JMP | BPF_JNE | BPF_K;
  std::vector<bpf_insn> code{
      instruction(kLoadWord, 2, 1, 0, 0),                         // r2 = access << 16 | type
      instruction(BPF_ALU64 | BPF_MOV | BPF_X, 3, 2, 0, 0),       // r3 = access
      instruction(BPF_ALU64 | BPF_RSH | BPF_K, 3, 0, 0, 16),      //
      instruction(BPF_ALU64 | BPF_AND | BPF_K, 2, 0, 0, 0xffff),  // r2 = type
      instruction(kLoadWord, 4, 1, 4, 0),                         // r4 = major
      instruction(kLoadWord, 5, 1, 8, 0),                         // r5 = minor
      instruction(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1),       // r0 = allow
  };
  for (const DeviceRule& rule : kDeviceRules) {
    std::vector<bpf_insn> tests{instruction(kJumpUnequal, 2, 0, 0, rule.type)};
    if (rule.access != kRwm) {
      tests.push_back(instruction(BPF_JMP | BPF_JSET | BPF_K, 3, 0, 0, kRwm & ~rule.access));
    }
    if (rule.major >= 0) tests.push_back(instruction(kJumpUnequal, 4, 0, 0, rule.major));
    if (rule.minor >= 0) tests.push_back(instruction(kJumpUnequal, 5, 0, 0, rule.minor));
    tests.push_back(instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
    for (std::size_t i = 0; i + 1 < tests.size(); ++i)
      tests[i].off = static_cast<std::int16_t>(tests.size() - 1 - i);
    code.insert(code.end(), tests.begin(), tests.end());
  }
  code.push_back(instruction(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0));
  code.push_back(instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
  return code;
}

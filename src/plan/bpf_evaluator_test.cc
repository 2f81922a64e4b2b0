#include "plan/bpf_evaluator.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstddef>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace caisson::plan {
namespace {

using Program = std::vector<BpfInstruction>;
using ::testing::HasSubstr;

constexpr BpfInstruction kAllow = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
constexpr BpfInstruction kLoadArch = {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, arch)};

std::string refusal(const Program& program) {
  auto checked = check_bpf(program);
  return checked ? "" : checked.error().message();
}

TEST(BpfEvaluator, RefusesWhatTheKernelRefuses) {
  EXPECT_EQ(refusal({kAllow}), "");
  EXPECT_THAT(refusal({}), HasSubstr("1 to 4096 instructions"));
  EXPECT_THAT(refusal(Program(4097, kAllow)), HasSubstr("not 4097"));
  EXPECT_THAT(refusal({kLoadArch}), HasSubstr("no return"));
  EXPECT_THAT(refusal({{BPF_JMP | BPF_JA, 0, 0, 1}, kAllow}), HasSubstr("jump out"));
  EXPECT_THAT(refusal({{BPF_JMP | BPF_JA, 0, 0, 0xffffffff}, kAllow}), HasSubstr("jump out"));
  EXPECT_THAT(refusal({{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0}, kAllow}), HasSubstr("jump out"));
  EXPECT_THAT(refusal({{BPF_LD | BPF_W | BPF_ABS, 0, 0, 2}, kAllow}), HasSubstr("not aligned"));
  EXPECT_THAT(refusal({{BPF_LD | BPF_W | BPF_ABS, 0, 0, 64}, kAllow}), HasSubstr("outside"));
  EXPECT_THAT(refusal({{BPF_LD | BPF_B | BPF_ABS, 0, 0, 0}, kAllow}), HasSubstr("unknown"));
  EXPECT_THAT(refusal({{BPF_ALU | BPF_DIV | BPF_K, 0, 0, 0}, kAllow}), HasSubstr("zero"));
  EXPECT_THAT(refusal({{BPF_ST, 0, 0, BPF_MEMWORDS}, kAllow}), HasSubstr("scratch"));
}

TEST(BpfEvaluator, ReadsEveryFieldOfTheData) {
  const SeccompData data = {
      7, AUDIT_ARCH_X86_64, 0x1122334455667788, {0x99aabbccddeeff00, 2, 3, 4, 5, 6}};
  auto word = [&](std::uint32_t offset) {
    return evaluate_bpf(
               Program{{BPF_LD | BPF_W | BPF_ABS, 0, 0, offset}, {BPF_RET | BPF_A, 0, 0, 0}}, data)
        .value;
  };
  EXPECT_EQ(word(0), 7U);
  EXPECT_EQ(word(4), static_cast<std::uint32_t>(AUDIT_ARCH_X86_64));
  EXPECT_EQ(word(8), 0x55667788U);
  EXPECT_EQ(word(12), 0x11223344U);
  EXPECT_EQ(word(16), 0xddeeff00U);
  EXPECT_EQ(word(20), 0x99aabbccU);
  EXPECT_EQ(word(56), 6U);
}

TEST(BpfEvaluator, CalculatesAsTheKernelDoes) {
  auto result = [](std::uint16_t operation, std::uint32_t a, std::uint32_t x) {
    const Program program = {{BPF_LDX | BPF_IMM, 0, 0, x},
                             {BPF_LD | BPF_IMM, 0, 0, a},
                             {static_cast<std::uint16_t>(BPF_ALU | operation | BPF_X), 0, 0, 0},
                             {BPF_ST, 0, 0, 3},
                             {BPF_LDX | BPF_MEM, 0, 0, 3},
                             {BPF_MISC | BPF_TXA, 0, 0, 0},
                             {BPF_RET | BPF_A, 0, 0, 0}};
    EXPECT_TRUE(check_bpf(program));
    return evaluate_bpf(program, {}).value;
  };
  EXPECT_EQ(result(BPF_ADD, 5, 0xffffffff), 4U);
  EXPECT_EQ(result(BPF_SUB, 5, 6), 0xffffffffU);
  EXPECT_EQ(result(BPF_MUL, 5, 6), 30U);
  EXPECT_EQ(result(BPF_DIV, 31, 6), 5U);
  EXPECT_EQ(result(BPF_AND, 12, 10), 8U);
  EXPECT_EQ(result(BPF_OR, 12, 10), 14U);
  EXPECT_EQ(result(BPF_XOR, 12, 10), 6U);
  EXPECT_EQ(result(BPF_LSH, 3, 4), 48U);
  EXPECT_EQ(result(BPF_RSH, 48, 4), 3U);
}

TEST(BpfEvaluator, CountsSteps) {
  const Program program = {kLoadArch,
                           {BPF_JMP | BPF_JGE | BPF_K, 0, 1, 0x80000000},
                           {BPF_JMP | BPF_JA, 0, 0, 0},
                           kAllow};
  EXPECT_EQ(evaluate_bpf(program, {0, AUDIT_ARCH_X86_64, 0, {}}).steps, 4U);
  EXPECT_EQ(evaluate_bpf(program, {0, AUDIT_ARCH_I386, 0, {}}).steps, 3U);
}

TEST(BpfEvaluator, PrintsProgramsForPeople) {
  const Program program = {kLoadArch,
                           {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, AUDIT_ARCH_X86_64},
                           {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_THREAD},
                           {BPF_LD | BPF_W | BPF_ABS, 0, 0, 28},
                           {BPF_ALU | BPF_AND | BPF_K, 0, 0, 255},
                           {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | 38}};
  EXPECT_EQ(disassemble_bpf(program),
            "0\tld arch\n1\tjeq 0xc000003e 3 else 2\n2\tret kill thread\n3\tld a1.hi\n4\tand 0xff\n"
            "5\tret errno 38 (ENOSYS)\n");
}

}  // namespace
}  // namespace caisson::plan

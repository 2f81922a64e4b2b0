#include "sandbox/kernel/syscall_filter.h"

#include <cerrno>
#include <cstddef>

#include <gtest/gtest.h>

namespace caisson::sandbox::kernel {
namespace {

sock_filter step(int code, std::uint32_t k) { return {static_cast<std::uint16_t>(code), 0, 0, k}; }
sock_filter jump(int code, std::uint32_t k, std::uint8_t yes, std::uint8_t no) {
  return {static_cast<std::uint16_t>(code), yes, no, k};
}
sock_filter give(std::uint32_t answer) { return step(BPF_RET | BPF_K, answer); }
sock_filter load_number() { return step(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)); }

std::vector<sock_filter> only(std::uint32_t number, std::uint32_t answer, std::uint32_t otherwise) {
  return {load_number(), jump(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), give(answer),
          give(otherwise)};
}

std::uint32_t run(const std::vector<sock_filter>& program, int number = 0,
                  std::uint64_t argument = 0) {
  EXPECT_TRUE(is_valid_filter(program));
  seccomp_data data{};
  data.nr = number;
  data.args[0] = argument;
  return run_filter(program, data);
}

TEST(SyscallFilter, DecidesByNumberAndArgument) {
  EXPECT_EQ(run(only(7, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO | 1), 7), SECCOMP_RET_ALLOW);
  EXPECT_EQ(run(only(7, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO | 1), 8), SECCOMP_RET_ERRNO | 1U);
  std::vector<sock_filter> by_argument = {
      step(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args) + 4),
      jump(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 1), give(1), give(2)};
  EXPECT_EQ(run(by_argument, 0, 1ULL << 32), 1U);
  EXPECT_EQ(run(by_argument, 0, 1), 2U);
}

TEST(SyscallFilter, Calculates) {
  EXPECT_EQ(run({step(BPF_LD | BPF_IMM, 40), step(BPF_LDX | BPF_IMM, 2),
                 step(BPF_ALU | BPF_ADD | BPF_X, 0), step(BPF_ST, 3), step(BPF_LD | BPF_IMM, 0),
                 step(BPF_LD | BPF_MEM, 3), step(BPF_RET | BPF_A, 0)}),
            42U);
  EXPECT_EQ(run({step(BPF_LD | BPF_IMM, 1), step(BPF_ALU | BPF_NEG, 0), step(BPF_RET | BPF_A, 0)}),
            0xffffffffU);
  EXPECT_EQ(run({step(BPF_LD | BPF_W | BPF_LEN, 0), step(BPF_RET | BPF_A, 0)}),
            sizeof(seccomp_data));
  // A division by zero ends the program, strictly.
  EXPECT_EQ(run({step(BPF_LD | BPF_IMM, 1), step(BPF_LDX | BPF_IMM, 0),
                 step(BPF_ALU | BPF_DIV | BPF_X, 0), give(SECCOMP_RET_ALLOW)}),
            0U);
}

TEST(SyscallFilter, RefusesWhatCouldLeaveItsBounds) {
  using Program = std::vector<sock_filter>;
  EXPECT_FALSE(is_valid_filter(Program{}));
  EXPECT_FALSE(is_valid_filter(Program{step(BPF_LD | BPF_IMM, 1)}));  // no end
  EXPECT_FALSE(is_valid_filter(Program{jump(BPF_JMP | BPF_JA, 1, 0, 0), give(0)}));
  EXPECT_FALSE(is_valid_filter(Program{jump(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1), give(0)}));
  EXPECT_FALSE(
      is_valid_filter(Program{step(BPF_LD | BPF_W | BPF_ABS, sizeof(seccomp_data)), give(0)}));
  EXPECT_FALSE(is_valid_filter(Program{step(BPF_LD | BPF_W | BPF_ABS, 2), give(0)}));
  EXPECT_FALSE(is_valid_filter(Program{step(BPF_LD | BPF_B | BPF_ABS, 0), give(0)}));
  EXPECT_FALSE(is_valid_filter(Program{step(BPF_ST, BPF_MEMWORDS), give(0)}));
  EXPECT_FALSE(is_valid_filter(Program{step(BPF_ALU | BPF_DIV | BPF_K, 0), give(0)}));
  EXPECT_FALSE(is_valid_filter(Program{step(BPF_ALU | BPF_LSH | BPF_K, 32), give(0)}));
  EXPECT_FALSE(is_valid_filter(Program{step(BPF_ALU | BPF_MOD | BPF_K, 3), give(0)}));
  // Read before it was written, on one of two ways.
  EXPECT_FALSE(is_valid_filter(Program{step(BPF_LD | BPF_MEM, 0), give(0)}));
  EXPECT_FALSE(is_valid_filter(Program{load_number(), jump(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1),
                                       step(BPF_ST, 0), step(BPF_LD | BPF_MEM, 0), give(0)}));
}

TEST(SyscallFilter, TheStrictestOfAllCounts) {
  seccomp_data data{};
  data.nr = 5;
  auto allows = MUST(SyscallFilter::create({give(SECCOMP_RET_ALLOW)}, nullptr, false));
  auto refuses =
      MUST(SyscallFilter::create(only(5, SECCOMP_RET_ERRNO | 9, SECCOMP_RET_ALLOW), allows, false));
  auto traps = MUST(SyscallFilter::create({give(SECCOMP_RET_TRAP)}, refuses, false));
  auto kills = MUST(SyscallFilter::create({give(SECCOMP_RET_KILL_PROCESS)}, refuses, false));
  EXPECT_EQ(refuses->run(data), SECCOMP_RET_ERRNO | 9U);
  EXPECT_EQ(traps->run(data), static_cast<std::uint32_t>(SECCOMP_RET_TRAP));
  EXPECT_EQ(kills->run(data), static_cast<std::uint32_t>(SECCOMP_RET_KILL_PROCESS));
  EXPECT_TRUE(traps->is_on(allows.get()));
  EXPECT_FALSE(traps->is_on(kills.get()));
  EXPECT_EQ(traps->count(), 3U);
}

TEST(SyscallFilter, AllTogetherAreLimited) {
  std::vector<sock_filter> large(SyscallFilter::kMostInstructions, step(BPF_LD | BPF_IMM, 0));
  large.back() = give(SECCOMP_RET_ALLOW);
  Ref<SyscallFilter> top;
  int error = 0;
  for (int i = 0; i < 10 && error == 0; ++i) {
    auto made = SyscallFilter::create(large, top, false);
    if (made)
      top = *made;
    else
      error = made.error().value;
  }
  EXPECT_EQ(error, ENOMEM);
  EXPECT_EQ(top->count(), 7U);
}

}  // namespace
}  // namespace caisson::sandbox::kernel

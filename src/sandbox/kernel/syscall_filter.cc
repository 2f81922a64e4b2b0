#include "sandbox/kernel/syscall_filter.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace caisson::sandbox::kernel {
namespace {

constexpr std::uint32_t kActionBits = SECCOMP_RET_ACTION_FULL;

bool is_known(const sock_filter& step) {
  switch (step.code) {
    case BPF_LD | BPF_W | BPF_ABS:
      return step.k < sizeof(seccomp_data) && step.k % sizeof(std::uint32_t) == 0;
    case BPF_LD | BPF_IMM:
    case BPF_LDX | BPF_IMM:
    case BPF_LD | BPF_W | BPF_LEN:
    case BPF_LDX | BPF_W | BPF_LEN:
    case BPF_MISC | BPF_TAX:
    case BPF_MISC | BPF_TXA:
    case BPF_RET | BPF_K:
    case BPF_RET | BPF_A: return true;
    case BPF_LD | BPF_MEM:
    case BPF_LDX | BPF_MEM:
    case BPF_ST:
    case BPF_STX: return step.k < BPF_MEMWORDS;
    default: break;
  }
  std::uint16_t kind = BPF_CLASS(step.code), operation = BPF_OP(step.code);
  bool plain = (step.code & ~(BPF_CLASS(0xff) | BPF_OP(0xff) | BPF_SRC(0xff))) == 0;
  if (!plain) return false;
  if (kind == BPF_ALU) {
    bool by_constant = BPF_SRC(step.code) == BPF_K;
    if (operation == BPF_DIV) return !by_constant || step.k != 0;
    if (operation == BPF_LSH || operation == BPF_RSH) return !by_constant || step.k < 32;
    if (operation == BPF_NEG) return by_constant;
    return operation == BPF_ADD || operation == BPF_SUB || operation == BPF_MUL ||
           operation == BPF_AND || operation == BPF_OR || operation == BPF_XOR;
  }
  if (kind != BPF_JMP) return false;
  if (operation == BPF_JA) return BPF_SRC(step.code) == BPF_K;
  return operation == BPF_JEQ || operation == BPF_JGT || operation == BPF_JGE ||
         operation == BPF_JSET;
}

bool stays_inside(std::span<const sock_filter> program, std::size_t at) {
  const sock_filter& step = program[at];
  if (BPF_CLASS(step.code) != BPF_JMP) return true;
  std::size_t left = program.size() - at - 1;
  if (BPF_OP(step.code) == BPF_JA) return step.k < left;
  return step.jt < left && step.jf < left;
}

// Words of its scratch memory are read only where each way there wrote them
// (check_load_and_stores() of Linux).
bool reads_what_it_wrote(std::span<const sock_filter> program) {
  std::vector<std::uint16_t> known(program.size(), 0xffff);
  std::uint16_t now = 0;
  for (std::size_t i = 0; i < program.size(); ++i) {
    const sock_filter& step = program[i];
    now &= known[i];
    switch (step.code) {
      case BPF_ST:
      case BPF_STX: now |= static_cast<std::uint16_t>(1U << step.k); continue;
      case BPF_LD | BPF_MEM:
      case BPF_LDX | BPF_MEM:
        if ((now >> step.k & 1) == 0) return false;
        continue;
      default: break;
    }
    if (BPF_CLASS(step.code) != BPF_JMP) continue;
    if (BPF_OP(step.code) == BPF_JA) {
      known[i + 1 + step.k] &= now;
    } else {
      known[i + 1 + step.jt] &= now;
      known[i + 1 + step.jf] &= now;
    }
    now = 0xffff;
  }
  return true;
}

std::uint32_t calculate(std::uint16_t operation, std::uint32_t a, std::uint32_t b) {
  switch (operation) {
    case BPF_ADD: return a + b;
    case BPF_SUB: return a - b;
    case BPF_MUL: return a * b;
    case BPF_DIV: return a / b;  // by zero: the program ended before
    case BPF_AND: return a & b;
    case BPF_OR: return a | b;
    case BPF_XOR: return a ^ b;
    case BPF_LSH: return b < 32 ? a << b : 0;
    case BPF_RSH: return b < 32 ? a >> b : 0;
    default: return ~a + 1;  // BPF_NEG
  }
}

bool holds(std::uint16_t operation, std::uint32_t a, std::uint32_t b) {
  switch (operation) {
    case BPF_JEQ: return a == b;
    case BPF_JGT: return a > b;
    case BPF_JGE: return a >= b;
    default: return (a & b) != 0;  // BPF_JSET
  }
}

struct Machine {
  std::uint32_t a = 0, x = 0;
  std::array<std::uint32_t, BPF_MEMWORDS> memory{};

  // All but jumps and returns.
  void step(const sock_filter& step, const seccomp_data& data) {
    switch (step.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        std::memcpy(&a, reinterpret_cast<const std::byte*>(&data) + step.k, sizeof a);
        break;
      case BPF_LD | BPF_IMM: a = step.k; break;
      case BPF_LDX | BPF_IMM: x = step.k; break;
      case BPF_LD | BPF_W | BPF_LEN: a = sizeof data; break;
      case BPF_LDX | BPF_W | BPF_LEN: x = sizeof data; break;
      case BPF_LD | BPF_MEM: a = memory[step.k]; break;
      case BPF_LDX | BPF_MEM: x = memory[step.k]; break;
      case BPF_ST: memory[step.k] = a; break;
      case BPF_STX: memory[step.k] = x; break;
      case BPF_MISC | BPF_TAX: x = a; break;
      case BPF_MISC | BPF_TXA: a = x; break;
      default: a = calculate(BPF_OP(step.code), a, operand(step)); break;
    }
  }
  std::uint32_t operand(const sock_filter& step) const {
    return BPF_SRC(step.code) == BPF_X ? x : step.k;
  }
};

}  // namespace

bool is_valid_filter(std::span<const sock_filter> program) {
  if (program.empty() || program.size() > SyscallFilter::kMostInstructions) return false;
  for (std::size_t i = 0; i < program.size(); ++i)
    if (!is_known(program[i]) || !stays_inside(program, i)) return false;
  return BPF_CLASS(program.back().code) == BPF_RET && reads_what_it_wrote(program);
}

// Jumps lead forwards only, so this ends.
std::uint32_t run_filter(std::span<const sock_filter> program, const seccomp_data& data) {
  Machine machine;
  for (std::size_t at = 0; at < program.size(); ++at) {
    const sock_filter& step = program[at];
    std::uint16_t kind = BPF_CLASS(step.code);
    if (kind == BPF_RET) return BPF_RVAL(step.code) == BPF_A ? machine.a : step.k;
    if (kind == BPF_JMP) {
      if (BPF_OP(step.code) == BPF_JA)
        at += step.k;
      else
        at += holds(BPF_OP(step.code), machine.a, machine.operand(step)) ? step.jt : step.jf;
      continue;
    }
    bool by_zero = kind == BPF_ALU && BPF_OP(step.code) == BPF_DIV && machine.operand(step) == 0;
    if (by_zero) return 0;  // as Linux: SECCOMP_RET_KILL_THREAD
    machine.step(step, data);
  }
  return SECCOMP_RET_KILL_PROCESS;
}

ErrnoOr<Ref<SyscallFilter>> SyscallFilter::create(std::vector<sock_filter> program,
                                                  Ref<SyscallFilter> below, bool logs) {
  if (!is_valid_filter(program)) return std::unexpected(Errno{EINVAL});
  std::size_t together = program.size();
  for (const SyscallFilter* at = below.get(); at != nullptr; at = at->below_.get())
    together += at->program_.size() + 4;  // instruction penalty of Linux
  if (together > kMostTogether) return std::unexpected(Errno{ENOMEM});
  return Ref<SyscallFilter>::adopt(new SyscallFilter(std::move(program), std::move(below), logs));
}

// One after the other: a chain may be longer than our stack.
SyscallFilter::~SyscallFilter() {
  Ref<SyscallFilter> next = std::move(below_);
  while (next && next->reference_count() == 1) next = std::exchange(next->below_, nullptr);
}

std::uint32_t SyscallFilter::run(const seccomp_data& data) const {
  std::uint32_t strictest = SECCOMP_RET_ALLOW;
  auto rank = [](std::uint32_t answer) { return static_cast<std::int32_t>(answer & kActionBits); };
  for (const SyscallFilter* at = this; at != nullptr; at = at->below_.get()) {
    std::uint32_t answer = run_filter(at->program_, data);
    if (rank(answer) < rank(strictest)) strictest = answer;
  }
  return strictest;
}

bool SyscallFilter::is_on(const SyscallFilter* other) const {
  for (const SyscallFilter* at = this; at != nullptr; at = at->below_.get())
    if (at == other) return true;
  return other == nullptr;
}

std::size_t SyscallFilter::count() const {
  std::size_t found = 0;
  for (const SyscallFilter* at = this; at != nullptr; at = at->below_.get()) ++found;
  return found;
}

}  // namespace caisson::sandbox::kernel

#include "plan/bpf_evaluator.h"

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <array>
#include <cstddef>
#include <cstring>

namespace caisson::plan {

namespace {

static_assert(sizeof(SeccompData) == sizeof(seccomp_data));
static_assert(sizeof(BpfInstruction) == sizeof(sock_filter));

constexpr std::uint32_t kDataSize = sizeof(SeccompData);

Error broken(std::size_t at, std::string_view why) {
  return Error::invalid(cat("instruction ", at, ": ", why));
}

bool is_jump(std::uint16_t code) { return BPF_CLASS(code) == BPF_JMP; }

// The operations that seccomp_check_filter() of kernel/seccomp.c lets pass, without jumps and loads
// from the data, which need a look at their operands.
bool plain_operation(std::uint16_t code) {
  switch (code) {
    case BPF_LD | BPF_W | BPF_LEN:
    case BPF_LDX | BPF_W | BPF_LEN:
    case BPF_LD | BPF_IMM:
    case BPF_LDX | BPF_IMM:
    case BPF_MISC | BPF_TAX:
    case BPF_MISC | BPF_TXA:
    case BPF_RET | BPF_K:
    case BPF_RET | BPF_A:
    case BPF_ALU | BPF_ADD | BPF_K:
    case BPF_ALU | BPF_ADD | BPF_X:
    case BPF_ALU | BPF_SUB | BPF_K:
    case BPF_ALU | BPF_SUB | BPF_X:
    case BPF_ALU | BPF_MUL | BPF_K:
    case BPF_ALU | BPF_MUL | BPF_X:
    case BPF_ALU | BPF_DIV | BPF_X:
    case BPF_ALU | BPF_AND | BPF_K:
    case BPF_ALU | BPF_AND | BPF_X:
    case BPF_ALU | BPF_OR | BPF_K:
    case BPF_ALU | BPF_OR | BPF_X:
    case BPF_ALU | BPF_XOR | BPF_K:
    case BPF_ALU | BPF_XOR | BPF_X:
    case BPF_ALU | BPF_LSH | BPF_X:
    case BPF_ALU | BPF_RSH | BPF_X:
    case BPF_ALU | BPF_NEG: return true;
    default: return false;
  }
}

Result<> check_jump(std::size_t at, const BpfInstruction& instruction, std::size_t size) {
  const std::size_t left = size - at - 1;
  if (instruction.code == (BPF_JMP | BPF_JA)) {
    if (instruction.k >= left) return std::unexpected(broken(at, "jump out of the program"));
    return {};
  }
  switch (BPF_OP(instruction.code)) {
    case BPF_JEQ:
    case BPF_JGT:
    case BPF_JGE:
    case BPF_JSET: break;
    default: return std::unexpected(broken(at, "unknown jump"));
  }
  if (instruction.jt >= left || instruction.jf >= left)
    return std::unexpected(broken(at, "jump out of the program"));
  return {};
}

Result<> check_one(std::size_t at, const BpfInstruction& instruction, std::size_t size) {
  if (is_jump(instruction.code)) return check_jump(at, instruction, size);
  if (plain_operation(instruction.code)) return {};
  switch (instruction.code) {
    case BPF_LD | BPF_W | BPF_ABS:
      if (instruction.k % 4 == 0 && instruction.k < kDataSize) return {};
      return std::unexpected(broken(at, "load outside of seccomp_data or not aligned"));
    case BPF_LD | BPF_MEM:
    case BPF_LDX | BPF_MEM:
    case BPF_ST:
    case BPF_STX:
      if (instruction.k < BPF_MEMWORDS) return {};
      return std::unexpected(broken(at, "no such scratch word"));
    case BPF_ALU | BPF_DIV | BPF_K:
      if (instruction.k != 0) return {};
      return std::unexpected(broken(at, "division by zero"));
    case BPF_ALU | BPF_LSH | BPF_K:
    case BPF_ALU | BPF_RSH | BPF_K:
      if (instruction.k < 32) return {};
      return std::unexpected(broken(at, "shift by 32 or more"));
    default: return std::unexpected(broken(at, "operation unknown to seccomp"));
  }
}

struct Machine {
  std::uint32_t a = 0, x = 0;
  std::array<std::uint32_t, BPF_MEMWORDS> memory{};
};

std::uint32_t load_word(const SeccompData& data, std::uint32_t offset) {
  std::uint32_t word = 0;
  if (offset + sizeof word <= sizeof data)
    std::memcpy(&word, reinterpret_cast<const char*>(&data) + offset, sizeof word);
  return word;
}

void run_alu(Machine& machine, const BpfInstruction& instruction) {
  const std::uint32_t operand = BPF_SRC(instruction.code) == BPF_X ? machine.x : instruction.k;
  switch (BPF_OP(instruction.code)) {
    case BPF_ADD: machine.a += operand; break;
    case BPF_SUB: machine.a -= operand; break;
    case BPF_MUL: machine.a *= operand; break;
    case BPF_DIV: machine.a = operand == 0 ? 0 : machine.a / operand; break;
    case BPF_AND: machine.a &= operand; break;
    case BPF_OR: machine.a |= operand; break;
    case BPF_XOR: machine.a ^= operand; break;
    case BPF_LSH: machine.a = machine.a << (operand & 31); break;
    case BPF_RSH: machine.a = machine.a >> (operand & 31); break;
    default:
      machine.a = 0U - machine.a;  // BPF_NEG
      break;
  }
}

// How many instructions to skip.
std::uint32_t run_jump(const Machine& machine, const BpfInstruction& instruction) {
  if (BPF_OP(instruction.code) == BPF_JA) return instruction.k;
  const std::uint32_t operand = BPF_SRC(instruction.code) == BPF_X ? machine.x : instruction.k;
  bool taken = false;
  switch (BPF_OP(instruction.code)) {
    case BPF_JEQ: taken = machine.a == operand; break;
    case BPF_JGT: taken = machine.a > operand; break;
    case BPF_JGE: taken = machine.a >= operand; break;
    default:
      taken = (machine.a & operand) != 0;  // BPF_JSET
      break;
  }
  return taken ? instruction.jt : instruction.jf;
}

void run_move(Machine& machine, const BpfInstruction& instruction, const SeccompData& data) {
  switch (instruction.code) {
    case BPF_LD | BPF_W | BPF_ABS: machine.a = load_word(data, instruction.k); break;
    case BPF_LD | BPF_W | BPF_LEN: machine.a = kDataSize; break;
    case BPF_LDX | BPF_W | BPF_LEN: machine.x = kDataSize; break;
    case BPF_LD | BPF_IMM: machine.a = instruction.k; break;
    case BPF_LDX | BPF_IMM: machine.x = instruction.k; break;
    case BPF_LD | BPF_MEM: machine.a = machine.memory[instruction.k % BPF_MEMWORDS]; break;
    case BPF_LDX | BPF_MEM: machine.x = machine.memory[instruction.k % BPF_MEMWORDS]; break;
    case BPF_ST: machine.memory[instruction.k % BPF_MEMWORDS] = machine.a; break;
    case BPF_STX: machine.memory[instruction.k % BPF_MEMWORDS] = machine.x; break;
    case BPF_MISC | BPF_TAX: machine.x = machine.a; break;
    default:
      machine.a = machine.x;  // BPF_TXA
      break;
  }
}

std::string_view field_name(std::uint32_t offset) {
  static constexpr std::string_view kNames[] = {
      "nr",    "arch",  "ip.lo", "ip.hi", "a0.lo", "a0.hi", "a1.lo", "a1.hi",
      "a2.lo", "a2.hi", "a3.lo", "a3.hi", "a4.lo", "a4.hi", "a5.lo", "a5.hi"};
  return offset / 4 < std::size(kNames) ? kNames[offset / 4] : "?";
}

std::string_view jump_name(std::uint16_t code) {
  switch (BPF_OP(code)) {
    case BPF_JEQ: return "jeq";
    case BPF_JGT: return "jgt";
    case BPF_JGE: return "jge";
    case BPF_JSET: return "jset";
    default: return "ja";
  }
}

std::string print_one(std::size_t at, const BpfInstruction& i) {
  if (i.code == (BPF_JMP | BPF_JA)) return cat("ja ", at + 1 + i.k);
  if (is_jump(i.code))
    return cat(jump_name(i.code), " 0x", hex(i.k), " ", at + 1 + i.jt, " else ", at + 1 + i.jf);
  if (i.code == (BPF_LD | BPF_W | BPF_ABS)) return cat("ld ", field_name(i.k));
  if (i.code == (BPF_ALU | BPF_AND | BPF_K)) return cat("and 0x", hex(i.k));
  if (i.code == (BPF_RET | BPF_K)) return cat("ret ", describe_seccomp_action(i.k));
  return cat("op 0x", hex(i.code), " 0x", hex(i.k));
}

}  // namespace

Result<> check_bpf(std::span<const BpfInstruction> program) {
  if (program.empty() || program.size() > BPF_MAXINSNS)
    return std::unexpected(Error::invalid(
        cat("a filter has 1 to ", BPF_MAXINSNS, " instructions, not ", program.size())));
  for (std::size_t i = 0; i < program.size(); ++i) TRY(check_one(i, program[i], program.size()));
  if (BPF_CLASS(program.back().code) != BPF_RET)
    return std::unexpected(broken(program.size() - 1, "the last instruction is no return"));
  return {};
}

BpfOutcome evaluate_bpf(std::span<const BpfInstruction> program, const SeccompData& data) {
  Machine machine;
  BpfOutcome outcome;
  for (std::size_t at = 0; at < program.size(); ++at) {
    const BpfInstruction& instruction = program[at];
    ++outcome.steps;
    switch (BPF_CLASS(instruction.code)) {
      case BPF_RET:
        outcome.value = instruction.code == (BPF_RET | BPF_A) ? machine.a : instruction.k;
        return outcome;
      case BPF_JMP: at += run_jump(machine, instruction); break;
      case BPF_ALU: run_alu(machine, instruction); break;
      default: run_move(machine, instruction, data); break;
    }
  }
  outcome.value = SECCOMP_RET_KILL_THREAD;  // out of the program; check_bpf() rules it out
  return outcome;
}

std::string describe_seccomp_action(std::uint32_t value) {
  const std::uint32_t data = value & SECCOMP_RET_DATA;
  switch (value & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_KILL_PROCESS: return "kill process";
    case SECCOMP_RET_KILL_THREAD: return "kill thread";
    case SECCOMP_RET_TRAP: return "trap";
    case SECCOMP_RET_ERRNO:
      return cat("errno ", data, " (", errno_name(static_cast<int>(data)), ")");
    case SECCOMP_RET_USER_NOTIF: return "notify";
    case SECCOMP_RET_TRACE: return cat("trace ", data);
    case SECCOMP_RET_LOG: return "log";
    case SECCOMP_RET_ALLOW: return "allow";
    default: return cat("0x", hex(value));
  }
}

std::string disassemble_bpf(std::span<const BpfInstruction> program) {
  std::string out;
  for (std::size_t i = 0; i < program.size(); ++i)
    append(out, i, "\t", print_one(i, program[i]), "\n");
  return out;
}

}  // namespace caisson::plan

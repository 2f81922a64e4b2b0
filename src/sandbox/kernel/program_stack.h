// The initial stack of a program: strings, auxiliary vector, pointers, count (System V ABI,
// "Initial Stack and Register State"). Pure: bytes to be put at an address.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace caisson::sandbox::kernel {

constexpr std::size_t kLongestArgument = 131072;  // MAX_ARG_STRLEN, with its zero byte

struct AuxiliaryEntry {
  std::uint64_t type = 0, value = 0;
};

struct StackContents {
  std::span<const std::string> args, env;
  std::string_view path;                    // AT_EXECFN
  std::string_view platform;                // AT_PLATFORM; "": none
  std::array<std::byte, 16> random{};       // AT_RANDOM
  std::span<const AuxiliaryEntry> entries;  // all others, without AT_NULL
  std::uint64_t top = 0;                    // first address above the stack, page-aligned
  std::uint64_t slack = 0;                  // bytes left out to move the stack pointer
};

struct ProgramStack {
  std::uint64_t pointer = 0;  // the stack pointer at the entry: `bytes` begin there
  std::string bytes;          // up to the top
  std::uint64_t args_begin = 0, args_end = 0, env_begin = 0, env_end = 0;
  std::string auxiliary_vector;  // its bytes, for /proc/PID/auxv
};

ProgramStack build_program_stack(const StackContents& contents);

// E2BIG when strings and pointers take more than a quarter of the stack's limit, or one string is
// too long (execve(2), "Limits on size of arguments and environment").
ErrnoOr<> check_argument_size(std::span<const std::string> args, std::span<const std::string> env,
                              std::string_view path, std::uint64_t stack_limit);

}  // namespace caisson::sandbox::kernel

#include "sandbox/kernel/program_stack.h"

#include <elf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace caisson::sandbox::kernel {
namespace {

constexpr std::uint64_t kWord = 8;
constexpr std::uint64_t kMostArguments = 6ULL << 20;  // three quarters of the usual stack limit
constexpr std::uint64_t kLeastArguments = 131072;     // ARG_MAX

std::uint64_t string_bytes(std::span<const std::string> strings) {
  std::uint64_t bytes = 0;
  for (const std::string& text : strings) bytes += text.size() + 1;
  return bytes;
}

// Fills the stack's bytes by their addresses.
class Writer {
 public:
  Writer(std::string& bytes, std::uint64_t begin) : bytes_(bytes), begin_(begin) {}
  void put(std::uint64_t address, const void* data, std::size_t size) {
    std::memcpy(bytes_.data() + (address - begin_), data, size);
  }
  void word(std::uint64_t& address, std::uint64_t value) {
    put(address, &value, sizeof value);
    address += kWord;
  }
  // Strings one after the other from `at` on, their addresses from `pointers` on; then a null.
  void strings(std::span<const std::string> strings, std::uint64_t at, std::uint64_t& pointers) {
    for (const std::string& text : strings) {
      word(pointers, at);
      put(at, text.c_str(), text.size() + 1);
      at += text.size() + 1;
    }
    word(pointers, 0);
  }

 private:
  std::string& bytes_;
  std::uint64_t begin_;
};

}  // namespace

ProgramStack build_program_stack(const StackContents& contents) {
  ProgramStack stack;
  std::uint64_t path = contents.top - kWord - (contents.path.size() + 1);
  stack.env_end = path;
  stack.env_begin = stack.args_end = path - string_bytes(contents.env);
  stack.args_begin = stack.args_end - string_bytes(contents.args);
  std::uint64_t at = (stack.args_begin - contents.slack) & ~std::uint64_t{15};
  std::uint64_t platform = contents.platform.empty() ? 0 : at - (contents.platform.size() + 1);
  if (platform != 0) at = platform;
  std::uint64_t random = at -= contents.random.size();

  std::vector<AuxiliaryEntry> entries(contents.entries.begin(), contents.entries.end());
  entries.push_back({AT_RANDOM, random});
  entries.push_back({AT_EXECFN, path});
  if (platform != 0) entries.push_back({AT_PLATFORM, platform});
  entries.push_back({AT_NULL, 0});
  std::uint64_t words = 1 + contents.args.size() + 1 + contents.env.size() + 1;
  std::uint64_t size = words * kWord + entries.size() * sizeof(AuxiliaryEntry);
  stack.pointer = (at - size) & ~std::uint64_t{15};

  stack.bytes.assign(contents.top - stack.pointer, '\0');
  Writer writer(stack.bytes, stack.pointer);
  std::uint64_t next = stack.pointer;
  writer.word(next, contents.args.size());
  writer.strings(contents.args, stack.args_begin, next);
  writer.strings(contents.env, stack.env_begin, next);
  stack.auxiliary_vector.assign(reinterpret_cast<const char*>(entries.data()),
                                entries.size() * sizeof(AuxiliaryEntry));
  writer.put(next, stack.auxiliary_vector.data(), stack.auxiliary_vector.size());
  writer.put(random, contents.random.data(), contents.random.size());
  if (platform != 0) writer.put(platform, contents.platform.data(), contents.platform.size());
  writer.put(path, contents.path.data(), contents.path.size());
  return stack;
}

ErrnoOr<> check_argument_size(std::span<const std::string> args, std::span<const std::string> env,
                              std::string_view path, std::uint64_t stack_limit) {
  std::uint64_t limit = std::max(std::min(stack_limit / 4, kMostArguments), kLeastArguments);
  auto too_long = [](const std::string& text) { return text.size() >= kLongestArgument; };
  bool one_too_long = std::any_of(args.begin(), args.end(), too_long) ||
                      std::any_of(env.begin(), env.end(), too_long);
  std::uint64_t pointers = (std::max<std::size_t>(args.size(), 1) + env.size()) * kWord;
  std::uint64_t strings = string_bytes(args) + string_bytes(env) + path.size() + 1;
  if (one_too_long || pointers >= limit || strings > limit - pointers)
    return std::unexpected(Errno{E2BIG});
  return {};
}

}  // namespace caisson::sandbox::kernel

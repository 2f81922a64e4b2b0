// What the functions of caisson.h share: structures by size, errors, one call's way to containers.
#pragma once

#include <caisson/caisson.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"
#include "container/api.h"
#include "plan/executor.h"

struct caisson_runtime {
  std::string root;
  std::uint32_t flags = 0;
  int lock_timeout_ms = 0;
  void (*on_warning)(const char* text, void* user) = nullptr;
  void* user = nullptr;
  bool rootless = false;
};

namespace caisson::abi {

// An executor serves one thread.
class Call {
 public:
  explicit Call(const caisson_runtime& runtime);
  container::Context& context() { return context_; }
  bool has(std::uint32_t flag) const { return (runtime_.flags & flag) != 0; }

 private:
  const caisson_runtime& runtime_;
  std::unique_ptr<plan::Executor> executor_;
  container::Context context_;
};

// The value that the function returns; the error, if any, becomes the caller's.
int finish(Result<> result, caisson_error** error);

Error bad_argument(std::string_view name, std::string_view cause);

// A caller's structure of `size` bytes as one of `known` bytes: what it lacks keeps the default,
// what we do not know must be zero. `least`: those of the first version.
Result<> copy_structure(void* out, std::size_t known, const void* in, std::size_t size);

template <typename T>
Result<T> read_structure(const T* given, T defaults) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (given == nullptr) return std::unexpected(bad_argument("options", "is NULL"));
  std::size_t size = given->size;
  TRY(copy_structure(&defaults, sizeof defaults, given, size));
  return defaults;
}

// Fills as much of the caller's structure as it has room for; its size stays.
template <typename T>
Result<> write_structure(T* out, T value) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (out == nullptr) return {};
  if (out->size < sizeof(std::size_t)) {
    return std::unexpected(bad_argument("size", "is not that of the structure"));
  }
  value.size = out->size;
  std::memcpy(out, &value, std::min(out->size, sizeof value));
  return {};
}

Result<> check_flags(std::uint32_t flags, std::uint32_t known);
// NULL is an error.
Result<std::string> required(const char* text, std::string_view name);
inline std::string optional_text(const char* text) { return text == nullptr ? "" : text; }
std::vector<std::string> strings(const char* const* list);
// "NAME=value" each.
Result<std::vector<std::string>> variables(const char* const* list);

// On the heap of malloc(3), for caisson_free().
char* owned_text(std::string_view text);
caisson_exit exit_of(const container::Exit& exit);
// The caller owns what he gets; where he wants nothing, nothing stays open.
Result<> give_process(caisson_process* out, int pid, Fd pidfd);

}  // namespace caisson::abi

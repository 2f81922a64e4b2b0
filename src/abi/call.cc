#include "abi/call.h"

#include <algorithm>
#include <cstdlib>
#include <new>

#include "linux/executor.h"

namespace caisson::abi {

Call::Call(const caisson_runtime& runtime)
    : runtime_(runtime),
      executor_(linux::make_executor()),
      context_{
          .executor = *executor_,
          .root = runtime.root,
          .rootless = runtime.rootless,
          .timeline = nullptr,
          .warn = {},
          .debug = {},
          .lock_timeout_ms = runtime.lock_timeout_ms,
          .embedded = true,
          .share_memory = (runtime.flags & CAISSON_SHARE_MEMORY) != 0,
          .fault_step = {},
      } {
  if (runtime.on_warning == nullptr) return;
  context_.warn = [&runtime](std::string_view text) {
    runtime.on_warning(std::string(text).c_str(), runtime.user);
  };
}

Error bad_argument(std::string_view name, std::string_view cause) {
  return Error::invalid(std::string(cause)).where(name).code("library.argument");
}

Result<> copy_structure(void* out, std::size_t known, const void* in, std::size_t size) {
  if (size < sizeof(std::size_t)) {
    return std::unexpected(bad_argument("size", "is not that of the structure")
                               .cure("set it to sizeof, or begin with the _INIT macro"));
  }
  const char* bytes = static_cast<const char*>(in);
  for (std::size_t i = known; i < size; ++i) {
    if (bytes[i] == 0) continue;
    return std::unexpected(
        Error::with_cause(E2BIG, "this library is older than what it is asked for")
            .where("size ", size)
            .code("library.version"));
  }
  std::memcpy(out, in, std::min(known, size));
  return {};
}

Result<> check_flags(std::uint32_t flags, std::uint32_t known) {
  if ((flags & ~known) == 0) return {};
  return std::unexpected(bad_argument("flags", "has a flag that this function does not know"));
}

Result<std::string> required(const char* text, std::string_view name) {
  if (text == nullptr) return std::unexpected(bad_argument(name, "is NULL"));
  return std::string(text);
}

std::vector<std::string> strings(const char* const* list) {
  std::vector<std::string> out;
  for (; list != nullptr && *list != nullptr; ++list) out.emplace_back(*list);
  return out;
}

Result<std::vector<std::string>> variables(const char* const* list) {
  auto out = strings(list);
  for (const auto& entry : out) {
    if (entry.find('=') == std::string::npos || entry.starts_with('=')) {
      return std::unexpected(bad_argument(cat("env ", entry), "is not NAME=value"));
    }
  }
  return out;
}

char* owned_text(std::string_view text) {
  auto* out = static_cast<char*>(std::malloc(text.size() + 1));
  if (out == nullptr) std::abort();
  std::memcpy(out, text.data(), text.size());
  out[text.size()] = '\0';
  return out;
}

caisson_exit exit_of(const container::Exit& exit) {
  caisson_exit out = CAISSON_EXIT_INIT;
  out.known = exit.known ? 1 : 0;
  out.code = exit.code;
  out.signal = exit.signal;
  out.oom = exit.oom ? 1 : 0;
  out.at_ns = exit.at;
  return out;
}

Result<> give_process(caisson_process* out, int pid, Fd pidfd) {
  caisson_process process = CAISSON_PROCESS_INIT;
  process.pid = pid;
  process.pidfd = pidfd.number();
  if (out == nullptr) return {};
  TRY(write_structure(out, process));
  if (out->size >= sizeof process) (void)pidfd.release();
  return {};
}

}  // namespace caisson::abi

extern "C" {

void caisson_free(void* memory) { std::free(memory); }

int caisson_abi_version(void) { return CAISSON_ABI_VERSION; }
const char* caisson_version(void) { return CAISSON_VERSION; }
}

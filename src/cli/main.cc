// The program: binds the command line to the executor of this host's kernel.
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/command.h"
#include "linux/executor.h"
#if CAISSON_HAS_SANDBOX
#include "sandbox/boot/executor.h"
#include "sandbox/boot/inherited.h"
#include "sandbox/boot/kernel_main.h"
#include "sandbox/boot/member_main.h"
#include "sandbox/boot/syscall_page.h"
#endif

namespace {

std::unique_ptr<caisson::plan::Executor> make_executor() {
  auto host = caisson::linux::make_executor();
#if CAISSON_HAS_SANDBOX
  return caisson::sandbox::boot::make_executor(std::move(host));
#else
  return host;
#endif
}

#if CAISSON_HAS_SANDBOX
constexpr caisson::cli::TextSource kSyscallPage = caisson::sandbox::boot::syscall_page;
#else
constexpr caisson::cli::TextSource kSyscallPage = nullptr;
#endif

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string_view> words(argv, argv + argc);
#if CAISSON_HAS_SANDBOX
  if (!words.empty() && words[0] == caisson::sandbox::boot::kKernelName)
    return caisson::sandbox::boot::kernel_main(words);
  if (!words.empty() && words[0] == caisson::sandbox::boot::kMemberName)
    return caisson::sandbox::boot::member_main(words);
#endif
  return caisson::cli::dispatch(words, make_executor, kSyscallPage);
}

// The program: binds the command line to the executor of this host's kernel.
#include <memory>
#include <string_view>
#include <vector>

#include "cli/command.h"
#include "linux/executor.h"
#include "sandbox/boot/executor.h"
#include "sandbox/boot/kernel_main.h"

namespace {

std::unique_ptr<caisson::plan::Executor> make_executor() {
  return caisson::sandbox::boot::make_executor(caisson::linux::make_executor());
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string_view> words(argv, argv + argc);
  if (!words.empty() && words[0] == caisson::sandbox::boot::kKernelName)
    return caisson::sandbox::boot::kernel_main(words);
  return caisson::cli::dispatch(words, make_executor);
}

// The program: binds the command line to the executor of this host's kernel.
#include <string_view>
#include <vector>

#include "cli/command.h"
#include "linux/executor.h"

int main(int argc, char** argv) {
  std::vector<std::string_view> words(argv, argv + argc);
  return caisson::cli::dispatch(words, caisson::linux::make_executor);
}

// The options of `run`, which `explain` shares: their table, and the way to a description.
#pragma once

#include "cli/args.h"
#include "cli/command.h"
#include "spec/command_line.h"

namespace caisson::cli {

// The table with its size, so that the commands that refer to it are constants: nothing is built
// before main.
inline constexpr std::size_t kRunOptionCount = 29;
extern const OptionSpec kRunOptions[kRunOptionCount];
constexpr OptionTable run_option_table() { return kRunOptions; }

// What the words say, with files read (--env-file, --seccomp FILE) and paths made absolute. Checks
// that sources of volumes exist.
Result<spec::RunOptions> read_run_options(const Context& context, const Arguments& arguments,
                                          const spec::CallerFacts& caller);

// read_run_options() and the description that follows from it.
struct Described {
  spec::RunOptions options;
  spec::ContainerSpec spec;
};
Result<Described> describe_run(const Context& context, const Arguments& arguments);

// Lines of an environment file: "NAME=value" or "NAME"; empty lines and those that begin with # are
// left out.
Result<spec::Strings> read_env_file(const std::string& path);

}  // namespace caisson::cli

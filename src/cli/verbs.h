// What several commands share: acting on each of several containers, and how one is shown.
#pragma once

#include <string>

#include "cli/args.h"
#include "cli/command.h"
#include "container/api.h"
#include "formats/json.h"

namespace caisson::cli {

inline constexpr OptionSpec kJsonOption[] = {{"json", 0, "", "print JSON"}};

// Calls `action` with every operand as a std::string. A failure is reported, and the others still
// have their turn; the status is 1 then. A single operand's failure is returned as it is.
template <typename Action>
Result<int> for_each_name(const Context& context, const Arguments& arguments, Action action) {
  int status = 0;
  bool several = arguments.operands().size() > 1;
  for (auto name : arguments.operands()) {
    Result<> done = action(std::string(name));
    if (done) continue;
    if (!several) return std::unexpected(std::move(done).error());
    context.reporter.failure(done.error());
    status = 1;
  }
  return status;
}

// Says that `verb` was done to the container: its name alone (nothing with `silent`), or with
// --json an object.
enum class Plain { kName, kSilent };
Result<> print_done(const Arguments& arguments, std::string_view verb, const std::string& name,
                    Plain plain);

// What became of a process that run or exec started, as one JSON line: where it is to be found
// while it runs on (standard output), or how it ended (standard error: the output is the
// program's).
Result<> print_started(const std::string& id, int pid);
void report_end(const std::string& id, int pid, const container::Exit& exit);

// "running", "exited (0)", "killed (9)", "killed (out of memory)", "ended".
std::string status_text(const container::Snapshot& snapshot);

// The members of an open object: id, status, pid, created, command, labels, wall, exit.
void write_snapshot(formats::JsonWriter& json, const container::Snapshot& snapshot);
void write_exit(formats::JsonWriter& json, const container::Exit& exit);

// The first words of a command line of a process; "" when it is gone.
std::vector<std::string> process_command(int pid);

}  // namespace caisson::cli

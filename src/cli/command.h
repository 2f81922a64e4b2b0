// What a command is: a row of data with a function. The table itself is in commands.cc.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/args.h"
#include "cli/dialect.h"
#include "cli/error_report.h"
#include "cli/timeline.h"
#include "plan/executor.h"

namespace caisson::cli {

enum class Face {
  kPeople,  // caisson
  kEngine,  // caisson-oci, runc, crun
};

using ExecutorFactory = std::unique_ptr<plan::Executor> (*)();
using TextSource = std::string (*)();

struct Command;

// What every command gets: who called, with which options for all commands, and how to reach the
// host. Made once by dispatch().
struct Context {
  Face face = Face::kPeople;
  Dialect dialect = Dialect::kRunc;  // of the engines' face
  std::string program;               // as called: "caisson", "runc"
  std::string root;                  // state directory, absolute
  bool default_root = true;
  bool systemd_cgroup = false;
  std::string wall;  // of the engines' face, for containers that ask for none
  bool no_cgroups = false;
  bool debug = false;
  ProgramStart start;    // for the timeline
  std::string criu;      // program for checkpoints; empty: the one in PATH
  std::string timeline;  // empty: none; "-": bars to stderr; else a file for trace events
  Reporter reporter;
  ExecutorFactory make_executor = nullptr;
  TextSource syscall_page = nullptr;  // null: built without the sandbox
  const Command* command = nullptr;
  int failure_status = 0;  // exit status of an error, when a command decides it; 0: the table's
  bool misused = false;    // the error is about the command line itself

  // "caisson run", for messages.
  std::string command_name() const;
};

struct Command {
  std::string_view name;
  std::string_view group;     // heading in the help; empty: hidden
  std::string_view operands;  // "[options] NAME"
  std::string_view summary;
  std::string_view details;   // paragraphs below the summary
  std::string_view examples;  // lines
  OptionTable options;
  OptionTable shared_options;
  int raw_after = -1;  // see Grammar
  int min_operands = 0;
  int max_operands = -1;
  // The exit status, or what failed.
  Result<int> (*run)(Context& context, const Arguments& arguments);
  // Exit status of an error; 0: the face's usual one.
  int failure_status = 0;
};

// Runs one command line and returns the exit status. `words` starts with the program's name.
int dispatch(std::span<const std::string_view> words, ExecutorFactory make_executor,
             TextSource syscall_page = nullptr);

// The commands of a face, in the order of the help.
std::span<const Command* const> commands(Face face);
const Command* find_command(Face face, std::string_view name);
OptionTable global_options(Face face);
std::string_view face_program(Face face);

}  // namespace caisson::cli

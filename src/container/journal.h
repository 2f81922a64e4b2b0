// The journal of a container: a file of lines, only ever appended to, so that whoever reads it
// without the lock sees whole lines and what a kill tore apart at the end can be told.
//
//   config 1234                                 1,234 bytes follow: the configuration, verbatim
//   remove-cgroup /sys/fs/cgroup/caisson/web    must be taken back when the container goes away, or
//                                               when the command that made it was killed
//   undone                                      everything above has been
//   state {...}                                 the State; the last one counts
//   removed                                     the container is on its way out
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "container/state.h"
#include "plan/executor.h"

namespace caisson::container {

class Journal : public plan::UndoLog {
 public:
  // `file`: open for appending, see Lock::file(); it must outlive this.
  explicit Journal(FdRef file) : file_(file) {}
  // One write(2) for the whole group.
  Result<> record(const std::vector<plan::Undo>& undos) override;

 private:
  FdRef file_;
};

struct JournalContent {
  std::vector<plan::Undo> undos;  // in the order of recording, without those that were taken back
  std::string config;             // as it was given
  std::string state;              // JSON; empty: none yet
  bool removed = false;
  bool foreign = false;  // it is no journal
};
// A torn last line is left out: it was never acted upon, because its write had not returned.
JournalContent parse_journal(std::string_view text);
Result<JournalContent> read_journal(FdRef file);

// The first record: a file that does not begin with it is none of ours.
ErrnoOr<> record_config(FdRef file, std::string_view config);
Result<> record_state(FdRef file, const State& state);
Result<> record_removal(FdRef file);

// Takes everything back, last first, and notes that. Goes on after a failure and returns the first
// one; the journal stays as it is then, so that it can be tried again.
Result<> undo_journal(plan::Executor& executor, FdRef file);

}  // namespace caisson::container

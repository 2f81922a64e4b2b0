// The journal of a container: what must be taken back when it goes away, or when the command that
// made it was killed. A file of lines, "remove-cgroup /sys/fs/cgroup/caisson/web", only ever
// appended to.
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "plan/executor.h"

namespace caisson::container {

class Journal : public plan::UndoLog {
 public:
  // In the folder `dir`; made when missing.
  static Result<Journal> open(FdRef dir);
  // One write(2) for the whole group.
  Result<> record(const std::vector<plan::Undo>& undos) override;

 private:
  explicit Journal(Fd file) : file_(std::move(file)) {}
  Fd file_;
};

// In the order of recording. What a kill tore apart at the end is left out: it was never acted
// upon, because record() had not returned. No file is an empty journal.
Result<std::vector<plan::Undo>> read_journal(FdRef dir);
// Takes everything back, last first. Goes on after a failure and returns the first one; the journal
// stays then, so that it can be tried again.
Result<> undo_journal(plan::Executor& executor, FdRef dir);

}  // namespace caisson::container

// What the host's OOM killer takes first: see proc_pid_oom_score_adj(5).
#pragma once

#include <string>
#include <string_view>

#include "base/fd.h"

namespace caisson::sandbox::boot {

// Stubs inherit their score from the moment in which the first of them is made. Theirs is higher
// than the kernel process's: what is short of memory is to lose a program and not its kernel. Going
// back to the score that we were given takes no capability. Where it cannot be changed, all have
// the same.
class StubOomScore {
 public:
  // Raises the score of this process until the end. `file`: its oom_score_adj, or none.
  explicit StubOomScore(FdRef file);
  ~StubOomScore();
  StubOomScore(const StubOomScore&) = delete;
  StubOomScore& operator=(const StubOomScore&) = delete;

 private:
  void set(std::string_view score);

  FdRef file_;
  std::string own_;
};

}  // namespace caisson::sandbox::boot

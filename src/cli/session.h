// One command's way to containers: the executor of this host, the state directory, notices, the
// clock of the start. Made by commands that touch containers, after their arguments were read.
#pragma once

#include <memory>
#include <string>

#include "cli/command.h"
#include "cli/timeline.h"
#include "container/api.h"

namespace caisson::cli {

class Session {
 public:
  // Checks the state directory and, when `make_root`, makes it.
  static Result<Session> open(const Context& context, bool make_root = false);

  container::Context& containers() { return *containers_; }
  plan::Executor& executor() { return *executor_; }
  // Shows the timeline, when one was asked for. Call when what is measured is over.
  void show_timeline();

 private:
  Session() = default;
  std::string timeline_target_, program_;
  const Reporter* trace_ = nullptr;  // takes the steps as lines of --debug
  std::unique_ptr<plan::Executor> executor_;
  std::unique_ptr<TimelineRecorder> timeline_;
  std::unique_ptr<container::Context> containers_;
};

}  // namespace caisson::cli

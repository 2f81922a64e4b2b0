#include "container/fault.h"

#include <signal.h>

#include "sys/process.h"

namespace caisson::container {

void fault_point(const Context& context, std::string_view verb, std::string_view step) {
  if (context.fault_step.empty()) [[likely]]
    return;
  auto [fault_verb, fault_step] = split_once(context.fault_step, ':');
  if (fault_verb == verb && fault_step == step) (void)sys::kill(sys::getpid(), SIGKILL);
}

std::vector<std::string_view> fault_steps() {
  return {
      "create:check-id", "create:plan",      "create:claim",      "create:output",
      "create:console",  "create:execute",   "create:process",    "create:hooks",
      "create:save",     "create:poststart", "create:pid-file",   "create:pidfd-socket",
      "create:done",     "start:note",       "start:go",          "start:save",
      "start:poststart", "exec:plan",        "exec:execute",      "exec:pid-file",
      "exec:done",       "delete:kill",      "delete:supervisor", "delete:undo",
      "delete:poststop", "delete:folder",    "delete:done",
  };
}

}  // namespace caisson::container

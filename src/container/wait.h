// Waiting for the end of a container, prepared before whatever brings it about.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "container/container.h"
#include "container/control.h"

namespace caisson::container {

class Waiter {
 public:
  static Result<Waiter> begin(Context& context, std::string_view id);
  // A pidfd of init, should it be gone already.
  Result<> know(FdRef pidfd);
  // -1: no bound. ETIMEDOUT while it still runs.
  Result<Exit> wait(int timeout_ms);

 private:
  Waiter(Context& context, std::string id) : context_(context), id_(std::move(id)) {}
  Result<> prepare();
  // Nothing when the supervisor went away; then everything is prepared anew.
  Result<std::optional<Exit>> ask_supervisor(int timeout_ms);
  Result<Exit> watch_init(int timeout_ms);
  Exit ended();
  Exit note(Exit exit);

  Context& context_;
  std::string id_;
  Container container_;
  Fd control_;  // connected, the question is asked; empty without a supervisor
};

}  // namespace caisson::container

// A container as the verbs hold it: its folder, what its files say, and what is true now.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "container/api.h"
#include "container/store.h"

namespace caisson::container {

struct Container {
  // Out of line: large, and inlined everywhere they make g++ 12 warn of frees that do not happen.
  Container();
  Container(Container&&) noexcept;
  Container& operator=(Container&&) noexcept;
  ~Container();

  Folder folder;
  State state;
  std::string config;  // the configuration as it was at create, verbatim
  Status status = Status::kStopped;
  Fd init;  // pidfd while init lives
  std::optional<Exit> exit;
  Lock lock;  // of those opened for a change
};

// Opens without a lock. Repairs first when that is due (repair.h).
Result<Container> look_at(Context& context, std::string_view id);
// Opens and locks.
Result<Container> open_for_change(Context& context, std::string_view id);

// Looks again at what is true now; state and exit are read anew.
Result<> refresh(Context& context, Container& container);

// Parses the configuration.
Result<> read_spec(const Container& container, spec::ContainerSpec& out);

// Saves the state (the lock is held).
Result<> save(const Container& container);

// Sends SIGKILL to init, thaws a frozen container so that it arrives, and waits up to `timeout_ms`.
Result<> kill_init(Context& context, Container& container, int timeout_ms);

}  // namespace caisson::container

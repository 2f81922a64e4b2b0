// Who calls, as far as a container's description depends on it.
#pragma once

#include <string>

#include "base/result.h"
#include "spec/command_line.h"

namespace caisson::cli {

struct Accounts {
  std::string passwd, group;  // texts; empty where there is no such file
};
// The account files of `rootfs`, or the machine's when that is empty. Links inside stay inside.
Result<Accounts> read_accounts(const std::string& rootfs);

// All but the accounts.
Result<spec::CallerFacts> look_at_caller();

}  // namespace caisson::cli

// The processes of a sandbox as tables: what ps(1) prints of those of the host.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/session.h"
#include "plan/guest.h"

namespace caisson::cli {

// The container's kernel is a sandbox's: its processes are none of the host's.
bool runs_in_sandbox(const container::Snapshot& snapshot);

// "root", by the passwd of the container's root; "1000" where that knows no name.
class GuestUsers {
 public:
  explicit GuestUsers(const std::string& rootfs);
  std::string name(std::uint32_t uid) const;

 private:
  std::string passwd_;
};

// The command line; "[name]" of one without.
std::string guest_command(const plan::GuestProcess& process, std::size_t limit);
// "0:00:03"
std::string guest_time(std::int64_t ns);

// As `ps -ef` has it.
std::string guest_ps_table(const std::vector<plan::GuestProcess>& processes,
                           const GuestUsers& users);

}  // namespace caisson::cli

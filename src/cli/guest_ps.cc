#include "cli/guest_ps.h"

#include "base/clock.h"
#include "base/text.h"
#include "cli/caller.h"
#include "cli/table.h"
#include "spec/accounts.h"

namespace caisson::cli {
namespace {

constexpr std::size_t kCommandWidth = 200;
constexpr std::int64_t kSecond = 1'000'000'000;

std::string two_digits(std::int64_t value) { return cat(value < 10 ? "0" : "", value); }

// "hh:mm" in UTC: the time zone is the container's matter.
std::string start_time(std::int64_t ns) {
  std::string text = rfc3339(ns);
  return text.size() >= 16 ? text.substr(11, 5) : text;
}

}  // namespace

bool runs_in_sandbox(const container::Snapshot& snapshot) {
  return snapshot.state.wall == "sandbox";
}

GuestUsers::GuestUsers(const std::string& rootfs) {
  if (auto accounts = read_accounts(rootfs)) passwd_ = std::move(accounts->passwd);
}

std::string GuestUsers::name(std::uint32_t uid) const {
  auto known = spec::user_name(passwd_, uid);
  return known.empty() ? cat(uid) : printable(known);
}

std::string guest_command(const plan::GuestProcess& process, std::size_t limit) {
  if (process.args.empty()) return cat("[", printable(process.name), "]");
  return command_text(process.args, limit);
}

std::string guest_time(std::int64_t ns) {
  std::int64_t seconds = ns / kSecond;
  return cat(seconds / 3600, ":", two_digits(seconds / 60 % 60), ":", two_digits(seconds % 60));
}

std::string guest_ps_table(const std::vector<plan::GuestProcess>& processes,
                           const GuestUsers& users) {
  Table table({"UID", "PID", "PPID", "S", "STIME", "TTY", "TIME", "CMD"});
  for (const auto& process : processes) {
    table.add({users.name(process.uid), cat(process.pid), cat(process.parent),
               printable(std::string_view(&process.state, 1)), start_time(process.started_ns),
               process.terminal.empty() ? "?" : printable(process.terminal),
               guest_time(process.cpu_ns), guest_command(process, kCommandWidth)});
  }
  return table.text();
}

}  // namespace caisson::cli

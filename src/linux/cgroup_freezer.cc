// Freezing and signalling all processes of a container.
#include <signal.h>

#include <algorithm>

#include "linux/cgroup.h"
#include "linux/cgroup_files.h"

namespace caisson::linux {
namespace {

const plan::CgroupLocation* v2_of(const plan::CgroupLocations& cgroups) {
  auto found = std::ranges::find(cgroups, true, &plan::CgroupLocation::v2);
  return found == cgroups.end() ? nullptr : &*found;
}

const plan::CgroupLocation* v1_freezer_of(const plan::CgroupLocations& cgroups) {
  auto found = std::ranges::find_if(cgroups, [](const plan::CgroupLocation& location) {
    return !location.v2 && lists_controller(location.controllers, "freezer");
  });
  return found == cgroups.end() ? nullptr : &*found;
}

Error no_freezer() {
  return Error::with_cause(EOPNOTSUPP, "the container has no cgroup that can freeze")
      .doing("freeze")
      .cure(
          "Use a host with cgroup v2 (Linux 5.2 or newer) or the v1 freezer, as root or with a "
          "delegated cgroup.")
      .code("cgroup.freeze");
}

bool has_v2_freezer(const plan::CgroupLocation* v2) {
  return v2 != nullptr && read_control(v2->directory, "cgroup.freeze").has_value();
}

// The v2 freezer comes first, on hybrid hosts as well: what it froze can still be killed.
Result<> set_frozen(const plan::CgroupLocations& cgroups, bool frozen, int timeout_ms) {
  const Deadline deadline = Deadline::in_ms(timeout_ms);
  const auto* v2 = v2_of(cgroups);
  const auto* v1 = v1_freezer_of(cgroups);
  if (has_v2_freezer(v2)) {
    TRY(set_frozen_v2(v2->directory, frozen, deadline));
    // Somebody else may have used the other one.
    if (!frozen && v1 != nullptr) return thaw_v1(v1->directory, deadline);
    return {};
  }
  if (v1 == nullptr) return std::unexpected(no_freezer());
  return frozen ? freeze_v1(v1->directory, deadline) : thaw_v1(v1->directory, deadline);
}

// A signal reaches what stands still in the v1 freezer only when it is let go.
void release_v1_freezer(const plan::CgroupLocations& cgroups) {
  const auto* v1 = v1_freezer_of(cgroups);
  if (v1 != nullptr) (void)write_control(v1->directory, "freezer.state", "THAWED");
}

// One by one. Standing still, processes can neither fork nor end while they are counted.
Result<> signal_one_by_one(const plan::CgroupLocations& cgroups, int signal) {
  constexpr int kFreezeMs = 500;
  const bool was_frozen = cgroup_frozen(cgroups).value_or(false);
  const bool froze = !was_frozen && cgroup_freeze(cgroups, kFreezeMs).has_value();
  auto sent = signal_members(cgroups, signal);
  if (froze || (was_frozen && signal == SIGKILL)) (void)cgroup_thaw(cgroups, kFreezeMs);
  if (!sent) return std::unexpected(std::move(sent).error());
  if (froze || signal != SIGKILL) return {};
  // Nothing held them: go on until no new ones come.
  const Deadline deadline = Deadline::in_ms(2000);
  std::int64_t delay_ns = 100'000;
  while (*sent > 0 && !deadline.passed()) {
    sleep_ns(delay_ns);
    delay_ns = std::min<std::int64_t>(delay_ns * 2, 20'000'000);
    sent = signal_members(cgroups, signal);
    if (!sent) return std::unexpected(std::move(sent).error());
  }
  return {};
}

}  // namespace

Result<std::vector<int>> cgroup_processes(const plan::CgroupLocations& cgroups) {
  std::vector<int> ids;
  for (const auto& location : cgroups) {
    TRY_CTX(collect_processes(location.directory, ids), "list the processes of ",
            location.directory);
  }
  sort_unique(ids);
  return ids;
}

Result<> cgroup_kill_all(const plan::CgroupLocations& cgroups, int signal) {
  const auto* v2 = v2_of(cgroups);
  // Linux 5.14; reaches frozen and forking processes.
  if (signal == SIGKILL && v2 != nullptr && write_control(v2->directory, "cgroup.kill", "1")) {
    release_v1_freezer(cgroups);
    return {};
  }
  TRY(signal_one_by_one(cgroups, signal));
  if (signal == SIGKILL) release_v1_freezer(cgroups);
  return {};
}

Result<> cgroup_freeze(const plan::CgroupLocations& cgroups, int timeout_ms) {
  return set_frozen(cgroups, true, timeout_ms);
}

Result<> cgroup_thaw(const plan::CgroupLocations& cgroups, int timeout_ms) {
  return set_frozen(cgroups, false, timeout_ms);
}

Result<bool> cgroup_frozen(const plan::CgroupLocations& cgroups) {
  const auto* v2 = v2_of(cgroups);
  if (v2 != nullptr) {
    auto events = read_control(v2->directory, "cgroup.events");
    if (events && keyed_number(*events, "frozen") == 1) return true;
  }
  const auto* v1 = v1_freezer_of(cgroups);
  if (v1 == nullptr) return false;
  auto state = read_control(v1->directory, "freezer.state");
  if (!state && state.error().value == ENOENT) return false;
  return TRY_CTX(std::move(state), "read the freezer of ", v1->directory) == "FROZEN";
}

}  // namespace caisson::linux

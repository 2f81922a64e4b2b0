// For tests: an executor that starts plain child processes. Its "cgroup" is a directory below
// `scratch`, so that what it registers for undoing can be seen, and so that other processes see it
// frozen.
#pragma once

#include <string>

#include "container/api.h"
#include "plan/executor.h"

namespace caisson::container {

class FakeExecutor : public plan::Executor {
 public:
  explicit FakeExecutor(std::string scratch) : scratch_(std::move(scratch)) {}

  Result<plan::HostFacts> host_facts(bool for_view) override;
  Result<plan::HostFacts> process_facts() override { return host_facts(false); }
  Result<plan::CreateResult> create(plan::CreateRequest& request) override;
  Result<> start(const plan::StartRequest& request) override;
  Result<plan::ProcessHandle> exec(plan::ExecRequest& request) override;
  // Notes the request in `saved` and ends init, unless it is to go on.
  Result<> checkpoint(const plan::CheckpointRequest& request) override;
  // A process that sleeps.
  Result<plan::CreateResult> restore(plan::RestoreRequest& request) override;
  // Keeps the targets in `mounted`, or takes them from there.
  Result<> change_mounts(const plan::MountChange& change) override;
  Result<std::vector<int>> processes(const plan::CgroupLocations& cgroups) override;
  Result<> kill_all(const plan::CgroupLocations& cgroups, int signal) override;
  Result<> freeze(const plan::CgroupLocations& cgroups, int timeout_ms) override;
  Result<> thaw(const plan::CgroupLocations& cgroups, int timeout_ms) override;
  Result<bool> frozen(const plan::CgroupLocations& cgroups) override;
  Result<plan::Stats> stats(const plan::CgroupLocations& cgroups) override;
  Result<plan::Usage> usage(const plan::CgroupLocations& cgroups) override;
  // An eventfd of the test: what is written to it counts.
  Result<std::unique_ptr<plan::MemoryWatch>> watch_memory(
      const plan::CgroupLocations& cgroups) override;
  // Keeps the plan's writes in `limits`, by the names of the files.
  Result<> update(const plan::CgroupUpdate& update,
                  const std::function<Result<>()>& commit) override;
  std::uint64_t oom_kills(const plan::CgroupLocations& cgroups) override;
  Result<> undo(const plan::Undo& change) override;

  bool fail_create = false;
  bool fail_checkpoint = false;
  std::string saved;  // directories of images, one a line
  std::map<std::string, std::string> limits;
  Strings mounted;
  Fd out_of_memory;

 private:
  std::string scratch_;
};

// A directory of its own below the temporary directory, removed at the end.
class ScratchDirectory {
 public:
  ScratchDirectory();
  ~ScratchDirectory();
  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return cat(path_, "/", name); }

 private:
  std::string path_;
};

// Everything that a test of the life cycle needs.
struct World {
  ScratchDirectory scratch;
  FakeExecutor executor{scratch / "cgroups"};
  Strings warnings;
  Context context{
      .executor = executor,
      .root = scratch / "state",
      .rootless = false,
      .timeline = nullptr,
      .warn = {},
      .debug = {},
      .lock_timeout_ms = 10'000,
      .embedded = false,
      .share_memory = true,
      .fault_step = {},
  };

  World();
  // A specification that runs `args`, and its text.
  spec::ContainerSpec spec(Strings args) const;
  // Names left in the state directory and in the fake cgroups.
  Strings leftovers() const;
};

// Runs `function` in a forked process and returns its wait status as WaitStatus::code and status.
template <typename F>
int in_another_process(F function);

// Whether a process is there (zombies are).
bool process_exists(int pid);
// Polls `condition` up to 5 s.
template <typename F>
bool eventually(F condition);

void pause_ms(int ms);
int fork_test_process();
int wait_test_process(int pid);

template <typename F>
int in_another_process(F function) {
  int pid = fork_test_process();
  if (pid == 0) {
    function();
    ::_exit(0);
  }
  return wait_test_process(pid);
}

template <typename F>
bool eventually(F condition) {
  for (int i = 0; i < 500; ++i) {
    if (condition()) return true;
    pause_ms(10);
  }
  return false;
}

}  // namespace caisson::container

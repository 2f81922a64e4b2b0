// A command that is killed at any of its named steps: the next command leaves nothing, or something
// that delete removes.
#include "container/fault.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "container/fake_executor.h"
#include "spec/oci_writer.h"
#include "sys/process.h"

namespace caisson::container {
namespace {

using ::testing::IsEmpty;

class FaultTest : public ::testing::TestWithParam<std::string_view> {
 protected:
  World world_;
  spec::ContainerSpec spec_ = world_.spec({"sleep", "60"});
  std::string text_;
  std::string pid_file_ = world_.scratch / "pid";

  ~FaultTest() override { (void)remove(world_.context, "web", true); }

  CreateOptions options() {
    spec_.hooks.create_runtime = {{"/bin/true", {"true"}, {}, {}}};
    text_ = spec::write_oci_config(spec_);
    CreateOptions out;
    out.id = "web";
    out.spec = &spec_;
    out.config_text = text_;
    out.pid_file = pid_file_;
    return out;
  }
  // Runs the verb in a process that kills itself at the step of the test.
  template <typename F>
  void run_killed(F verb) {
    int status = in_another_process([&] {
      world_.context.fault_step = GetParam();
      verb();
    });
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
  }
  // Whether a process of the fake executor is left, by the pid that was noted.
  void expect_nothing_after_delete(int pid) {
    ASSERT_TRUE(list(world_.context));
    auto removed = remove(world_.context, "web", true);
    ASSERT_TRUE(removed) << removed.error().message();
    EXPECT_THAT(world_.leftovers(), IsEmpty());
    if (pid != 0) {
      EXPECT_TRUE(eventually([&] {
        auto state = sys::process_state(pid);
        return !state || *state == 'Z';
      }));
    }
  }
  int pid_of_web() {
    auto snapshot = query(world_.context, "web");
    return snapshot ? snapshot->state.init.pid : 0;
  }
};

std::vector<std::string_view> steps_of(std::string_view verb) {
  std::vector<std::string_view> out;
  for (auto step : fault_steps()) {
    if (step.starts_with(verb)) out.push_back(step);
  }
  return out;
}

std::string name_of(const ::testing::TestParamInfo<std::string_view>& info) {
  std::string out;
  for (char c : info.param) out += ::isalnum(c) != 0 ? c : '_';
  return out;
}

class CreateFaultTest : public FaultTest {};

TEST_P(CreateFaultTest, IsCleanedUp) {
  run_killed([&] { (void)create(world_.context, options()); });
  auto entries = list(world_.context);
  ASSERT_TRUE(entries);
  // Killed before it was complete: looking at it was enough.
  bool complete = !entries->empty();
  if (!complete) {
    EXPECT_THAT(world_.leftovers(), IsEmpty());
  }
  // And the name is free, or the container is there and good.
  if (complete) {
    EXPECT_EQ((*entries)[0].snapshot->status, Status::kCreated);
  } else {
    EXPECT_TRUE(create(world_.context, options()));
  }
  expect_nothing_after_delete(pid_of_web());
}

INSTANTIATE_TEST_SUITE_P(Steps, CreateFaultTest, ::testing::ValuesIn(steps_of("create:")), name_of);

class SupervisedFaultTest : public FaultTest {};

TEST_P(SupervisedFaultTest, IsReportedAndCleanedUp) {
  RunOptions run_options;
  run_options.mode = RunMode::kSupervised;
  run_options.create = options();
  world_.context.fault_step = GetParam();
  auto result = run(world_.context, run_options);
  world_.context.fault_step.clear();
  // Once the state says that the program runs, it does: the container gets another supervisor.
  constexpr std::string_view kRunningSteps[] = {"create:poststart", "create:pid-file",
                                                "create:pidfd-socket", "create:done"};
  if (std::ranges::find(kRunningSteps, GetParam()) != std::end(kRunningSteps)) {
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_EQ(query(world_.context, "web")->status, Status::kRunning);
  } else {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), "supervisor.killed");
  }
  expect_nothing_after_delete(pid_of_web());
}

INSTANTIATE_TEST_SUITE_P(Steps, SupervisedFaultTest, ::testing::ValuesIn(steps_of("create:")),
                         name_of);

class StartFaultTest : public FaultTest {};

TEST_P(StartFaultTest, LeavesAContainerThatCanBeDeleted) {
  // The waiting init must not be a child of the process that is killed.
  int pid = create(world_.context, options())->pid;
  run_killed([&] { (void)start(world_.context, "web"); });
  auto snapshot = query(world_.context, "web");
  ASSERT_TRUE(snapshot);
  EXPECT_TRUE(snapshot->status == Status::kCreated || snapshot->status == Status::kRunning);
  expect_nothing_after_delete(pid);
}

INSTANTIATE_TEST_SUITE_P(Steps, StartFaultTest, ::testing::ValuesIn(steps_of("start:")), name_of);

class ExecFaultTest : public FaultTest {};

TEST_P(ExecFaultTest, DoesNotHurtTheContainer) {
  int pid = create(world_.context, options())->pid;
  ASSERT_TRUE(start(world_.context, "web"));
  run_killed([&] {
    ExecOptions command;
    command.args = {"true"};
    command.pid_file = pid_file_;
    (void)exec(world_.context, "web", command);
  });
  EXPECT_EQ(query(world_.context, "web")->status, Status::kRunning);
  expect_nothing_after_delete(pid);
}

INSTANTIATE_TEST_SUITE_P(Steps, ExecFaultTest, ::testing::ValuesIn(steps_of("exec:")), name_of);

class DeleteFaultTest : public FaultTest {};

TEST_P(DeleteFaultTest, CanBeRepeated) {
  int pid = create(world_.context, options())->pid;
  ASSERT_TRUE(start(world_.context, "web"));
  run_killed([&] { (void)remove(world_.context, "web", true); });
  expect_nothing_after_delete(pid);
}

INSTANTIATE_TEST_SUITE_P(Steps, DeleteFaultTest, ::testing::ValuesIn(steps_of("delete:")), name_of);

}  // namespace
}  // namespace caisson::container

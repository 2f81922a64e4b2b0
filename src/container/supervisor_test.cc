// Detached containers: log, exit status, control socket, and what happens when the supervisor is
// killed.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "container/api.h"
#include "container/container.h"
#include "container/control.h"
#include "container/fake_executor.h"
#include "container/log.h"
#include "container/process.h"
#include "container/store.h"
#include "spec/oci_writer.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::container {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class SupervisorTest : public ::testing::Test {
 protected:
  World world_;
  spec::ContainerSpec spec_;
  std::string text_;

  ~SupervisorTest() override { (void)remove(world_.context, "web", true); }

  Result<RunResult> run_script(std::string script, bool remove_on_exit = false,
                               bool terminal = false) {
    spec_ = world_.spec({"sh", "-c", std::move(script)});
    spec_.process->terminal = terminal;
    text_ = spec::write_oci_config(spec_);
    RunOptions options;
    options.mode = RunMode::kSupervised;
    options.remove_on_exit = remove_on_exit;
    options.create.id = "web";
    options.create.spec = &spec_;
    options.create.config_text = text_;
    return run(world_.context, options);
  }
  State state() { return query(world_.context, "web")->state; }
  // What the log says, without times.
  Strings log() {
    Strings out;
    const std::string text =
        sys::read_file(sys::kCwd, (folder_path(world_.context, "web") + "/log").c_str())
            .value_or("");
    for (auto line : split(text, '\n')) {
      auto parsed = parse_log_line(line);
      if (parsed) out.push_back(cat(parsed->stream, parsed->partial ? " P " : " F ", parsed->text));
    }
    return out;
  }
  void kill_supervisor() {
    State now = load_state(*open_folder(world_.context, "web")).value();
    ASSERT_TRUE(sys::kill(now.supervisor.pid, SIGKILL));
    ASSERT_TRUE(eventually([&] { return !find_process(now.supervisor, now.boot_id).has_value(); }));
  }
  static std::string message(const auto& result) {
    return result ? std::string("no error") : result.error().message();
  }
};

TEST_F(SupervisorTest, WritesTheLogAndTheExitStatus) {
  auto result = run_script("echo out; echo err >&2; printf part; exit 4");
  ASSERT_TRUE(result) << message(result);
  auto exit = wait(world_.context, "web", 5000);
  ASSERT_TRUE(exit) << message(exit);
  EXPECT_TRUE(exit->known);
  EXPECT_EQ(exit->code, 4);
  EXPECT_THAT(log(),
              ::testing::UnorderedElementsAre("stdout F out", "stderr F err", "stdout P part"));
  auto snapshot = query(world_.context, "web");
  EXPECT_EQ(snapshot->status, Status::kStopped);
  EXPECT_EQ(snapshot->exit->code, 4);
}

TEST_F(SupervisorTest, IsNoChildOfOursAndHoldsNothingOfOurs) {
  int fds[2];
  ASSERT_EQ(::pipe(fds), 0);  // not close-on-exec: what a caller's shell may leave open
  ASSERT_TRUE(run_script("sleep 60"));
  int supervisor = state().supervisor.pid;
  EXPECT_EQ(::waitpid(supervisor, nullptr, WNOHANG), -1);
  ::close(fds[1]);
  // The container's own process came from the supervisor, after it had closed the pipe.
  char byte;
  ASSERT_TRUE(sys::wait_readable(FdRef(fds[0]), 2000).value_or(false));
  EXPECT_EQ(::read(fds[0], &byte, 1), 0);
  ::close(fds[0]);
  auto name = sys::read_file(sys::kCwd, cat("/proc/", supervisor, "/comm").c_str());
  EXPECT_EQ(*name, "caisson-super\n");
}

TEST_F(SupervisorTest, ReportsWhyTheProgramDidNotRun) {
  spec_ = world_.spec({"/nonexistent/program"});
  text_ = spec::write_oci_config(spec_);
  RunOptions options;
  options.mode = RunMode::kSupervised;
  options.create.id = "web";
  options.create.spec = &spec_;
  options.create.config_text = text_;
  auto result = run(world_.context, options);
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(ENOENT));
  EXPECT_EQ(result.error().step(), "execute");
  EXPECT_THAT(world_.leftovers(), IsEmpty());
}

TEST_F(SupervisorTest, RemovesTheContainerAtItsEndWhenAsked) {
  ASSERT_TRUE(run_script("sleep 0.3; exit 2", true));
  auto exit = wait(world_.context, "web", 5000);
  ASSERT_TRUE(exit) << message(exit);
  EXPECT_EQ(exit->code, 2);
  EXPECT_TRUE(eventually([&] { return world_.leftovers().empty(); }));
}

TEST_F(SupervisorTest, EndsWithItsContainerAndTakesTheCgroupAlong) {
  ASSERT_TRUE(run_script("exit 0"));
  State now = load_state(*open_folder(world_.context, "web")).value();
  EXPECT_TRUE(eventually([&] { return !find_process(now.supervisor, now.boot_id).has_value(); }));
  EXPECT_THAT(world_.leftovers(), UnorderedElementsAre("web", "web,d"));
}

TEST_F(SupervisorTest, TellsAnOomKill) {
  ASSERT_TRUE(run_script("sleep 60"));
  auto directory = state().cgroups[0].directory;
  ASSERT_TRUE(sys::openat(sys::kCwd, (directory + "/oom").c_str(), O_CREAT | O_WRONLY, 0600));
  auto exit = stop(world_.context, "web", SIGKILL, 5000);
  ASSERT_TRUE(exit) << message(exit);
  EXPECT_EQ(exit->signal, SIGKILL);
  EXPECT_TRUE(exit->oom);
}

TEST_F(SupervisorTest, ForcedRemovalAnswersThoseWhoWait) {
  ASSERT_TRUE(run_script("sleep 60"));
  State before = state();
  int waiter = fork_test_process();
  if (waiter == 0) {
    auto exit = wait(world_.context, "web", 10'000);
    ::_exit(exit && exit->known ? exit->signal : 100);
  }
  pause_ms(200);
  ASSERT_TRUE(remove(world_.context, "web", true));
  EXPECT_EQ(WEXITSTATUS(wait_test_process(waiter)), SIGKILL);
  EXPECT_FALSE(find_process(before.supervisor, before.boot_id));
  EXPECT_THAT(world_.leftovers(), IsEmpty());
}

TEST_F(SupervisorTest, StopWaitsForTheEndOfOneThatRemovesItself) {
  ASSERT_TRUE(run_script("trap 'exit 6' TERM; while :; do sleep 0.05; done", true));
  pause_ms(300);
  auto exit = stop(world_.context, "web", SIGTERM, 5000);
  ASSERT_TRUE(exit) << message(exit);
  EXPECT_EQ(exit->code, 6);
  EXPECT_TRUE(eventually([&] { return world_.leftovers().empty(); }));
}

// --- a supervisor that was killed

TEST_F(SupervisorTest, AKilledOneIsReplacedAndTheExitStatusIsRight) {
  ASSERT_TRUE(run_script("echo before; sleep 1; echo after; exit 3"));
  pause_ms(200);
  int old = state().supervisor.pid;
  kill_supervisor();
  auto snapshot = query(world_.context, "web");  // any command adopts
  ASSERT_TRUE(snapshot) << message(snapshot);
  EXPECT_EQ(snapshot->status, Status::kRunning);
  EXPECT_NE(snapshot->state.supervisor.pid, old);
  EXPECT_THAT(world_.warnings, ::testing::Contains(HasSubstr("new one")));
  auto exit = wait(world_.context, "web", 10'000);
  ASSERT_TRUE(exit) << message(exit);
  if (exit->known) {
    EXPECT_EQ(exit->code, 3);
  }
  EXPECT_THAT(log(), ElementsAre("stdout F before", "stdout F after"));
}

TEST_F(SupervisorTest, NothingThatWasWrittenMeanwhileIsLost) {
  ASSERT_TRUE(run_script("echo 1; sleep 0.5; echo 2; sleep 0.5; echo 3; sleep 60"));
  pause_ms(200);
  kill_supervisor();
  pause_ms(1200);
  ASSERT_TRUE(query(world_.context, "web"));
  EXPECT_TRUE(eventually([&] { return log().size() == 3; }));
  EXPECT_THAT(log(), ElementsAre("stdout F 1", "stdout F 2", "stdout F 3"));
}

TEST_F(SupervisorTest, WhoWaitsIsServedByTheNewOne) {
  ASSERT_TRUE(run_script("sleep 1.5; exit 8"));
  int waiter = fork_test_process();
  if (waiter == 0) {
    auto exit = wait(world_.context, "web", 10'000);
    ::_exit(exit ? (exit->known ? exit->code : 50) : 100);
  }
  pause_ms(300);
  kill_supervisor();
  int status = WEXITSTATUS(wait_test_process(waiter));
  EXPECT_TRUE(status == 8 || status == 50) << status;
}

TEST_F(SupervisorTest, WhenBothDiedTheExitIsReportedAsLost) {
  ASSERT_TRUE(run_script("sleep 60"));
  State now = state();
  kill_supervisor();
  ASSERT_TRUE(sys::kill(now.init.pid, SIGTERM));
  ASSERT_TRUE(eventually([&] { return !find_process(now.init, now.boot_id).has_value(); }));
  auto snapshot = query(world_.context, "web");
  ASSERT_TRUE(snapshot) << message(snapshot);
  EXPECT_EQ(snapshot->status, Status::kStopped);
  ASSERT_TRUE(snapshot->exit);
  // Known only from a zombie that nobody collected yet, and then right.
  if (snapshot->exit->known) {
    EXPECT_EQ(snapshot->exit->signal, SIGTERM);
  }
  EXPECT_TRUE(remove(world_.context, "web"));
  EXPECT_THAT(world_.leftovers(), IsEmpty());
}

TEST_F(SupervisorTest, TwoCommandsAdoptOnce) {
  ASSERT_TRUE(run_script("sleep 60"));
  kill_supervisor();
  std::vector<int> pids;
  for (int i = 0; i < 4; ++i) {
    int pid = fork_test_process();
    if (pid == 0) {
      world_.warnings.clear();
      auto seen = query(world_.context, "web");
      ::_exit(seen ? static_cast<int>(world_.warnings.size()) : 100);
    }
    pids.push_back(pid);
  }
  int adoptions = 0;
  for (int pid : pids) adoptions += WEXITSTATUS(wait_test_process(pid));
  EXPECT_EQ(adoptions, 1);
}

TEST_F(SupervisorTest, AKilledForegroundRunIsAdoptedToo) {
  spec_ = world_.spec({"sleep", "1"});
  text_ = spec::write_oci_config(spec_);
  int pid = fork_test_process();
  if (pid == 0) {
    RunOptions options;
    options.create.id = "web";
    options.create.spec = &spec_;
    options.create.config_text = text_;
    (void)run(world_.context, options);
    ::_exit(0);
  }
  ASSERT_TRUE(eventually([&] {
    auto now = query(world_.context, "web");
    return now && now->status == Status::kRunning;
  }));
  (void)sys::kill(pid, SIGKILL);
  wait_test_process(pid);
  ASSERT_TRUE(query(world_.context, "web"));
  // The new supervisor removes it at its end, as the run would have done.
  EXPECT_TRUE(eventually([&] { return world_.leftovers().empty(); }));
}

// --- terminal and control socket

TEST_F(SupervisorTest, HoldsATerminalAndResizesIt) {
  auto result = run_script("sleep 0.5; stty size; exit 0", false, true);
  ASSERT_TRUE(result) << message(result);
  auto resized = resize(world_.context, "web", 12, 34);
  ASSERT_TRUE(resized) << message(resized);
  ASSERT_TRUE(wait(world_.context, "web", 5000));
  EXPECT_THAT(log(), ElementsAre("stdout F 12 34\r"));
}

TEST_F(SupervisorTest, RefusesToResizeWithoutATerminal) {
  ASSERT_TRUE(run_script("sleep 60"));
  EXPECT_THAT(message(resize(world_.context, "web", 1, 1)), HasSubstr("no terminal"));
}

TEST_F(SupervisorTest, AnswersNonsenseWithAnErrorAndLivesOn) {
  ASSERT_TRUE(run_script("sleep 60"));
  auto folder = open_folder(world_.context, "web");
  auto control = connect_control(*folder);
  ASSERT_TRUE(control);
  ControlRequest release{ControlRequest::Op::kRelease, 0, 0};
  EXPECT_THAT(message(ask(*control, release, 2000)), HasSubstr("still runs"));
  ControlRequest status{ControlRequest::Op::kStatus, 0, 0};
  auto answer = ask(*control, status, 2000);
  ASSERT_TRUE(answer);
  EXPECT_THAT(*answer, HasSubstr(R"("status":"running")"));
}

TEST_F(SupervisorTest, PassesATermSignalOn) {
  ASSERT_TRUE(run_script("trap 'exit 5' TERM; while :; do sleep 0.05; done"));
  pause_ms(200);
  ASSERT_TRUE(sys::kill(state().supervisor.pid, SIGTERM));
  auto exit = wait(world_.context, "web", 5000);
  ASSERT_TRUE(exit) << message(exit);
  EXPECT_EQ(exit->code, 5);
}

}  // namespace
}  // namespace caisson::container

// Create, start, kill, delete, exec, pause: the state machine, with an executor that starts plain
// processes.
#include <signal.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "container/api.h"
#include "container/fake_executor.h"
#include "container/store.h"
#include "spec/oci_writer.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::container {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class LifecycleTest : public ::testing::Test {
 protected:
  World world_;
  spec::ContainerSpec spec_ = world_.spec({"sleep", "60"});
  std::string text_;

  ~LifecycleTest() override { (void)remove(world_.context, "web", true); }

  CreateOptions options(std::string id = "web") {
    text_ = spec::write_oci_config(spec_);
    CreateOptions out;
    out.id = std::move(id);
    out.bundle = "/bundle";
    out.spec = &spec_;
    out.config_text = text_;
    return out;
  }
  Status status() { return query(world_.context, "web")->status; }
  static std::string message(const auto& result) {
    return result ? std::string("no error") : result.error().message();
  }
  void create_and_start() {
    auto created = create(world_.context, options());
    ASSERT_TRUE(created) << message(created);
    auto started = start(world_.context, "web");
    ASSERT_TRUE(started) << message(started);
  }
  // As init's parent we must collect it ourselves.
  void end() {
    auto snapshot = query(world_.context, "web");
    ASSERT_TRUE(kill(world_.context, "web", SIGKILL));
    wait_test_process(snapshot->state.init.pid);
  }
};

TEST_F(LifecycleTest, GoesFromCreatedToRunningToStoppedToNothing) {
  auto created = create(world_.context, options());
  ASSERT_TRUE(created) << message(created);
  EXPECT_EQ(status(), Status::kCreated);
  EXPECT_EQ(query(world_.context, "web")->pid(), created->pid);
  ASSERT_TRUE(start(world_.context, "web"));
  EXPECT_EQ(status(), Status::kRunning);
  end();
  EXPECT_EQ(status(), Status::kStopped);
  EXPECT_EQ(query(world_.context, "web")->pid(), 0);
  ASSERT_TRUE(remove(world_.context, "web"));
  EXPECT_THAT(message(query(world_.context, "web")), HasSubstr("container does not exist"));
  EXPECT_THAT(world_.leftovers(), IsEmpty());
}

TEST_F(LifecycleTest, ANameIsTakenUntilItsContainerIsRemoved) {
  ASSERT_TRUE(create(world_.context, options()));
  EXPECT_THAT(message(create(world_.context, options())),
              HasSubstr("container with given ID already exists"));
  EXPECT_THAT(message(create(world_.context, options("a/b"))),
              HasSubstr("invalid container ID format"));
  // A created container is no running one: it may be deleted as it is.
  ASSERT_TRUE(remove(world_.context, "web"));
  EXPECT_TRUE(create(world_.context, options()));
}

TEST_F(LifecycleTest, RefusesWhatDoesNotFitTheStatus) {
  create_and_start();
  EXPECT_THAT(message(start(world_.context, "web")),
              HasSubstr("cannot start an already running container"));
  EXPECT_THAT(message(remove(world_.context, "web")),
              HasSubstr("cannot delete container web that is not stopped: running"));
  EXPECT_THAT(message(resume(world_.context, "web")), HasSubstr("container not paused"));
  end();
  EXPECT_THAT(message(start(world_.context, "web")),
              HasSubstr("cannot start a container that has stopped"));
  EXPECT_THAT(message(kill(world_.context, "web", SIGTERM)), HasSubstr("container not running"));
  EXPECT_TRUE(kill(world_.context, "web", SIGTERM, true));
  EXPECT_THAT(message(pause(world_.context, "web")), HasSubstr("container not running"));
  auto left = processes(world_.context, "web");
  EXPECT_TRUE(left) << "engines ask after the end";
  ExecOptions command;
  command.args = {"true"};
  EXPECT_THAT(message(exec(world_.context, "web", command)),
              HasSubstr("cannot exec in a stopped container"));
}

TEST_F(LifecycleTest, EveryVerbSaysWhenThereIsNoSuchContainer) {
  EXPECT_THAT(message(query(world_.context, "no")), HasSubstr("does not exist"));
  EXPECT_THAT(message(start(world_.context, "no")), HasSubstr("does not exist"));
  EXPECT_THAT(message(kill(world_.context, "no", SIGTERM)), HasSubstr("does not exist"));
  EXPECT_THAT(message(remove(world_.context, "no")), HasSubstr("does not exist"));
  EXPECT_THAT(message(pause(world_.context, "no")), HasSubstr("does not exist"));
  EXPECT_THAT(message(wait(world_.context, "no", 0)), HasSubstr("does not exist"));
  EXPECT_THAT(message(exec(world_.context, "no", {})), HasSubstr("does not exist"));
  EXPECT_TRUE(remove(world_.context, "no", true));
}

TEST_F(LifecycleTest, PausesAndResumes) {
  create_and_start();
  ASSERT_TRUE(pause(world_.context, "web"));
  EXPECT_EQ(status(), Status::kPaused);
  EXPECT_THAT(message(pause(world_.context, "web")), HasSubstr("container paused"));
  ExecOptions command;
  command.args = {"true"};
  EXPECT_THAT(message(exec(world_.context, "web", command)),
              HasSubstr("cannot exec in a paused container (use --ignore-paused to override)"));
  ASSERT_TRUE(resume(world_.context, "web"));
  EXPECT_EQ(status(), Status::kRunning);
}

TEST_F(LifecycleTest, ForceRemovesARunningAndAPausedOne) {
  create_and_start();
  ASSERT_TRUE(pause(world_.context, "web"));
  int pid = query(world_.context, "web")->state.init.pid;
  ASSERT_TRUE(remove(world_.context, "web", true));
  EXPECT_FALSE(process_exists(pid));
  EXPECT_THAT(world_.leftovers(), IsEmpty());
}

TEST_F(LifecycleTest, AFailedCreateLeavesNothing) {
  world_.executor.fail_create = true;
  EXPECT_THAT(message(create(world_.context, options())), HasSubstr("the fake failed"));
  EXPECT_THAT(world_.leftovers(), IsEmpty());
}

TEST_F(LifecycleTest, AFailedStepAfterTheProcessTakesItBack) {
  auto create_options = options();
  create_options.pid_file = "/nonexistent/pid";
  auto created = create(world_.context, create_options);
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().step(), "pid-file");
  EXPECT_THAT(world_.leftovers(), IsEmpty());
}

TEST_F(LifecycleTest, HooksSeeTheirStatusAndFailuresTakeEverythingBack) {
  std::string out = world_.scratch / "out";
  spec::Hook note{"/bin/sh", {"sh", "-c", cat("cat >> ", out, "; echo >> ", out)}, {}, {}};
  spec_.hooks.prestart = {note};
  spec_.hooks.create_runtime = {note};
  spec_.hooks.poststart = {note};
  spec_.hooks.poststop = {note};
  create_and_start();
  ASSERT_TRUE(remove(world_.context, "web", true));
  std::string text = *sys::read_file(sys::kCwd, out.c_str());
  auto lines = split(trim(text), '\n');
  ASSERT_EQ(lines.size(), 4U) << text;
  EXPECT_THAT(std::string(lines[0]), HasSubstr(R"("status":"creating")"));
  EXPECT_THAT(std::string(lines[0]), HasSubstr(R"("bundle":"/bundle")"));
  EXPECT_THAT(std::string(lines[2]), HasSubstr(R"("status":"running")"));
  EXPECT_THAT(std::string(lines[3]), HasSubstr(R"("status":"stopped")"));
  spec_.hooks.create_runtime = {{"/bin/sh", {"sh", "-c", "exit 1"}, {}, {}}};
  EXPECT_THAT(message(create(world_.context, options())), HasSubstr("createRuntime"));
  EXPECT_THAT(world_.leftovers(), IsEmpty());
}

TEST_F(LifecycleTest, AFailedPoststartHookStopsTheContainer) {
  spec_.hooks.poststart = {{"/bin/sh", {"sh", "-c", "exit 1"}, {}, {}}};
  ASSERT_TRUE(create(world_.context, options()));
  EXPECT_THAT(message(start(world_.context, "web")), HasSubstr("poststart"));
  EXPECT_TRUE(eventually([&] { return status() == Status::kStopped; }));
}

TEST_F(LifecycleTest, WritesThePidFileWithoutANewline) {
  auto create_options = options();
  create_options.pid_file = world_.scratch / "pid";
  auto created = create(world_.context, create_options);
  ASSERT_TRUE(created);
  EXPECT_EQ(*sys::read_file(sys::kCwd, create_options.pid_file.c_str()), cat(created->pid));
}

TEST_F(LifecycleTest, APidThatWasReusedIsNotTheContainer) {
  create_and_start();
  auto folder = open_folder(world_.context, "web");
  auto state = load_state(*folder);
  int pid = state->init.pid;
  --state->init.start_time;
  ASSERT_TRUE(save_state(*folder, {}, *state));
  EXPECT_EQ(status(), Status::kStopped);
  EXPECT_TRUE(remove(world_.context, "web"));
  EXPECT_TRUE(process_exists(pid));
  (void)sys::kill(pid, SIGKILL);
  wait_test_process(pid);
}

TEST_F(LifecycleTest, ListsAllAndSaysWhichCannotBeRead) {
  EXPECT_THAT(*list(world_.context), IsEmpty());
  create_and_start();
  ASSERT_TRUE(sys::make_directories(cat(world_.context.root, "/broken/deep"), 0700));
  auto entries = list(world_.context);
  ASSERT_TRUE(entries);
  ASSERT_EQ(entries->size(), 2U);
  EXPECT_EQ((*entries)[0].id, "broken");
  EXPECT_FALSE((*entries)[0].problem.empty());
  EXPECT_EQ((*entries)[1].snapshot->status, Status::kRunning);
}

TEST_F(LifecycleTest, ShowsTheStateOfTheSpecification) {
  spec_.annotations = {{"k", "v"}};
  ASSERT_TRUE(create(world_.context, options()));
  auto json = state_json(*query(world_.context, "web"), "");
  EXPECT_THAT(json, HasSubstr(R"("ociVersion":"1.3.0","id":"web","pid":)"));
  EXPECT_THAT(json, HasSubstr(R"("status":"created","bundle":"/bundle","rootfs":"/")"));
  EXPECT_THAT(json, HasSubstr(R"("annotations":{"k":"v"})"));
  EXPECT_THAT(json, ::testing::ContainsRegex("\"created\":\"20..-..-..T"));
}

TEST_F(LifecycleTest, ExecRunsWithTheEnvironmentOfTheContainerAndMore) {
  create_and_start();
  std::string out = world_.scratch / "out";
  ExecOptions command;
  command.args = {"sh", "-c", cat("echo $A > ", out, "; exit 7")};
  command.env = {"A=b"};
  command.pid_file = world_.scratch / "pid";
  auto result = exec(world_.context, "web", command);
  ASSERT_TRUE(result) << message(result);
  EXPECT_EQ(result->exit.shell_status(), 7);
  EXPECT_EQ(*sys::read_file(sys::kCwd, out.c_str()), "b\n");
  EXPECT_EQ(*sys::read_file(sys::kCwd, command.pid_file.c_str()), cat(result->pid));
}

TEST_F(LifecycleTest, ExecOfNothingIsAnError) {
  create_and_start();
  EXPECT_THAT(message(exec(world_.context, "web", {})), HasSubstr("process.args"));
}

TEST_F(LifecycleTest, WaitIsBoundedAndStopInsists) {
  spec_ = world_.spec({"sh", "-c", "trap '' TERM; while :; do sleep 1; done"});
  create_and_start();
  pause_ms(200);
  auto waited = wait(world_.context, "web", 50);
  ASSERT_FALSE(waited);
  EXPECT_TRUE(waited.error().is(ETIMEDOUT));
  auto exit = stop(world_.context, "web", SIGTERM, 200);
  ASSERT_TRUE(exit) << message(exit);
  EXPECT_EQ(exit->signal, SIGKILL);
}

TEST_F(LifecycleTest, RunInTheForegroundTellsTheStatusAndLeavesNothing) {
  spec_ = world_.spec({"sh", "-c", "exit 5"});
  RunOptions run_options;
  run_options.create = options();
  auto result = run(world_.context, run_options);
  ASSERT_TRUE(result) << message(result);
  EXPECT_TRUE(result->exit.known);
  EXPECT_EQ(result->exit.code, 5);
  EXPECT_THAT(world_.leftovers(), IsEmpty());
}

TEST_F(LifecycleTest, RunInTheForegroundPassesSignalsOn) {
  const std::string ready = world_.scratch / "ready";
  spec_ = world_.spec(
      {"sh", "-c", cat("trap 'exit 9' USR1; : > ", ready, "; while :; do sleep 0.05; done")});
  int pid = fork_test_process();
  if (pid == 0) {
    RunOptions run_options;
    run_options.create = options();
    auto result = run(world_.context, run_options);
    ::_exit(result ? result->exit.shell_status() : 100);
  }
  ASSERT_TRUE(eventually([&] { return ::access(ready.c_str(), F_OK) == 0; }));
  (void)sys::kill(pid, SIGUSR1);
  EXPECT_EQ(WEXITSTATUS(wait_test_process(pid)), 9);
  EXPECT_THAT(world_.leftovers(), IsEmpty());
}

TEST_F(LifecycleTest, AKeptForegroundRunShowsHowItEnded) {
  spec_ = world_.spec({"sh", "-c", "kill -9 $$"});
  RunOptions run_options;
  run_options.create = options();
  run_options.remove_on_exit = false;
  ASSERT_TRUE(run(world_.context, run_options));
  auto snapshot = query(world_.context, "web");
  EXPECT_EQ(snapshot->status, Status::kStopped);
  ASSERT_TRUE(snapshot->exit);
  EXPECT_EQ(snapshot->exit->signal, 9);
  EXPECT_FALSE(snapshot->exit->oom);
}

TEST_F(LifecycleTest, ATerminalNeedsSomebodyToHoldIt) {
  spec_.process->terminal = true;
  EXPECT_THAT(message(create(world_.context, options())),
              HasSubstr("cannot allocate tty if runc will detach without setting console socket"));
  spec_.process->terminal = false;
  auto create_options = options();
  create_options.console_socket = "/nonexistent";
  EXPECT_THAT(message(create(world_.context, create_options)),
              HasSubstr("cannot use console socket if runc will not detach or allocate tty"));
  EXPECT_THAT(world_.leftovers(), IsEmpty());
}

TEST_F(LifecycleTest, AForegroundTerminalIsProxied) {
  spec_ = world_.spec({"sh", "-c", "read x; echo got $x; test -t 1 && exit 3"});
  spec_.process->terminal = true;
  int in[2], out[2];
  ASSERT_TRUE(::pipe(in) == 0 && ::pipe(out) == 0);
  ASSERT_EQ(::write(in[1], "hey\n", 4), 4);
  RunOptions run_options;
  run_options.create = options();
  run_options.create.stdio = {in[0], out[1], -1};
  auto result = run(world_.context, run_options);
  ASSERT_TRUE(result) << message(result);
  EXPECT_EQ(result->exit.shell_status(), 3);
  char text[256] = {};
  ASSERT_GT(::read(out[0], text, sizeof text - 1), 0);
  EXPECT_THAT(std::string(text), HasSubstr("got hey"));
  for (int fd : {in[0], in[1], out[0], out[1]}) ::close(fd);
}

TEST_F(LifecycleTest, ACheckpointRemovesTheContainerUnlessItIsToGoOn) {
  create_and_start();
  plan::CriuOptions criu;
  criu.image_path = "/images";
  criu.leave_running = true;
  ASSERT_TRUE(checkpoint(world_.context, "web", criu));
  EXPECT_EQ(status(), Status::kRunning);
  criu.leave_running = false;
  auto saved = checkpoint(world_.context, "web", criu);
  ASSERT_TRUE(saved) << message(saved);
  EXPECT_EQ(world_.executor.saved, "/images\n/images\n");
  EXPECT_THAT(world_.leftovers(), IsEmpty());
}

TEST_F(LifecycleTest, AFailedCheckpointLeavesTheContainerAsItIs) {
  create_and_start();
  world_.executor.fail_checkpoint = true;
  EXPECT_FALSE(checkpoint(world_.context, "web", {}));
  EXPECT_EQ(status(), Status::kRunning);
}

TEST_F(LifecycleTest, OnlyWhatRunsCanBeSaved) {
  EXPECT_THAT(message(checkpoint(world_.context, "web", {})), HasSubstr("does not exist"));
  ASSERT_TRUE(create(world_.context, options()));
  EXPECT_THAT(message(checkpoint(world_.context, "web", {})),
              HasSubstr("cannot be checkpointed in created state"));
  ASSERT_TRUE(start(world_.context, "web"));
  end();
  EXPECT_THAT(message(checkpoint(world_.context, "web", {})),
              HasSubstr("cannot be checkpointed in stopped state"));
}

TEST_F(LifecycleTest, ARestoredContainerIsARunningOne) {
  plan::CriuOptions criu;
  RunOptions run_options;
  run_options.create = options();
  run_options.create.restore = &criu;
  run_options.mode = RunMode::kDetached;
  auto restored = run(world_.context, run_options);
  ASSERT_TRUE(restored) << message(restored);
  EXPECT_EQ(status(), Status::kRunning);
  EXPECT_EQ(query(world_.context, "web")->pid(), restored->pid);
  end();
  ASSERT_TRUE(remove(world_.context, "web"));
  EXPECT_THAT(world_.leftovers(), IsEmpty());
}

TEST_F(LifecycleTest, ARestoreThatFailsLeavesNothing) {
  plan::CriuOptions criu;
  RunOptions run_options;
  run_options.create = options();
  run_options.create.restore = &criu;
  run_options.mode = RunMode::kDetached;
  world_.executor.fail_checkpoint = true;
  EXPECT_FALSE(run(world_.context, run_options));
  EXPECT_THAT(world_.leftovers(), IsEmpty());
}

}  // namespace
}  // namespace caisson::container

#include "container/process.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "container/fake_executor.h"
#include "sys/process.h"

namespace caisson::container {
namespace {

struct Sleeper {
  int pid = fork_test_process();
  ProcessId id;
  std::string boot = *sys::boot_id();

  Sleeper() {
    if (pid == 0) {
      pause_ms(20'000);
      ::_exit(0);
    }
    id = {pid, *sys::process_start_time(pid)};
  }
  ~Sleeper() {
    (void)sys::kill(pid, SIGKILL);
    wait_test_process(pid);
  }
};

TEST(FindProcess, FindsTheLiving) {
  Sleeper sleeper;
  EXPECT_TRUE(find_process(sleeper.id, sleeper.boot));
}

TEST(FindProcess, IsNotTakenInByAReusedPid) {
  Sleeper sleeper;
  ProcessId earlier{sleeper.pid, sleeper.id.start_time - 1};
  EXPECT_FALSE(find_process(earlier, sleeper.boot));
}

TEST(FindProcess, IsNotTakenInByAnotherBoot) {
  Sleeper sleeper;
  EXPECT_FALSE(find_process(sleeper.id, "00000000-0000-0000-0000-000000000000"));
}

TEST(FindProcess, ZombiesAreDead) {
  Sleeper sleeper;
  (void)sys::kill(sleeper.pid, SIGKILL);
  EXPECT_TRUE(eventually([&] { return !find_process(sleeper.id, sleeper.boot).has_value(); }));
}

TEST(FindProcess, NoPidIsNobody) { EXPECT_FALSE(find_process(ProcessId{}, *sys::boot_id())); }

TEST(CollectExit, TellsCodeAndSignalOfAChild) {
  int pid = fork_test_process();
  if (pid == 0) ::_exit(5);
  auto pidfd = sys::pidfd_open(pid);
  ASSERT_TRUE(sys::wait_readable(*pidfd, 5000).value_or(false));
  Exit exit = collect_exit(*pidfd, pid);
  EXPECT_TRUE(exit.known);
  EXPECT_EQ(exit.code, 5);
  EXPECT_GT(exit.at, 0);
}

// The parent is another process, which does not collect it: the zombie tells.
TEST(CollectExit, TellsOfAZombieOfSomebodyElse) {
  int fds[2];
  ASSERT_EQ(::pipe(fds), 0);
  int parent = fork_test_process();
  if (parent == 0) {
    int child = fork_test_process();
    if (child == 0) ::_exit(6);
    (void)!::write(fds[1], &child, sizeof child);
    pause_ms(20'000);
    ::_exit(0);
  }
  int child = 0;
  ASSERT_EQ(::read(fds[0], &child, sizeof child), static_cast<ssize_t>(sizeof child));
  auto pidfd = sys::pidfd_open(child);
  ASSERT_TRUE(pidfd && sys::wait_readable(*pidfd, 5000).value_or(false));
  Exit exit = collect_exit(*pidfd, child);
  EXPECT_TRUE(exit.known);
  EXPECT_EQ(exit.code, 6);
  (void)sys::kill(parent, SIGKILL);
  wait_test_process(parent);
}

TEST(CollectExit, OneThatIsGoneIsLostOrRight) {
  Sleeper sleeper;
  ProcessId gone{sleeper.pid, sleeper.id.start_time - 1};
  EXPECT_FALSE(exit_of_ended(gone, sleeper.boot).known);
}

}  // namespace
}  // namespace caisson::container

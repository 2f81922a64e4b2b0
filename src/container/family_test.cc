#include "container/family.h"

#include <signal.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "container/fake_executor.h"
#include "sys/process.h"

namespace caisson::container {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;

TEST(Family, IsAProcessAndItsDescendants) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  int pid = fork_test_process();
  if (pid == 0) {
    int child = fork_test_process();
    if (child != 0) (void)!::write(ends[1], &child, sizeof child);
    // The child is a test process itself: it ends with us, and by itself.
    pause_ms(20'000);
    ::_exit(0);
  }
  int child = 0;
  EXPECT_EQ(::read(ends[0], &child, sizeof child), static_cast<ssize_t>(sizeof child));
  auto family = family_of(pid);
  ASSERT_TRUE(family) << family.error().message();
  EXPECT_THAT(*family, ::testing::UnorderedElementsAre(pid, child));
  EXPECT_THAT(*family, Not(Contains(sys::getpid())));
  (void)sys::kill(child, SIGKILL);
  (void)sys::kill(pid, SIGKILL);
  wait_test_process(pid);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(Family, OfNobodyIsEmpty) {
  int pid = fork_test_process();
  if (pid == 0) ::_exit(0);
  wait_test_process(pid);
  auto family = family_of(pid);
  ASSERT_TRUE(family);
  EXPECT_THAT(*family, ElementsAre());
}

}  // namespace
}  // namespace caisson::container

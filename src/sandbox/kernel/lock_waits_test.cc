#include "sandbox/kernel/lock_waits.h"

#include <cerrno>

#include <gtest/gtest.h>

namespace caisson::sandbox::kernel {
namespace {

TEST(LockWaits, ACircleIsADeadlock) {
  LockWaits waits;
  int a = 0, b = 0, c = 0;
  LockWaits::Wait of_a(waits, &a), of_b(waits, &b), of_c(waits, &c);
  EXPECT_TRUE(of_a.set(&b).has_value());
  EXPECT_TRUE(of_b.set(&c).has_value());
  EXPECT_EQ(of_c.set(&a).error().value, EDEADLK);
}

TEST(LockWaits, AWaitThatEndedBlocksNobody) {
  LockWaits waits;
  int a = 0, b = 0;
  LockWaits::Wait of_b(waits, &b);
  {
    LockWaits::Wait of_a(waits, &a);
    EXPECT_TRUE(of_a.set(&b).has_value());
    EXPECT_EQ(of_b.set(&a).error().value, EDEADLK);
  }
  EXPECT_TRUE(of_b.set(&a).has_value());
}

TEST(LockWaits, AWaitMayTurnToAnotherHolder) {
  LockWaits waits;
  int a = 0, b = 0, c = 0;
  LockWaits::Wait of_a(waits, &a), of_b(waits, &b);
  EXPECT_TRUE(of_a.set(&b).has_value());
  EXPECT_TRUE(of_a.set(&c).has_value());
  EXPECT_TRUE(of_b.set(&a).has_value());
}

}  // namespace
}  // namespace caisson::sandbox::kernel

#include "sandbox/platform/spin_policy.h"

#include <gtest/gtest.h>

namespace caisson::sandbox::platform {
namespace {

int calls_until_look(SpinPolicy& policy) {
  int calls = 1;
  while (!policy.came(true)) ++calls;
  return calls;
}

TEST(SpinPolicy, LooksAfterManyQuickCalls) {
  SpinPolicy policy;
  EXPECT_EQ(calls_until_look(policy), 32);
}

TEST(SpinPolicy, ASlowCallBeginsTheCountAnew) {
  SpinPolicy policy;
  for (int i = 0; i < 31; ++i) EXPECT_FALSE(policy.came(true));
  EXPECT_FALSE(policy.came(false));
  EXPECT_EQ(calls_until_look(policy), 32);
}

TEST(SpinPolicy, FailuresMakeTheNextTryRarer) {
  SpinPolicy policy;
  int expected = 32;
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(calls_until_look(policy), expected);
    EXPECT_FALSE(policy.missed());
    EXPECT_TRUE(policy.missed());
    expected *= 2;
  }
  for (int i = 0; i < 20; ++i) {
    (void)calls_until_look(policy);
    (void)policy.missed();
    (void)policy.missed();
  }
  EXPECT_EQ(calls_until_look(policy), 1 << 16);
}

TEST(SpinPolicy, OneMissBetweenSuccessesIsForgiven) {
  SpinPolicy policy;
  (void)calls_until_look(policy);
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(policy.missed());
    policy.seen();
  }
}

TEST(SpinPolicy, LongSuccessForgetsFailures) {
  SpinPolicy policy;
  (void)calls_until_look(policy);
  (void)policy.missed();
  (void)policy.missed();
  EXPECT_EQ(calls_until_look(policy), 64);
  for (std::uint32_t i = 0; i < SpinPolicy::kProven; ++i) policy.seen();
  (void)policy.missed();
  (void)policy.missed();
  EXPECT_EQ(calls_until_look(policy), 64);
}

TEST(SpinBudget, IsHalfOfTheProcessors) {
  SpinBudget one(1), two(2), four(4);
  EXPECT_FALSE(one.take());
  EXPECT_TRUE(two.take());
  EXPECT_FALSE(two.take());
  two.give_back();
  EXPECT_TRUE(two.take());
  EXPECT_TRUE(four.take());
  EXPECT_TRUE(four.take());
  EXPECT_FALSE(four.take());
}

}  // namespace
}  // namespace caisson::sandbox::platform

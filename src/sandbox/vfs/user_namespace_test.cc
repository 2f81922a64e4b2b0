#include "sandbox/vfs/user_namespace.h"

#include <gtest/gtest.h>

#include "sandbox/vfs/credentials.h"

namespace caisson::sandbox::vfs {
namespace {

using Kind = UserNamespace::Kind;

TEST(UserNamespace, IdsAreMappedBothWays) {
  auto ns = make_ref<UserNamespace>(nullptr, 1000U, std::uint64_t{1});
  EXPECT_FALSE(ns->from_sandbox(Kind::kUsers, 1000));
  EXPECT_TRUE(ns->set_ranges(Kind::kUsers, {{0, 1000, 1}, {10, 2000, 5}}));
  EXPECT_FALSE(ns->set_ranges(Kind::kUsers, {{0, 0, 1}}));
  EXPECT_EQ(ns->from_sandbox(Kind::kUsers, 1000), 0U);
  EXPECT_EQ(ns->to_sandbox(Kind::kUsers, 14), 2004U);
  EXPECT_FALSE(ns->to_sandbox(Kind::kUsers, 15));
  EXPECT_FALSE(ns->from_sandbox(Kind::kUsers, 1001));
}

TEST(UserNamespace, CapabilitiesCountWhereTheyAre) {
  auto outer = make_ref<UserNamespace>(nullptr, 1000U, std::uint64_t{1});
  auto inner = make_ref<UserNamespace>(outer, 1000U, std::uint64_t{2});
  auto who = Credentials::root()->copy();
  who->user_namespace = outer;
  EXPECT_FALSE(who->has(5));
  EXPECT_FALSE(who->has_in(nullptr, 5));
  EXPECT_TRUE(who->has_in(outer.get(), 5));
  EXPECT_TRUE(who->has_in(inner.get(), 5));
  // Who made a namespace has all in it.
  auto maker = make_ref<Credentials>();
  maker->euid = 1000;
  EXPECT_TRUE(maker->has_in(outer.get(), 5));
  EXPECT_FALSE(maker->has_in(nullptr, 5));
  maker->euid = 1001;
  EXPECT_FALSE(maker->has_in(outer.get(), 5));
}

TEST(UserNamespace, FilesWithoutANumberAreOutOfReach) {
  auto ns = make_ref<UserNamespace>(nullptr, 1000U, std::uint64_t{1});
  ns->set_ranges(Kind::kUsers, {{0, 1000, 1}});
  ns->set_ranges(Kind::kGroups, {{0, 1000, 1}});
  auto who = Credentials::root()->copy();
  who->user_namespace = ns;
  EXPECT_TRUE(who->has_over(1000, 1000, 1));
  EXPECT_FALSE(who->has_over(0, 1000, 1));
  EXPECT_TRUE(Credentials::root()->has_over(0, 5, 1));
}

}  // namespace
}  // namespace caisson::sandbox::vfs

#include "plan/compile.h"

#include <sys/mount.h>

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan/test_support.h"

namespace caisson::plan {
namespace {

using testing::default_spec;
using ::testing::HasSubstr;
using testing::root_host;
using testing::rootless_spec;
using testing::test_options;
using testing::user_host;

Plan compiled(const spec::ContainerSpec& spec, const HostFacts& host,
              const Options& options = test_options()) {
  auto plan = compile(spec, host, options);
  EXPECT_TRUE(plan) << (plan ? "" : plan.error().message());
  return plan ? *std::move(plan) : Plan{};
}

std::string compile_error(const spec::ContainerSpec& spec, const HostFacts& host) {
  auto plan = compile(spec, host, test_options());
  return plan ? "no error" : plan.error().message();
}

TEST(Compile, RuncsDefaultSpecCompilesOnEveryKindOfHost) {
  for (auto mode : {CgroupMode::kNone, CgroupMode::kV1, CgroupMode::kHybrid, CgroupMode::kV2}) {
    compiled(default_spec(), root_host(mode));
  }
  compiled(rootless_spec(), user_host());
}

TEST(Compile, AnOrdinaryUserNeedsAUserNamespace) {
  auto plan = compile(default_spec(), user_host(), test_options());
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code(), "host.unprivileged");
  EXPECT_THAT(plan.error().cure(), HasSubstr("uidMappings"));
}

TEST(Compile, ASpecWithoutMountNamespaceIsRefused) {
  auto spec = default_spec();
  std::erase_if(spec.linux_part->namespaces,
                [](const spec::Namespace& each) { return each.kind == NamespaceKind::kMount; });
  EXPECT_THAT(compile_error(spec, root_host(CgroupMode::kV2)), HasSubstr("mount namespace"));
}

TEST(Compile, ASpecWithoutProcessCompiles) {
  auto spec = default_spec();
  spec.process.reset();
  EXPECT_TRUE(compiled(spec, root_host(CgroupMode::kV2)).process.args.empty());
}

}  // namespace
}  // namespace caisson::plan

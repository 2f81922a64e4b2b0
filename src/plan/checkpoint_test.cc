#include "plan/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan/compile.h"
#include "plan/test_support.h"

namespace caisson::plan {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using namespace testing;  // NOLINT: the specs and hosts of test_support.h

Plan plan_of(const spec::ContainerSpec& spec, CgroupMode mode = CgroupMode::kV2) {
  auto plan = compile(spec, root_host(mode), test_options());
  EXPECT_TRUE(plan) << (plan ? "" : plan.error().message());
  return plan ? *std::move(plan) : Plan{};
}

std::vector<std::string> pairs_of(const Plan& plan) {
  auto externals = external_mounts(plan, plan.cgroup);
  EXPECT_TRUE(externals) << (externals ? "" : externals.error().message());
  std::vector<std::string> out;
  if (!externals) return out;
  for (const auto& external : *externals) {
    out.push_back(cat(external.name, " < ", external.source, external.recursive ? " all" : ""));
  }
  return out;
}

spec::ContainerSpec without_cgroup_namespace() {
  auto spec = default_spec();
  std::erase_if(spec.linux_part->namespaces, [](const spec::Namespace& entry) {
    return entry.kind == spec::NamespaceKind::kCgroup;
  });
  return spec;
}

TEST(ExternalMounts, AreTheRootAndTheBinds) {
  auto spec = default_spec();
  spec.mounts.push_back({"/data", "bind", "/srv/data", {"rbind", "ro"}, {}, {}});
  spec.mounts.push_back({"/etc/hosts", "", "hosts", {"bind"}, {}, {}});
  EXPECT_THAT(pairs_of(plan_of(spec)),
              ::testing::ElementsAre(" < /bundle/rootfs all", "/data < /srv/data all",
                                     "/etc/hosts < /bundle/hosts"));
}

TEST(ExternalMounts, CgroupsAreTheContainersOwnOnlyInANamespace) {
  EXPECT_THAT(pairs_of(plan_of(default_spec(), CgroupMode::kV1)),
              Not(Contains(HasSubstr("/sys/fs/cgroup"))));
  auto plan = plan_of(without_cgroup_namespace(), CgroupMode::kV1);
  const auto& first = plan.cgroup.directories.front();
  EXPECT_THAT(pairs_of(plan),
              Contains(cat(first.mount_point, " < ", first.mount_point, first.path)));
  auto v2 = plan_of(without_cgroup_namespace());
  const auto& only = v2.cgroup.directories.back();
  EXPECT_THAT(pairs_of(v2), Contains(cat("/sys/fs/cgroup < ", only.mount_point, only.path)));
}

TEST(ExternalMounts, DevicesThatAreBoundInAUserNamespace) {
  EXPECT_THAT(pairs_of(plan_of(rootless_spec())), Contains("/dev/null < /dev/null"));
}

TEST(ExternalMounts, WhatNoRestoreCouldMakeIsRefused) {
  auto spec = default_spec();
  spec.mounts.push_back({"/data", "bind", "/srv", {"bind"}, {{0, 1000, 1}}, {{0, 1000, 1}}});
  auto plan = plan_of(spec);
  auto mapped = external_mounts(plan, plan.cgroup);
  ASSERT_FALSE(mapped);
  EXPECT_EQ(mapped.error().code(), "checkpoint.unsupported");
  HostFacts host = root_host(CgroupMode::kV2);
  add_simple_mounts(host);
  auto view = compile(view_spec(false), host, test_options());
  ASSERT_TRUE(view);
  EXPECT_FALSE(external_mounts(*view, view->cgroup));
}

TEST(MountPointPlan, PutsATmpfsWhereEverythingBelowIsInTheImages) {
  auto spec = default_spec();
  spec.mounts.push_back({"/data", "bind", "/srv/data", {"bind"}, {}, {}});
  auto points = mount_point_plan(plan_of(spec).mounts);
  bool bind = false;
  for (const auto& step : points.steps) {
    bool expected = step.op == MountOp::kNewFilesystem || step.op == MountOp::kBind ||
                    step.op == MountOp::kDirectory || step.op == MountOp::kSymlink ||
                    step.op == MountOp::kDeviceNode;
    EXPECT_TRUE(expected) << step.target;
    if (step.op == MountOp::kNewFilesystem) {
      EXPECT_EQ(step.type, "tmpfs") << step.target;
    }
    bind |= step.op == MountOp::kBind && step.target == "/data";
  }
  EXPECT_TRUE(bind);
}

}  // namespace
}  // namespace caisson::plan

#include "plan/wire.h"

#include <gtest/gtest.h>

#include "plan/compile.h"
#include "plan/dump.h"
#include "plan/sandbox.h"
#include "plan/test_support.h"

namespace caisson::plan {
namespace {

// What travels of a plan; the rest is not compared.
Plan travelling(const Plan& plan) {
  Plan part;
  part.id = plan.id;
  part.bundle = plan.bundle;
  part.sandbox = plan.sandbox;
  part.mounts = plan.mounts;
  part.namespaces = {};
  part.hostname = plan.hostname;
  part.domainname = plan.domainname;
  part.annotations = plan.annotations;
  return part;
}

void expect_survives(const spec::ContainerSpec& spec) {
  auto plan = compile(spec, testing::root_host(CgroupMode::kV2), testing::test_options());
  ASSERT_TRUE(plan.has_value());
  Plan read;
  ASSERT_TRUE(decode(encode(*plan), read).has_value());
  // Whatever was written is written again: nothing of it was lost.
  EXPECT_EQ(encode(read), encode(*plan));
  EXPECT_EQ(encode(travelling(read)), encode(travelling(*plan)));
  EXPECT_EQ(read.process.args, plan->process.args);
  EXPECT_EQ(read.process.env, plan->process.env);
  EXPECT_EQ(read.mounts.steps.size(), plan->mounts.steps.size());
}

TEST(PlanWire, PlansSurvive) {
  expect_survives(testing::default_spec());
  expect_survives(testing::view_spec(false));
  auto spec = testing::default_spec();
  spec.annotations[std::string(kWallAnnotation)] = "sandbox";
  spec.annotations[std::string(kOverlayAnnotation)] = "/upper";
  expect_survives(spec);
}

TEST(PlanWire, WhatIsAskedOfARunningSandboxSurvives) {
  GuestProcess process;
  process.pid = 7;
  process.parent = 1;
  process.state = 'S';
  process.name = "sh";
  process.args = {"sh", "-c", ""};
  process.terminal = "pts/0";
  std::vector<GuestProcess> processes;
  ASSERT_TRUE(decode(encode(std::vector<GuestProcess>{process}), processes).has_value());
  ASSERT_EQ(processes.size(), 1U);
  EXPECT_EQ(processes[0].args, process.args);
  EXPECT_EQ(processes[0].terminal, "pts/0");
  GuestLimits limits, read;
  limits.memory_bytes = 4096;
  limits.processes = 3;
  ASSERT_TRUE(decode(encode(limits), read).has_value());
  EXPECT_EQ(read, limits);
}

TEST(PlanWire, ChangesOfNoKindAreRefused) {
  std::vector<GuestChange> changes = {{GuestChange::Kind::kDeleted, "/a"}}, read;
  ASSERT_TRUE(decode(encode(changes), read).has_value());
  EXPECT_EQ(read[0].path, "/a");
  changes[0].kind = static_cast<GuestChange::Kind>(3);
  EXPECT_FALSE(decode(encode(changes), read).has_value());
}

TEST(PlanWire, EveryCutIsRefused) {
  auto plan = compile(testing::default_spec(), testing::root_host(CgroupMode::kV2),
                      testing::test_options());
  std::string bytes = encode(*plan);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    Plan read;
    EXPECT_FALSE(decode(std::string_view(bytes).substr(0, size), read).has_value()) << size;
  }
  Plan read;
  EXPECT_FALSE(decode(bytes + "x", read).has_value());
}

TEST(PlanWire, NumbersThatNoPlanHasAreRefused) {
  Plan plan;
  plan.mounts.steps.resize(1);
  plan.mounts.steps[0].op = static_cast<MountOp>(77);
  Plan read;
  EXPECT_FALSE(decode(encode(plan), read).has_value());
}

TEST(PlanWire, ProcessesSurvive) {
  ProcessPlan process;
  process.args = {"sh", "-c", "true"};
  process.env = {"A=b"};
  process.uid = 7;
  process.umask = 027;
  process.rlimits.push_back({7, "RLIMIT_NOFILE", 1, 2});
  process.capabilities.apply = true;
  process.capabilities.effective = 5;
  process.terminal = true;
  ProcessPlan read;
  ASSERT_TRUE(decode(encode(process), read).has_value());
  EXPECT_EQ(read.args, process.args);
  EXPECT_EQ(read.uid, 7U);
  EXPECT_EQ(read.umask, process.umask);
  EXPECT_EQ(read.rlimits.size(), 1U);
  EXPECT_TRUE(read.terminal);
  EXPECT_EQ(encode(read), encode(process));
}

}  // namespace
}  // namespace caisson::plan

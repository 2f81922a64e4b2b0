#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "plan/compile.h"
#include "plan/dump.h"
#include "plan/test_support.h"

namespace caisson::plan {
namespace {

using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the specs and hosts of test_support.h

NamespacePlan compiled(const spec::ContainerSpec& spec, const HostFacts& host) {
  auto plan = compile(spec, host, test_options());
  EXPECT_TRUE(plan) << (plan ? "" : plan.error().message());
  if (plan) return plan->namespaces;
  NamespacePlan none;
  none.steps.resize(spec::kNamespaceKinds);
  return none;
}

spec::ContainerSpec mapped_spec(std::vector<IdMapping> uid, std::vector<IdMapping> gid) {
  spec::ContainerSpec spec = rootless_spec();
  spec.linux_part->uid_mappings = std::move(uid);
  spec.linux_part->gid_mappings = std::move(gid);
  return spec;
}

TEST(NamespacePlan, HasOneStepOfEachKindInOrder) {
  NamespacePlan plan = compiled(default_spec(), root_host(CgroupMode::kV2));
  ASSERT_EQ(plan.steps.size(), std::size_t{spec::kNamespaceKinds});
  for (std::size_t i = 0; i < plan.steps.size(); ++i)
    EXPECT_EQ(plan.steps[i].kind, static_cast<NamespaceKind>(i));
  EXPECT_TRUE(plan.is_new(NamespaceKind::kPid));
  EXPECT_EQ(plan.of(NamespaceKind::kTime).action, NamespaceAction::kKeep);
  EXPECT_TRUE(plan.loopback_up);
}

TEST(NamespacePlan, AJoinedNetworkKeepsItsLoopback) {
  spec::ContainerSpec spec = default_spec();
  for (spec::Namespace& each : spec.linux_part->namespaces) {
    if (each.kind == NamespaceKind::kNetwork) each.path = "/run/netns/blue";
  }
  NamespacePlan plan = compiled(spec, root_host(CgroupMode::kV2));
  EXPECT_EQ(plan.of(NamespaceKind::kNetwork).path, "/run/netns/blue");
  EXPECT_FALSE(plan.loopback_up);
}

TEST(NamespacePlan, TheSameKindTwiceIsRefused) {
  spec::ContainerSpec spec = default_spec();
  spec.linux_part->namespaces.push_back({NamespaceKind::kPid, "/proc/1/ns/pid"});
  EXPECT_FALSE(compile(spec, root_host(CgroupMode::kV2), test_options()));
}

TEST(IdMapPlan, RootWritesMapsDirectly) {
  NamespacePlan plan =
      compiled(mapped_spec({{0, 100000, 65536}}, {{0, 100000, 65536}}), root_host(CgroupMode::kV2));
  EXPECT_EQ(plan.ids.method, IdMapMethod::kDirect);
  EXPECT_FALSE(plan.ids.deny_setgroups);
}

TEST(IdMapPlan, AUserMapsHimselfWithoutHelp) {
  NamespacePlan plan = compiled(mapped_spec({{0, 1000, 1}}, {{0, 1000, 1}}), user_host());
  EXPECT_EQ(plan.ids.method, IdMapMethod::kSingle);
  EXPECT_TRUE(plan.ids.deny_setgroups);
}

TEST(IdMapPlan, MoreIdsOrForeignOnesNeedTheHelpers) {
  NamespacePlan ranges =
      compiled(mapped_spec({{0, 1000, 1}, {1, 100000, 65536}}, {{0, 1000, 1}, {1, 100000, 65536}}),
               user_host());
  EXPECT_EQ(ranges.ids.method, IdMapMethod::kHelpers);
  EXPECT_FALSE(ranges.ids.deny_setgroups);
  NamespacePlan foreign = compiled(mapped_spec({{0, 1001, 1}}, {{0, 1001, 1}}), user_host());
  EXPECT_EQ(foreign.ids.method, IdMapMethod::kHelpers);
  // newgidmap(1) itself denies setgroups for a map of the own group only.
  NamespacePlan own_group =
      compiled(mapped_spec({{0, 1000, 1}, {1, 100000, 65536}}, {{0, 1000, 1}}), user_host());
  EXPECT_EQ(own_group.ids.method, IdMapMethod::kHelpers);
  EXPECT_TRUE(own_group.ids.deny_setgroups);
}

TEST(IdMapPlan, ANewUserNamespaceNeedsMappings) {
  auto plan = compile(mapped_spec({}, {{0, 1000, 1}}), user_host(), test_options());
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().message(), HasSubstr("no uid mappings found"));
  EXPECT_EQ(plan.error().where(), "linux.uidMappings");
}

TEST(IdMapPlan, MappingsWithoutAUserNamespaceAreRefused) {
  spec::ContainerSpec spec = default_spec();
  spec.linux_part->uid_mappings = {{0, 1000, 1}};
  EXPECT_FALSE(compile(spec, root_host(CgroupMode::kV2), test_options()));
}

TEST(TimeOffsets, NeedANewTimeNamespace) {
  spec::ContainerSpec spec = default_spec();
  spec.linux_part->time_offsets["boottime"] = {86400, 0};
  EXPECT_FALSE(compile(spec, root_host(CgroupMode::kV2), test_options()));
  spec.linux_part->namespaces.push_back({NamespaceKind::kTime, ""});
  EXPECT_EQ(compiled(spec, root_host(CgroupMode::kV2)).time_offsets.at("boottime").seconds, 86400);
}

TEST(NetDevices, AreMovedByRootIntoAnotherNetworkOnly) {
  spec::ContainerSpec spec = default_spec();
  spec.linux_part->net_devices["eth1"] = "lan";
  EXPECT_TRUE(compile(spec, root_host(CgroupMode::kV2), test_options()));
  std::erase_if(spec.linux_part->namespaces,
                [](const auto& each) { return each.kind == NamespaceKind::kNetwork; });
  EXPECT_FALSE(compile(spec, root_host(CgroupMode::kV2), test_options()));
  spec::ContainerSpec rootless = rootless_spec();
  rootless.linux_part->net_devices["eth1"] = "lan";
  EXPECT_FALSE(compile(rootless, user_host(), test_options()));
}

TEST(Resctrl, TheMemoryLineOfItsOwnFieldReplacesThoseOfTheCacheField) {
  spec::ContainerSpec spec = default_spec();
  spec.linux_part->intel_rdt = {"gold", "L3:0=f\nMB:0=10\nL3CODE:0=3", "MB:0=20", {"L2:0=1"}, true};
  const Plan plan = [&] {
    auto compiled = compile(spec, root_host(CgroupMode::kV2), test_options());
    EXPECT_TRUE(compiled);
    return compiled ? *std::move(compiled) : Plan{};
  }();
  ASSERT_TRUE(plan.resctrl);
  EXPECT_EQ(plan.resctrl->schemata, "L3:0=f\nL3CODE:0=3\nMB:0=20\nL2:0=1\n");
  EXPECT_EQ(plan.resctrl->group, "gold");
  EXPECT_TRUE(plan.resctrl->shared);
  EXPECT_FALSE(plan.resctrl->must_exist);
  EXPECT_EQ(plan.resctrl->monitoring_group, test_options().id);
}

TEST(Resctrl, AClassIsTheContainersOwnOrMustBeThere) {
  spec::ContainerSpec spec = default_spec();
  auto planned = [&](std::string clos_id) {
    spec.linux_part->intel_rdt.emplace().clos_id = std::move(clos_id);
    auto plan = compile(spec, root_host(CgroupMode::kV2), test_options());
    EXPECT_TRUE(plan);
    return plan && plan->resctrl ? *plan->resctrl : ResctrlPlan{};
  };
  EXPECT_EQ(planned("").group, test_options().id);
  EXPECT_FALSE(planned("").must_exist);
  EXPECT_EQ(planned("gold").group, "gold");
  EXPECT_TRUE(planned("gold").must_exist);
  EXPECT_EQ(planned("/").group, "");
  spec::ContainerSpec rootless = rootless_spec();
  rootless.linux_part->intel_rdt.emplace();
  EXPECT_FALSE(compile(rootless, user_host(), test_options()));
}

// --- dump ---

TEST(Dump, ControlCharactersDoNotReachATerminal) {
  spec::ContainerSpec spec = default_spec();
  spec.process->args = {"sh", "-c", "\x1b[2Jecho\n"};
  auto plan = compile(spec, root_host(CgroupMode::kV2), test_options());
  ASSERT_TRUE(plan);
  std::string text = dump_text(dump(*plan));
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_THAT(text, HasSubstr("echo\\n"));
}

void expect_well_formed(const DumpNode& node) {
  const bool scalar = node.kind != DumpNode::Kind::kList && node.kind != DumpNode::Kind::kMap;
  if (scalar) {
    EXPECT_TRUE(node.children.empty()) << node.name;
    EXPECT_TRUE(node.summary.empty()) << node.name;
  } else {
    EXPECT_TRUE(node.text.empty()) << node.name;
  }
  for (const DumpNode& child : node.children) {
    EXPECT_EQ(child.name.empty(), node.kind == DumpNode::Kind::kList)
        << node.name << '.' << child.name;
    expect_well_formed(child);
  }
}

TEST(Dump, IsATreeThatJsonCanTake) {
  HostFacts host = root_host(CgroupMode::kHybrid);
  add_many_mounts(host);
  auto plan = compile(view_spec(false), host, test_options());
  ASSERT_TRUE(plan);
  expect_well_formed(dump(*plan));
}

}  // namespace
}  // namespace caisson::plan

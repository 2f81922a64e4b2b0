#include <sys/mount.h>

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "plan/compile.h"
#include "plan/dump.h"
#include "plan/paths.h"
#include "plan/test_support.h"

namespace caisson::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace testing;  // NOLINT: the specs and hosts of test_support.h

spec::ContainerSpec spec_with(const spec::Mount& mount) {
  spec::ContainerSpec spec = default_spec();
  spec.mounts = {mount};
  return spec;
}

Plan compiled(const spec::ContainerSpec& spec, const HostFacts& host = root_host(CgroupMode::kV2)) {
  auto plan = compile(spec, host, test_options());
  EXPECT_TRUE(plan) << (plan ? "" : plan.error().message());
  return plan ? *std::move(plan) : Plan{};
}

MountStep first_step(const spec::Mount& mount) {
  Plan plan = compiled(spec_with(mount));
  return plan.mounts.steps.empty() ? MountStep{} : plan.mounts.steps.front();
}

std::string refusal(const spec::Mount& mount) {
  auto plan = compile(spec_with(mount), root_host(CgroupMode::kV2), test_options());
  return plan ? "no error" : plan.error().message();
}

std::vector<MountStep> steps_on(const Plan& plan, std::string_view target) {
  std::vector<MountStep> out;
  for (const MountStep& step : plan.mounts.steps) {
    if (step.target == target) out.push_back(step);
  }
  return out;
}

TEST(MountPlan, ABindTakesItsRelativeSourceFromTheBundle) {
  MountStep step = first_step({"/data", "dummy", "volumes/data", {"rbind", "ro"}, {}, {}});
  EXPECT_EQ(step.op, MountOp::kBind);
  EXPECT_EQ(step.source, "/bundle/volumes/data");
  EXPECT_TRUE(step.recursive);
  EXPECT_EQ(step.attr_set, std::uint64_t{MOUNT_ATTR_RDONLY});
  EXPECT_FALSE(step.attr_recursive);
  EXPECT_EQ(step.if_missing, IfMissing::kMakeLikeSource);
}

TEST(MountPlan, DestinationsAreCleanedAndRelativeOnesAreBelowTheRoot) {
  EXPECT_EQ(first_step({"data/../x//y/", "tmpfs", "tmpfs", {}, {}, {}}).target, "/x/y");
  EXPECT_EQ(first_step({"/../../x", "tmpfs", "tmpfs", {}, {}, {}}).target, "/x");
}

TEST(MountPlan, ABindWithoutOptionsKeepsTheFlagsOfItsSource) {
  MountStep step =
      first_step({"/data", "bind", "/data", {"rbind", "rprivate", "defaults"}, {}, {}});
  EXPECT_TRUE(step.keep_source_flags);
  EXPECT_EQ(step.attr_set | step.attr_clear, 0U);
}

TEST(MountPlan, ABindThatNamesAFlagHasNoOthers) {
  MountStep step = first_step({"/data", "bind", "/data", {"bind", "ro", "dev"}, {}, {}});
  EXPECT_FALSE(step.keep_source_flags);
  EXPECT_FALSE(step.source_flags_locked);
  EXPECT_EQ(step.attr_set, std::uint64_t{MOUNT_ATTR_RDONLY});
  EXPECT_EQ(step.attr_clear, std::uint64_t{MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                           MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSYMFOLLOW});
  EXPECT_EQ(step.cleared_by_name, std::uint64_t{MOUNT_ATTR_NODEV});
}

TEST(MountPlan, AccessTimesOfABindStayUnlessAModeIsSet) {
  constexpr std::uint64_t kTimes = MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME;
  auto changed = [](const Strings& options) {
    return first_step({"/data", "bind", "/data", options, {}, {}});
  };
  for (const char* word : {"atime", "diratime", "norelatime", "nostrictatime"}) {
    MountStep step = changed({"bind", word});
    EXPECT_EQ((step.attr_set | step.attr_clear) & kTimes, 0U) << word;
  }
  EXPECT_EQ(changed({"bind", "noatime", "atime"}).attr_clear & kTimes, 0U);
  EXPECT_EQ(changed({"bind", "relatime"}).attr_clear & kTimes, kTimes);
  MountStep step = changed({"bind", "nodiratime"});
  EXPECT_EQ(step.attr_set & kTimes, std::uint64_t{MOUNT_ATTR_NODIRATIME});
  EXPECT_EQ(step.attr_clear & kTimes, std::uint64_t{MOUNT_ATTR__ATIME});
}

TEST(MountPlan, ASourceBelowTheRootIsOfTheRootOnceAMountIsInItsWay) {
  spec::ContainerSpec spec = default_spec();
  const std::string root = "/bundle/" + spec.root->path;
  spec.mounts = {{"/a", "bind", root + "/before", {"bind"}, {}, {}},
                 {"/m", "tmpfs", "tmpfs", {}, {}, {}},
                 {root + "/b", "bind", root + "/m/x", {"bind"}, {}, {}},
                 {"/c", "bind", root, {"bind"}, {}, {}},
                 {"/d", "bind", root, {"rbind"}, {}, {}},
                 {"/e", "bind", root + "x/m", {"rbind"}, {}, {}}};
  Plan plan = compiled(spec);
  ASSERT_GE(plan.mounts.steps.size(), 6U);
  auto source = [&](std::size_t i) {
    const MountStep& step = plan.mounts.steps[i];
    return cat(step.source_in_root ? "in root " : "", step.source);
  };
  EXPECT_EQ(source(0), root + "/before");
  EXPECT_EQ(source(2), "in root /m/x");
  EXPECT_EQ(plan.mounts.steps[2].target, "/b");
  EXPECT_EQ(source(3), root);
  EXPECT_EQ(source(4), "in root /");
  EXPECT_EQ(source(5), root + "x/m");
}

TEST(MountPlan, AnUnknownOptionOfABindIsNamed) {
  std::string text = refusal({"/data", "bind", "/data", {"rbind", "nosiud"}, {}, {}});
  EXPECT_THAT(text, HasSubstr("\"nosiud\""));
  EXPECT_THAT(text, HasSubstr("mounts[0]"));
}

TEST(MountPlan, RootAsDestinationIsRefused) {
  EXPECT_THAT(refusal({"/x/..", "bind", "/", {"rbind"}, {}, {}}), HasSubstr("root file system"));
}

TEST(MountPlan, NothingButAFewFilesIsMountedInsideProc) {
  EXPECT_THAT(refusal({"/proc/self/attr", "bind", "/tmp", {"bind"}, {}, {}}),
              HasSubstr("inside /proc"));
  EXPECT_THAT(refusal({"/proc/../proc/sys", "tmpfs", "tmpfs", {}, {}, {}}),
              HasSubstr("inside /proc"));
  EXPECT_THAT(refusal({"/proc", "tmpfs", "tmpfs", {}, {}, {}}), HasSubstr("/proc"));
  EXPECT_THAT(refusal({"/proc", "bind", "/tmp", {"bind"}, {}, {}}), HasSubstr("/proc"));
  EXPECT_EQ(refusal({"/proc/uptime", "bind", "/var/lib/lxcfs/proc/uptime", {"bind"}, {}, {}}),
            "no error");
  EXPECT_EQ(refusal({"/process", "tmpfs", "tmpfs", {}, {}, {}}), "no error");
  EXPECT_EQ(refusal({"/proc", "bind", "/proc", {"rbind"}, {}, {}}), "no error");
}

TEST(MountPlan, ProcAndSysfsWantRealDirectories) {
  EXPECT_TRUE(first_step({"/proc", "proc", "proc", {}, {}, {}}).inside_directory_only);
  EXPECT_TRUE(first_step({"/sys", "sysfs", "sysfs", {}, {}, {}}).inside_directory_only);
  EXPECT_FALSE(first_step({"/x", "tmpfs", "tmpfs", {}, {}, {}}).inside_directory_only);
}

TEST(MountPlan, AReadOnlyTmpfsIsSealedWhenEverythingStands) {
  Plan plan = compiled(spec_with({"/dev", "tmpfs", "tmpfs", {"ro", "nosuid"}, {}, {}}));
  auto steps = steps_on(plan, "/dev");
  ASSERT_EQ(steps.size(), 2U);
  EXPECT_EQ(steps[0].attr_set, std::uint64_t{MOUNT_ATTR_NOSUID});
  EXPECT_EQ(steps[1].op, MountOp::kSetAttributes);
  EXPECT_EQ(steps[1].phase, Phase::kFinal);
  EXPECT_EQ(steps[1].attr_set, std::uint64_t{MOUNT_ATTR_RDONLY});
}

TEST(MountPlan, ATmpfsTakesTheModeOfWhatItHidesUnlessGiven) {
  EXPECT_TRUE(first_step({"/x", "tmpfs", "tmpfs", {"size=1m"}, {}, {}}).mode_of_target);
  EXPECT_FALSE(first_step({"/x", "tmpfs", "tmpfs", {"mode=700"}, {}, {}}).mode_of_target);
  EXPECT_FALSE(first_step({"/x", "mqueue", "mqueue", {}, {}, {}}).mode_of_target);
}

TEST(MountPlan, TmpcopyupFillsATmpfsAndNothingElse) {
  EXPECT_EQ(first_step({"/etc", "tmpfs", "tmpfs", {"tmpcopyup"}, {}, {}}).op, MountOp::kCopyUp);
  EXPECT_THAT(refusal({"/etc", "ext4", "/dev/sda", {"tmpcopyup"}, {}, {}}), HasSubstr("tmpcopyup"));
}

TEST(MountPlan, RealFileSystemsAreOpenedReadOnlyToo) {
  EXPECT_THAT(first_step({"/x", "ext4", "/dev/sda", {"ro", "sync"}, {}, {}}).options,
              ElementsAre(KeyValue{"ro", ""}, KeyValue{"sync", ""}));
  EXPECT_THAT(first_step({"/x", "sysfs", "sysfs", {"ro"}, {}, {}}).options, IsEmpty());
}

TEST(MountPlan, SlaveThenSharedTakesTwoSteps) {
  Plan plan = compiled(spec_with({"/x", "bind", "/y", {"rbind", "rslave", "shared"}, {}, {}}));
  ASSERT_GE(plan.mounts.steps.size(), 2U);
  EXPECT_EQ(plan.mounts.steps[0].propagation, std::uint64_t{MS_SLAVE});
  EXPECT_EQ(plan.mounts.steps[1].op, MountOp::kPropagation);
  EXPECT_EQ(plan.mounts.steps[1].propagation, std::uint64_t{MS_SHARED});
  EXPECT_FALSE(plan.mounts.steps[1].propagation_recursive);
}

TEST(MountPlan, RemountChangesAttributesOnly) {
  MountStep step = first_step({"/sys/fs", "none", "", {"remount", "bind", "ro"}, {}, {}});
  EXPECT_EQ(step.op, MountOp::kSetAttributes);
  EXPECT_EQ(step.if_missing, IfMissing::kFail);
  EXPECT_THAT(refusal({"/x", "tmpfs", "tmpfs", {"remount", "size=1m"}, {}, {}}),
              HasSubstr("\"size=1m\""));
}

TEST(MountPlan, IdmapWithoutAMapUsesTheContainersOrFails) {
  spec::Mount mount{"/x", "bind", "/y", {"rbind", "ridmap"}, {}, {}};
  EXPECT_THAT(refusal(mount), HasSubstr("idmap"));
  spec::ContainerSpec spec = spec_with(mount);
  spec.linux_part->namespaces.push_back({NamespaceKind::kUser, ""});
  spec.linux_part->uid_mappings = spec.linux_part->gid_mappings = {{0, 100000, 65536}};
  MountStep step = compiled(spec).mounts.steps.front();
  ASSERT_EQ(step.uid_mappings.size(), 1U);
  EXPECT_EQ(step.uid_mappings[0].host_id, 100000U);
  EXPECT_TRUE(step.idmap_recursive);
}

TEST(MountPlan, MappingsWorkOnEveryFileSystemAndComeInPairs) {
  MountStep step = first_step({"/x", "tmpfs", "tmpfs", {}, {{0, 1000, 1}}, {{0, 1000, 1}}});
  EXPECT_EQ(step.uid_mappings.size(), 1U);
  EXPECT_FALSE(step.idmap_recursive);
  EXPECT_THAT(refusal({"/x", "bind", "/y", {"bind"}, {{0, 1000, 1}}, {}}), HasSubstr("together"));
}

TEST(MountPlan, MasksComeAfterTheReadOnlyPathsAndTheRootIsSealedLast) {
  Plan plan = compiled(default_spec());
  std::size_t last_before = 0, first_final = plan.mounts.steps.size(), last_readonly = 0,
              first_mask = 999;
  for (std::size_t i = 0; i < plan.mounts.steps.size(); ++i) {
    const MountStep& step = plan.mounts.steps[i];
    if (step.phase == Phase::kBeforePivot) last_before = i;
    if (step.phase == Phase::kFinal) first_final = std::min(first_final, i);
    if (step.op == MountOp::kReadonlyPath) last_readonly = i;
    if (step.op == MountOp::kMask) first_mask = std::min(first_mask, i);
  }
  EXPECT_LT(last_before, first_final);
  EXPECT_LT(last_readonly, first_mask);
  EXPECT_EQ(plan.mounts.steps.back().target, "/");
  EXPECT_EQ(plan.mounts.steps.back().attr_set, std::uint64_t{MOUNT_ATTR_RDONLY});
}

TEST(MountPlan, MissingMaskedPathsAreSkipped) {
  Plan plan = compiled(default_spec());
  for (const MountStep& step : plan.mounts.steps) {
    if (step.op == MountOp::kMask || step.op == MountOp::kReadonlyPath) {
      EXPECT_EQ(step.if_missing, IfMissing::kSkip);
    }
  }
}

TEST(MountPlan, SysfsOfAnotherNetworkIsClonedInAUserNamespace) {
  auto steps = steps_on(compiled(rootless_spec(), user_host()), "/sys");
  ASSERT_EQ(steps.size(), 1U);
  EXPECT_EQ(steps[0].op, MountOp::kBind);
  EXPECT_EQ(steps[0].source, "/sys");
  EXPECT_TRUE(steps[0].recursive);
  EXPECT_TRUE(steps[0].attr_recursive);
  spec::ContainerSpec own_network = rootless_spec();
  own_network.linux_part->namespaces.push_back({NamespaceKind::kNetwork, ""});
  EXPECT_EQ(steps_on(compiled(own_network, user_host()), "/sys")[0].op, MountOp::kNewFilesystem);
}

TEST(MountPlan, SysfsOfAJoinedNetworkIsTriedFirst) {
  spec::ContainerSpec spec = rootless_spec();
  spec.linux_part->namespaces.push_back({NamespaceKind::kNetwork, "/run/netns/x"});
  auto steps = steps_on(compiled(spec, user_host()), "/sys");
  ASSERT_EQ(steps.size(), 1U);
  EXPECT_EQ(steps[0].op, MountOp::kNewFilesystem);
  EXPECT_EQ(steps[0].host_tree, "/sys");
}

TEST(MountPlan, ProcOfTheHostsProcessesIsClonedInAUserNamespace) {
  spec::ContainerSpec spec = rootless_spec();
  std::erase_if(spec.linux_part->namespaces,
                [](const auto& each) { return each.kind == NamespaceKind::kPid; });
  auto steps = steps_on(compiled(spec, user_host()), "/proc");
  ASSERT_EQ(steps.size(), 1U);
  EXPECT_EQ(steps[0].op, MountOp::kBind);
  EXPECT_EQ(steps[0].source, "/proc");
}

TEST(MountPlan, AnUnmappedTerminalGroupIsLeftOutWithANotice) {
  Plan plan = compiled(rootless_spec(), user_host());
  const MountStep terminals = steps_on(plan, "/dev/pts")[0];
  for (const KeyValue& option : terminals.options) EXPECT_NE(option.key, "gid");
  EXPECT_THAT(plan.notices, ::testing::Contains(HasSubstr("gid=5")));
}

TEST(MountPlan, AnUnmappedOwnerOfATmpfsIsAnError) {
  spec::ContainerSpec spec = rootless_spec();
  spec.mounts.push_back({"/x", "tmpfs", "tmpfs", {"uid=7"}, {}, {}});
  auto plan = compile(spec, user_host(), test_options());
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().message(), HasSubstr("uid=7"));
}

TEST(MountPlan, TheGroupOfTerminalsIsLeftOutWhereOurOwnUserNamespaceLacksIt) {
  HostFacts host = root_host(CgroupMode::kV2);
  host.in_user_namespace = true;
  host.uid_map = host.gid_map = {{0, 1000, 1}};
  spec::ContainerSpec spec = default_spec();
  spec.mounts = {{"/dev/pts", "devpts", "devpts", {"newinstance", "gid=5"}, {}, {}}};
  Plan plan = compiled(spec, host);
  EXPECT_THAT(plan.mounts.steps[0].options, ElementsAre(KeyValue{"newinstance", ""}));
  EXPECT_THAT(plan.notices, ::testing::Contains(HasSubstr("gid=5 is not mapped")));
}

// CVE-2023-25809.
TEST(MountPlan, CgroupsOfARootlessContainerAreReadOnlyWithoutANamespaceOfTheirOwn) {
  spec::ContainerSpec spec = rootless_spec();
  std::erase_if(spec.linux_part->namespaces,
                [](const auto& each) { return each.kind == NamespaceKind::kCgroup; });
  spec.mounts = {{"/sys/fs/cgroup", "cgroup", "cgroup", {"rw"}, {}, {}}};
  EXPECT_NE(compiled(spec, user_host()).mounts.steps[0].attr_set & MOUNT_ATTR_RDONLY, 0U);
}

TEST(MountPlan, CgroupsBelowAReadOnlySysOfTheHostAreReadOnlyForUsers) {
  spec::ContainerSpec spec = rootless_spec();
  spec.mounts = {{"/sys", "none", "/sys", {"rbind", "ro"}, {}, {}}};
  EXPECT_EQ(compiled(spec, user_host()).mounts.steps[0].recursive_set, MOUNT_ATTR_RDONLY);
  spec.mounts[0].options = {"rbind"};
  EXPECT_EQ(compiled(spec, user_host()).mounts.steps[0].recursive_set, 0U);
  spec.mounts = {{"/x", "none", "/srv", {"rbind", "ro"}, {}, {}}};
  EXPECT_EQ(compiled(spec, user_host()).mounts.steps[0].recursive_set, 0U);
}

TEST(MountPlan, WithoutCgroupsTheirMountIsLeftOut) {
  Plan plan = compiled(default_spec(), root_host(CgroupMode::kNone));
  EXPECT_THAT(steps_on(plan, "/sys/fs/cgroup"), IsEmpty());
  EXPECT_THAT(plan.notices, ::testing::Contains(HasSubstr("/sys/fs/cgroup")));
}

TEST(MountPlan, MountLabelsAreForFileSystemsThatTakeThem) {
  spec::ContainerSpec spec = default_spec();
  spec.linux_part->mount_label = "system_u:object_r:x_t:s0:c1,c2";
  HostFacts host = root_host(CgroupMode::kV2);
  host.selinux = true;
  Plan plan = compiled(spec, host);
  EXPECT_EQ(steps_on(plan, "/dev")[0].options.back(),
            (KeyValue{"context", "system_u:object_r:x_t:s0:c1,c2"}));
  EXPECT_THAT(steps_on(plan, "/proc")[0].options, IsEmpty());
}

TEST(MountPlan, RootPropagationIsTranslated) {
  spec::ContainerSpec spec = default_spec();
  spec.linux_part->rootfs_propagation = "shared";
  Plan plan = compiled(spec);
  EXPECT_EQ(plan.mounts.root.propagation, std::uint64_t{MS_SHARED});
  EXPECT_FALSE(plan.mounts.root.propagation_recursive);
  spec.linux_part->rootfs_propagation = "sideways";
  EXPECT_FALSE(compile(spec, root_host(CgroupMode::kV2), test_options()));
}

TEST(DevicePlan, DevIsLeftAloneWhenItIsABind) {
  spec::ContainerSpec spec = default_spec();
  spec.mounts[1] = {"/dev/", "bind", "/dev", {"rbind"}, {}, {}};
  spec.linux_part->devices = {{"/dev/fuse", 'c', 10, 229, {}, {}, {}},
                              {"/opt/node", 'u', 1, 3, {}, {}, {}}};
  Plan plan = compiled(spec);
  EXPECT_THAT(steps_on(plan, "/dev/null"), IsEmpty());
  EXPECT_THAT(steps_on(plan, "/dev/fuse"), IsEmpty());
  ASSERT_EQ(steps_on(plan, "/opt/node").size(), 1U);
  EXPECT_EQ(steps_on(plan, "/opt/node")[0].device_type, 'c');
  EXPECT_EQ(steps_on(plan, "/dev/console").size(), 1U);
}

TEST(DevicePlan, ADeviceOfTheSpecReplacesTheDefaultOne) {
  spec::ContainerSpec spec = default_spec();
  spec.linux_part->devices = {{"/dev/tty", 'c', 5, 0, 0600, 7, 8}};
  auto steps = steps_on(compiled(spec), "/dev/tty");
  ASSERT_EQ(steps.size(), 1U);
  EXPECT_EQ(steps[0].mode, 0600U);
  EXPECT_EQ(steps[0].uid, 7U);
}

TEST(DevicePlan, NodesAreBoundInEveryUserNamespaceButFifosAreMade) {
  spec::ContainerSpec spec = rootless_spec();
  spec.linux_part->devices = {{"/dev/pipe", 'p', 0, 0, {}, {}, {}}};
  Plan plan = compiled(spec, user_host());
  EXPECT_TRUE(steps_on(plan, "/dev/null")[0].bind_device);
  EXPECT_EQ(steps_on(plan, "/dev/null")[0].source, "/dev/null");
  EXPECT_FALSE(steps_on(plan, "/dev/pipe")[0].bind_device);
  HostFacts nested = root_host(CgroupMode::kV2);
  nested.in_user_namespace = true;
  EXPECT_TRUE(steps_on(compiled(default_spec(), nested), "/dev/null")[0].bind_device);
}

TEST(DevicePlan, ImpossibleNumbersAreRefused) {
  spec::ContainerSpec spec = default_spec();
  spec.linux_part->devices = {{"/dev/x", 'c', -1, 0, {}, {}, {}}};
  EXPECT_FALSE(compile(spec, root_host(CgroupMode::kV2), test_options()));
  spec.linux_part->devices = {{"/dev/x", 'z', 1, 0, {}, {}, {}}};
  EXPECT_FALSE(compile(spec, root_host(CgroupMode::kV2), test_options()));
}

TEST(DevicePlan, TheConsoleComesWithATerminalOnly) {
  EXPECT_EQ(steps_on(compiled(default_spec()), "/dev/console").size(), 1U);
  spec::ContainerSpec spec = default_spec();
  spec.process->terminal = false;
  EXPECT_THAT(steps_on(compiled(spec), "/dev/console"), IsEmpty());
}

TEST(MountPlan, EveryTargetIsCleanAndEveryStepSaysWhatAskedForIt) {
  HostFacts many = user_host();
  add_many_mounts(many);
  for (const Plan& plan : {compiled(default_spec()), compiled(rootless_spec(), user_host()),
                           compiled(view_spec(true), many)}) {
    for (const MountStep& step : plan.mounts.steps) {
      EXPECT_EQ(step.target, clean_path(step.target));
      EXPECT_FALSE(step.origin.empty()) << describe(step);
    }
  }
}

}  // namespace
}  // namespace caisson::plan

#include "plan/sandbox.h"

#include <linux/capability.h>

#include <algorithm>

#include <gtest/gtest.h>

#include "plan/compile.h"
#include "plan/dump.h"
#include "plan/test_support.h"

namespace caisson::plan {
namespace {

spec::ContainerSpec sandboxed(spec::ContainerSpec spec = testing::default_spec()) {
  spec.bundle = "/bundle";
  spec.annotations[std::string(kWallAnnotation)] = "sandbox";
  return spec;
}

Result<Plan> compiled(const spec::ContainerSpec& spec) {
  return compile(spec, testing::root_host(CgroupMode::kV2), testing::test_options());
}

std::vector<std::string> targets(const Plan& plan, MountOp op) {
  std::vector<std::string> out;
  for (const auto& step : plan.mounts.steps)
    if (step.op == op) out.push_back(step.target);
  return out;
}

std::string where_of(const Result<Plan>& plan) {
  return plan ? std::string("no error") : plan.error().where();
}

TEST(SandboxPlan, OnlyWhereTheAnnotationAsksForIt) {
  auto spec = sandboxed();
  EXPECT_TRUE(compiled(spec)->sandbox.has_value());
  spec.annotations[std::string(kWallAnnotation)] = "namespaces";
  EXPECT_FALSE(compiled(spec)->sandbox.has_value());
  spec.annotations.clear();
  EXPECT_FALSE(compiled(spec)->sandbox.has_value());
}

TEST(SandboxPlan, RefusesValuesThatItDoesNotKnow) {
  for (auto name : {kWallAnnotation, kPlatformAnnotation, kFileAccessAnnotation,
                    kMountAccessAnnotation, kOverlayAnnotation}) {
    auto spec = sandboxed();
    spec.annotations[std::string(name)] = "nonsense";
    EXPECT_EQ(where_of(compiled(spec)), "annotations." + std::string(name));
  }
}

TEST(SandboxPlan, ContainersOfAPodJoinItsSandbox) {
  auto spec = sandboxed();
  EXPECT_TRUE(compiled(spec)->sandbox->joined.empty());
  spec.annotations["io.kubernetes.cri.container-type"] = "sandbox";
  spec.annotations["io.kubernetes.cri.sandbox-id"] = "pod";
  EXPECT_TRUE(compiled(spec)->sandbox->joined.empty());
  spec.annotations["io.kubernetes.cri.container-type"] = "container";
  EXPECT_EQ(compiled(spec)->sandbox->joined, "pod");
  spec.annotations[std::string(kSandboxAnnotation)] = "other";
  EXPECT_EQ(compiled(spec)->sandbox->joined, "other");
}

TEST(SandboxPlan, NamespacesThatAreJoinedAreThoseOfThePod) {
  auto spec = sandboxed();
  spec.annotations[std::string(kSandboxAnnotation)] = "pod";
  EXPECT_TRUE(compiled(spec)->sandbox->own_pids);
  for (auto& ns : spec.linux_part->namespaces)
    if (ns.kind == spec::NamespaceKind::kIpc) ns.path = "/proc/1/ns/ipc";
  auto plan = compiled(spec);
  ASSERT_TRUE(plan.has_value()) << plan.error().message();
  EXPECT_FALSE(plan->sandbox->own_ipc);
  EXPECT_TRUE(plan->sandbox->own_pids);
}

TEST(SandboxPlan, ANetworkThatOthersSetUpIsTheHosts) {
  auto spec = sandboxed();
  EXPECT_FALSE(compiled(spec)->sandbox->host_network);
  spec.hooks.create_runtime.emplace_back().path = "/bin/setup";
  EXPECT_TRUE(compiled(spec)->sandbox->host_network);
  spec.hooks.create_runtime.clear();
  for (auto& ns : spec.linux_part->namespaces)
    if (ns.kind == spec::NamespaceKind::kNetwork) ns.path = "/run/netns/x";
  auto joined = compiled(spec);
  ASSERT_TRUE(joined.has_value()) << joined.error().message();
  EXPECT_TRUE(joined->sandbox->host_network);
}

TEST(SandboxPlan, NobodyJoinsItself) {
  auto spec = sandboxed();
  spec.annotations[std::string(kSandboxAnnotation)] = testing::test_options().id;
  EXPECT_EQ(where_of(compiled(spec)), "annotations." + std::string(kSandboxAnnotation));
}

TEST(SandboxPlan, TellsGuestsTheirLimits) {
  spec::Resources resources;
  EXPECT_EQ(guest_limits(resources), GuestLimits{});
  resources.memory.emplace().limit = 1 << 20;
  resources.pids_limit = -1;
  auto& cpu = resources.cpu.emplace();
  cpu.quota = 150'000;
  cpu.cpus = "0-2,7";
  auto limits = guest_limits(resources);
  EXPECT_EQ(limits.memory_bytes, 1U << 20);
  EXPECT_EQ(limits.processes, 0U);
  EXPECT_EQ(limits.cpu_quota_us, 150'000U);
  EXPECT_EQ(limits.cpu_period_us, 100'000U);
  EXPECT_EQ(limits.processors, 4U);
}

TEST(SandboxPlan, FindsTheFolderOfAnOverlay) {
  std::map<std::string, std::string> annotations;
  EXPECT_EQ(overlay_folder(annotations), "");
  annotations[std::string(kOverlayAnnotation)] = "memory,size=1";
  EXPECT_EQ(overlay_folder(annotations), "");
  annotations[std::string(kOverlayAnnotation)] = "/upper/../kept";
  EXPECT_EQ(overlay_folder(annotations), "/kept");
}

TEST(SandboxPlan, ReadsWhereWritesGo) {
  auto spec = sandboxed();
  EXPECT_FALSE(compiled(spec)->sandbox->overlay_root);
  spec.annotations[std::string(kOverlayAnnotation)] = "memory,size=4096";
  auto memory = compiled(spec);
  EXPECT_TRUE(memory->sandbox->overlay_root);
  EXPECT_EQ(memory->sandbox->overlay_size, 4096U);
  spec.annotations[std::string(kOverlayAnnotation)] = "/var/upper";
  EXPECT_EQ(compiled(spec)->sandbox->overlay_directory, "/var/upper");
  spec.annotations[std::string(kOverlayAnnotation)] = "/var/upper,size=4096";
  EXPECT_EQ(where_of(compiled(spec)), "annotations." + std::string(kOverlayAnnotation));
  EXPECT_TRUE(compiled(sandboxed(testing::view_spec(false)))->sandbox->overlay_root);
}

TEST(SandboxPlan, AViewIsNotWrittenThrough) {
  auto spec = sandboxed(testing::view_spec(false));
  spec.annotations[std::string(kOverlayAnnotation)] = "none";
  EXPECT_FALSE(compiled(spec).has_value());
}

TEST(SandboxPlan, MandatoryMountsComeFirst) {
  auto spec = sandboxed();
  spec.mounts.clear();
  auto plan = compiled(spec);
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(targets(*plan, MountOp::kNewFilesystem),
            (std::vector<std::string>{"/proc", "/sys", "/dev", "/dev/pts", "/tmp"}));
}

TEST(SandboxPlan, MountsOfTheDescriptionAreNotDoubled) {
  auto plan = compiled(sandboxed());
  auto made = targets(*plan, MountOp::kNewFilesystem);
  for (auto target : {"/proc", "/sys", "/dev", "/dev/pts"})
    EXPECT_EQ(std::ranges::count(made, target), 1) << target;
}

TEST(SandboxPlan, TmpComesBeforeTheFinalSteps) {
  auto plan = compiled(sandboxed());
  const auto& steps = plan->mounts.steps;
  auto tmp = std::ranges::find(steps, "/tmp", &MountStep::target);
  ASSERT_NE(tmp, steps.end());
  EXPECT_TRUE(std::all_of(steps.begin(), tmp,
                          [](const auto& step) { return step.phase != Phase::kFinal; }));
}

TEST(SandboxPlan, UnknownTypesAreLeftOutWithANotice) {
  auto spec = sandboxed();
  spec::Mount mount;
  mount.destination = "/data";
  mount.type = "ext4";
  mount.source = "/dev/sda1";
  spec.mounts.push_back(mount);
  auto plan = compiled(spec);
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(std::ranges::count(targets(*plan, MountOp::kNewFilesystem), "/data"), 0);
  EXPECT_TRUE(std::ranges::any_of(plan->notices, [](const std::string& notice) {
    return notice.find("ext4") != std::string::npos;
  }));
}

TEST(SandboxPlan, RefusesSharedPropagation) {
  auto spec = sandboxed();
  spec.linux_part->rootfs_propagation = "shared";
  EXPECT_EQ(where_of(compiled(spec)), "linux.rootfsPropagation");
  spec = sandboxed();
  spec.mounts.back().options.push_back("rshared");
  EXPECT_FALSE(compiled(spec).has_value());
  spec.mounts.back().options.back() = "rslave";
  EXPECT_TRUE(compiled(spec).has_value());
}

TEST(Jail, HoldsNothingOfTheContainersOwn) {
  auto plan = compiled(sandboxed());
  Plan jail = jail_of(*plan);
  EXPECT_EQ(targets(jail, MountOp::kNewFilesystem), (std::vector<std::string>{"/proc"}));
  EXPECT_EQ(jail.mounts.steps.size(), 1U);
  EXPECT_TRUE(jail.mounts.root.empty_tmpfs);
  EXPECT_TRUE(jail.mounts.root.readonly);
  EXPECT_TRUE(jail.process.env.empty());
  EXPECT_TRUE(jail.process.no_new_privileges);
  EXPECT_TRUE(jail.hooks.create_container.empty());
  EXPECT_FALSE(jail.sandbox.has_value());
}

TEST(Jail, IsInNamespacesOfItsOwnAndInTheContainersCgroups) {
  auto plan = compiled(sandboxed());
  Plan jail = jail_of(*plan);
  for (auto kind :
       {NamespaceKind::kPid, NamespaceKind::kMount, NamespaceKind::kIpc, NamespaceKind::kUts})
    EXPECT_TRUE(jail.namespaces.is_new(kind));
  EXPECT_EQ(jail.cgroup.directories.size(), plan->cgroup.directories.size());
}

TEST(Jail, KeepsCapabilitiesOfTheGoferOnly) {
  Plan jail = jail_of(*compiled(sandboxed()));
  const auto& capabilities = jail.process.capabilities;
  EXPECT_TRUE(capabilities.apply);
  for (int capability : {CAP_SYS_MODULE, CAP_SYS_PTRACE, CAP_NET_ADMIN, CAP_SETUID, CAP_SYS_CHROOT})
    EXPECT_EQ(capabilities.bounding >> capability & 1, 0U) << capability;
}

}  // namespace
}  // namespace caisson::plan

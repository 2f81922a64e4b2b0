#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "plan/cgroup_writes.h"
#include "plan/compile.h"
#include "plan/executor.h"
#include "plan/test_support.h"

namespace caisson::plan {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using namespace testing;  // NOLINT: the specs and hosts of test_support.h

CgroupPlan compiled(const spec::ContainerSpec& spec, const HostFacts& host,
                    Strings* notices = nullptr) {
  auto plan = compile(spec, host, test_options());
  EXPECT_TRUE(plan) << (plan ? "" : plan.error().message());
  if (plan && notices != nullptr) *notices = plan->notices;
  return plan ? plan->cgroup : CgroupPlan{};
}

spec::ContainerSpec limited(const spec::Resources& resources) {
  spec::ContainerSpec spec = default_spec();
  spec.linux_part->resources = resources;
  return spec;
}

// "file=value" in order, of all directories; what is optional has a question mark.
Strings writes(const spec::Resources& resources, CgroupMode mode, Strings* notices = nullptr) {
  Strings out;
  for (const CgroupDirectory& directory :
       compiled(limited(resources), root_host(mode), notices).directories) {
    for (const CgroupWrite& write : directory.writes) {
      out.push_back(cat(write.file, write.optional ? "?=" : "=", write.value));
    }
  }
  return out;
}

std::string refusal(const spec::Resources& resources, const HostFacts& host) {
  auto plan = compile(limited(resources), host, test_options());
  return plan ? "no error" : plan.error().message();
}

spec::Resources memory(std::optional<std::int64_t> limit, std::optional<std::int64_t> swap) {
  spec::Resources out = no_limits();
  out.memory.emplace().limit = limit;
  out.memory->swap = swap;
  return out;
}

TEST(CgroupConversion, SharesKeepTheirDefaultAndTheirEnds) {
  EXPECT_EQ(cpu_weight(0), 0U);
  EXPECT_EQ(cpu_weight(1), 1U);
  EXPECT_EQ(cpu_weight(2), 1U);
  EXPECT_EQ(cpu_weight(1024), 100U);
  EXPECT_EQ(cpu_weight(262144), 10000U);
  EXPECT_EQ(cpu_weight(UINT64_MAX), 10000U);
  EXPECT_EQ(cpu_weight(100), 17U);
  EXPECT_EQ(cpu_weight(512), 59U);
  EXPECT_EQ(cpu_weight(2048), 174U);
}

TEST(CgroupConversion, MoreSharesNeverWeighLess) {
  std::uint64_t last = 0;
  for (std::uint64_t shares = 2; shares <= 262144; shares += 7) {
    std::uint64_t weight = cpu_weight(shares);
    ASSERT_GE(weight, last) << shares;
    ASSERT_LE(weight, 10000U);
    last = weight;
  }
}

TEST(CgroupConversion, BlockIoWeightsSpanTheWholeScale) {
  EXPECT_EQ(io_weight(0), 0U);
  EXPECT_EQ(io_weight(10), 1U);
  EXPECT_EQ(io_weight(1000), 10000U);
}

TEST(CgroupPlan, AbsolutePathsAreBelowTheHierarchyAndRelativeOnesBelowOurs) {
  spec::ContainerSpec spec = default_spec();
  spec.linux_part->cgroups_path = "/a//b";
  EXPECT_EQ(compiled(spec, root_host(CgroupMode::kV2)).directories[0].path, "/a/b");
  spec.linux_part->cgroups_path = "a/b";
  EXPECT_THAT(compiled(spec, root_host(CgroupMode::kV1)).directories,
              Each(Field(&CgroupDirectory::path, "/user.slice/a/b")));
  spec.linux_part->cgroups_path.clear();
  EXPECT_EQ(compiled(spec, root_host(CgroupMode::kV2)).directories[0].path, "/caisson/web");
}

TEST(CgroupPlan, PathsThatClimbAreRefused) {
  spec::ContainerSpec spec = default_spec();
  for (const char* path : {"/a/../b", "..", "../../x", "/", "a/.."}) {
    spec.linux_part->cgroups_path = path;
    EXPECT_FALSE(compile(spec, root_host(CgroupMode::kV2), test_options())) << path;
  }
}

TEST(CgroupPlan, HybridHostsJoinTheUnifiedHierarchyLastAndLimitInV1) {
  CgroupPlan plan = compiled(limited(memory(1 << 26, {})), root_host(CgroupMode::kHybrid));
  EXPECT_TRUE(plan.directories.back().v2);
  EXPECT_THAT(plan.directories.back().writes, IsEmpty());
  EXPECT_THAT(plan.directories.back().enable_controllers, IsEmpty());
  auto found = std::ranges::find(plan.directories, "memory", &CgroupDirectory::controllers);
  ASSERT_NE(found, plan.directories.end());
  EXPECT_TRUE(found->required);
}

TEST(CgroupPlan, AControllerThatLivesInV2OfAHybridHostIsUsedThere) {
  HostFacts host = root_host(CgroupMode::kHybrid);
  std::erase_if(host.cgroup.hierarchies,
                [](const auto& each) { return each.controllers == "memory"; });
  host.cgroup.v2_controllers = {"misc", "memory"};
  CgroupPlan plan = compiled(limited(memory(1 << 26, {})), host);
  EXPECT_THAT(plan.directories.back().writes, ElementsAre(Field(&CgroupWrite::file, "memory.max")));
  EXPECT_THAT(plan.directories.back().enable_controllers, ElementsAre("memory"));
}

TEST(CgroupPlan, HandsTheCgroupToTheFirstUserOnlyWhereHeCanUseIt) {
  spec::ContainerSpec spec = default_spec();
  auto owner = [&](CgroupMode mode) { return compiled(spec, root_host(mode)).owner; };
  spec.linux_part->namespaces.push_back({NamespaceKind::kUser, ""});
  spec.linux_part->uid_mappings = spec.linux_part->gid_mappings = {{0, 100000, 10}};
  EXPECT_FALSE(owner(CgroupMode::kV2)) << "the mount is read-only";
  std::erase(spec.mounts.back().options, "ro");
  EXPECT_EQ(owner(CgroupMode::kV2), 100000U);
  EXPECT_FALSE(owner(CgroupMode::kHybrid));
  spec.process->user.uid = 7;
  EXPECT_EQ(owner(CgroupMode::kV2), 100007U);
  std::erase_if(spec.linux_part->namespaces,
                [](const auto& each) { return each.kind == NamespaceKind::kCgroup; });
  EXPECT_FALSE(owner(CgroupMode::kV2)) << "he would see the host's";
}

TEST(CgroupPlan, OnlyWhatALimitNeedsIsRequired) {
  spec::Resources resources = no_limits();
  resources.pids_limit = 10;
  for (const CgroupDirectory& directory :
       compiled(limited(resources), root_host(CgroupMode::kV1)).directories) {
    EXPECT_EQ(directory.required, directory.controllers == "pids") << directory.controllers;
    EXPECT_EQ(directory.inherit_cpuset, directory.controllers == "cpuset");
  }
}

TEST(CgroupPlan, ALimitWithoutItsControllerNamesFieldAndController) {
  HostFacts host = root_host(CgroupMode::kV2);
  std::erase(host.cgroup.v2_controllers, "memory");
  auto plan = compile(limited(memory(1 << 26, {})), host, test_options());
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().where(), "linux.resources.memory.limit");
  EXPECT_THAT(plan.error().cause(), HasSubstr("memory"));
  EXPECT_FALSE(plan.error().cure().empty());
  EXPECT_THAT(refusal(memory(1 << 26, {}), root_host(CgroupMode::kNone)), HasSubstr("controller"));
}

TEST(CgroupPlan, StaysWhereTheCallerIsWhenNoneIsWanted) {
  Options options = test_options();
  options.no_cgroups = true;
  auto plan = compile(limited(memory(1 << 26, {})), root_host(CgroupMode::kHybrid), options);
  ASSERT_TRUE(plan);
  EXPECT_THAT(plan->cgroup.directories, IsEmpty());
  EXPECT_FALSE(plan->cgroup.device_rules);
  EXPECT_EQ(plan->cgroup.inherited.size(),
            root_host(CgroupMode::kHybrid).cgroup.hierarchies.size());
}

TEST(CgroupPlan, WithoutDelegationLimitsFailAndNothingElseDoes) {
  Strings notices;
  CgroupPlan plan = compiled(rootless_spec(), user_host(), &notices);
  EXPECT_THAT(plan.directories, IsEmpty());
  EXPECT_THAT(notices, Contains(HasSubstr("delegated")));
  EXPECT_THAT(plan.inherited,
              Each(Field(&CgroupDirectory::path, user_host().cgroup.hierarchies[0].own_path)));
  EXPECT_THAT(plan.inherited, Not(IsEmpty()));
  spec::ContainerSpec spec = rootless_spec();
  spec.linux_part->resources = memory(1 << 26, {});
  auto refused = compile(spec, user_host(), test_options());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().cure(), HasSubstr("Delegate=memory"));
}

TEST(CgroupPlan, WithDelegationAUsersCgroupsAreBelowHisOwn) {
  HostFacts host = user_host();
  host.cgroup.hierarchies[0].writable = true;
  CgroupPlan plan = compiled(rootless_spec(), host);
  ASSERT_EQ(plan.directories.size(), 1U);
  EXPECT_EQ(plan.directories[0].path, "/user.slice/user-1000.slice/session-2.scope/caisson/web");
  EXPECT_FALSE(plan.directories[0].required);
}

TEST(CgroupPlan, MemoryAndSwapInV1) {
  EXPECT_THAT(writes(memory(100, 150), CgroupMode::kV1),
              ElementsAre("memory.limit_in_bytes=100", "memory.memsw.limit_in_bytes=150"));
  EXPECT_THAT(writes(memory(100, -1), CgroupMode::kV1),
              ElementsAre("memory.limit_in_bytes=100", "memory.memsw.limit_in_bytes?=-1"));
  // What is unlimited takes the limit of both away first.
  EXPECT_THAT(writes(memory(-1, {}), CgroupMode::kV1),
              ElementsAre("memory.memsw.limit_in_bytes?=-1", "memory.limit_in_bytes=-1"));
  EXPECT_THAT(writes(memory(0, 0), CgroupMode::kV1), IsEmpty());
}

TEST(CgroupPlan, MemoryAndSwapInV2) {
  EXPECT_THAT(writes(memory(100, 150), CgroupMode::kV2),
              ElementsAre("memory.swap.max=50", "memory.max=100"));
  EXPECT_THAT(writes(memory(100, 100), CgroupMode::kV2),
              ElementsAre("memory.swap.max?=0", "memory.max=100"));
  EXPECT_THAT(writes(memory(100, -1), CgroupMode::kV2),
              ElementsAre("memory.swap.max?=max", "memory.max=100"));
  EXPECT_THAT(writes(memory(-1, {}), CgroupMode::kV2),
              ElementsAre("memory.swap.max?=max", "memory.max=max"));
  EXPECT_THAT(writes(memory(100, {}), CgroupMode::kV2), ElementsAre("memory.max=100"));
}

TEST(CgroupPlan, SwapIsTheSumAndNeedsALimit) {
  for (auto mode : {CgroupMode::kV1, CgroupMode::kV2}) {
    EXPECT_THAT(refusal(memory({}, 100), root_host(mode)),
                HasSubstr("unable to set swap limit without memory limit"));
    EXPECT_THAT(refusal(memory(200, 100), root_host(mode)),
                HasSubstr("memory+swap limit should be >= memory limit"));
  }
}

TEST(CgroupPlan, SwapOfUnlimitedMemory) {
  EXPECT_THAT(writes(memory(-1, 100), CgroupMode::kV2),
              ElementsAre("memory.swap.max=100", "memory.max=max"));
  EXPECT_THAT(refusal(memory(-1, 100), root_host(CgroupMode::kV1)),
              HasSubstr("memory+swap limit should be >= memory limit"));
}

TEST(CgroupPlan, SwapWithoutAccountingIsAnErrorWithACure) {
  HostFacts host = root_host(CgroupMode::kV1);
  host.machine_swap_accounting = false;
  auto plan = compile(limited(memory(100, 150)), host, test_options());
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().cure(), HasSubstr("swapaccount=1"));
}

TEST(CgroupPlan, MemoryFieldsOfV1Only) {
  spec::Resources resources = memory({}, {});
  resources.memory->swappiness = 10;
  resources.memory->disable_oom_killer = true;
  resources.memory->reservation = 5;
  resources.memory->use_hierarchy = true;
  EXPECT_THAT(writes(resources, CgroupMode::kV1),
              ElementsAre("memory.use_hierarchy?=1", "memory.soft_limit_in_bytes=5",
                          "memory.swappiness=10", "memory.oom_control=1"));
  Strings notices;
  EXPECT_THAT(writes(resources, CgroupMode::kV2, &notices), ElementsAre("memory.low=5"));
  EXPECT_THAT(notices, Contains(HasSubstr("swappiness, disableOOMKiller")));
}

TEST(CgroupPlan, CpuTime) {
  spec::Resources resources = no_limits();
  resources.cpu.emplace().quota = 20000;
  resources.cpu->period = 50000;
  resources.cpu->burst = 1000;
  resources.cpu->shares = 1024;
  EXPECT_THAT(writes(resources, CgroupMode::kV2),
              ElementsAre("cpu.weight=100", "cpu.max=20000 50000", "cpu.max.burst=1000"));
  EXPECT_THAT(writes(resources, CgroupMode::kV1),
              ElementsAre("cpu.shares=1024", "cpu.cfs_period_us=50000", "cpu.cfs_quota_us=20000",
                          "cpu.cfs_burst_us=1000"));
  resources.cpu->quota = -1;
  resources.cpu->period.reset();
  resources.cpu->burst.reset();
  EXPECT_THAT(writes(resources, CgroupMode::kV2),
              ElementsAre("cpu.weight=100", "cpu.max=max 100000"));
  EXPECT_THAT(writes(resources, CgroupMode::kV1),
              ElementsAre("cpu.shares=1024", "cpu.cfs_quota_us=-1"));
}

TEST(CgroupPlan, AnIdleCgroupHasNoWeight) {
  spec::Resources resources = no_limits();
  resources.cpu.emplace().idle = 1;
  resources.cpu->shares = 512;
  EXPECT_THAT(writes(resources, CgroupMode::kV2), ElementsAre("cpu.idle=1"));
  resources.cpu->idle = 0;
  EXPECT_THAT(writes(resources, CgroupMode::kV2), ElementsAre("cpu.idle=0", "cpu.weight=59"));
}

TEST(CgroupPlan, IdleAndSharesTogetherAreToldOf) {
  spec::Resources resources = no_limits();
  resources.cpu.emplace().idle = 1;
  resources.cpu->shares = 512;
  for (auto mode : {CgroupMode::kV1, CgroupMode::kV2}) {
    Strings notices;
    EXPECT_THAT(writes(resources, mode, &notices), ElementsAre("cpu.idle=1"));
    EXPECT_THAT(notices, Contains(HasSubstr("unable to apply both")));
  }
}

TEST(CgroupPlan, SharesThatV1WouldBendAreRefused) {
  spec::Resources resources = no_limits();
  resources.cpu.emplace().shares = 1;
  EXPECT_THAT(refusal(resources, root_host(CgroupMode::kV1)),
              HasSubstr("the minimum allowed cpu-shares is 2"));
  EXPECT_THAT(writes(resources, CgroupMode::kV2), ElementsAre("cpu.weight=1"));
  resources.cpu->shares = 262145;
  EXPECT_THAT(refusal(resources, root_host(CgroupMode::kV1)),
              HasSubstr("the maximum allowed cpu-shares is 262144"));
  EXPECT_THAT(writes(resources, CgroupMode::kV2), ElementsAre("cpu.weight=10000"));
}

TEST(CgroupPlan, RealTimeLimitsExistInV1Only) {
  spec::Resources resources = no_limits();
  resources.cpu.emplace().realtime_runtime = 900;
  resources.cpu->realtime_period = 1000;
  EXPECT_THAT(writes(resources, CgroupMode::kV1),
              ElementsAre("cpu.rt_period_us=1000", "cpu.rt_runtime_us=900"));
  EXPECT_THAT(refusal(resources, root_host(CgroupMode::kV2)), HasSubstr("real-time"));
}

TEST(CgroupPlan, ZeroProcessesIsALimitAndMinusOneIsNone) {
  spec::Resources resources = no_limits();
  resources.pids_limit = 0;
  EXPECT_THAT(writes(resources, CgroupMode::kV2), ElementsAre("pids.max=0"));
  resources.pids_limit = -1;
  EXPECT_THAT(writes(resources, CgroupMode::kV1), ElementsAre("pids.max=max"));
}

TEST(CgroupPlan, BlockIo) {
  spec::Resources resources = no_limits();
  resources.block_io.emplace().weight_devices = {{8, 16, 500, {}}};
  resources.block_io->write_iops = {{8, 0, 0}};
  CgroupPlan plan = compiled(limited(resources), root_host(CgroupMode::kV2));
  ASSERT_EQ(plan.directories[0].writes.size(), 2U);
  EXPECT_EQ(plan.directories[0].writes[0].value, "8:16 500");
  EXPECT_EQ(plan.directories[0].writes[0].alternative_file, "io.weight");
  EXPECT_EQ(plan.directories[0].writes[0].alternative_value, "8:16 4950");
  EXPECT_EQ(plan.directories[0].writes[1].value, "8:0 wiops=max");
  resources.block_io->leaf_weight = 100;
  EXPECT_THAT(refusal(resources, root_host(CgroupMode::kV2)), HasSubstr("leaf weight"));
  resources.block_io->weight = 5;
  EXPECT_THAT(refusal(resources, root_host(CgroupMode::kV1)), HasSubstr("10..1000"));
}

TEST(CgroupPlan, HugePagesNetworkAndRdma) {
  spec::Resources resources = no_limits();
  resources.hugepage_limits = {{"1GB", 7}};
  resources.network.emplace().class_id = 0x100001;
  resources.network->priorities = {{"eth0", 5}};
  resources.rdma["mlx5_0"] = {3, {}};
  EXPECT_THAT(writes(resources, CgroupMode::kV1),
              ElementsAre("hugetlb.1GB.limit_in_bytes=7", "hugetlb.1GB.rsvd.limit_in_bytes?=7",
                          "net_cls.classid=1048577", "net_prio.ifpriomap=eth0 5",
                          "rdma.max=mlx5_0 hca_handle=3"));
  Strings notices;
  EXPECT_THAT(
      writes(resources, CgroupMode::kV2, &notices),
      ElementsAre("hugetlb.1GB.max=7", "hugetlb.1GB.rsvd.max?=7", "rdma.max=mlx5_0 hca_handle=3"));
  EXPECT_THAT(notices, Contains(HasSubstr("network")));
  for (const char* size : {"", "B", "2", "2M", "MB", "02MB", "2MB/../x", "-2MB"}) {
    resources.hugepage_limits = {{size, 7}};
    EXPECT_THAT(refusal(resources, root_host(CgroupMode::kV2)), HasSubstr("huge pages")) << size;
  }
}

TEST(CgroupPlan, TheUnifiedMapIsWrittenLastAndChecked) {
  spec::Resources resources = memory(100, {});
  resources.unified = {{"memory.high", "90"}, {"cgroup.max.depth", "3"}, {"odd.file", "x"}};
  EXPECT_THAT(writes(resources, CgroupMode::kV2),
              ElementsAre("memory.max=100", "cgroup.max.depth=3", "memory.high=90", "odd.file=x"));
  resources.unified = {{"io.max", "8:0 rbps=1\n8:16 rbps=2\n"}, {"memory.oom.group", ""}};
  EXPECT_THAT(writes(resources, CgroupMode::kV2),
              ElementsAre("memory.max=100", "io.max=8:0 rbps=1", "io.max=8:16 rbps=2",
                          "memory.oom.group="));
  for (auto [key, text] :
       {std::pair{"a/b.c", "no slashes"}, std::pair{"memory", "CONTROLLER.PARAMETER"},
        std::pair{".x", "CONTROLLER.PARAMETER"}, std::pair{"misc.max", "not available"}}) {
    resources.unified = {{key, "1"}};
    EXPECT_THAT(refusal(resources, root_host(CgroupMode::kV2)), HasSubstr(text)) << key;
  }
  resources.unified = {{"memory.high", "1"}};
  EXPECT_THAT(refusal(resources, root_host(CgroupMode::kV1)),
              HasSubstr("cannot use unified on cgroup v1"));
  EXPECT_THAT(refusal(resources, root_host(CgroupMode::kHybrid)),
              HasSubstr("invalid configuration: unified resource \"memory.high\" can't be set"));
}

TEST(CgroupPlan, DevicesAreDeniedThenAllowedAndTheDefaultsAlwaysWork) {
  spec::Resources resources = no_limits();
  resources.devices = {{false, 'a', {}, {}, ""}, {true, 'b', 8, {}, "r"}};
  CgroupPlan plan = compiled(limited(resources), root_host(CgroupMode::kV2));
  ASSERT_TRUE(plan.device_rules);
  EXPECT_TRUE(plan.directories[0].required);
  EXPECT_EQ(plan.devices[0], (CgroupDevice{false, 'a', {}, {}, "rwm"}));
  EXPECT_EQ(plan.devices[1], (CgroupDevice{true, 'b', 8, {}, "r"}));
  EXPECT_THAT(plan.devices, Contains(CgroupDevice{true, 'c', 1, 3, "rwm"}));
  EXPECT_THAT(plan.devices, Contains(CgroupDevice{true, 'c', 10, 200, "rwm"}));
  EXPECT_THAT(plan.devices, Contains(CgroupDevice{true, 'c', 136, {}, "rwm"}));
}

TEST(CgroupPlan, WithoutRulesDevicesAreStillDenied) {
  CgroupPlan plan = compiled(limited({}), root_host(CgroupMode::kV1));
  EXPECT_TRUE(plan.device_rules);
  EXPECT_FALSE(plan.devices[0].allow);
}

TEST(CgroupPlan, DeviceRulesAreForRootOfTheHost) {
  spec::ContainerSpec spec = rootless_spec();
  spec.linux_part->resources.devices = {{true, 'b', 8, {}, "r"}};
  Strings notices;
  EXPECT_FALSE(compiled(spec, user_host(), &notices).device_rules);
  EXPECT_THAT(notices, Contains(HasSubstr("device rules")));
  HostFacts nested = root_host(CgroupMode::kV2);
  nested.in_user_namespace = true;
  EXPECT_FALSE(compiled(default_spec(), nested).device_rules);
}

TEST(CgroupPlan, EveryWriteNamesItsField) {
  spec::Resources resources = memory(100, 150);
  resources.cpu.emplace().shares = 5;
  resources.pids_limit = 5;
  resources.unified = {{"memory.high", "1"}};
  for (const CgroupDirectory& directory :
       compiled(limited(resources), root_host(CgroupMode::kV2)).directories) {
    EXPECT_THAT(directory.writes, Each(Field(&CgroupWrite::field, HasSubstr("linux.resources."))));
    EXPECT_THAT(directory.writes, Each(Field(&CgroupWrite::file, Not(HasSubstr("/")))));
  }
}

TEST(CgroupLocations, OneForEachHierarchy) {
  CgroupPlan plan = compiled(default_spec(), root_host(CgroupMode::kHybrid));
  CgroupLocations places = locations(plan);
  ASSERT_EQ(places.size(), plan.directories.size());
  EXPECT_THAT(places,
              Contains(CgroupLocation{"memory", "/sys/fs/cgroup/memory/caisson/web", false}));
  EXPECT_EQ(places.back(), (CgroupLocation{"", "/sys/fs/cgroup/unified/caisson/web", true}));
}

}  // namespace
}  // namespace caisson::plan

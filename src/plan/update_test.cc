#include "plan/update.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "plan/test_support.h"

namespace caisson::plan {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace testing;  // NOLINT: the specs and hosts of test_support.h

// A container as it is, and what becomes of it.
struct Case {
  explicit Case(CgroupMode mode) : host(root_host(mode)) {
    for (const CgroupHierarchy& hierarchy : host.cgroup.hierarchies) {
      cgroups.push_back({hierarchy.v2 ? "" : hierarchy.controllers,
                         cat(hierarchy.mount_point, "/web"), hierarchy.v2});
    }
  }

  Result<Update> update() const {
    return compile_update({present, change, cgroups, stats, scope, false}, host, test_options());
  }
  // "file=value" in order; what may have to wait for a later one has an asterisk.
  Strings writes() const {
    auto update = this->update();
    if (!update) return {update.error().message()};
    Strings out;
    for (const CgroupDirectory& directory : update->cgroups.plan.directories) {
      for (const CgroupWrite& write : directory.writes) {
        out.push_back(cat(write.file, write.again ? "*=" : "=", write.value));
      }
    }
    return out;
  }
  std::string refusal() const {
    auto update = this->update();
    return update ? "no error" : update.error().message();
  }
  spec::MemoryResources& memory() { return change.memory.emplace(); }
  spec::CpuResources& cpu() { return change.cpu.emplace(); }

  HostFacts host;
  CgroupLocations cgroups;
  spec::Resources present = no_limits(), change = no_limits();
  Stats stats;
  std::string scope;
};

TEST(Update, WritesNothingButWhatIsNamed) {
  Case web(CgroupMode::kV1);
  web.present.memory.emplace().limit = 100;
  web.present.cpu.emplace().shares = 100;
  web.present.pids_limit = 20;
  web.change.pids_limit = 10;
  EXPECT_THAT(web.writes(), ElementsAre("pids.max=10"));
  EXPECT_EQ(web.update()->resources.pids_limit, 10);
  EXPECT_EQ(web.update()->resources.memory, web.present.memory);
  EXPECT_FALSE(web.update()->cgroups.plan.device_rules);
}

TEST(Update, ZerosOfDockerLeaveThingsAsTheyAre) {
  Case web(CgroupMode::kV1);
  web.present.memory.emplace().limit = 100;
  web.present.memory->swap = 200;
  web.present.cpu.emplace().shares = 100;
  web.change.pids_limit = 10;
  web.memory().limit = 0;
  web.memory().reservation = 0;
  web.cpu().shares = 0;
  web.cpu().quota = 0;
  EXPECT_THAT(web.writes(), ElementsAre("pids.max=10"));
  EXPECT_EQ(web.update()->resources.memory->limit, 100);
  EXPECT_EQ(web.update()->resources.cpu->shares, 100U);
}

TEST(Update, ASwapLimitNeedsAMemoryLimit) {
  Case web(CgroupMode::kV2);
  web.present.memory.emplace().limit = -1;
  web.memory().limit = 0;
  web.memory().swap = 5;
  EXPECT_THAT(web.refusal(), HasSubstr("unable to set swap limit without memory limit"));
}

TEST(Update, DirectoriesAreThoseOfTheState) {
  Case web(CgroupMode::kHybrid);
  web.change.pids_limit = 10;
  auto update = web.update();
  ASSERT_TRUE(update);
  ASSERT_EQ(update->cgroups.plan.directories.size(), web.cgroups.size());
  for (std::size_t i = 0; i < web.cgroups.size(); ++i) {
    const CgroupDirectory& directory = update->cgroups.plan.directories[i];
    EXPECT_EQ(cat(directory.mount_point, directory.path), web.cgroups[i].directory);
    EXPECT_EQ(directory.controllers, web.cgroups[i].controllers);
  }
}

TEST(Update, V1ComesFirstWhateverTheOrderOfTheState) {
  Case web(CgroupMode::kHybrid);
  std::ranges::reverse(web.cgroups);
  web.change.devices = {{true, 'c', 1, 11, "r"}};
  auto update = web.update();
  ASSERT_TRUE(update);
  EXPECT_TRUE(update->cgroups.plan.directories.back().v2);
  web.change.unified = {{"misc.max", "1"}};
  EXPECT_THAT(web.refusal(), HasSubstr("controller \"misc\" not available"));
}

TEST(Update, ControllersAreEnabledOnlyForWhatIsWritten) {
  Case web(CgroupMode::kV2);
  web.change.pids_limit = 10;
  EXPECT_THAT(web.update()->cgroups.plan.directories[0].enable_controllers, ElementsAre("pids"));
  EXPECT_EQ(web.update()->cgroups.plan.directories[0].mount_point, "/sys/fs/cgroup");
}

TEST(Update, OneOfQuotaAndPeriodKeepsTheOther) {
  for (auto mode : {CgroupMode::kV1, CgroupMode::kV2}) {
    const bool v2 = mode == CgroupMode::kV2;
    auto expected = [v2](Strings one, Strings two) { return v2 ? one : two; };
    Case web(mode);
    web.present.cpu.emplace().quota = 500000;
    web.present.cpu->period = 1000000;
    web.present.cpu->shares = 100;
    web.cpu().period = 900000;
    EXPECT_EQ(web.writes(), expected({"cpu.max*=500000 900000"},
                                     {"cpu.cfs_period_us*=900000", "cpu.cfs_quota_us*=500000"}));
    web.cpu().quota = -1;
    EXPECT_EQ(web.writes(), expected({"cpu.max*=max 1000000"},
                                     {"cpu.cfs_period_us*=1000000", "cpu.cfs_quota_us*=-1"}));
    web.present = no_limits();
    web.cpu().period = 50000;
    EXPECT_EQ(web.writes(), expected({"cpu.max*=max 50000"}, {"cpu.cfs_period_us*=50000"}));
    web.cpu().quota = 30000;
    EXPECT_EQ(web.writes(), expected({"cpu.max*=30000 100000"}, {"cpu.cfs_quota_us*=30000"}));
  }
}

TEST(Update, IdleTakesTheWeightAwayAndGivesItBack) {
  Case web(CgroupMode::kV2);
  web.present.cpu.emplace().shares = 512;
  web.cpu().idle = 1;
  EXPECT_THAT(web.writes(), ElementsAre("cpu.idle=1"));
  web.present.cpu->idle = 1;
  web.cpu().idle = 0;
  EXPECT_THAT(web.writes(), ElementsAre("cpu.idle=0", "cpu.weight=59"));
  web.cpu().quota = 1000;
  EXPECT_THAT(web.writes(), ElementsAre("cpu.max*=1000 100000")) << "stays idle";
  web.cpu().shares = 1024;
  EXPECT_THAT(web.writes(), ElementsAre("cpu.idle=0", "cpu.weight=100"));
  EXPECT_EQ(web.update()->resources.cpu->idle, 0);
  web.change.cpu->idle = 1;
  EXPECT_THAT(web.writes(), ElementsAre("cpu.idle=1"));
  EXPECT_THAT(web.update()->notices, Contains(HasSubstr("unable to apply both")));
}

TEST(Update, V1MemoryGrowsInBothFirstAndShrinksInOneFirst) {
  Case web(CgroupMode::kV1);
  web.present.memory.emplace().limit = 30;
  web.present.memory->swap = 50;
  web.stats.memory_limit_bytes = 30;
  web.memory().limit = 60;
  web.change.memory->swap = 80;
  EXPECT_THAT(web.writes(),
              ElementsAre("memory.memsw.limit_in_bytes=80", "memory.limit_in_bytes=60"));
  web.change.memory->limit = 10;
  web.change.memory->swap = 20;
  EXPECT_THAT(web.writes(),
              ElementsAre("memory.limit_in_bytes=10", "memory.memsw.limit_in_bytes=20"));
  web.change.memory->swap = -1;
  EXPECT_THAT(web.writes(),
              ElementsAre("memory.memsw.limit_in_bytes=-1", "memory.limit_in_bytes=10"));
  web.stats.memory_limit_bytes.reset();
  web.change.memory->swap = 20;
  EXPECT_THAT(web.writes(),
              ElementsAre("memory.limit_in_bytes=10", "memory.memsw.limit_in_bytes=20"));
}

TEST(Update, SwapAloneIsCountedFromThePresentLimit) {
  Case web(CgroupMode::kV2);
  web.present.memory.emplace().limit = 30;
  web.memory().swap = 50;
  EXPECT_THAT(web.writes(), ElementsAre("memory.swap.max=20", "memory.max=30"));
  web.memory().swap = 20;
  EXPECT_THAT(web.refusal(), HasSubstr("linux.resources.memory.swap: memory+swap limit should be"));
  web.present = no_limits();
  EXPECT_THAT(web.refusal(), HasSubstr("unable to set swap limit without memory limit"));
}

TEST(Update, UnlimitedMemoryWithoutAWordOfSwapIsUnlimitedSwap) {
  for (auto mode : {CgroupMode::kV1, CgroupMode::kV2}) {
    Case web(mode);
    web.present.memory.emplace().limit = 30;
    web.present.memory->swap = 50;
    web.memory().limit = -1;
    EXPECT_THAT(web.writes(),
                mode == CgroupMode::kV2
                    ? ElementsAre("memory.swap.max=max", "memory.max=max")
                    : ElementsAre("memory.memsw.limit_in_bytes=-1", "memory.limit_in_bytes=-1"));
    EXPECT_FALSE(web.update()->resources.memory->swap);
  }
}

TEST(Update, ALimitBelowTheUsageIsRefusedWhenThatIsToBeLookedAt) {
  Case web(CgroupMode::kV2);
  web.stats.memory_bytes = 5000;
  web.memory().limit = 1024;
  EXPECT_EQ(web.refusal(), "no error");
  web.change.memory->check_before_update = true;
  EXPECT_THAT(web.refusal(), HasSubstr("rejecting memory limit 1024 <= usage 5000"));
  web.change.memory->swap = 2048;
  EXPECT_THAT(web.refusal(), HasSubstr("rejecting memory+swap limit 2048 <= usage 5000"));
  web.change.memory->limit = web.change.memory->swap = 5001;
  EXPECT_EQ(web.refusal(), "no error");
  // The wish stays with the container.
  web.present = web.update()->resources;
  web.memory().limit = 7;
  web.change.memory->swap = -1;
  EXPECT_THAT(web.refusal(), HasSubstr("rejecting memory limit 7"));
}

TEST(Update, FilesByTheirOwnNameAreWrittenOnceAndForgottenWhenAFieldTakesOver) {
  Case web(CgroupMode::kV2);
  web.present.cpu.emplace().quota = 5;
  web.present.unified = {{"cpu.max", "max 100000"}, {"memory.high", "7"}};
  web.change.unified = {{"pids.max", "3"}};
  EXPECT_THAT(web.writes(), ElementsAre("pids.max=3"));
  EXPECT_EQ(web.update()->resources.unified.size(), 3U);
  web.change = no_limits();
  web.cpu().quota = 9;
  EXPECT_THAT(web.writes(), ElementsAre("cpu.max*=9 100000"));
  EXPECT_EQ(web.update()->resources.unified,
            (std::map<std::string, std::string>{{"memory.high", "7"}}));
}

TEST(Update, ListsAreJoinedByWhatTheyName) {
  Case web(CgroupMode::kV2);
  web.present.block_io.emplace().read_bps = {{8, 0, 1}, {8, 16, 2}};
  web.present.hugepage_limits = {{"2MB", 1}, {"1GB", 2}};
  web.change.block_io.emplace().read_bps = {{8, 16, 3}, {8, 32, 4}};
  web.change.hugepage_limits = {{"1GB", 5}};
  EXPECT_THAT(web.writes(), ElementsAre("io.max=8:16 rbps=3", "io.max=8:32 rbps=4",
                                        "hugetlb.1GB.max=5", "hugetlb.1GB.rsvd.max=5"));
  const spec::Resources after = web.update()->resources;
  EXPECT_EQ(after.block_io->read_bps.size(), 3U);
  EXPECT_EQ(after.block_io->read_bps[1].rate, 3U);
  EXPECT_EQ(after.hugepage_limits[1].limit, 5U);
}

TEST(Update, DeviceRulesAreTakenAsAWholeAndOnlyWhenGiven) {
  Case web(CgroupMode::kV1);
  web.present.devices = {{false, 'a', {}, {}, "rwm"}, {true, 'b', 8, 0, "r"}};
  web.change.devices = {{false, 'a', {}, {}, "rwm"}, {true, 'c', 1, 11, "r"}};
  auto update = web.update();
  ASSERT_TRUE(update);
  EXPECT_TRUE(update->cgroups.plan.device_rules);
  EXPECT_THAT(update->cgroups.plan.devices, Contains(CgroupDevice{true, 'c', 1, 11, "r"}));
  EXPECT_THAT(update->cgroups.previous_devices, Contains(CgroupDevice{true, 'b', 8, 0, "r"}));
  EXPECT_EQ(update->resources.devices, web.change.devices);
}

TEST(Update, AControllerThatTheContainerLacksIsNamed) {
  Case web(CgroupMode::kV1);
  std::erase_if(web.cgroups, [](const auto& each) { return each.controllers == "memory"; });
  web.memory().limit = 100;
  EXPECT_THAT(web.refusal(), HasSubstr("linux.resources.memory.limit"));
  EXPECT_THAT(web.refusal(), HasSubstr("no cgroup controller memory"));
  web.cgroups.clear();
  web.change = no_limits();
  EXPECT_THAT(web.writes(), IsEmpty());
}

TEST(Update, SystemdIsToldOfWhatChanges) {
  Case web(CgroupMode::kV2);
  web.memory().limit = 4096;
  EXPECT_FALSE(web.update()->cgroups.plan.scope);
  web.scope = "web.scope";
  web.change.pids_limit = -1;
  const auto scope = web.update()->cgroups.plan.scope;
  ASSERT_TRUE(scope);
  EXPECT_EQ(scope->unit, "web.scope");
  Strings properties;
  for (const ScopeProperty& each : scope->properties) {
    properties.push_back(cat(each.name, "=", each.number));
  }
  EXPECT_THAT(properties, ElementsAre(cat("TasksMax=", UINT64_MAX), "MemoryMax=4096"));
}

TEST(Update, EmptyListsOfProcessorsChangeNothing) {
  Case web(CgroupMode::kV1);
  web.present.cpu.emplace().cpus = "0-3";
  web.cpu().cpus = "";
  EXPECT_THAT(web.writes(), IsEmpty());
  EXPECT_EQ(web.update()->resources.cpu->cpus, "0-3");
}

}  // namespace
}  // namespace caisson::plan

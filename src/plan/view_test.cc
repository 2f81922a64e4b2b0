#include <sys/mount.h>

#include <algorithm>
#include <random>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "plan/compile.h"
#include "plan/dump.h"
#include "plan/host_mounts.h"
#include "plan/paths.h"
#include "plan/test_support.h"

namespace caisson::plan {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace testing;  // NOLINT: the specs and hosts of test_support.h

Plan compiled(const spec::ContainerSpec& spec, const HostFacts& host) {
  auto plan = compile(spec, host, test_options());
  EXPECT_TRUE(plan) << (plan ? "" : plan.error().message());
  return plan ? *std::move(plan) : Plan{};
}

HostFacts machine(bool privileged) {
  HostFacts host = privileged ? root_host(CgroupMode::kV2) : user_host();
  add_many_mounts(host);
  return host;
}

const MountStep* last_on(const Plan& plan, std::string_view target) {
  const MountStep* found = nullptr;
  for (const MountStep& step : plan.mounts.steps) {
    if (step.target == target) found = &step;
  }
  return found;
}

HostMount mount(int id, int parent, const char* path) {
  HostMount out;
  out.id = id;
  out.parent_id = parent;
  out.mount_point = path;
  out.fs_type = "ext4";
  return out;
}

std::vector<int> reachable_ids(const std::vector<HostMount>& mounts) {
  std::vector<int> ids;
  for (const HostMount* each : reachable_mounts(mounts)) ids.push_back(each->id);
  return ids;
}

TEST(HostMounts, TheRootMayStandAnywhereInTheTable) {
  EXPECT_THAT(reachable_ids({mount(22, 27, "/proc"), mount(27, 1, "/"), mount(28, 27, "/home")}),
              ElementsAre(27, 28, 22));
}

TEST(HostMounts, AMountOnTheSamePlaceHidesTheOneBelow) {
  EXPECT_THAT(reachable_ids({mount(1, 0, "/"), mount(2, 1, "/a"), mount(3, 2, "/a")}),
              ElementsAre(1, 3));
}

TEST(HostMounts, AMountOnADirectoryAboveHidesWhatIsBelow) {
  EXPECT_THAT(reachable_ids({mount(1, 0, "/"), mount(2, 1, "/a/b"), mount(4, 2, "/a/b/c"),
                             mount(3, 1, "/a")}),
              ElementsAre(1, 3));
}

TEST(HostMounts, ChildrenOfACoveredRootAreHidden) {
  EXPECT_THAT(reachable_ids({mount(1, 0, "/"), mount(2, 1, "/a"), mount(3, 2, "/a/b"),
                             mount(4, 2, "/a"), mount(5, 4, "/a/c")}),
              ElementsAre(1, 4, 5));
}

TEST(HostMounts, ACoverThatIsItselfHiddenHidesNothing) {
  // /x/a was covered by /x; the new /x has an /x/a/b of its own.
  EXPECT_THAT(reachable_ids({mount(1, 0, "/"), mount(2, 1, "/x/a"), mount(3, 1, "/x"),
                             mount(4, 3, "/x/a/b")}),
              ElementsAre(1, 3, 4));
}

TEST(HostMounts, AMadeUpCycleEnds) {
  reachable_mounts({mount(1, 2, "/a"), mount(2, 1, "/b"), mount(3, 3, "/c")});
}

TEST(MachineView, RootGetsOneOverlayForEachFileSystem) {
  Plan plan = compiled(view_spec(false), machine(true));
  EXPECT_TRUE(plan.mounts.root.machine_view);
  EXPECT_FALSE(plan.mounts.root.empty_tmpfs);
  EXPECT_TRUE(plan.mounts.root.path.empty());
  const MountStep& root = plan.mounts.steps.front();
  EXPECT_EQ(root.op, MountOp::kOverlayView);
  EXPECT_EQ(root.target, "/");
  EXPECT_EQ(root.layer, "root");
  EXPECT_FALSE(root.optional);
  EXPECT_EQ(last_on(plan, "/home")->layer, "m1");
  EXPECT_EQ(last_on(plan, "/srv/data")->layer, "m2");
  EXPECT_EQ(last_on(plan, "/srv/data/old"), nullptr);
}

TEST(MachineView, OverlaysHaveNoDevicesAndFallBackToReading) {
  for (bool privileged : {true, false}) {
    Plan plan = compiled(view_spec(!privileged), machine(privileged));
    std::set<std::string> layers;
    for (const MountStep& step : plan.mounts.steps) {
      if (step.op != MountOp::kOverlayView) continue;
      EXPECT_NE(step.attr_set & MOUNT_ATTR_NODEV, 0U);
      EXPECT_EQ((step.attr_set & MOUNT_ATTR_NOSUID) != 0, !privileged);
      EXPECT_TRUE(step.fallback_readonly_bind);
      EXPECT_TRUE(layers.insert(step.layer).second) << step.layer;
      EXPECT_EQ(std::ranges::find(step.options, "userxattr", &KeyValue::key) != step.options.end(),
                !privileged);
    }
  }
}

TEST(MachineView, ReadOnlyMountsAndMountedFilesStayReadOnly) {
  Plan plan = compiled(view_spec(false), machine(true));
  for (const char* path : {"/media/disc", "/etc/machine-id"}) {
    const MountStep* step = last_on(plan, path);
    ASSERT_NE(step, nullptr);
    EXPECT_EQ(step->op, MountOp::kBind);
    EXPECT_NE(step->attr_set & MOUNT_ATTR_RDONLY, 0U);
  }
  EXPECT_THAT(plan.notices, Contains(HasSubstr("/etc/machine-id")));
}

TEST(MachineView, WhatWeCannotReadIsLeftOutWithANotice) {
  Plan plan = compiled(view_spec(false), machine(true));
  EXPECT_EQ(last_on(plan, "/home/bob/cloud"), nullptr);
  EXPECT_THAT(plan.notices, Contains(HasSubstr("/home/bob/cloud")));
}

TEST(MachineView, TheRunningSystemIsFresh) {
  Plan plan = compiled(view_spec(false), machine(true));
  for (auto [path, type] :
       {std::pair{"/proc", "proc"}, std::pair{"/sys", "sysfs"}, std::pair{"/dev", "tmpfs"},
        std::pair{"/dev/pts", "devpts"}, std::pair{"/tmp", "tmpfs"}, std::pair{"/run", "tmpfs"}}) {
    ASSERT_NE(last_on(plan, path), nullptr) << path;
    EXPECT_EQ(last_on(plan, path)->type, type);
  }
  EXPECT_EQ(last_on(plan, "/run/user/1000"), nullptr);
  EXPECT_TRUE(last_on(plan, "/sys/fs/cgroup")->optional);
}

TEST(MachineView, ADirectoryOfAFreshPlaceIsKeptWhenTheUserStandsThere) {
  for (bool privileged : {true, false}) {
    HostFacts host = machine(privileged);
    host.current_directory = "/run/user/1000/work";
    Plan plan = compiled(view_spec(!privileged), host);
    const MountStep* step = last_on(plan, "/run/user/1000/work");
    ASSERT_NE(step, nullptr);
    EXPECT_EQ(step->op, MountOp::kOverlayView);
    EXPECT_GT(step, last_on(plan, "/run"));
  }
}

TEST(MachineView, TheCurrentDirectoryElsewhereNeedsNothing) {
  HostFacts host = machine(true);
  host.current_directory = "/home/ann";
  EXPECT_EQ(last_on(compiled(view_spec(false), host), "/home/ann"), nullptr);
}

TEST(MachineView, AnOrdinaryUsersViewIsPutTogetherFromPieces) {
  Plan plan = compiled(view_spec(true), machine(false));
  EXPECT_TRUE(plan.mounts.root.empty_tmpfs);
  EXPECT_EQ(last_on(plan, "/"), nullptr);
  EXPECT_EQ(last_on(plan, "/bin")->op, MountOp::kSymlink);
  EXPECT_EQ(last_on(plan, "/bin")->source, "usr/bin");
  EXPECT_EQ(last_on(plan, "/usr")->op, MountOp::kOverlayView);
  EXPECT_EQ(last_on(plan, "/swapfile")->op, MountOp::kBind);
  EXPECT_EQ(last_on(plan, "/home")->op, MountOp::kDirectory);
  EXPECT_EQ(last_on(plan, "/home/ann")->op, MountOp::kOverlayView);
  EXPECT_EQ(last_on(plan, "/srv/data")->op, MountOp::kOverlayView);
  EXPECT_EQ(last_on(plan, "/var/lib/nfs/rpc_pipefs")->op, MountOp::kDirectory);
}

TEST(MachineView, RootWithANewUserNamespaceGetsPiecesToo) {
  spec::ContainerSpec spec = view_spec(true);
  EXPECT_TRUE(compiled(spec, machine(true)).mounts.root.empty_tmpfs);
  HostFacts nested = machine(true);
  nested.in_user_namespace = true;
  EXPECT_TRUE(compiled(view_spec(false), nested).mounts.root.empty_tmpfs);
}

TEST(MachineView, UnreadableAndUnlistedDirectoriesAreEmptyWithANotice) {
  HostFacts host = machine(false);
  for (DirectoryEntry& entry : host.root_entries) {
    if (entry.path == "/root") entry.readable = false;
  }
  std::erase_if(host.root_entries,
                [](const DirectoryEntry& entry) { return entry.path.starts_with("/srv/"); });
  Plan plan = compiled(view_spec(true), host);
  EXPECT_EQ(last_on(plan, "/root")->op, MountOp::kDirectory);
  EXPECT_THAT(plan.notices, Contains(HasSubstr("/root cannot be read")));
  EXPECT_THAT(plan.notices, Contains(HasSubstr("/srv cannot be listed")));
}

TEST(MachineView, AMountOfTheUserTakesThePlaceOfADefault) {
  spec::ContainerSpec spec = view_spec(false);
  spec.mounts = {{"/tmp", "bind", "/scratch", {"rbind"}, {}, {}}};
  Plan plan = compiled(spec, machine(true));
  EXPECT_EQ(last_on(plan, "/tmp")->op, MountOp::kBind);
  EXPECT_EQ(std::ranges::count(plan.mounts.steps, "/tmp", &MountStep::target), 1);
  EXPECT_EQ(last_on(plan, "/tmp/project"), nullptr);
}

TEST(MachineView, AReadOnlyViewIsSealedLayerByLayer) {
  spec::ContainerSpec spec = view_spec(false);
  spec.root = spec::Root{"", true};
  Plan plan = compiled(spec, machine(true));
  EXPECT_EQ(last_on(plan, "/home")->op, MountOp::kSetAttributes);
  EXPECT_EQ(plan.mounts.steps.back().target, "/");
}

// Random mount tables: whatever the host looks like, the steps are in an order that can be carried
// out.
class RandomMachine {
 public:
  explicit RandomMachine(unsigned seed) : random_(seed) {}

  HostFacts make(bool privileged) {
    HostFacts host = privileged ? root_host(CgroupMode::kV2) : user_host();
    add_simple_mounts(host);
    for (int id = 100; id < 100 + pick(12); ++id) {
      const HostMount parent =
          host.mounts[static_cast<std::size_t>(pick(static_cast<int>(host.mounts.size())))];
      HostMount child = mount(id, parent.id, join_path(parent.mount_point, path()).c_str());
      if (pick(8) == 0) child.mount_point = parent.mount_point;
      child.readonly = pick(4) == 0;
      child.readable = pick(6) != 0;
      child.is_directory = pick(5) != 0;
      if (pick(6) == 0) child.fs_type = "autofs";
      list_on_the_way(host, child.mount_point);
      host.mounts.push_back(child);
    }
    const char* here[] = {"/", "/tmp", "/tmp/a", "/run/a/b", "/home", "/dev/shm/a"};
    host.current_directory = here[pick(6)];
    return host;
  }

 private:
  int pick(int below_this) {
    return static_cast<int>(random_() % static_cast<unsigned>(below_this));
  }

  std::string path() {
    std::string out;
    for (int i = pick(3); i >= 0; --i)
      append(out, out.empty() ? "" : "/", std::string(1, static_cast<char>('a' + pick(3))));
    return out;
  }

  void list_on_the_way(HostFacts& host, std::string directory) {
    while (directory.size() > 1) {
      directory = clean_path(directory + "/..");
      for (const char* name : {"a", "b", "c"}) {
        std::string path = join_path(directory, name);
        bool known = std::ranges::find(host.root_entries, path, &DirectoryEntry::path) !=
                     host.root_entries.end();
        if (!known) host.root_entries.push_back({path, "ddlf"[pick(4)], "x", pick(9) != 0});
      }
    }
  }

  std::minstd_rand random_;
};

void check_order(const Plan& plan) {
  std::set<std::string> made, layers;
  for (const MountStep& step : plan.mounts.steps) {
    if (!step.origin.starts_with("view of")) continue;
    ASSERT_EQ(step.target, clean_path(step.target));
    // No parent comes after its child: it would hide it.
    for (const std::string& earlier : made)
      ASSERT_FALSE(below(earlier, step.target)) << describe(step);
    ASSERT_TRUE(made.insert(step.target).second) << describe(step);
    if (step.op == MountOp::kOverlayView) {
      ASSERT_EQ(step.source, step.target);
      ASSERT_TRUE(layers.insert(step.layer).second);
    }
  }
}

TEST(MachineView, RandomMachinesGiveStepsThatCanBeCarriedOut) {
  for (unsigned seed = 1; seed <= 500; ++seed) {
    for (bool privileged : {true, false}) {
      HostFacts host = RandomMachine(seed).make(privileged);
      Plan plan = compiled(view_spec(!privileged), host);
      check_order(plan);
      if (HasFatalFailure()) FAIL() << "seed " << seed;
    }
  }
}

// The kernel refuses an overlay over a directory that has locked mounts below it.
TEST(MachineView, NoOverlayOfAnOrdinaryUserHasMountsBelowIt) {
  for (unsigned seed = 1; seed <= 500; ++seed) {
    HostFacts host = RandomMachine(seed).make(false);
    auto mounts = reachable_mounts(host.mounts);
    for (const MountStep& step : compiled(view_spec(true), host).mounts.steps) {
      if (step.op != MountOp::kOverlayView) continue;
      ASSERT_THAT(mounts_below(mounts, step.source), IsEmpty())
          << "seed " << seed << ' ' << describe(step);
    }
  }
}

}  // namespace
}  // namespace caisson::plan

#include "linux/cgroup.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/defer.h"
#include "linux/cgroup_files.h"
#include "linux/host_facts.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::linux {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;

#define SKIP_UNLESS_ROOT() \
  if (sys::geteuid() != 0) GTEST_SKIP() << "needs root"

bool exists(const std::string& path) {
  return sys::faccessat(sys::kCwd, path.c_str(), F_OK).has_value();
}

class RecordingUndoLog : public plan::UndoLog {
 public:
  Result<> record(const std::vector<plan::Undo>& undos) override {
    for (const auto& undo : undos) existed_when_recorded |= exists(undo.target);
    records.push_back(undos);
    return {};
  }
  std::vector<std::vector<plan::Undo>> records;
  bool existed_when_recorded = false;
};

// What a start does, in its order; on failure what was recorded is taken back, as its journal does.
Result<CgroupSet> make_limited(const plan::CgroupPlan& plan, RecordingUndoLog& undo) {
  CgroupSet set;
  auto made = make_cgroups(plan, Hierarchies::kAll, undo, set);
  if (!made) return std::unexpected(std::move(made).error());
  auto limited = limit_cgroups(plan, set);
  if (limited) limited = limit_devices(plan, set);
  if (limited) return set;
  for (const auto& change : undo.records.back()) EXPECT_TRUE(remove_cgroup(change.target));
  return std::unexpected(std::move(limited).error());
}

// Cgroups below one parent per test process, in every hierarchy of this host that is picked.
class CgroupTest : public testing::Test {
 protected:
  void SetUp() override {
    SKIP_UNLESS_ROOT();
    auto facts = read_host_facts(false);
    ASSERT_TRUE(facts) << facts.error().message();
    facts_ = *facts;
    if (facts_.cgroup.hierarchies.empty()) GTEST_SKIP() << "needs cgroups";
  }

  void TearDown() override {
    for (const Fd& process : processes_) {
      (void)sys::pidfd_send_signal(process, SIGKILL);
      (void)sys::wait_pidfd(process);
    }
    for (const auto& directory : directories_) {
      auto removed = remove_cgroup(directory);
      EXPECT_TRUE(removed) << removed.error().message();
    }
    for (const auto& hierarchy : facts_.cgroup.hierarchies) {
      const std::string parent = cat(hierarchy.mount_point, parent_);
      EXPECT_FALSE(exists(parent)) << parent << " was left behind";
      (void)remove_cgroup(parent);
    }
  }

  plan::CgroupPlan plan(const std::string& name = "web") {
    plan::CgroupPlan plan;
    plan.mode = facts_.cgroup.mode;
    for (const auto& hierarchy : facts_.cgroup.hierarchies) {
      // Whoever runs the tests may be accounted there; its processes stay where they are.
      if (hierarchy.controllers == "memory") continue;
      plan::CgroupDirectory directory;
      directory.controllers = hierarchy.controllers;
      directory.mount_point = hierarchy.mount_point;
      directory.path = cat(parent_, '/', name);
      directory.v2 = hierarchy.v2;
      directory.inherit_cpuset = lists_controller(hierarchy.controllers, "cpuset");
      directories_.push_back(cat(directory.mount_point, directory.path));
      plan.directories.push_back(std::move(directory));
    }
    return plan;
  }

  static plan::CgroupDirectory* find(plan::CgroupPlan& plan, std::string_view controller) {
    for (auto& directory : plan.directories) {
      if (lists_controller(directory.controllers, controller)) return &directory;
    }
    return nullptr;
  }

  static plan::CgroupWrite limit(std::string file, std::string value) {
    plan::CgroupWrite write;
    write.file = std::move(file);
    write.value = std::move(value);
    write.field = "linux.resources.pids.limit";
    return write;
  }

  CgroupSet create(const plan::CgroupPlan& plan) {
    auto set = make_limited(plan, undo_);
    EXPECT_TRUE(set) << set.error().message();
    return set ? *std::move(set) : CgroupSet{};
  }

  // A process in the cgroups that sleeps; returns its pid.
  int spawn(const CgroupSet& set) {
    auto child = sys::fork_with_pidfd(0, set.unified_fd);
    if (!child) {
      ADD_FAILURE() << "fork: " << errno_name(child.error().value);
      return -1;
    }
    if (child->pid == 0) {
      for (int fd : set.task_fds) {
        if (!sys::write(FdRef(fd), "0", 1)) sys::exit_process(1);
      }
      FdRef devices(set.devices_task_fd);
      if (devices.number() >= 0 && !sys::write(devices, "0", 1)) sys::exit_process(1);
      for (;;) (void)::pause();
    }
    // The kernel's listing is the only word on whether the child has moved.
    for (int i = 0; i < 2000; ++i) {
      auto present = cgroup_processes(
          set.locations.empty() ? set.locations : plan::CgroupLocations{set.locations.front()});
      if (present && std::ranges::find(*present, child->pid) != present->end()) break;
      sleep_ns(1'000'000);
    }
    int pid = child->pid;
    processes_.push_back(std::move(child->pidfd));
    return pid;
  }

  plan::HostFacts facts_;
  RecordingUndoLog undo_;
  std::string parent_ = cat("/caisson-test-", ::getpid());
  std::vector<std::string> directories_;
  std::vector<Fd> processes_;
};

TEST_F(CgroupTest, MakesEveryDirectoryAndRecordsThemBefore) {
  auto plan = this->plan();
  CgroupSet set = create(plan);
  EXPECT_EQ(set.locations.size(), plan.directories.size());
  for (const auto& location : set.locations) EXPECT_TRUE(exists(location.directory));
  ASSERT_EQ(undo_.records.size(), 1U);
  EXPECT_EQ(undo_.records[0].size(), plan.directories.size());
  EXPECT_FALSE(undo_.existed_when_recorded);
}

TEST_F(CgroupTest, RemovesParentsThatItMadeWithTheLastContainer) {
  CgroupSet web = create(plan("web"));
  CgroupSet db = create(plan("db"));
  for (const auto& location : web.locations) ASSERT_TRUE(remove_cgroup(location.directory));
  const std::string parent = cat(facts_.cgroup.hierarchies[0].mount_point, parent_);
  EXPECT_TRUE(exists(parent));
  for (const auto& location : db.locations) ASSERT_TRUE(remove_cgroup(location.directory));
  EXPECT_FALSE(exists(parent));
}

TEST_F(CgroupTest, KeepsEmptyParentsThatSomebodyElseMade) {
  auto plan = this->plan();
  const std::string parent = split_path(directories_[0]).first;
  ASSERT_TRUE(sys::mkdirat(sys::kCwd, parent.c_str(), 0755));
  Defer clean([&] { (void)sys::unlinkat(sys::kCwd, parent.c_str(), AT_REMOVEDIR); });
  CgroupSet set = create(plan);
  ASSERT_TRUE(remove_cgroup(directories_[0]));
  EXPECT_TRUE(exists(parent));
}

TEST_F(CgroupTest, ProcessesJoinEveryHierarchy) {
  CgroupSet set = create(plan());
  int pid = spawn(set);
  auto ids = cgroup_processes(set.locations);
  ASSERT_TRUE(ids);
  EXPECT_THAT(*ids, ElementsAre(pid));
  for (int i = 0; i < 1000; ++i) {  // the child goes through the hierarchies one by one
    bool everywhere = true;
    for (const auto& location : set.locations) {
      everywhere &= cgroup_processes({location})->size() == 1;
    }
    if (everywhere) return;
    sleep_ns(1'000'000);
  }
  FAIL() << "the process is not in all hierarchies";
}

TEST_F(CgroupTest, StartsAndRemovalsAtOnceDoNotTakeEachOthersParent) {
  // Each removal is the last one now and then, and takes the parent along.
  constexpr int kRounds = 200;
  std::vector<Fd> children;
  for (const char* name : {"one", "two"}) {
    auto plan = this->plan(name);
    auto child = sys::fork_with_pidfd();
    ASSERT_TRUE(child);
    for (int round = 0; child->pid == 0; ++round) {
      if (round == kRounds) sys::exit_process(0);
      RecordingUndoLog undo;
      auto set = make_limited(plan, undo);
      if (!set) sys::exit_process(1);
      if (set->locations.size() != plan.directories.size()) sys::exit_process(2);
      for (const auto& location : set->locations) {
        if (!remove_cgroup(location.directory)) sys::exit_process(3);
      }
    }
    children.push_back(std::move(child->pidfd));
  }
  for (const auto& child : children) EXPECT_EQ(sys::wait_pidfd(child)->shell_status(), 0);
}

TEST_F(CgroupTest, NewCpusetsCanTakeProcesses) {
  auto plan = this->plan("a/b/c");
  const auto* cpuset = find(plan, "cpuset");
  if (cpuset == nullptr) GTEST_SKIP() << "no v1 cpuset";
  CgroupSet set = create(plan);
  const std::string directory = cat(cpuset->mount_point, cpuset->path);
  EXPECT_EQ(*read_control(directory, "cpuset.cpus"),
            *read_control(cpuset->mount_point, "cpuset.cpus"));
  EXPECT_EQ(*read_control(directory, "cpuset.mems"),
            *read_control(cpuset->mount_point, "cpuset.mems"));
}

TEST_F(CgroupTest, WritesLimitsInOrderAndNamesTheFieldOfABadOne) {
  auto plan = this->plan();
  auto* pids = find(plan, "pids");
  if (pids == nullptr) GTEST_SKIP() << "no v1 pids";
  pids->writes = {limit("pids.absent", "1"), limit("pids.max", "max"), limit("pids.max", "17")};
  pids->writes[0].optional = true;
  const std::string directory = cat(pids->mount_point, pids->path);
  {
    CgroupSet set = create(plan);
    EXPECT_EQ(*read_control(directory, "pids.max"), "17");
    for (const auto& location : set.locations) ASSERT_TRUE(remove_cgroup(location.directory));
  }
  pids->writes.push_back(limit("pids.max", "many"));
  auto failed = make_limited(plan, undo_);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().where(), "linux.resources.pids.limit");
  EXPECT_THAT(failed.error().message(), HasSubstr("pids.max"));
  EXPECT_THAT(failed.error().message(), HasSubstr("\"many\""));
  EXPECT_THAT(failed.error().cure(), Not(IsEmpty()));
  for (const auto& path : directories_) EXPECT_FALSE(exists(path)) << path;
}

TEST_F(CgroupTest, AnAlternativeStandsInForAMissingFile) {
  auto plan = this->plan();
  auto* pids = find(plan, "pids");
  if (pids == nullptr) GTEST_SKIP() << "no v1 pids";
  pids->writes = {limit("pids.absent", "1")};
  pids->writes[0].alternative_file = "pids.max";
  pids->writes[0].alternative_value = "16";
  CgroupSet set = create(plan);
  EXPECT_EQ(*read_control(cat(pids->mount_point, pids->path), "pids.max"), "16");
}

TEST_F(CgroupTest, RefusesACgroupThatHasProcesses) {
  auto plan = this->plan();
  CgroupSet set = create(plan);
  int pid = spawn(set);
  RecordingUndoLog undo;
  auto second = make_limited(plan, undo);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message(),
              HasSubstr("container's cgroup is not empty: 1 process(es) found"));
  EXPECT_THAT(undo.records, IsEmpty());
  EXPECT_TRUE(sys::kill(pid, 0));
}

TEST_F(CgroupTest, RefusesAFrozenCgroupAndKeepsAnEmptyOne) {
  auto plan = this->plan();
  CgroupSet set = create(plan);
  ASSERT_TRUE(cgroup_freeze(set.locations, 2000));
  RecordingUndoLog undo;
  auto second = make_limited(plan, undo);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message(), HasSubstr("container's cgroup unexpectedly frozen"));
  ASSERT_TRUE(cgroup_thaw(set.locations, 2000));
  auto third = make_limited(plan, undo);
  EXPECT_TRUE(third);
  EXPECT_THAT(undo.records, IsEmpty()) << "what was there before is not ours to remove";
}

TEST_F(CgroupTest, FreezesThawsAndTells) {
  CgroupSet set = create(plan());
  spawn(set);
  EXPECT_FALSE(*cgroup_frozen(set.locations));
  auto frozen = cgroup_freeze(set.locations, 5000);
  ASSERT_TRUE(frozen) << frozen.error().message();
  EXPECT_TRUE(*cgroup_frozen(set.locations));
  ASSERT_TRUE(cgroup_thaw(set.locations, 5000));
  EXPECT_FALSE(*cgroup_frozen(set.locations));
}

TEST_F(CgroupTest, TheV1FreezerFreezesAndItsPrisonersCanBeKilled) {
  CgroupSet set = create(plan());
  int pid = spawn(set);
  plan::CgroupLocations v1;
  for (const auto& location : set.locations) {
    if (lists_controller(location.controllers, "freezer")) v1.push_back(location);
  }
  if (v1.empty()) GTEST_SKIP() << "no v1 freezer";
  while (cgroup_processes(v1)->empty()) sleep_ns(1'000'000);
  ASSERT_TRUE(cgroup_freeze(v1, 5000));
  EXPECT_TRUE(*cgroup_frozen(v1));
  ASSERT_TRUE(cgroup_kill_all(v1, SIGKILL));
  auto status = sys::wait_pid(pid);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->status, SIGKILL);
  EXPECT_FALSE(*cgroup_frozen(v1));
  processes_.clear();
}

TEST_F(CgroupTest, KillAllSignalsEveryProcessAlsoInNestedCgroups) {
  CgroupSet set = create(plan());
  int outer = spawn(set);
  ASSERT_TRUE(sys::mkdirat(sys::kCwd, cat(set.locations[0].directory, "/nested").c_str(), 0755));
  int inner = spawn(set);
  if (set.locations[0].controllers == "cpuset") {
    ASSERT_TRUE(
        inherit_cpuset(cat(set.locations[0].directory, "/nested"), set.locations[0].directory));
  }
  ASSERT_TRUE(
      write_control(cat(set.locations[0].directory, "/nested"), "cgroup.procs", cat(inner)));
  auto ids = cgroup_processes(set.locations);
  ASSERT_TRUE(ids);
  EXPECT_THAT(*ids, IsSupersetOf({outer, inner}));
  ASSERT_TRUE(cgroup_kill_all(set.locations, SIGTERM));
  EXPECT_EQ(sys::wait_pid(outer)->status, SIGTERM);
  EXPECT_EQ(sys::wait_pid(inner)->status, SIGTERM);
  processes_.clear();
}

TEST_F(CgroupTest, RemovalKillsWhatIsLeftAndGoesToAnyDepth) {
  CgroupSet set = create(plan());
  int pid = spawn(set);
  for (const auto& location : set.locations) {
    std::string nested = location.directory;
    for (int depth = 0; depth < 40; ++depth) {
      nested += "/n";
      ASSERT_TRUE(sys::mkdirat(sys::kCwd, nested.c_str(), 0755));
    }
  }
  for (std::size_t i = set.locations.size(); i-- > 0;) {
    auto removed = remove_cgroup(set.locations[i].directory);
    EXPECT_TRUE(removed) << removed.error().message();
    EXPECT_FALSE(exists(set.locations[i].directory));
  }
  EXPECT_EQ(sys::wait_pid(pid)->status, SIGKILL);
  processes_.clear();
}

TEST_F(CgroupTest, RemovalByPidsAloneEndsAForkingGroup) {
  // Without the unified hierarchy there is no cgroup.kill.
  auto plan = this->plan();
  std::erase_if(plan.directories, [](const plan::CgroupDirectory& directory) {
    return !lists_controller(directory.controllers, "pids");
  });
  if (plan.directories.empty()) GTEST_SKIP() << "no v1 pids";
  plan.directories[0].writes = {limit("pids.max", "20")};
  CgroupSet set = create(plan);
  auto child = sys::fork_with_pidfd();
  ASSERT_TRUE(child);
  if (child->pid == 0) {
    (void)sys::write(FdRef(set.task_fds[0]), "0", 1);
    (void)::signal(SIGCHLD, SIG_IGN);
    for (int i = 0;; ++i) {
      // Each generation ends itself, so that numbers are reused and members come and go.
      if (::fork() == 0 && i % 3 == 0) sys::exit_process(0);
    }
  }
  processes_.push_back(std::move(child->pidfd));
  sleep_ns(20'000'000);
  auto removed = remove_cgroup(set.locations[0].directory);
  EXPECT_TRUE(removed) << removed.error().message();
  EXPECT_FALSE(exists(set.locations[0].directory));
}

TEST_F(CgroupTest, RemovalRefusesRootsAndStrangers) {
  for (const auto& hierarchy : facts_.cgroup.hierarchies) {
    EXPECT_FALSE(remove_cgroup(hierarchy.mount_point)) << hierarchy.mount_point;
  }
  EXPECT_FALSE(remove_cgroup("/"));
  EXPECT_FALSE(remove_cgroup("/tmp"));
  EXPECT_FALSE(remove_cgroup("relative/path"));
  EXPECT_FALSE(remove_cgroup(cat(facts_.cgroup.hierarchies[0].mount_point, "/x/../..")));
  EXPECT_TRUE(remove_cgroup(cat(facts_.cgroup.hierarchies[0].mount_point, parent_, "/missing")));
  EXPECT_TRUE(remove_cgroup("/no/such/place"));
  char directory[] = "/tmp/caisson-cgroup-test-XXXXXX";
  ASSERT_NE(::mkdtemp(directory), nullptr);
  EXPECT_FALSE(remove_cgroup(directory));
  EXPECT_TRUE(exists(directory));
  (void)::rmdir(directory);
}

TEST_F(CgroupTest, HierarchiesThatRefuseAreSkippedUnlessALimitNeedsThem) {
  auto plan = this->plan();
  plan.directories.front().mount_point = "/sys/fs/cgroup/no-such-hierarchy";
  {
    CgroupSet set = create(plan);
    EXPECT_EQ(set.locations.size(), plan.directories.size() - 1);
  }
  plan.directories.front().required = true;
  for (const auto& path : directories_) ASSERT_TRUE(remove_cgroup(path));
  auto failed = make_limited(plan, undo_);
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message(), HasSubstr("no-such-hierarchy"));
  EXPECT_THAT(failed.error().cure(), Not(IsEmpty()));
  EXPECT_FALSE(exists("/sys/fs/cgroup/no-such-hierarchy"));
}

TEST_F(CgroupTest, DeviceFilesHoldTheRules) {
  auto plan = this->plan();
  const auto* devices = find(plan, "devices");
  if (devices == nullptr) GTEST_SKIP() << "no v1 devices";
  plan.device_rules = true;
  plan.devices = {{false, 'a', {}, {}, "rwm"},
                  {true, 'c', 1, 3, "rwm"},
                  {true, 'c', 136, {}, "rw"},
                  {true, 'b', {}, {}, "m"}};
  CgroupSet set = create(plan);
  auto list = read_control(cat(devices->mount_point, devices->path), "devices.list");
  ASSERT_TRUE(list);
  EXPECT_THAT(split(*list, '\n'), ElementsAre("c 1:3 rwm", "c 136:* rw", "b *:* m"));
}

TEST_F(CgroupTest, CountsWhatTheKernelCounts) {
  auto plan = this->plan();
  CgroupSet set = create(plan);
  spawn(set);
  for (int i = 0; i < 1000 && cgroup_stats(set.locations)->pids != 1U; ++i) sleep_ns(1'000'000);
  auto stats = cgroup_stats(set.locations);
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->pids, 1U);
  EXPECT_TRUE(stats->cpu_usage_ns);
  EXPECT_FALSE(stats->pids_limit);
}

TEST_F(CgroupTest, AnExecGoesWhereInitWent) {
  CgroupSet set = create(plan());
  int pid = spawn(set);
  auto pids = std::ranges::find(set.locations, "pids", &plan::CgroupLocation::controllers);
  if (pids == set.locations.end()) GTEST_SKIP() << "no v1 pids";
  while (cgroup_processes({*pids})->empty()) sleep_ns(1'000'000);
  const std::string moved = cat(pids->directory, "-moved");
  ASSERT_TRUE(sys::mkdirat(sys::kCwd, moved.c_str(), 0755));
  directories_.push_back(moved);
  ASSERT_TRUE(write_control(moved, "tasks", cat(pid)));
  ASSERT_TRUE(sys::unlinkat(sys::kCwd, pids->directory.c_str(), AT_REMOVEDIR));
  auto opened = open_cgroups(set.locations, pid);
  ASSERT_TRUE(opened) << opened.error().message();
  EXPECT_EQ(opened->task_fds.size(), set.task_fds.size() + (set.devices_task_fd >= 0 ? 1 : 0));
  EXPECT_EQ(opened->unified_fd >= 0, set.unified_fd >= 0);
  EXPECT_THAT(opened->locations, Contains(plan::CgroupLocation{"pids", moved, false}));
}

// --- without privilege ---

TEST(CgroupFiles, KnowsCleanPaths) {
  EXPECT_TRUE(is_clean_absolute("/sys/fs/cgroup/cpu/caisson"));
  for (const char* path : {"", "/", "a", "//a", "/a/", "/a/../b", "/a/./b"}) {
    EXPECT_FALSE(is_clean_absolute(path)) << path;
  }
}

TEST(CgroupFiles, ReadsKeyedNumbers) {
  EXPECT_EQ(keyed_number("low 0\noom_kill 12\n", "oom_kill"), 12U);
  EXPECT_EQ(keyed_number("oom_kill_disable 1\n", "oom_kill"), std::nullopt);
  EXPECT_EQ(keyed_number("", "x"), std::nullopt);
}

TEST(CgroupFiles, WritesDeviceRulesAsTheKernelReadsThem) {
  EXPECT_THAT(device_lines({true, 'a', {}, {}, "rwm"}), ElementsAre("a"));
  EXPECT_THAT(device_lines({true, 'a', {}, {}, "m"}), ElementsAre("b *:* m", "c *:* m"));
  EXPECT_THAT(device_lines({true, 'c', 1, {}, "rw"}), ElementsAre("c 1:* rw"));
  EXPECT_THAT(device_lines({true, 'u', 10, 200, "r"}), ElementsAre("c 10:200 r"));
}

// A stand-in for a v2 hierarchy: plain files, so that every write can be seen.
class SubtreeControl : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/caisson-subtree-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    root_ = name;
    make("", "cpu pids");
    make("/a", "cpu pids");
    make("/a/web", "pids");
  }
  void TearDown() override { (void)sys::remove_tree(sys::kCwd, root_.c_str()); }

  void make(const std::string& path, std::string_view controllers) {
    (void)::mkdir(cat(root_, path).c_str(), 0755);
    put(cat(root_, path, "/cgroup.controllers"), controllers);
    put(cat(root_, path, "/cgroup.subtree_control"), "");
  }
  static void put(const std::string& path, std::string_view text) {
    ASSERT_TRUE(sys::write_atomically(sys::kCwd, path.c_str(), text));
  }
  std::string control(const std::string& path) {
    return read_control(cat(root_, path), "cgroup.subtree_control").value_or("?");
  }

  std::string root_;
};

TEST_F(SubtreeControl, EnablesOnlyWhatIsMissingInEveryParent) {
  const std::vector<std::string> wanted{"cpu", "pids"};
  EXPECT_EQ(enable_controllers(cat(root_, "/a/web"), root_, wanted), "");
  EXPECT_EQ(control(""), "+cpu");
  EXPECT_EQ(control("/a"), "+cpu");
  EXPECT_EQ(control("/a/web"), "");
}

TEST_F(SubtreeControl, WritesNothingWhenAllIsThere) {
  const std::vector<std::string> wanted{"pids"};
  EXPECT_EQ(enable_controllers(cat(root_, "/a/web"), root_, wanted), "");
  EXPECT_EQ(control(""), "");
}

TEST_F(SubtreeControl, TellsWhatCouldNotBeEnabled) {
  ASSERT_EQ(::unlink(cat(root_, "/a/cgroup.subtree_control").c_str()), 0);
  const std::vector<std::string> wanted{"cpu"};
  EXPECT_THAT(enable_controllers(cat(root_, "/a/web"), root_, wanted),
              HasSubstr(cat("cpu in ", root_, "/a: ENOENT")));
}

}  // namespace
}  // namespace caisson::linux

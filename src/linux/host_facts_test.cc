#include "linux/host_facts.h"

#include <unistd.h>

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/defer.h"
#include "sys/file.h"
#include "sys/mount.h"
#include "sys/process.h"

namespace caisson::linux {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(HostFacts, AgreeWithTheKernelsOwnFiles) {
  auto facts = read_host_facts(false);
  ASSERT_TRUE(facts) << facts.error().message();
  EXPECT_EQ(facts->uid, sys::geteuid());
  EXPECT_EQ(facts->gid, sys::getegid());
  auto last = sys::read_file(sys::kCwd, "/proc/sys/kernel/cap_last_cap");
  ASSERT_TRUE(last);
  EXPECT_EQ(cat(facts->last_capability), trim(*last));
  auto status = sys::read_file(sys::kCwd, "/proc/self/status");
  ASSERT_TRUE(status);
  auto effective =
      split_once(std::string_view(*status).substr(status->find("CapEff:") + 7), '\n').first;
  auto bits = parse_number<std::uint64_t>(trim(effective), 16);
  ASSERT_TRUE(bits);
  EXPECT_EQ(facts->privileged, (*bits & (1ULL << 21)) != 0);
  EXPECT_TRUE(facts->mounts.empty());
}

TEST(HostFacts, EveryHierarchyIsListedOnceAtItsMountPoint) {
  auto facts = read_host_facts(false);
  ASSERT_TRUE(facts);
  auto text = sys::read_file(sys::kCwd, "/proc/self/cgroup");
  if (!text) GTEST_SKIP() << "no cgroups";
  for (const auto& hierarchy : facts->cgroup.hierarchies) {
    EXPECT_THAT(*text, HasSubstr(cat(':', hierarchy.controllers, ':', hierarchy.own_path, '\n')));
    EXPECT_TRUE(
        sys::faccessat(sys::kCwd, cat(hierarchy.mount_point, "/cgroup.procs").c_str(), F_OK));
    EXPECT_EQ(hierarchy.v2, &hierarchy == &facts->cgroup.hierarchies.back() &&
                                (facts->cgroup.mode == plan::CgroupMode::kV2 ||
                                 facts->cgroup.mode == plan::CgroupMode::kHybrid));
  }
}

TEST(HostFacts, AViewKnowsMountsAndTheDirectoriesOnTheWayToThem) {
  auto facts = read_host_facts(true);
  ASSERT_TRUE(facts) << facts.error().message();
  auto mount_at = [&](std::string_view path) {
    return std::ranges::find(facts->mounts, path, &plan::HostMount::mount_point);
  };
  auto entry_at = [&](std::string_view path) {
    return std::ranges::find(facts->root_entries, path, &plan::DirectoryEntry::path);
  };
  auto proc = mount_at("/proc");
  ASSERT_NE(proc, facts->mounts.end());
  EXPECT_EQ(proc->fs_type, "proc");
  EXPECT_TRUE(proc->is_directory);
  EXPECT_TRUE(proc->readable);
  ASSERT_NE(entry_at("/proc"), facts->root_entries.end());
  EXPECT_EQ(entry_at("/proc")->type, 'd');
  for (const auto& mount : facts->mounts) {
    if (mount.mount_point == "/" || !mount.readable) continue;
    EXPECT_NE(entry_at(mount.mount_point), facts->root_entries.end()) << mount.mount_point;
  }
  for (const auto& entry : facts->root_entries) {
    EXPECT_EQ(entry.type == 'l', !entry.link_target.empty()) << entry.path;
  }
  EXPECT_EQ(facts->current_directory, *sys::readlink(sys::kCwd, "/proc/self/cwd"));
}

TEST(HostFacts, AViewFromADeletedDirectoryIsRefusedWithACure) {
  Fd before = MUST(sys::openat(sys::kCwd, ".", O_PATH | O_DIRECTORY));
  Defer back([&] { (void)sys::fchdir(before); });
  char name[] = "/tmp/caisson-facts-XXXXXX";
  ASSERT_NE(::mkdtemp(name), nullptr);
  ASSERT_TRUE(sys::chdir(name));
  ASSERT_EQ(::rmdir(name), 0);
  auto facts = read_host_facts(true);
  ASSERT_FALSE(facts);
  EXPECT_THAT(facts.error().cure(), HasSubstr("cd "));
  EXPECT_TRUE(read_host_facts(false)) << "only a view needs the directory";
}

// Runs `look` in a mount namespace whose /sys/fs/cgroup is an empty tmpfs. Its return value is the
// number of the check that failed, 0 for none.
template <typename Look>
int in_own_mount_namespace(Look look) {
  auto child = sys::fork_with_pidfd(CLONE_NEWNS);
  if (!child) return -1;
  if (child->pid == 0) {
    const bool ready = sys::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) &&
                       sys::mount("tmpfs", "/sys/fs/cgroup", "tmpfs", 0, nullptr);
    sys::exit_process(ready ? look() : 100);
  }
  auto status = sys::wait_pidfd(child->pidfd);
  return status ? status->shell_status() : -1;
}

TEST(HostFacts, AUnifiedHostIsKnownByTheFileSystemOfItsCgroups) {
  if (sys::geteuid() != 0) GTEST_SKIP() << "needs root";
  EXPECT_EQ(in_own_mount_namespace([] {
              if (!sys::mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, nullptr)) return 1;
              auto facts = read_host_facts(false);
              if (!facts) return 2;
              if (facts->cgroup.mode != plan::CgroupMode::kV2) return 3;
              if (facts->cgroup.hierarchies.size() != 1) return 4;
              return facts->cgroup.hierarchies[0].mount_point == "/sys/fs/cgroup" ? 0 : 5;
            }),
            0);
}

TEST(HostFacts, HierarchiesAtOddPlacesAreFoundByTheMountTable) {
  if (sys::geteuid() != 0) GTEST_SKIP() << "needs root";
  EXPECT_EQ(in_own_mount_namespace([] {
              const char* odd = "/sys/fs/cgroup/odd place";
              if (!sys::mkdirat(sys::kCwd, odd, 0755)) return 1;
              if (!sys::mount("cgroup2", odd, "cgroup2", 0, nullptr)) return 2;
              auto facts = read_host_facts(false);
              if (!facts) return 3;
              if (facts->cgroup.mode != plan::CgroupMode::kV2) return 4;
              return facts->cgroup.hierarchies[0].mount_point == odd ? 0 : 5;
            }),
            0);
}

TEST(HostFacts, WithoutCgroupsThereAreNone) {
  if (sys::geteuid() != 0) GTEST_SKIP() << "needs root";
  EXPECT_EQ(in_own_mount_namespace([] {
              auto facts = read_host_facts(false);
              if (!facts) return 1;
              return facts->cgroup.mode == plan::CgroupMode::kNone ? 0 : 2;
            }),
            0);
}

TEST(HostFacts, AreCheapWithoutAView) {
  std::int64_t best = INT64_MAX;
  for (int i = 0; i < 200; ++i) {
    std::int64_t begin = monotonic_ns();
    ASSERT_TRUE(read_host_facts(false));
    best = std::min(best, monotonic_ns() - begin);
  }
  RecordProperty("best_us", cat(best / 1000));
  // The aim is 60 us; the bound leaves room for sanitizers.
  EXPECT_LT(best, 1'000'000);
}

}  // namespace
}  // namespace caisson::linux

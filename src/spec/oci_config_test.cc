#include "spec/oci_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "spec/testdata.h"

// A part that is absent against expectation ends the test in the library's assertion.
// NOLINTBEGIN(bugprone-unchecked-optional-access)
namespace caisson::spec {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

ContainerSpec read_file(std::string_view name) {
  auto spec = read_oci_config(test_text(name), "/bundle");
  EXPECT_TRUE(spec) << spec.error().message();
  return spec ? *std::move(spec) : ContainerSpec{};
}

// Reads a config that consists of a version and `members`.
Result<ContainerSpec> read_members(std::string_view members) {
  return read_oci_config(cat("{\"ociVersion\":\"1.3.0\"", members.empty() ? "" : ",", members, "}"),
                         "");
}

ContainerSpec good(std::string_view members) {
  auto spec = read_members(members);
  EXPECT_TRUE(spec) << spec.error().message();
  return spec ? *std::move(spec) : ContainerSpec{};
}

TEST(OciConfig, ReadsTheDefaultOfRunc) {
  auto spec = read_file("runc_default.json");
  EXPECT_EQ(spec.oci_version, "1.0.2-dev");
  EXPECT_EQ(spec.bundle, "/bundle");
  EXPECT_EQ(spec.root->path, "rootfs");
  EXPECT_TRUE(spec.root->readonly);
  EXPECT_EQ(spec.hostname, "runc");
  EXPECT_TRUE(spec.process->terminal);
  EXPECT_THAT(spec.process->args, ElementsAre("sh"));
  EXPECT_THAT(spec.process->rlimits, ElementsAre(Rlimit{"RLIMIT_NOFILE", 1024, 1024}));
  EXPECT_THAT(spec.mounts, SizeIs(7));
  EXPECT_EQ(spec.mounts[1].destination, "/dev");
  EXPECT_THAT(spec.mounts[1].options,
              ElementsAre("nosuid", "strictatime", "mode=755", "size=65536k"));
  EXPECT_THAT(spec.linux_part->resources.devices, SizeIs(1));
  EXPECT_THAT(spec.linux_part->namespaces, SizeIs(5));
  EXPECT_FALSE(spec.linux_part->seccomp);
}

TEST(OciConfig, ReadsTheDefaultOfCrun) {
  auto spec = read_file("crun_default.json");
  EXPECT_THAT(spec.process->args, ElementsAre("sh"));
  EXPECT_THAT(spec.mounts, SizeIs(7));
}

TEST(OciConfig, ReadsAConfigAsDockerWritesIt) {
  auto spec = read_file("docker.json");
  EXPECT_THAT(spec.process->args,
              ElementsAre("/docker-entrypoint.sh", "nginx", "-g", "daemon off;"));
  EXPECT_EQ(spec.process->env[3], "GREETING=\"gr\xc3\xbc\xc3\x9f dich\"\tnow");
  EXPECT_THAT(spec.process->user.additional_gids, SizeIs(11));
  EXPECT_EQ(spec.process->apparmor_profile, "docker-default");
  EXPECT_EQ(spec.process->oom_score_adj, 0);
  EXPECT_EQ(spec.hooks.prestart[0].args[0], "libnetwork-setkey");
  const auto& part = *spec.linux_part;
  EXPECT_THAT(part.sysctl, Contains(Pair("net.ipv4.ping_group_range", "0 2147483647")));
  EXPECT_EQ(part.resources.memory->limit, 268435456);
  EXPECT_EQ(part.resources.memory->swap, 536870912);
  EXPECT_FALSE(part.resources.memory->swappiness);
  EXPECT_EQ(part.resources.cpu->cpus, "0-1");
  EXPECT_EQ(part.resources.pids_limit, 256);
  EXPECT_TRUE(part.resources.block_io);
  EXPECT_EQ(part.resources.devices[0], (DeviceRule{false, 'a', {}, {}, "rwm"}));
  // -1 stands for any number.
  EXPECT_EQ(part.resources.devices[8], (DeviceRule{true, 'c', {}, {}, "m"}));
  EXPECT_EQ(part.seccomp->default_action, "SCMP_ACT_ERRNO");
  EXPECT_EQ(part.seccomp->default_errno_ret, 1u);
  EXPECT_FALSE(part.seccomp->flags);
  EXPECT_THAT(part.seccomp->rules, SizeIs(11));
  EXPECT_THAT(part.seccomp->rules[0].names, SizeIs(352));
  EXPECT_EQ(part.seccomp->rules[2].args[0], (SeccompArg{0, 40, 0, "SCMP_CMP_NE"}));
  EXPECT_EQ(part.seccomp->rules[10].errno_ret, 38u);
}

TEST(OciConfig, ReadsAConfigAsPodmanWritesIt) {
  auto spec = read_file("podman.json");
  EXPECT_EQ(spec.process->console_size, (ConsoleSize{.height = 51, .width = 190}));
  EXPECT_EQ(spec.process->user.umask, 022u);
  EXPECT_EQ(spec.process->rlimits[2], (Rlimit{"RLIMIT_CORE", 0, UINT64_MAX}));
  EXPECT_EQ(spec.process->selinux_label, "system_u:system_r:container_t:s0:c10,c200");
  EXPECT_THAT(spec.annotations, Contains(Pair("run.oci.keep_original_groups", "1")));
  EXPECT_THAT(spec.mounts.back().uid_mappings, ElementsAre(IdMapping{0, 1000, 1}));
  EXPECT_EQ(spec.hooks.create_container[0].timeout, 5);
  EXPECT_THAT(spec.hooks.create_container[0].env, ::testing::Optional(ElementsAre("LEVEL=2")));
  const auto& part = *spec.linux_part;
  EXPECT_EQ(part.namespaces[1],
            (Namespace{NamespaceKind::kNetwork, "/run/user/1000/netns/netns-5f0d8f8a"}));
  EXPECT_EQ(part.resources.memory->swap, -1);
  EXPECT_FALSE(part.resources.memory->swappiness);
  EXPECT_EQ(part.resources.hugepage_limits[0], (HugepageLimit{"2MB", 0}));
  EXPECT_THAT(part.resources.unified, Contains(Pair("memory.high", "402653184")));
  EXPECT_THAT(part.resources.rdma, ElementsAre(Pair("mlx5_1", RdmaLimit{3, 10000})));
  EXPECT_EQ(part.resources.network->class_id, 1048577u);
  EXPECT_EQ(part.resources.block_io->read_bps[0], (ThrottleDevice{8, 0, 1048576}));
  EXPECT_EQ(part.devices[0].file_mode, 020666u);
  EXPECT_THAT(*part.seccomp->flags, IsEmpty());
  EXPECT_EQ(part.rootfs_propagation, "slave");
}

TEST(OciConfig, ReadsEveryFieldOfThePeripheralParts) {
  auto spec = good(R"("process":{"cwd":"/","args":["a"],
      "scheduler":{"policy":"SCHED_DEADLINE","flags":["SCHED_FLAG_RECLAIM"],"runtime":1,"deadline":2,"period":3},
      "ioPriority":{"class":"IOPRIO_CLASS_BE","priority":7},
      "execCPUAffinity":{"initial":"0-3,7","final":"0-31:2/4"}},
    "linux":{"timeOffsets":{"boottime":{"secs":-5,"nanosecs":999999999},"monotonic":{}},
      "netDevices":{"eth0":{"name":"net%d"},"eth1":{}},
      "intelRdt":{"closID":"gold","schemata":["L3:0=f"],"l3CacheSchema":"L3:0=7","memBwSchema":"MB:0=20","enableMonitoring":true},
      "personality":{"domain":"LINUX32","flags":[]},
      "memoryPolicy":{"mode":"MPOL_BIND","nodes":"0-1","flags":["MPOL_F_STATIC_NODES"]},
      "seccomp":{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_SHEB"],"flags":["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],"listenerPath":"/s","listenerMetadata":"m"}})");
  EXPECT_EQ(*spec.process->scheduler,
            (Scheduler{"SCHED_DEADLINE", 0, 0, {"SCHED_FLAG_RECLAIM"}, 1, 2, 3}));
  EXPECT_EQ(*spec.process->io_priority, (IoPriority{"IOPRIO_CLASS_BE", 7}));
  EXPECT_EQ(*spec.process->exec_cpu_affinity, (ExecCpuAffinity{"0-3,7", "0-31:2/4"}));
  const auto& part = *spec.linux_part;
  EXPECT_THAT(part.time_offsets, ElementsAre(Pair("boottime", TimeOffset{-5, 999999999}),
                                             Pair("monotonic", TimeOffset{})));
  EXPECT_THAT(part.net_devices, ElementsAre(Pair("eth0", "net%d"), Pair("eth1", "")));
  EXPECT_EQ(*part.intel_rdt, (IntelRdt{"gold", "L3:0=7", "MB:0=20", {"L3:0=f"}, true}));
  EXPECT_EQ(part.personality, "LINUX32");
  EXPECT_EQ(*part.memory_policy, (MemoryPolicy{"MPOL_BIND", "0-1", {"MPOL_F_STATIC_NODES"}}));
  EXPECT_EQ(part.seccomp->listener_path, "/s");
  EXPECT_EQ(part.seccomp->listener_metadata, "m");
}

TEST(OciConfig, IgnoresUnknownPropertiesButNotTheirSyntax) {
  auto spec = good(
      R"("vm":{"kernel":{"path":"/k"}},"solaris":{},"process":{"args":["a"],"new":[1,{"a":null}]})");
  EXPECT_THAT(spec.process->args, ElementsAre("a"));
  EXPECT_FALSE(read_members(R"("vm":{"kernel":[1,]})"));
}

TEST(OciConfig, TakesNullForAbsent) {
  auto spec = good(R"("process":null,"mounts":null,"annotations":{"a":null},
      "linux":{"seccomp":null,"resources":{"memory":{"limit":null},"devices":null},"sysctl":{"x":null}})");
  EXPECT_FALSE(spec.process);
  EXPECT_THAT(spec.annotations, IsEmpty());
  EXPECT_FALSE(spec.linux_part->seccomp);
  EXPECT_TRUE(spec.linux_part->resources.memory);
  EXPECT_FALSE(spec.linux_part->resources.memory->limit);
}

TEST(OciConfig, LetsTheLastOfDuplicatesCount) {
  auto spec = good(R"("hostname":"a","hostname":"b","process":{"args":["x"],"cwd":"/x"},
      "process":{"args":["y"],"args":["z"]},"mounts":[{"destination":"/a"}],"mounts":[])");
  EXPECT_EQ(spec.hostname, "b");
  EXPECT_THAT(spec.process->args, ElementsAre("z"));
  EXPECT_EQ(spec.process->cwd, "");
  EXPECT_THAT(spec.mounts, IsEmpty());
}

TEST(OciConfig, KeepsAbsentAndZeroApart) {
  auto spec = good(
      R"("process":{"oomScoreAdj":0},"linux":{"resources":{"pids":{"limit":0},"cpu":{"shares":0}}})");
  EXPECT_EQ(spec.process->oom_score_adj, 0);
  EXPECT_EQ(spec.linux_part->resources.pids_limit, 0);
  EXPECT_EQ(spec.linux_part->resources.cpu->shares, 0u);
  EXPECT_FALSE(good(R"("linux":{"resources":{"pids":{}}})").linux_part->resources.pids_limit);
}

TEST(OciConfig, KeepsUnknownCapabilities) {
  auto spec = good(R"("process":{"capabilities":{"bounding":["CAP_TIME_TRAVEL"]}})");
  EXPECT_THAT(spec.process->capabilities->bounding, ElementsAre("CAP_TIME_TRAVEL"));
}

TEST(OciConfig, AcceptsEveryVersionOfMajorOne) {
  for (auto version :
       {"1.0.0", "1.0.0-rc5", "1.0.2-dev", "1.3.0", "1.3.0+dev", "1.99.12-a.b-c+d.e"}) {
    auto spec = read_oci_config(cat("{\"ociVersion\":\"", version, "\"}"), "");
    ASSERT_TRUE(spec) << spec.error().message();
    EXPECT_EQ(spec->oci_version, version);
  }
}

TEST(OciConfig, TakesAMachineViewOnlyWithoutARootPath) {
  auto spec =
      good(R"("root":{"readonly":true},"annotations":{"org.caisson.root":"machine-view","a":"b"})");
  EXPECT_EQ(spec.root_source, RootSource::kMachineView);
  EXPECT_THAT(spec.annotations, ElementsAre(Pair("a", "b")));
  auto refused =
      read_members(R"("annotations":{"org.caisson.root":"machine-view"},"root":{"path":"r"})");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message(),
            "config.json:1:1: the annotation org.caisson.root and root.path contradict each other");
}

TEST(OciConfig, ReadsAProcessAlone) {
  auto process = read_oci_process(R"({"args":["id"],"cwd":"/","user":{"uid":7,"gid":8}})");
  ASSERT_TRUE(process) << process.error().message();
  EXPECT_EQ(process->user.uid, 7u);
  EXPECT_EQ(read_oci_process(R"({"args":"id"})").error().message(),
            "process.json:1:9: args: expected an array, found the string \"id\"");
}

TEST(OciConfig, ReadsResourcesAlone) {
  auto resources = read_oci_resources(R"({"memory":{"limit":1048576},"pids":{"limit":-1}})");
  ASSERT_TRUE(resources) << resources.error().message();
  EXPECT_EQ(resources->memory->limit, 1048576);
  EXPECT_EQ(resources->pids_limit, -1);
  EXPECT_EQ(read_oci_resources(R"({"memory":{"limit":-2}})", "-").error().message(),
            "-:1:20: memory.limit: -2 is out of range: allowed are -1 to 9223372036854775807");
}

TEST(OciConfig, MarksItsErrors) {
  auto refused = read_members(R"("linux":{"namespaces":[{"type":"netwrk"}]})");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), "spec.invalid");
  EXPECT_EQ(refused.error().cure(), "did you mean \"network\"?");
}

TEST(OciConfig, TakesNamesInOtherCasesUnlessTheRightOneWasThere) {
  auto read = [](std::string_view text) {
    auto resources = read_oci_resources(text);
    EXPECT_TRUE(resources) << resources.error().message();
    return *resources;
  };
  EXPECT_EQ(read(R"({"CPU":{"Cpus":"1"}})").cpu->cpus, "1");
  EXPECT_EQ(read(R"({"hugepageLimits":[{"pagesize":"2MB","limit":3}]})").hugepage_limits[0].limit,
            3U);
  const Resources both = read(R"({"cpu":{"shares":7},"CPU":{"cpus":"1"}})");
  EXPECT_EQ(both.cpu->shares, 7U);
  EXPECT_FALSE(both.cpu->cpus);
}

}  // namespace
}  // namespace caisson::spec
// NOLINTEND(bugprone-unchecked-optional-access)

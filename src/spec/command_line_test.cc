#include "spec/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "spec/default_spec.h"
#include "spec/oci_config.h"
#include "spec/oci_writer.h"
#include "spec/validate.h"

namespace caisson::spec {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::Field;
using testing::IsEmpty;
using testing::Not;

constexpr std::string_view kPasswd =
    "root:x:0:0:root:/root:/bin/bash\n"
    "www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n"
    "ann:x:1000:1000:Ann,,,:/home/ann:/bin/bash\n";
constexpr std::string_view kGroup =
    "root:x:0:\nwww-data:x:33:\nann:x:1000:\nvideo:x:44:ann,www-data\n";

CallerFacts root_caller() {
  CallerFacts caller;
  caller.privileged = true;
  caller.env = {"HOME=/root", "LANG=C", "SECRET=1", "TERM=screen"};
  caller.cwd = "/srv/work";
  caller.accounts = {kPasswd, kGroup};
  return caller;
}

CallerFacts user_caller() {
  CallerFacts caller = root_caller();
  caller.privileged = false;
  caller.uid = 1000;
  caller.gid = 1000;
  caller.groups = {44, 1000};
  return caller;
}

RunOptions options() {
  RunOptions out;
  out.id = "web";
  out.command = {"ls", "-l"};
  return out;
}

bool has_namespace(const ContainerSpec& spec, NamespaceKind kind) {
  for (const auto& entry : spec.linux_part->namespaces) {
    if (entry.kind == kind) return true;
  }
  return false;
}

TEST(CommandLine, AViewIsTheCallersMachineInTheCallersDirectory) {
  auto spec = from_run_options(options(), root_caller());
  ASSERT_TRUE(spec) << spec.error().message();
  EXPECT_EQ(spec->root_source, RootSource::kMachineView);
  EXPECT_EQ(spec->process->cwd, "/srv/work");
  EXPECT_EQ(spec->hostname, "web");
  EXPECT_THAT(spec->process->args, ElementsAre("ls", "-l"));
  EXPECT_THAT(spec->process->env,
              ElementsAre("HOME=/root", "LANG=C", "SECRET=1", "TERM=screen", "container=caisson"));
  EXPECT_THAT(spec->mounts, IsEmpty());
  EXPECT_TRUE(spec->process->no_new_privileges);
  EXPECT_FALSE(has_namespace(*spec, NamespaceKind::kUser));
  EXPECT_TRUE(has_namespace(*spec, NamespaceKind::kNetwork));
  EXPECT_EQ(spec->process->capabilities->effective.size(), 14U);
  EXPECT_TRUE(validate(*spec, ""));
}

TEST(CommandLine, AnotherRootKeepsTheCallersEnvironmentOut) {
  RunOptions run = options();
  run.rootfs = "/images/alpine";
  run.terminal = true;
  auto spec = from_run_options(run, root_caller());
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->root_source, RootSource::kDirectory);
  EXPECT_EQ(spec->root->path, "/images/alpine");
  EXPECT_EQ(spec->process->cwd, "/");
  EXPECT_THAT(spec->process->env,
              ElementsAre(std::string(kDefaultPath), "TERM=screen", "container=caisson"));
  EXPECT_THAT(spec->mounts, Contains(Field(&Mount::destination, "/proc")));
  EXPECT_TRUE(validate(*spec, ""));
}

TEST(CommandLine, SurvivesTheWayThroughConfigJson) {
  for (bool view : {true, false}) {
    RunOptions run = options();
    if (!view) run.rootfs = "/images/alpine";
    run.memory = "64m";
    run.volumes = {"/data:/data:ro"};
    auto spec = from_run_options(run, user_caller());
    ASSERT_TRUE(spec) << spec.error().message();
    std::string text = write_oci_config(*spec);
    auto again = read_oci_config(text, "/");
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(again->root_source, spec->root_source);
    EXPECT_EQ(write_oci_config(*again), text);
  }
}

TEST(CommandLine, AUserIsHimselfWithOneIdMapped) {
  auto spec = from_run_options(options(), user_caller());
  ASSERT_TRUE(spec);
  EXPECT_TRUE(has_namespace(*spec, NamespaceKind::kUser));
  const auto& mapping = spec->linux_part->uid_mappings.at(0);
  EXPECT_EQ(mapping.container_id, 1000U);
  EXPECT_EQ(mapping.host_id, 1000U);
  EXPECT_EQ(mapping.size, 1U);
  EXPECT_EQ(spec->process->user.uid, 1000U);
  EXPECT_THAT(spec->process->user.additional_gids, IsEmpty());
  EXPECT_THAT(spec->process->capabilities->effective, IsEmpty());
}

TEST(CommandLine, AUserMayBeRootButNobodyElse) {
  RunOptions run = options();
  for (auto name : {"root", "0", "0:0"}) {
    run.user = name;
    auto spec = from_run_options(run, user_caller());
    ASSERT_TRUE(spec) << name;
    EXPECT_EQ(spec->linux_part->uid_mappings.at(0).container_id, 0U);
    EXPECT_EQ(spec->linux_part->uid_mappings.at(0).host_id, 1000U);
    EXPECT_EQ(spec->linux_part->gid_mappings.at(0).container_id, 0U);
    EXPECT_EQ(spec->process->capabilities->effective.size(), 14U);
    EXPECT_THAT(spec->process->env, Not(Contains("HOME=/root")));
  }
  for (auto name : {"www-data", "33", "ann:video"}) {
    run.user = name;
    auto refused = from_run_options(run, user_caller());
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(refused.error().code(), "user.unmapped");
    EXPECT_FALSE(refused.error().cure().empty());
  }
}

TEST(CommandLine, NamesAreLookedUpWithTheirGroups) {
  RunOptions run = options();
  run.user = "ann";
  auto spec = from_run_options(run, root_caller());
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->process->user.uid, 1000U);
  EXPECT_EQ(spec->process->user.gid, 1000U);
  EXPECT_THAT(spec->process->user.additional_gids, ElementsAre(44U));
  run.user = "ann:www-data";
  spec = from_run_options(run, root_caller());
  EXPECT_EQ(spec->process->user.gid, 33U);
  EXPECT_THAT(spec->process->user.additional_gids, IsEmpty());
  run.user = "nobody-here";
  auto unknown = from_run_options(run, root_caller());
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code(), "user.unknown");
  run.user = "4242";
  spec = from_run_options(run, root_caller());
  EXPECT_EQ(spec->process->user.uid, 4242U);
  EXPECT_EQ(spec->process->user.gid, 0U);
}

TEST(CommandLine, VariablesReplaceAndNamesTakeTheCallersValue) {
  RunOptions run = options();
  run.rootfs = "/r";
  run.env = {"A=1", "SECRET", "MISSING", "A=2", "E="};
  auto spec = from_run_options(run, root_caller());
  ASSERT_TRUE(spec);
  EXPECT_THAT(spec->process->env,
              ElementsAre(std::string(kDefaultPath), "container=caisson", "A=2", "SECRET=1", "E="));
  run.env = {"=x"};
  EXPECT_FALSE(from_run_options(run, root_caller()));
}

TEST(CommandLine, CapabilitiesAreAddedAndDropped) {
  RunOptions run = options();
  run.cap_drop = {"ALL"};
  run.cap_add = {"net_admin", "CAP_SYS_TIME"};
  auto spec = from_run_options(run, root_caller());
  ASSERT_TRUE(spec);
  EXPECT_THAT(spec->process->capabilities->bounding, ElementsAre("CAP_NET_ADMIN", "CAP_SYS_TIME"));
  run.cap_add = {"ALL"};
  run.cap_drop = {"chown"};
  spec = from_run_options(run, root_caller());
  EXPECT_EQ(spec->process->capabilities->bounding.size(), capability_names().size() - 1);
  run.cap_add = {"net_admim"};
  auto refused = from_run_options(run, root_caller());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().cure(), "did you mean CAP_NET_ADMIN? see capabilities(7)");
}

TEST(CommandLine, WhatAnOrdinaryUserWasGivenSurvivesExec) {
  RunOptions run = options();
  run.user = "ann";
  run.cap_add = {"net_bind_service"};
  auto spec = from_run_options(run, root_caller());
  ASSERT_TRUE(spec);
  EXPECT_THAT(spec->process->capabilities->ambient, ElementsAre("CAP_NET_BIND_SERVICE"));
  EXPECT_THAT(spec->process->capabilities->effective, ElementsAre("CAP_NET_BIND_SERVICE"));
}

TEST(CommandLine, LimitsBecomeResources) {
  RunOptions run = options();
  run.memory = "64m";
  run.memory_swap = "-1";
  run.cpus = "1.5";
  run.pids = "100";
  auto spec = from_run_options(run, root_caller());
  ASSERT_TRUE(spec);
  const auto& resources = spec->linux_part->resources;
  EXPECT_EQ(resources.memory->limit, 64 << 20);
  EXPECT_EQ(resources.memory->swap, -1);
  EXPECT_EQ(resources.cpu->quota, 150'000);
  EXPECT_EQ(resources.cpu->period, 100'000U);
  EXPECT_EQ(resources.pids_limit, 100);
  for (auto bad : {"x", "64q", "0"}) {
    run.memory = bad;
    EXPECT_FALSE(from_run_options(run, root_caller())) << bad;
  }
}

TEST(CommandLine, ReadsPartsOfCpus) {
  EXPECT_EQ(parse_cpus("2"), 200'000);
  EXPECT_EQ(parse_cpus("0.5"), 50'000);
  EXPECT_EQ(parse_cpus(".25"), 25'000);
  EXPECT_EQ(parse_cpus("0.01"), 1'000);
  for (auto bad : {"", "0", "0.001", "-1", "1.", "1e3", "1.2.3", "."}) {
    EXPECT_FALSE(parse_cpus(bad)) << bad;
  }
}

TEST(CommandLine, VolumesAreBoundWithAllBelow) {
  auto volume = parse_volume("./data:/srv/data:ro", "/home/ann");
  ASSERT_TRUE(volume);
  EXPECT_EQ(volume->source, "/home/ann/data");
  EXPECT_EQ(volume->destination, "/srv/data");
  EXPECT_THAT(volume->options, ElementsAre("rbind", "rro", "rprivate"));
  volume = parse_volume("/a:/b:bind,rslave,noexec", "/");
  EXPECT_THAT(volume->options, ElementsAre("bind", "rslave", "noexec"));
}

TEST(CommandLine, VolumesStayAtTheirPlaceWithoutADestination) {
  auto volume = parse_volume(".", "/home/ann");
  ASSERT_TRUE(volume);
  EXPECT_EQ(volume->source, "/home/ann");
  EXPECT_EQ(volume->destination, "/home/ann");
  volume = parse_volume("/data:ro", "/home/ann");
  EXPECT_EQ(volume->destination, "/data");
  EXPECT_THAT(volume->options, ElementsAre("rbind", "rro", "rprivate"));
  for (auto bad : {":/x", "/a:b", "/a:/b:wrong"}) {
    auto refused = parse_volume(bad, "/");
    ASSERT_FALSE(refused) << bad;
    EXPECT_FALSE(refused.error().cure().empty());
  }
}

TEST(CommandLine, TmpfsTakesOptions) {
  RunOptions run = options();
  run.tmpfs = {"/scratch:size=64m,mode=700"};
  auto spec = from_run_options(run, root_caller());
  ASSERT_TRUE(spec);
  EXPECT_THAT(spec->mounts,
              ElementsAre(AllOf(
                  Field(&Mount::destination, "/scratch"), Field(&Mount::type, "tmpfs"),
                  Field(&Mount::options, ElementsAre("nosuid", "nodev", "size=64m", "mode=700")))));
}

TEST(CommandLine, TheHostsNetworkIsKeptOnRequest) {
  RunOptions run = options();
  run.network = NetworkMode::kHost;
  auto spec = from_run_options(run, root_caller());
  ASSERT_TRUE(spec);
  EXPECT_FALSE(has_namespace(*spec, NamespaceKind::kNetwork));
}

TEST(CommandLine, TheFilterOpensWithCapabilities) {
  RunOptions run = options();
  auto names_all = [](const ContainerSpec& spec) {
    Strings names;
    for (const auto& rule : spec.linux_part->seccomp->rules) {
      if (rule.action == "SCMP_ACT_ALLOW" && rule.args.empty()) {
        names.insert(names.end(), rule.names.begin(), rule.names.end());
      }
    }
    return names;
  };
  auto spec = from_run_options(run, root_caller());
  EXPECT_THAT(names_all(*spec),
              AllOf(Contains("openat"), Contains("chroot"), Not(Contains("mount")),
                    Not(Contains("clone3")), Not(Contains("keyctl"))));
  run.cap_add = {"SYS_ADMIN"};
  spec = from_run_options(run, root_caller());
  EXPECT_THAT(names_all(*spec), AllOf(Contains("mount"), Contains("clone3"), Contains("unshare")));
  run.seccomp = SeccompMode::kUnconfined;
  spec = from_run_options(run, root_caller());
  EXPECT_FALSE(spec->linux_part->seccomp);
}

TEST(DefaultSpec, IsValidForRootAndForUsers) {
  for (bool rootless : {false, true}) {
    ContainerSpec spec = default_oci_spec(rootless, 1000, 1000);
    EXPECT_TRUE(validate(spec));
    auto again = read_oci_config(write_oci_config(spec), "/b");
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(write_oci_config(*again), write_oci_config(spec));
  }
}

}  // namespace
}  // namespace caisson::spec

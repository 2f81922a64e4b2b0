#include <linux/ioprio.h>
#include <linux/mempolicy.h>
#include <linux/sched.h>
#include <sys/resource.h>

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "plan/capabilities.h"
#include "plan/compile.h"
#include "plan/passes.h"
#include "plan/process_tables.h"
#include "plan/test_support.h"

namespace caisson::plan {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace testing;  // NOLINT: the specs and hosts of test_support.h

ProcessPlan compiled(const spec::ContainerSpec& spec,
                     const HostFacts& host = root_host(CgroupMode::kV2)) {
  auto plan = compile(spec, host, test_options());
  EXPECT_TRUE(plan) << (plan ? "" : plan.error().message());
  return plan ? plan->process : ProcessPlan{};
}

std::string refusal(const spec::ContainerSpec& spec,
                    const HostFacts& host = root_host(CgroupMode::kV2)) {
  auto plan = compile(spec, host, test_options());
  return plan ? "no error" : plan.error().message();
}

TEST(ProcessPlan, TheLastSettingOfAVariableCounts) {
  spec::ContainerSpec spec = default_spec();
  spec.process->env = {"A=1", "B=2", "A=3"};
  EXPECT_THAT(compiled(spec).env, ElementsAre("B=2", "A=3"));
}

TEST(ProcessPlan, HomeComesFromPasswdWhenAbsentOrEmpty) {
  spec::ContainerSpec spec = default_spec();
  spec.process->env = {"A=1"};
  EXPECT_TRUE(compiled(spec).set_home);
  spec.process->env = {"HOME=/x", "HOME="};
  EXPECT_TRUE(compiled(spec).set_home);
  EXPECT_THAT(compiled(spec).env, IsEmpty());
  spec.process->env = {"HOME=/x"};
  EXPECT_FALSE(compiled(spec).set_home);
}

TEST(ProcessPlan, GroupsOfTheCallerAreKeptWhenAnAnnotationSaysSo) {
  spec::ContainerSpec spec = default_spec();
  EXPECT_TRUE(compiled(spec).set_groups);
  spec.annotations["run.oci.keep_original_groups"] = "1";
  EXPECT_FALSE(compiled(spec).set_groups);
}

TEST(ProcessPlan, ReadinessIsReportedOnTheMountedSocket) {
  spec::ContainerSpec spec = default_spec();
  spec.process->env = {"NOTIFY_SOCKET=/other", "HOME=/"};
  Options options = test_options();
  options.notify_directory = "/state/web/notify";
  auto plan = compile(spec, root_host(CgroupMode::kV2), options);
  ASSERT_TRUE(plan);
  EXPECT_THAT(plan->process.env, ElementsAre("HOME=/", "NOTIFY_SOCKET=/run/notify/notify.sock"));
  auto step = std::ranges::find(plan->mounts.steps, "/run/notify", &MountStep::target);
  ASSERT_NE(step, plan->mounts.steps.end());
  EXPECT_EQ(step->source, "/state/web/notify");
}

spec::ContainerSpec notifying_spec() {
  spec::ContainerSpec spec = default_spec();
  spec::Seccomp& seccomp = spec.linux_part->seccomp.emplace();
  seccomp.default_action = "SCMP_ACT_ALLOW";
  seccomp.rules = {{{"mkdir"}, "SCMP_ACT_NOTIFY", {}, {}}};
  return spec;
}

TEST(ProcessPlan, TheAgentIsTheProfilesThenTheAnnotationsThenTheCallers) {
  spec::ContainerSpec spec = notifying_spec();
  EXPECT_THAT(refusal(spec), HasSubstr("linux.seccomp.listenerPath"));
  Options options = test_options();
  options.seccomp_receiver = "/callers";
  auto agent = [&] {
    auto plan = compile(spec, root_host(CgroupMode::kV2), options);
    EXPECT_TRUE(plan);
    EXPECT_TRUE(plan->process.seccomp.has_listener());
    return plan->process.seccomp.listener_path;
  };
  EXPECT_EQ(agent(), "/callers");
  spec.annotations["run.oci.seccomp.receiver"] = "/annotations";
  EXPECT_EQ(agent(), "/annotations");
  spec.linux_part->seccomp->listener_path = "/profiles";
  EXPECT_EQ(agent(), "/profiles");
  spec.linux_part->seccomp->rules.clear();
  EXPECT_FALSE(compiled(spec).seccomp.has_listener());
}

TEST(ProcessPlan, AnAgentIsNamedByAnAbsolutePath) {
  spec::ContainerSpec spec = notifying_spec();
  spec.annotations["run.oci.seccomp.receiver"] = "agent.sock";
  EXPECT_THAT(refusal(spec), HasSubstr("annotations.run.oci.seccomp.receiver"));
}

TEST(ProcessPlan, AVariableWithoutNameOrEqualsSignIsRefused) {
  spec::ContainerSpec spec = default_spec();
  for (const char* entry : {"A", "=1", ""}) {
    spec.process->env = {entry};
    EXPECT_THAT(refusal(spec), HasSubstr("process.env")) << entry;
  }
}

TEST(ProcessPlan, ExtraGroupsNeedSetgroups) {
  spec::ContainerSpec spec = rootless_spec();
  EXPECT_FALSE(compiled(spec, user_host()).set_groups);
  spec.process->user.additional_gids = {0};
  EXPECT_THAT(refusal(spec, user_host()), HasSubstr("additionalGids"));
  spec.linux_part->gid_mappings = {{0, 1000, 1}, {1, 100000, 65536}};
  EXPECT_TRUE(compiled(spec, user_host()).set_groups);
}

TEST(ProcessPlan, UnmappedIdsAreRefused) {
  spec::ContainerSpec spec = rootless_spec();
  spec.process->user.uid = 5;
  EXPECT_THAT(refusal(spec, user_host()), HasSubstr("uid 5 is not mapped"));
  spec.process->user = {};
  spec.process->user.gid = 6;
  EXPECT_THAT(refusal(spec, user_host()), HasSubstr("gid 6 is not mapped"));
}

TEST(ProcessPlan, IdsThatOurOwnUserNamespaceLacksAreRefused) {
  HostFacts host = root_host(CgroupMode::kV2);
  host.in_user_namespace = true;
  host.uid_map = host.gid_map = {{0, 1000, 1}};
  spec::ContainerSpec spec = default_spec();
  spec.process->user.uid = 5;
  EXPECT_THAT(refusal(spec, host), HasSubstr("uid 5 is not mapped"));
}

TEST(ProcessPlan, LabelsNeedTheirSecurityModule) {
  spec::ContainerSpec spec = default_spec();
  spec.process->apparmor_profile = "docker-default";
  EXPECT_THAT(refusal(spec), HasSubstr("apparmor"));
  HostFacts host = root_host(CgroupMode::kV2);
  host.apparmor = true;
  EXPECT_EQ(compiled(spec, host).apparmor_profile, "docker-default");
  spec.process->apparmor_profile = "";
  spec.process->selinux_label = "system_u:system_r:container_t:s0";
  EXPECT_THAT(refusal(spec), HasSubstr("selinux"));
}

TEST(ProcessPlan, TheConsoleSizeCountsWithATerminalOnly) {
  spec::ContainerSpec spec = default_spec();
  spec.process->console_size = {24, 80};
  EXPECT_EQ(compiled(spec).console_columns, 80);
  spec.process->terminal = false;
  EXPECT_EQ(compiled(spec).console_rows, 0);
}

TEST(ProcessPlan, AffinityIsForLaterProcessesOnly) {
  spec::ContainerSpec spec = default_spec();
  spec.process->exec_cpu_affinity = {"0-1", "64"};
  EXPECT_THAT(compiled(spec).cpus_initial, IsEmpty());
  auto exec = compile_process(spec, *spec.process, root_host(CgroupMode::kV2), test_options());
  ASSERT_TRUE(exec);
  EXPECT_THAT(exec->cpus_initial, ElementsAre(3U));
  EXPECT_THAT(exec->cpus_final, ElementsAre(0U, 1U));
  spec.process->exec_cpu_affinity = {"x", ""};
  EXPECT_FALSE(compile_process(spec, *spec.process, root_host(CgroupMode::kV2), test_options()));
}

TEST(ProcessPlan, KeyringsAreNamedAfterTheContainer) {
  EXPECT_EQ(compiled(default_spec()).keyring_name, "_ses.web");
  Options options = test_options();
  options.no_new_keyring = true;
  auto plan = compile(default_spec(), root_host(CgroupMode::kV2), options);
  ASSERT_TRUE(plan);
  EXPECT_FALSE(plan->process.new_session_keyring);
}

TEST(ProcessPlan, AnOomScoreThatIsSoAlreadyMayBeRefusedToUsers) {
  spec::ContainerSpec spec = rootless_spec();
  spec.process->oom_score_adj = -500;
  EXPECT_TRUE(compiled(spec, user_host()).oom_score_adj_optional);
  EXPECT_FALSE(compiled(default_spec()).oom_score_adj_optional);
  spec.process->oom_score_adj = 1001;
  EXPECT_THAT(refusal(spec, user_host()), HasSubstr("-1000..1000"));
}

TEST(ProcessPlan, SeccompIsCompiledAndUnknownNamesAreSkipped) {
  spec::ContainerSpec spec = default_spec();
  spec::Seccomp& seccomp = spec.linux_part->seccomp.emplace();
  seccomp.default_action = "SCMP_ACT_ALLOW";
  seccomp.rules = {{{"reboot", "no_such_call"}, "SCMP_ACT_ERRNO", {}, {}}};
  auto plan = compile(spec, root_host(CgroupMode::kV2), test_options());
  ASSERT_TRUE(plan) << plan.error().message();
  EXPECT_FALSE(plan->process.seccomp.program.empty());
  EXPECT_THAT(plan->process.seccomp.unknown_syscalls, ElementsAre("no_such_call"));
  EXPECT_THAT(plan->notices, Not(Contains(HasSubstr("no_such_call"))));
}

TEST(Rlimits, AllSixteenAreKnownAndDistinct) {
  std::vector<spec::Rlimit> all;
  for (const char* name :
       {"RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_LOCKS",
        "RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_NOFILE", "RLIMIT_NPROC",
        "RLIMIT_RSS", "RLIMIT_RTPRIO", "RLIMIT_RTTIME", "RLIMIT_SIGPENDING", "RLIMIT_STACK"}) {
    all.push_back({name, 1, 2});
  }
  auto steps = plan_rlimits(all);
  ASSERT_TRUE(steps);
  EXPECT_EQ(steps->size(), 16U);
  EXPECT_EQ(rlimit_number("RLIMIT_NOFILE"), int{RLIMIT_NOFILE});
}

TEST(Rlimits, UnknownDoubleAndUpsideDownAreRefused) {
  EXPECT_FALSE(plan_rlimits({{"RLIMIT_X", 1, 1}}));
  EXPECT_FALSE(plan_rlimits({{"RLIMIT_CPU", 1, 1}, {"RLIMIT_CPU", 1, 1}}));
  EXPECT_FALSE(plan_rlimits({{"RLIMIT_CPU", 2, 1}}));
}

TEST(SchedulerPlan, EachPolicyHasItsOwnFields) {
  auto of = [](std::string policy) {
    spec::Scheduler scheduler;
    scheduler.policy = std::move(policy);
    return scheduler;
  };
  EXPECT_EQ(plan_scheduler(of("SCHED_BATCH"))->policy, std::uint32_t{SCHED_BATCH});
  EXPECT_FALSE(plan_scheduler(of("SCHED_BEST")));
  EXPECT_FALSE(plan_scheduler(of("SCHED_FIFO")));  // without priority
  spec::Scheduler fifo = of("SCHED_FIFO");
  fifo.priority = 50;
  fifo.flags = {"SCHED_FLAG_RESET_ON_FORK"};
  EXPECT_EQ(plan_scheduler(fifo)->flags, std::uint64_t{SCHED_FLAG_RESET_ON_FORK});
  fifo.policy = "SCHED_OTHER";
  EXPECT_FALSE(plan_scheduler(fifo));
  spec::Scheduler nice = of("SCHED_OTHER");
  nice.nice = 20;
  EXPECT_FALSE(plan_scheduler(nice));
  spec::Scheduler deadline = of("SCHED_DEADLINE");
  deadline.runtime = 10;
  deadline.deadline = 20;
  EXPECT_TRUE(plan_scheduler(deadline));
  deadline.period = 15;
  EXPECT_FALSE(plan_scheduler(deadline));
}

TEST(IoPriorityPlan, ClassAndLevelShareOneNumber) {
  EXPECT_EQ(*plan_io_priority({"IOPRIO_CLASS_BE", 4}), IOPRIO_CLASS_BE << 13 | 4);
  EXPECT_FALSE(plan_io_priority({"IOPRIO_CLASS_BE", 8}));
  EXPECT_FALSE(plan_io_priority({"IOPRIO_CLASS_XX", 1}));
}

TEST(MemoryPolicyPlan, ModesAndNodesGoTogether) {
  auto bind = plan_memory_policy({"MPOL_BIND", "0-1,64", {"MPOL_F_STATIC_NODES"}});
  ASSERT_TRUE(bind);
  EXPECT_EQ(bind->mode, MPOL_BIND | MPOL_F_STATIC_NODES);
  EXPECT_THAT(bind->nodes, ElementsAre(3U, 1U));
  EXPECT_FALSE(plan_memory_policy({"MPOL_BIND", "", {}}));
  EXPECT_FALSE(plan_memory_policy({"MPOL_LOCAL", "0", {}}));
  EXPECT_TRUE(plan_memory_policy({"MPOL_DEFAULT", "", {}}));
  EXPECT_FALSE(
      plan_memory_policy({"MPOL_BIND", "0", {"MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"}}));
  EXPECT_FALSE(plan_memory_policy({"MPOL_BIND", "1-0", {}}));
}

TEST(Personality, TwoDomainsAreKnown) {
  EXPECT_EQ(*plan_personality("LINUX32"), 8U);
  EXPECT_EQ(*plan_personality("LINUX"), 0U);
  EXPECT_FALSE(plan_personality("SVR4"));
}

TEST(BitList, RangesAndSinglesAndNothingElse) {
  EXPECT_THAT(*parse_bit_list("0-3,7"), ElementsAre(0x8fU));
  EXPECT_THAT(*parse_bit_list(""), IsEmpty());
  for (const char* bad : {"a", "1-", "-1", "3-1", "1,,2", "9999", "1-99999999999"})
    EXPECT_FALSE(parse_bit_list(bad)) << bad;
}

// --- capabilities ---

constexpr std::uint64_t kAll = (std::uint64_t{1} << 41) - 1;

TEST(Capabilities, NamesAndNumbersBelongTogether) {
  EXPECT_EQ(capability_number("CAP_CHOWN"), 0);
  EXPECT_EQ(capability_number("CAP_CHECKPOINT_RESTORE"), 40);
  EXPECT_EQ(capability_number("sys_admin"), 21);
  EXPECT_FALSE(capability_number("CAP_EVERYTHING"));
  for (int number = 0; number <= 40; ++number)
    EXPECT_EQ(capability_number(capability_name(number)), number);
  EXPECT_EQ(known_capabilities(40).size(), 41U);
  EXPECT_EQ(all_capabilities(40), kAll);
  EXPECT_EQ(capability_names(kAll), "all");
}

TEST(Capabilities, WithoutTheFieldAProcessHasNone) {
  Strings notices;
  CapabilityPlan plan = plan_capabilities(nullptr, kAll, notices);
  EXPECT_TRUE(plan.apply);
  EXPECT_EQ(plan.bounding | plan.permitted | plan.effective, 0U);
}

TEST(Capabilities, WhatCannotBeGivenIsNoticedOnce) {
  spec::Capabilities wanted;
  wanted.bounding = wanted.permitted = {"CAP_KILL", "CAP_NEW_THING", "CAP_BPF"};
  Strings notices;
  CapabilityPlan plan = plan_capabilities(&wanted, all_capabilities(37), notices);
  EXPECT_EQ(plan.bounding, 1U << 5);
  EXPECT_THAT(notices, ElementsAre(HasSubstr("CAP_NEW_THING"), HasSubstr("CAP_BPF")));
}

TEST(Capabilities, SetsAreKeptWithinWhatTheKernelAllows) {
  spec::Capabilities wanted;
  wanted.bounding = {"CAP_KILL"};
  wanted.permitted = {"CAP_KILL"};
  wanted.effective = {"CAP_KILL", "CAP_CHOWN"};
  wanted.inheritable = {"CAP_FOWNER"};
  wanted.ambient = {"CAP_KILL"};
  Strings notices;
  CapabilityPlan plan = plan_capabilities(&wanted, kAll, notices);
  EXPECT_EQ(plan.effective, 1U << 5);
  EXPECT_EQ(plan.inheritable, 0U);
  EXPECT_EQ(plan.ambient, 0U);
  EXPECT_EQ(notices.size(), 3U);
}

TEST(Capabilities, EnginesThatInheritNothingAreNotToldOfEachStart) {
  spec::Capabilities wanted;
  wanted.bounding = wanted.permitted = wanted.ambient = {"CAP_KILL"};
  Strings notices;
  EXPECT_EQ(plan_capabilities(&wanted, kAll, notices).ambient, 0U);
  EXPECT_THAT(notices, IsEmpty());
}

// CVE-2022-29162.
TEST(Capabilities, NothingIsInheritableUnlessAsked) {
  EXPECT_EQ(compiled(default_spec()).capabilities.inheritable, 0U);
}

TEST(Capabilities, OurBoundingSetLimitsUsOutsideANewUserNamespace) {
  HostFacts host = root_host(CgroupMode::kV2);
  host.own_capabilities = 1U << 5;
  EXPECT_EQ(compiled(default_spec(), host).capabilities.bounding, 1U << 5);
  spec::ContainerSpec spec = default_spec();
  spec.linux_part->namespaces.push_back({NamespaceKind::kUser, ""});
  spec.linux_part->uid_mappings = spec.linux_part->gid_mappings = {{0, 100000, 65536}};
  EXPECT_NE(compiled(spec, host).capabilities.bounding, 1U << 5);
}

// --- sysctl ---

TEST(Sysctl, BothFormsOfAKeyGiveOnePath) {
  EXPECT_EQ(sysctl_path("net.ipv4.ip_forward"), "net/ipv4/ip_forward");
  EXPECT_EQ(sysctl_path("net/ipv4/conf/eth0.1/forwarding"), "net/ipv4/conf/eth0.1/forwarding");
  EXPECT_EQ(sysctl_path("net.ipv4.conf.eth0/1.forwarding"), "net/ipv4/conf/eth0.1/forwarding");
}

TEST(Sysctl, KeysThatLeaveTheTreeAreRefused) {
  for (const char* key :
       {"", "x", "net/../kernel", "net..ipv4", "/net/x", ".net.x", "net/", "net./../x"}) {
    EXPECT_FALSE(sysctl_path(key)) << key;
  }
  spec::ContainerSpec spec = default_spec();
  spec.linux_part->sysctl = {{"net/../x", "1"}};
  EXPECT_THAT(refusal(spec), HasSubstr("linux.sysctl"));
}

}  // namespace
}  // namespace caisson::plan

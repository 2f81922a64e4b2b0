#include "plan/seccomp.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/clock.h"
#include "plan/bpf_evaluator.h"
#include "plan/seccomp_reference.h"
#include "plan/seccomp_test_support.h"

namespace caisson::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::profile_of;

SeccompPlan compiled(const spec::Seccomp& seccomp, NativeArch native = NativeArch::kX86_64) {
  auto plan = compile_seccomp(seccomp, native);
  EXPECT_TRUE(plan) << plan.error().message();
  if (!plan) return {};
  auto loadable = check_bpf(plan->program);
  EXPECT_TRUE(loadable) << loadable.error().message();
  return std::move(*plan);
}

std::uint32_t verdict(const SeccompPlan& plan, int number, std::vector<std::uint64_t> args = {},
                      std::uint32_t arch = AUDIT_ARCH_X86_64) {
  SeccompData data;
  data.number = number;
  data.arch = arch;
  std::copy(args.begin(), args.end(), data.args);
  return evaluate_bpf(plan.program, data).value;
}

std::uint32_t errno_value(int value) {
  return SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(value);
}

std::string error_of(const spec::Seccomp& seccomp) {
  auto plan = compile_seccomp(seccomp, NativeArch::kX86_64);
  EXPECT_FALSE(plan);
  return plan ? "" : cat(plan.error().message(), " | ", plan.error().cure());
}

TEST(Seccomp, GivesEachActionItsValue) {
  const auto plan = [] {
    auto profile = profile_of(
        "default ALLOW\nrule KILL\n read\nrule KILL_THREAD\n write\nrule KILL_PROCESS\n open\n"
        "rule TRAP\n close\nrule ERRNO\n stat\nrule ERRNO errno=38\n fstat\nrule TRACE errno=7\n "
        "lstat\n"
        "rule LOG\n poll\nrule NOTIFY\n lseek\n");
    profile.listener_path = "/run/agent.sock";
    return compiled(profile);
  }();
  EXPECT_EQ(verdict(plan, 0), SECCOMP_RET_KILL_THREAD);
  EXPECT_EQ(verdict(plan, 1), SECCOMP_RET_KILL_THREAD);
  EXPECT_EQ(verdict(plan, 2), SECCOMP_RET_KILL_PROCESS);
  EXPECT_EQ(verdict(plan, 3), SECCOMP_RET_TRAP);
  EXPECT_EQ(verdict(plan, 4), errno_value(EPERM));
  EXPECT_EQ(verdict(plan, 5), errno_value(ENOSYS));
  EXPECT_EQ(verdict(plan, 6), SECCOMP_RET_TRACE | 7U);
  EXPECT_EQ(verdict(plan, 7), SECCOMP_RET_LOG);
  EXPECT_EQ(verdict(plan, 8), SECCOMP_RET_USER_NOTIF);
  EXPECT_EQ(verdict(plan, 9), SECCOMP_RET_ALLOW);
}

TEST(Seccomp, ComparesBothHalvesOfAnArgument) {
  const std::uint64_t value = 0x100000008;
  const std::pair<const char*, bool (*)(std::uint64_t, std::uint64_t)> kOps[] = {
      {"NE", [](std::uint64_t a, std::uint64_t b) { return a != b; }},
      {"LT", [](std::uint64_t a, std::uint64_t b) { return a < b; }},
      {"LE", [](std::uint64_t a, std::uint64_t b) { return a <= b; }},
      {"EQ", [](std::uint64_t a, std::uint64_t b) { return a == b; }},
      {"GE", [](std::uint64_t a, std::uint64_t b) { return a >= b; }},
      {"GT", [](std::uint64_t a, std::uint64_t b) { return a > b; }}};
  for (const auto& [op, holds] : kOps) {
    const auto plan =
        compiled(profile_of(cat("default ALLOW\nrule ERRNO arg=3,", op, ",", value, "\n ioctl")));
    for (std::uint64_t actual : testing::edge_values())
      EXPECT_EQ(verdict(plan, 16, {0, 0, 0, actual}) == errno_value(EPERM), holds(actual, value))
          << op << " " << actual;
  }
}

TEST(Seccomp, MasksBothHalvesBeforeComparing) {
  const auto plan = compiled(
      profile_of("default ALLOW\nrule TRAP arg=0,MASKED_EQ,0xff000000ff,0x1200000034\n ioctl"));
  EXPECT_EQ(verdict(plan, 16, {0x1200000034}), SECCOMP_RET_TRAP);
  EXPECT_EQ(verdict(plan, 16, {0xab12ffffff34}), SECCOMP_RET_TRAP);
  EXPECT_EQ(verdict(plan, 16, {0x1300000034}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(plan, 16, {0x1200000035}), SECCOMP_RET_ALLOW);
}

TEST(Seccomp, NeedsAllConditionsOfARuleAndAnyRuleOfACall) {
  const auto plan = compiled(profile_of(
      "default ALLOW\nrule TRAP arg=0,EQ,1 arg=1,EQ,2\n ioctl\nrule TRAP arg=2,GT,9\n ioctl"));
  EXPECT_EQ(verdict(plan, 16, {1, 2, 0}), SECCOMP_RET_TRAP);
  EXPECT_EQ(verdict(plan, 16, {1, 3, 0}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(plan, 16, {0, 2, 10}), SECCOMP_RET_TRAP);
}

TEST(Seccomp, TakesConditionsOnOneArgumentAsAlternatives) {
  const auto plan = compiled(profile_of("default ALLOW\nrule TRAP arg=0,EQ,1 arg=0,EQ,5\n ioctl"));
  EXPECT_EQ(verdict(plan, 16, {1}), SECCOMP_RET_TRAP);
  EXPECT_EQ(verdict(plan, 16, {5}), SECCOMP_RET_TRAP);
  EXPECT_EQ(verdict(plan, 16, {2}), SECCOMP_RET_ALLOW);
}

TEST(Seccomp, LetsTheFirstUnconditionalRuleWin) {
  const auto plan = compiled(profile_of(
      "default ALLOW\nrule TRAP arg=0,EQ,1\n ioctl\nrule LOG\n ioctl\nrule ERRNO\n ioctl"));
  EXPECT_EQ(verdict(plan, 16, {1}), SECCOMP_RET_LOG);
  EXPECT_EQ(verdict(plan, 16, {2}), SECCOMP_RET_LOG);
}

TEST(Seccomp, TriesTheMoreSpecificConditionFirst) {
  const auto plan = compiled(
      profile_of("default ALLOW\nrule TRAP arg=0,GE,10\n ioctl\nrule LOG arg=0,GE,20\n ioctl\n"
                 "rule ERRNO arg=0,EQ,30\n ioctl"));
  EXPECT_EQ(verdict(plan, 16, {9}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(plan, 16, {19}), SECCOMP_RET_TRAP);
  EXPECT_EQ(verdict(plan, 16, {29}), SECCOMP_RET_LOG);
  EXPECT_EQ(verdict(plan, 16, {30}), errno_value(EPERM));
}

TEST(Seccomp, RefusesRulesThatContradictEachOther) {
  EXPECT_THAT(error_of(profile_of("default ALLOW\nrule TRAP arg=0,EQ,1\n ioctl\n"
                                  "rule LOG arg=0,EQ,1\n ioctl")),
              HasSubstr("ioctl have equal conditions and different actions"));
}

TEST(Seccomp, LeavesOutRulesWithTheDefaultAction) {
  const auto plan = compiled(profile_of(
      "default ERRNO\nrule ERRNO\n read\nrule ALLOW arg=0,EQ,1\n read\nrule ALLOW\n stat"));
  EXPECT_EQ(verdict(plan, 0, {1}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(plan, 0, {2}), errno_value(EPERM));
}

TEST(Seccomp, AnswersEnosysForCallsNewerThanTheProfile) {
  const auto plan = compiled(profile_of("default ERRNO\narch X86\nrule ALLOW\n clone3"));
  EXPECT_EQ(verdict(plan, 434), errno_value(EPERM));
  EXPECT_EQ(verdict(plan, 435), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(plan, 436), errno_value(ENOSYS));
  EXPECT_EQ(verdict(plan, 439, {}, AUDIT_ARCH_I386), errno_value(ENOSYS));
}

TEST(Seccomp, CountsRulesWithTheDefaultActionForTheNewestKnownCall) {
  const auto plan = compiled(profile_of("default ERRNO\nrule ALLOW\n read\nrule ERRNO\n clone3"));
  EXPECT_EQ(verdict(plan, 435), errno_value(EPERM));
  EXPECT_EQ(verdict(plan, 436), errno_value(ENOSYS));
}

TEST(Seccomp, LeavesNewerCallsToAPermissiveDefault) {
  for (const char* action : {"ALLOW", "LOG", "TRACE"}) {
    const auto plan = compiled(profile_of(cat("default ", action, "\nrule TRAP\n read")));
    EXPECT_EQ(verdict(plan, 439), reference::action_value(cat("SCMP_ACT_", action), {}));
  }
}

TEST(Seccomp, KillsCallsOfArchitecturesThatAreNotListed) {
  const auto plan =
      compiled(profile_of("default ALLOW\narch X86_64 AARCH64 S390X\nrule TRAP\n read"));
  EXPECT_EQ(verdict(plan, 3, {}, AUDIT_ARCH_I386), SECCOMP_RET_KILL_THREAD);
  EXPECT_EQ(verdict(plan, 3, {}, AUDIT_ARCH_AARCH64), SECCOMP_RET_KILL_THREAD);
  EXPECT_EQ(verdict(plan, static_cast<int>(kX32Bit), {}), SECCOMP_RET_KILL_THREAD);
  EXPECT_EQ(verdict(plan, -1), SECCOMP_RET_ALLOW) << "a tracer skips calls with number -1";
}

TEST(Seccomp, AlwaysKnowsTheNativeArchitecture) {
  const auto plan = compiled(profile_of("default ALLOW\narch ARM\nrule TRAP\n read\n"));
  EXPECT_EQ(verdict(plan, 0), SECCOMP_RET_TRAP);
  const auto arm = compiled(profile_of("default ALLOW\narch ARM\nrule TRAP\n read cacheflush"),
                            NativeArch::kAarch64);
  EXPECT_EQ(verdict(arm, 63, {}, AUDIT_ARCH_AARCH64), SECCOMP_RET_TRAP);
  EXPECT_EQ(verdict(arm, 3, {}, AUDIT_ARCH_ARM), SECCOMP_RET_TRAP);
  EXPECT_EQ(verdict(arm, 0xf0002, {}, AUDIT_ARCH_ARM), SECCOMP_RET_TRAP);
  EXPECT_EQ(verdict(arm, 0, {}, AUDIT_ARCH_X86_64), SECCOMP_RET_KILL_THREAD);
}

TEST(Seccomp, TellsX32NumbersFromX86_64Ones) {
  const auto plan = compiled(profile_of("default ALLOW\narch X32\nrule TRAP\n execve"));
  const int bit = static_cast<int>(kX32Bit);
  EXPECT_EQ(verdict(plan, 59), SECCOMP_RET_TRAP);
  EXPECT_EQ(verdict(plan, 520), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(plan, bit + 520), SECCOMP_RET_TRAP);
  EXPECT_EQ(verdict(plan, bit + 59), SECCOMP_RET_ALLOW);
}

TEST(Seccomp, CoversSocketcallAndIpcOnI386) {
  const auto plan = compiled(
      profile_of("default ALLOW\narch X86\nrule TRAP arg=0,EQ,16\n socket\nrule LOG\n semop"));
  EXPECT_EQ(verdict(plan, 359, {16}, AUDIT_ARCH_I386), SECCOMP_RET_TRAP);
  EXPECT_EQ(verdict(plan, 359, {2}, AUDIT_ARCH_I386), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(plan, 102, {1}, AUDIT_ARCH_I386), SECCOMP_RET_TRAP);
  EXPECT_EQ(verdict(plan, 102, {2}, AUDIT_ARCH_I386), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(plan, 117, {1}, AUDIT_ARCH_I386), SECCOMP_RET_LOG);
}

TEST(Seccomp, ListsUnknownNamesOnce) {
  const auto plan =
      compiled(profile_of("default ALLOW\nrule TRAP\n zzz read s390_runtime_instr zzz"));
  EXPECT_THAT(plan.unknown_syscalls, ElementsAre("s390_runtime_instr", "zzz"));
  EXPECT_EQ(verdict(plan, 0), SECCOMP_RET_TRAP);
}

TEST(Seccomp, TurnsFlagNamesIntoBits) {
  auto profile = profile_of("default ALLOW");
  EXPECT_EQ(compiled(profile).filter_flags, SECCOMP_FILTER_FLAG_SPEC_ALLOW);
  profile.flags.emplace();
  EXPECT_EQ(compiled(profile).filter_flags, 0U);
  profile.flags = {"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG"};
  EXPECT_EQ(compiled(profile).filter_flags, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG);
  profile.flags = {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"};
  EXPECT_EQ(compiled(profile).filter_flags, 0U) << "refused by the kernel without a listener";
  profile.flags = {"SECCOMP_FILTER_FLAG_TSYNK"};
  EXPECT_THAT(error_of(profile), HasSubstr("SECCOMP_FILTER_FLAG_TSYNC"));
}

TEST(Seccomp, AsksForAListenerWhenARuleNotifies) {
  auto profile = profile_of("default ALLOW\nrule NOTIFY\n mount");
  EXPECT_THAT(error_of(profile), HasSubstr("listenerPath"));
  profile.listener_path = "/run/agent.sock";
  profile.listener_metadata = "opaque";
  profile.flags = {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_TSYNC"};
  const auto plan = compiled(profile);
  EXPECT_EQ(plan.filter_flags, SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC |
                                   SECCOMP_FILTER_FLAG_TSYNC_ESRCH | (1U << 5));
  EXPECT_EQ(plan.listener_path, "/run/agent.sock");
  EXPECT_EQ(plan.listener_metadata, "opaque");
}

TEST(Seccomp, SaysWhichFieldIsWrong) {
  EXPECT_THAT(error_of({}),
              HasSubstr("linux.seccomp.defaultAction: the seccomp action is missing"));
  EXPECT_THAT(error_of(profile_of("default ALOW")), HasSubstr("use SCMP_ACT_ALLOW"));
  EXPECT_THAT(error_of(profile_of("default ALLOW\narch PDP11")), HasSubstr("SCMP_ARCH_RISCV64"));
  EXPECT_THAT(error_of(profile_of("default ALLOW errno=3")), HasSubstr("takes no errno"));
  EXPECT_THAT(error_of(profile_of("default ERRNO errno=4096")), HasSubstr("4096 is above 4095"));
  EXPECT_THAT(error_of(profile_of("default ALLOW\nrule TRAP arg=6,EQ,0\n read")),
              HasSubstr("linux.seccomp.syscalls[0].args[0].index"));
  EXPECT_THAT(error_of(profile_of("default ALLOW\nrule TRAP arg=0,EG,0\n read")),
              HasSubstr("linux.seccomp.syscalls[0].args[0].op"));
}

TEST(Seccomp, KnowsTwentyThreeArchitecturesAndNineActions) {
  EXPECT_EQ(seccomp_architecture_names().size(), 23U);
  EXPECT_EQ(seccomp_action_names().size(), 9U);
  EXPECT_EQ(seccomp_operator_names().size(), 7U);
  auto profile = profile_of("default ALLOW");
  for (auto name : seccomp_architecture_names()) profile.architectures.emplace_back(name);
  (void)compiled(profile);
}

TEST(Seccomp, RefusesProgramsThatTheKernelWouldNotTake) {
  auto profile = profile_of("default ALLOW");
  for (int i = 0; i < 4096; ++i)
    testing::add_line(profile, cat("rule TRAP arg=1,EQ,", i << 1, " arg=2,NE,3")),
        testing::add_line(profile, "ioctl");
  EXPECT_THAT(error_of(profile), HasSubstr("the kernel takes 4096"));
}

TEST(Seccomp, JumpsFurtherThanAConditionalJumpReaches) {
  auto profile = profile_of("default ERRNO\narch X86 X32");
  for (int i = 0; i < 600; ++i) {
    testing::add_line(profile, cat(i % 2 ? "rule ALLOW" : "rule TRAP", " arg=1,EQ,", i));
    testing::add_line(profile, "ioctl");
  }
  const auto plan = compiled(profile);
  for (std::uint64_t i = 0; i < 600; ++i)
    ASSERT_EQ(verdict(plan, 16, {0, i}), i % 2 ? SECCOMP_RET_ALLOW : SECCOMP_RET_TRAP);
  EXPECT_EQ(verdict(plan, 16, {0, 600}), errno_value(EPERM));
}

TEST(Seccomp, AgreesWithADirectReadingOfRandomProfiles) {
  testing::RandomProfiles random(1);
  std::vector<std::string> names = {"read",       "write", "ioctl",       "socket",     "connect",
                                    "accept",     "send",  "semop",       "clone",      "clone3",
                                    "execve",     "mmap2", "personality", "cacheflush", "openat2",
                                    "socketcall", "ipc",   "nope"};
  for (int round = 0; round < 400; ++round) {
    const auto profile = random.next(names, {});
    for (NativeArch native : {NativeArch::kX86_64, NativeArch::kAarch64}) {
      auto plan = compile_seccomp(profile, native);
      if (!plan) continue;  // contradictory
      ASSERT_TRUE(check_bpf(plan->program));
      const reference::Interpreter interpreter(profile, native);
      for (int i = 0; i < 600; ++i) {
        SeccompData data;
        data.number = static_cast<int>(random.below(480)) | (random.below(4) ? 0 : 0x40000000);
        if (random.below(50) == 0) data.number = random.below(2) ? -1 : 0xf0002;
        static constexpr std::uint32_t kArches[] = {AUDIT_ARCH_X86_64, AUDIT_ARCH_I386,
                                                    AUDIT_ARCH_AARCH64, AUDIT_ARCH_ARM};
        data.arch = kArches[random.below(4)];
        if (random.below(2)) {
          const SyscallEntry* entry = find_syscall(names[random.below(17)]);
          data.number = std::max(0, entry->number(static_cast<Abi>(random.below(5))));
        }
        for (auto& arg : data.args) arg = random.value();
        ASSERT_EQ(evaluate_bpf(plan->program, data).value, interpreter.run(data))
            << "round " << round << " number " << data.number << "\n"
            << disassemble_bpf(plan->program);
      }
    }
  }
}

#if defined(__x86_64__)

// Runs `body` in a child behind the filter; the child's wait status. -1: seccomp is not permitted
// here.
template <typename Body>
int status_behind(const SeccompPlan& plan, Body body) {
  constexpr int kNotPermitted = 99;
  const pid_t child = fork();
  if (child == 0) {
    const struct {
      std::uint16_t length;
      const BpfInstruction* program;
    } filter = {static_cast<std::uint16_t>(plan.program.size()), plan.program.data()};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) _exit(kNotPermitted);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, plan.filter_flags, &filter) != 0)
      _exit(errno == EINVAL ? 98 : kNotPermitted);
    _exit(body());
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) && WEXITSTATUS(status) == kNotPermitted ? -1 : status;
}

TEST(SeccompKernel, AnswersAsTheEvaluatorSays) {
  const auto plan = compiled(profile_of(
      "default ALLOW\nrule ERRNO errno=13\n getppid\n"
      "rule ERRNO errno=7 arg=2,GT,0x100000000\n lseek\nrule KILL_PROCESS arg=0,EQ,77\n dup\n"));
  const int status = status_behind(plan, [] {
    if (syscall(SYS_getppid) != -1 || errno != 13) return 1;
    if (syscall(SYS_getpid) <= 0) return 2;
    if (syscall(SYS_lseek, -1, 0, 0x100000001) != -1 || errno != 7) return 3;
    if (syscall(SYS_lseek, -1, 0, 0x100000000) != -1 || errno != EBADF) return 4;
    return 0;
  });
  if (status == -1) GTEST_SKIP() << "seccomp(2) is not permitted here";
  EXPECT_EQ(status, 0);
  const int killed = status_behind(plan, [] { return static_cast<int>(syscall(SYS_dup, 77)); });
  EXPECT_TRUE(WIFSIGNALED(killed) && WTERMSIG(killed) == SIGSYS) << killed;
}

TEST(SeccompKernel, LoadsTheDefaultProfile) {
  auto profile = testing::default_profile();
  profile.default_errno_ret.reset();
  const int status = status_behind(compiled(profile), [] {
    if (syscall(SYS_getpid) <= 0) return 1;
    if (syscall(SYS_mount, nullptr, nullptr, nullptr, 0, nullptr) != -1 || errno != EPERM) return 2;
    if (syscall(500) != -1 || errno != ENOSYS) return 3;
    return 0;
  });
  if (status == -1) GTEST_SKIP() << "seccomp(2) is not permitted here";
  EXPECT_EQ(status, 0);
}

#endif

TEST(Seccomp, CompilesTheDefaultProfileSmallAndFast) {
  const auto profile = testing::default_profile();
  ASSERT_EQ(profile.rules.size(), 24U);
  const auto plan = compiled(profile);
  EXPECT_LE(plan.program.size(), 600U);
  std::uint32_t steps = 0, most = 0;
  for (int number = 0; number < 470; ++number) {
    const auto outcome = evaluate_bpf(plan.program, {number, AUDIT_ARCH_X86_64, 0, {}});
    steps += outcome.steps;
    most = std::max(most, outcome.steps);
  }
  EXPECT_LE(steps / 470, 14U);
  EXPECT_LE(most, 40U);
  std::int64_t best = 1'000'000'000;
  for (int i = 0; i < 50; ++i) {
    const std::int64_t start = monotonic_ns();
    ASSERT_TRUE(compile_seccomp(profile, NativeArch::kX86_64));
    best = std::min(best, monotonic_ns() - start);
  }
  RecordProperty("instructions", static_cast<int>(plan.program.size()));
  RecordProperty("average_steps", static_cast<int>(steps / 470));
  RecordProperty("most_steps", static_cast<int>(most));
  RecordProperty("best_compile_ns", static_cast<int>(best));
#if !defined(__SANITIZE_ADDRESS__)
  EXPECT_LT(best, 1'000'000) << "0.15 ms is the aim of a release build";
#endif
}

}  // namespace
}  // namespace caisson::plan

#include "linux/device_program.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>

#include <gtest/gtest.h>

#include "base/defer.h"
#include "linux/cgroup.h"
#include "linux/host_facts.h"
#include "sys/bpf.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::linux {
namespace {

using Rules = std::vector<plan::CgroupDevice>;

struct Access {
  char type;
  std::uint32_t major, minor;
  std::string_view access;
};

// Runs the few instructions that device programs consist of. -1: left the program, unknown
// instruction, or a register was read before it was set.
class Machine {
 public:
  explicit Machine(const std::vector<DeviceInstruction>& program) : program_(program) {}

  int run(const Access& access) {
    std::uint32_t bits = 0;
    for (char letter : access.access) bits |= letter == 'm' ? 1U : letter == 'r' ? 2U : 4U;
    context_ = {bits << 16 | (access.type == 'b' ? 1U : 2U), access.major, access.minor};
    for (std::size_t at = 0; at < program_.size();) {
      const auto& now = program_[at++];
      if (now.code == (BPF_JMP | BPF_EXIT)) return static_cast<int>(registers_[0]);
      const unsigned to = now.registers & 15U;
      const auto value = static_cast<std::uint32_t>(now.immediate);
      switch (now.code) {
        case BPF_LDX | BPF_MEM | BPF_W:
          registers_[to] = context_.at(static_cast<std::size_t>(now.offset) / 4);
          break;
        case BPF_ALU64 | BPF_MOV | BPF_X: registers_[to] = registers_[now.registers >> 4]; break;
        case BPF_ALU64 | BPF_MOV | BPF_K: registers_[to] = value; break;
        case BPF_ALU | BPF_AND | BPF_K: registers_[to] &= value; break;
        case BPF_ALU | BPF_RSH | BPF_K: registers_[to] >>= value; break;
        case BPF_JMP32 | BPF_JNE | BPF_K:
          if (registers_[to] != value) at += static_cast<std::size_t>(now.offset);
          break;
        case BPF_JMP32 | BPF_JEQ | BPF_K:
          if (registers_[to] == value) at += static_cast<std::size_t>(now.offset);
          break;
        default: return -1;
      }
    }
    return -1;
  }

 private:
  const std::vector<DeviceInstruction>& program_;
  std::array<std::uint32_t, 3> context_{};
  std::array<std::uint32_t, 16> registers_{};
};

int verdict(const Rules& rules, const Access& access) {
  auto program = compile_device_program(rules);
  return Machine(program).run(access);
}

const Rules kUsual = {{false, 'a', {}, {}, "rwm"}, {true, 'c', {}, {}, "m"},
                      {true, 'b', {}, {}, "m"},    {true, 'c', 1, 3, "rwm"},
                      {true, 'c', 136, {}, "rwm"}, {true, 'c', 10, 200, "rw"}};

TEST(DeviceProgram, AllowsWhatIsListedAndNothingElse) {
  EXPECT_EQ(verdict(kUsual, {'c', 1, 3, "rw"}), 1);
  EXPECT_EQ(verdict(kUsual, {'c', 136, 7, "rw"}), 1);
  EXPECT_EQ(verdict(kUsual, {'b', 8, 0, "m"}), 1);
  EXPECT_EQ(verdict(kUsual, {'b', 8, 0, "r"}), 0);
  EXPECT_EQ(verdict(kUsual, {'b', 1, 3, "r"}), 0);
  EXPECT_EQ(verdict(kUsual, {'c', 1, 4, "r"}), 0);
  EXPECT_EQ(verdict(kUsual, {'c', 10, 200, "rw"}), 1);
  EXPECT_EQ(verdict(kUsual, {'c', 10, 201, "rw"}), 0);
}

TEST(DeviceProgram, WithoutRulesAllIsRefused) { EXPECT_EQ(verdict({}, {'c', 1, 3, "r"}), 0); }

TEST(DeviceProgram, TheLastMatchingRuleDecides) {
  const Rules rules = {
      {true, 'a', {}, {}, "rwm"}, {false, 'c', 1, {}, "rwm"}, {true, 'c', 1, 3, "r"}};
  EXPECT_EQ(verdict(rules, {'b', 8, 0, "rw"}), 1);
  EXPECT_EQ(verdict(rules, {'c', 1, 3, "r"}), 1);
  EXPECT_EQ(verdict(rules, {'c', 1, 3, "w"}), 0);
  EXPECT_EQ(verdict(rules, {'c', 1, 5, "r"}), 0);
}

TEST(DeviceProgram, EveryAccessAskedForMustBeAllowed) {
  const Rules rules = {{true, 'a', {}, {}, "rwm"}, {false, 'c', 5, 0, "w"}};
  EXPECT_EQ(verdict(rules, {'c', 5, 0, "r"}), 1);
  EXPECT_EQ(verdict(rules, {'c', 5, 0, "rw"}), 0);
}

TEST(DeviceProgram, RulesForOneDeviceAddUp) {
  const Rules rules = {{true, 'c', 5, 0, "r"}, {true, 'c', 5, 0, "w"}};
  EXPECT_EQ(verdict(rules, {'c', 5, 0, "rw"}), 1);
  EXPECT_EQ(verdict(rules, {'c', 5, 0, "rwm"}), 0);
}

TEST(DeviceProgram, LargeNumbersAreComparedWhole) {
  const Rules rules = {{true, 'c', 0xffff'ffffLL, 0x8000'0000LL, "r"}};
  EXPECT_EQ(verdict(rules, {'c', 0xffff'ffffU, 0x8000'0000U, "r"}), 1);
  EXPECT_EQ(verdict(rules, {'c', 0x7fff'ffffU, 0x8000'0000U, "r"}), 0);
  EXPECT_EQ(verdict({{true, 'c', 1LL << 33, {}, "r"}}, {'c', 0, 0, "r"}), 0);
}

TEST(DeviceProgram, NothingIsCompiledBeforeARuleForEverything) {
  Rules rules(1000, {true, 'c', 1, 3, "rwm"});
  rules.push_back({false, 'a', {}, {}, "rwm"});
  EXPECT_EQ(compile_device_program(rules).size(), compile_device_program({}).size());
}

// What the rules mean, access by access: the last one that speaks of it.
int plain_reading(const Rules& rules, const Access& access) {
  for (char letter : access.access) {
    bool allowed = false;
    for (const auto& rule : rules) {
      if (rule.type != 'a' && rule.type != access.type) continue;
      if (rule.major && *rule.major != access.major) continue;
      if (rule.minor && *rule.minor != access.minor) continue;
      if (rule.access.find(letter) != std::string::npos) allowed = rule.allow;
    }
    if (!allowed) return 0;
  }
  return 1;
}

void expect_plain_reading(const Rules& rules) {
  for (char type : {'b', 'c'}) {
    for (std::string_view access : {"r", "w", "m", "rw", "rwm"}) {
      const Access third{type, 1, 3, access}, fourth{type, 1, 4, access};
      EXPECT_EQ(verdict(rules, third), plain_reading(rules, third));
      EXPECT_EQ(verdict(rules, fourth), plain_reading(rules, fourth));
    }
  }
}

TEST(DeviceProgram, AgreesWithAPlainReadingOfTheRules) {
  const Rules some = {{true, 'a', {}, {}, "rwm"}, {false, 'a', {}, {}, "rwm"},
                      {true, 'c', 1, {}, "rw"},   {false, 'c', {}, 3, "w"},
                      {true, 'b', {}, {}, "m"},   {false, 'a', 1, 3, "m"}};
  for (const auto& first : some) {
    for (const auto& second : some) {
      for (const auto& third : some) expect_plain_reading({first, second, third});
    }
  }
}

// The kernel's word: a v2 cgroup of our own, a child in it that opens devices.
class AttachedProgram : public testing::Test {
 protected:
  void SetUp() override {
    if (sys::geteuid() != 0) GTEST_SKIP() << "needs root";
    auto facts = read_host_facts(false);
    ASSERT_TRUE(facts);
    if (facts->cgroup.hierarchies.empty() || !facts->cgroup.hierarchies.back().v2) {
      GTEST_SKIP() << "needs cgroup v2";
    }
    directory_ =
        cat(facts->cgroup.hierarchies.back().mount_point, "/caisson-test-device-", ::getpid());
    ASSERT_TRUE(sys::mkdirat(sys::kCwd, directory_.c_str(), 0755));
    cgroup_ = MUST(sys::openat(sys::kCwd, directory_.c_str(), O_RDONLY | O_DIRECTORY));
  }
  void TearDown() override {
    if (directory_.empty()) return;
    EXPECT_TRUE(remove_cgroup(directory_));
  }

  // The errno of opening `path` in the cgroup; 0 is success.
  int open_in_cgroup(const char* path, int flags) {
    auto child = sys::fork_with_pidfd(0, cgroup_.number());
    if (!child) return -1;
    if (child->pid == 0) {
      auto opened = sys::openat(sys::kCwd, path, flags);
      sys::exit_process(opened ? 0 : opened.error().value);
    }
    auto status = sys::wait_pidfd(child->pidfd);
    return status ? status->status : -1;
  }

  std::size_t attached() {
    std::array<std::uint32_t, 64> ids{};
    return sys::bpf_query(cgroup_, BPF_CGROUP_DEVICE, ids).value_or(99);
  }

  std::string directory_;
  Fd cgroup_;
};

TEST_F(AttachedProgram, DecidesWhatOpens) {
  auto set = set_device_program(cgroup_, kUsual);
  if (!set && set.error().is(EPERM)) GTEST_SKIP() << "bpf(2) is not permitted";
  ASSERT_TRUE(set) << set.error().message();
  EXPECT_EQ(open_in_cgroup("/dev/null", O_RDWR), 0);
  EXPECT_EQ(open_in_cgroup("/dev/zero", O_RDONLY), EPERM);
  EXPECT_EQ(attached(), 1U);
}

TEST_F(AttachedProgram, IsReplacedNotAddedTo) {
  auto set = set_device_program(cgroup_, kUsual);
  if (!set && set.error().is(EPERM)) GTEST_SKIP() << "bpf(2) is not permitted";
  for (int i = 0; i < 70; ++i) ASSERT_TRUE(set_device_program(cgroup_, {{true, 'c', 1, 5, "r"}}));
  EXPECT_EQ(attached(), 1U);
  EXPECT_EQ(open_in_cgroup("/dev/null", O_RDWR), EPERM);
  EXPECT_EQ(open_in_cgroup("/dev/zero", O_RDONLY), 0);
  EXPECT_EQ(open_in_cgroup("/dev/zero", O_RDWR), EPERM);
}

TEST_F(AttachedProgram, SeveralOldOnesAreAllTakenOff) {
  auto set = set_device_program(cgroup_, kUsual);
  if (!set && set.error().is(EPERM)) GTEST_SKIP() << "bpf(2) is not permitted";
  auto refuse = compile_device_program({});
  std::vector<bpf_insn> program(refuse.size());
  std::copy_n(reinterpret_cast<const char*>(refuse.data()), refuse.size() * sizeof(bpf_insn),
              reinterpret_cast<char*>(program.data()));
  Fd second = MUST(sys::bpf_load(BPF_PROG_TYPE_CGROUP_DEVICE, BPF_CGROUP_DEVICE, program));
  ASSERT_TRUE(sys::bpf_attach(cgroup_, second, BPF_CGROUP_DEVICE, BPF_F_ALLOW_MULTI));
  EXPECT_EQ(attached(), 2U);
  ASSERT_TRUE(set_device_program(cgroup_, kUsual));
  EXPECT_EQ(attached(), 1U);
  EXPECT_EQ(open_in_cgroup("/dev/null", O_RDWR), 0);
}

}  // namespace
}  // namespace caisson::linux

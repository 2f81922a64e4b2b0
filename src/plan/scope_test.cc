#include "plan/scope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan/compile.h"
#include "plan/dump.h"
#include "plan/test_support.h"

namespace caisson::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::Optional;

std::string describe(const Result<ScopeProperty>& property) {
  if (!property) return "error";
  std::string out =
      cat(property->name, ' ', property->type, ' ', property->number, ' ', property->text);
  for (const auto& text : property->texts) append(out, '|', text);
  return out;
}

TEST(ScopeProperty, ReadsGVariantText) {
  EXPECT_EQ(describe(parse_scope_property("CollectMode", "'inactive'")),
            "CollectMode s 0 inactive");
  EXPECT_EQ(describe(parse_scope_property("CollectMode", R"("a\"b")")), "CollectMode s 0 a\"b");
  EXPECT_EQ(describe(parse_scope_property("SendSIGHUP", "true")), "SendSIGHUP b 1 ");
  EXPECT_EQ(describe(parse_scope_property("KillSignal", "9")), "KillSignal i 9 ");
  EXPECT_EQ(describe(parse_scope_property("MemoryHigh", "uint64 0x10")), "MemoryHigh t 16 ");
  EXPECT_EQ(describe(parse_scope_property("Before", "['a.target', 'b.target']")),
            "Before as 0 |a.target|b.target");
  EXPECT_EQ(describe(parse_scope_property("Before", "@as []")), "Before as 0 ");
  EXPECT_EQ(describe(parse_scope_property("AllowedCPUs", "[byte 0x41, 66]")),
            "AllowedCPUs ay 0 AB");
}

TEST(ScopeProperty, SecondsBecomeMicroseconds) {
  EXPECT_EQ(describe(parse_scope_property("TimeoutStopSec", "uint64 7")),
            "TimeoutStopUSec t 7000000 ");
  EXPECT_EQ(describe(parse_scope_property("TimeoutStopUSec", "uint64 7")), "TimeoutStopUSec t 7 ");
  EXPECT_EQ(describe(parse_scope_property("TimeoutStopSec", "'7s'")), "error");
}

TEST(ScopeProperty, RefusesWhatItCannotRead) {
  for (std::string_view bad :
       {"", "[]", "'open", "uint32 4294967296", "byte 1 2", "[1, 2", "(1, 2)", "uint64 'a'"}) {
    EXPECT_EQ(describe(parse_scope_property("CollectMode", bad)), "error") << bad;
  }
  for (std::string_view bad : {"", "a", "collectMode", "Collect.Mode", "A"}) {
    EXPECT_EQ(describe(parse_scope_property(bad, "true")), "error") << bad;
  }
}

TEST(ScopeProperty, ListsOfProcessorsAreBitMasks) {
  EXPECT_THAT(cpu_set_mask("0-2,9"), Optional(std::string("\x07\x02")));
  EXPECT_FALSE(cpu_set_mask("2-1").has_value());
  EXPECT_FALSE(cpu_set_mask("99999").has_value());
  EXPECT_FALSE(cpu_set_mask("a").has_value());
}

CgroupPlan v2_plan(const std::vector<KeyValue>& writes) {
  CgroupPlan plan;
  plan.mode = CgroupMode::kV2;
  CgroupDirectory& directory = plan.directories.emplace_back();
  directory.v2 = true;
  for (const auto& [file, value] : writes) {
    CgroupWrite& write = directory.writes.emplace_back();
    write.file = file;
    write.value = value;
  }
  return plan;
}

std::vector<std::string> names_and_numbers(const CgroupPlan& plan) {
  std::vector<std::string> out;
  for (const auto& property : limit_properties(plan))
    out.push_back(cat(property.name, '=', property.number));
  return out;
}

TEST(ScopeLimits, FilesOfV2HaveTheirProperties) {
  EXPECT_THAT(names_and_numbers(v2_plan({{"memory.max", "1048576"},
                                         {"memory.swap.max", "max"},
                                         {"cpu.max", "33333 100000"},
                                         {"pids.max", "20"},
                                         {"hugetlb.2MB.max", "5"}})),
              ElementsAre("MemoryMax=1048576", "MemorySwapMax=18446744073709551615",
                          "CPUQuotaPeriodUSec=100000", "CPUQuotaPerSecUSec=340000", "TasksMax=20"));
}

TEST(ScopeLimits, TheLastWriteOfAFileCounts) {
  EXPECT_THAT(names_and_numbers(v2_plan({{"pids.max", "20"}, {"pids.max", "30"}})),
              ElementsAre("TasksMax=30"));
}

TEST(ScopeLimits, AQuotaIsNeverNothing) {
  EXPECT_THAT(names_and_numbers(v2_plan({{"cpu.max", "1000 1000000"}})),
              ElementsAre("CPUQuotaPeriodUSec=1000000", "CPUQuotaPerSecUSec=10000"));
}

}  // namespace
}  // namespace caisson::plan

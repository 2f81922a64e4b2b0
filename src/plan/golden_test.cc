// Whole plans, as text in testdata/. CAISSON_UPDATE_GOLDENS=1 writes them anew.
#include <cstdio>
#include <cstdlib>
#include <memory>

#include <gtest/gtest.h>

#include "base/text.h"
#include "plan/compile.h"
#include "plan/dump.h"
#include "plan/test_support.h"

namespace caisson::plan {
namespace {

using namespace testing;  // NOLINT: the specs and hosts of test_support.h

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

std::string golden_path(std::string_view name) {
  return cat(CAISSON_SOURCE_DIR "/src/plan/testdata/", name, ".plan.txt");
}

std::string read_golden(std::string_view name) {
  File file(std::fopen(golden_path(name).c_str(), "re"));
  std::string out;
  char buffer[4096];
  while (file != nullptr) {
    std::size_t got = std::fread(buffer, 1, sizeof buffer, file.get());
    if (got == 0) break;
    out.append(buffer, got);
  }
  return out;
}

void expect_golden(std::string_view name, const spec::ContainerSpec& spec, const HostFacts& host,
                   const Options& options = test_options()) {
  auto plan = compile(spec, host, options);
  ASSERT_TRUE(plan) << plan.error().message();
  std::string text = dump_text(dump(*plan));
  if (std::getenv("CAISSON_UPDATE_GOLDENS") != nullptr) {
    File file(std::fopen(golden_path(name).c_str(), "we"));
    ASSERT_NE(file, nullptr);
    ASSERT_EQ(std::fwrite(text.data(), 1, text.size(), file.get()), text.size());
  }
  EXPECT_EQ(text, read_golden(name)) << "CAISSON_UPDATE_GOLDENS=1 writes the file anew";
}

spec::ContainerSpec limited_spec() {
  spec::ContainerSpec spec = default_spec();
  spec::Linux& os = *spec.linux_part;
  os.cgroups_path = "/pods/web";
  os.resources.memory.emplace().limit = 64 << 20;
  os.resources.memory->swap = 96 << 20;
  os.resources.memory->reservation = 32 << 20;
  os.resources.cpu.emplace().shares = 512;
  os.resources.cpu->quota = 50000;
  os.resources.cpu->cpus = "0-1";
  os.resources.pids_limit = 100;
  os.resources.block_io.emplace().weight = 500;
  os.resources.block_io->read_bps = {{8, 0, 1048576}};
  os.resources.hugepage_limits = {{"2MB", 4194304}};
  os.resources.devices.push_back({true, 'c', 10, 229, "rw"});
  os.devices = {{"/dev/fuse", 'c', 10, 229, 0666, 0, 0}};
  os.sysctl = {{"net.ipv4.ip_forward", "1"}};
  spec.mounts.push_back({"/data", "bind", "data", {"rbind", "ro", "rprivate", "nosuid"}, {}, {}});
  return spec;
}

TEST(Golden, DefaultSpecOnV1) {
  expect_golden("default-v1", default_spec(), root_host(CgroupMode::kV1));
}
TEST(Golden, DefaultSpecOnHybrid) {
  expect_golden("default-hybrid", default_spec(), root_host(CgroupMode::kHybrid));
}
TEST(Golden, DefaultSpecOnV2) {
  expect_golden("default-v2", default_spec(), root_host(CgroupMode::kV2));
}
TEST(Golden, RootlessSpec) { expect_golden("rootless", rootless_spec(), user_host()); }
TEST(Golden, LimitsOnV1) { expect_golden("limits-v1", limited_spec(), root_host(CgroupMode::kV1)); }
TEST(Golden, LimitsOnV2) { expect_golden("limits-v2", limited_spec(), root_host(CgroupMode::kV2)); }

TEST(Golden, ViewOfASimpleMachine) {
  HostFacts host = root_host(CgroupMode::kV2);
  add_simple_mounts(host);
  expect_golden("view-simple", view_spec(false), host);
}

TEST(Golden, ViewOfAMachineWithManyMounts) {
  HostFacts host = root_host(CgroupMode::kHybrid);
  add_many_mounts(host);
  expect_golden("view-mounts", view_spec(false), host);
}

TEST(Golden, ViewForAnOrdinaryUser) {
  HostFacts host = user_host();
  add_many_mounts(host);
  expect_golden("view-user", view_spec(true), host);
}

// The same limits in a scope of systemd.
void expect_scope_golden(std::string_view name, const HostFacts& host) {
  spec::ContainerSpec spec = limited_spec();
  spec.linux_part->cgroups_path = "machine-web.slice:libpod:12+ab";
  spec.annotations["org.systemd.property.TimeoutStopSec"] = "uint64 5";
  Options options = test_options();
  options.systemd_scope = true;
  expect_golden(name, spec, host, options);
}

TEST(GoldenPlan, ScopeOnV2) { expect_scope_golden("scope-v2", root_host(CgroupMode::kV2)); }
TEST(GoldenPlan, ScopeOnV1) { expect_scope_golden("scope-v1", root_host(CgroupMode::kV1)); }

}  // namespace
}  // namespace caisson::plan

#include "spec/oci_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "spec/testdata.h"

namespace caisson::spec {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

ContainerSpec read_file(std::string_view name) {
  auto spec = read_oci_config(test_text(name), "/bundle");
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
  EXPECT_THAT(spec.process->rlimits, SizeIs(1));
  EXPECT_EQ(spec.process->rlimits[0].type, "RLIMIT_NOFILE");
  EXPECT_EQ(spec.process->rlimits[0].hard, 1024u);
  EXPECT_THAT(spec.mounts, SizeIs(7));
  EXPECT_THAT(spec.linux_part->resources.devices, SizeIs(1));
  EXPECT_FALSE(spec.linux_part->seccomp);
}

}  // namespace
}  // namespace caisson::spec

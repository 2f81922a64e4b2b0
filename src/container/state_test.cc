#include "container/state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace caisson::container {
namespace {

State full_state() {
  State state;
  state.id = "web";
  state.oci_version = "1.3.0";
  state.bundle = "/b";
  state.rootfs = "/b/rootfs";
  state.progress = Progress::kStarted;
  state.init = {12, 3456};
  state.boot_id = "boot";
  state.created = 1'700'000'000'123'456'789;
  state.annotations = {{"a", "1"}, {"quote\"", "new\nline"}};
  state.labels = {{"l", ""}};
  state.owner = 1000;
  state.cgroups = {{"memory", "/sys/fs/cgroup/memory/x", false}, {"", "/sys/fs/cgroup/x", true}};
  state.wall = "namespaces";
  state.command = {"sh", "-c", "exit 3"};
  state.terminal = true;
  state.remove_on_exit = true;
  state.supervisor = {99, 7};
  state.logged = true;
  state.log_limit = 1000;
  state.layers_fd = 9;
  state.layers_holder = {99, 7};
  state.layers = {{"0", "/", "/"}, {"1", "/home", "/home"}};
  state.hooks_begun = true;
  state.resctrl_groups = {"/sys/fs/resctrl/web"};
  state.seccomp_agent = "/run/agent.sock";
  state.seccomp_metadata = "opaque";
  return state;
}

TEST(State, SurvivesWritingAndReading) {
  State state = full_state();
  auto read = parse_state(to_json(state), "state.json");
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(to_json(*read), to_json(state));
  EXPECT_EQ(read->init, state.init);
  EXPECT_EQ(read->cgroups, state.cgroups);
  EXPECT_EQ(read->layers, state.layers);
  EXPECT_EQ(read->annotations, state.annotations);
  EXPECT_EQ(read->progress, Progress::kStarted);
  EXPECT_TRUE(read->terminal && read->remove_on_exit && read->logged && read->hooks_begun);
}

TEST(State, SkipsFieldsOfNewerWriters) {
  auto read = parse_state(R"({"version":1,"id":"x","future":{"deep":[1]}})", "state.json");
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->id, "x");
}

TEST(State, RefusesOtherVersionsAndTornTexts) {
  EXPECT_FALSE(parse_state(R"({"version":2})", "state.json"));
  EXPECT_FALSE(parse_state(R"({"id":"x"})", "state.json"));
  std::string text = to_json(full_state());
  EXPECT_FALSE(parse_state(text.substr(0, text.size() / 2), "state.json"));
  EXPECT_FALSE(parse_state("", "state.json"));
}

TEST(Exit, SurvivesWritingAndReading) {
  Exit exit{true, 0, 9, true, 42};
  auto read = parse_exit(to_json(exit), "exit");
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(*read, exit);
}

TEST(Exit, ReportsAsAShellDoes) {
  EXPECT_EQ((Exit{true, 3, 0, false, 0}).shell_status(), 3);
  EXPECT_EQ((Exit{true, 0, 15, false, 0}).shell_status(), 143);
  EXPECT_EQ((Exit{}).shell_status(), 255);
}

}  // namespace
}  // namespace caisson::container

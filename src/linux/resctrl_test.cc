#include "linux/resctrl.h"

#include <stdlib.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sys/file.h"

namespace caisson::linux {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class RecordingUndoLog : public plan::UndoLog {
 public:
  Result<> record(const std::vector<plan::Undo>& undos) override {
    for (const auto& undo : undos) targets.push_back(undo.target);
    return {};
  }
  plan::Strings targets;
};

// A plain directory tree in the shape of a resctrl file system. What the kernel does by itself, the
// files of a new group, it does not do: tests that need them make them.
class Resctrl : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/resctrl-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    root = name;
    make_class("");
  }
  void TearDown() override { (void)std::system(cat("rm -rf ", root).c_str()); }

  void write(const std::string& path, std::string_view text) const {
    Fd file = MUST(
        sys::openat(sys::kCwd, cat(root, "/", path).c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644));
    ASSERT_TRUE(sys::write_all(file, text));
  }
  std::string read(const std::string& path) const {
    return sys::read_file(sys::kCwd, cat(root, "/", path).c_str()).value_or("(missing)");
  }
  bool exists(const std::string& path) const {
    return sys::faccessat(sys::kCwd, cat(root, "/", path).c_str(), F_OK).has_value();
  }
  void make_class(const std::string& name, std::string_view schemata = "") const {
    std::string path = cat(root, "/", name);
    (void)sys::mkdirat(sys::kCwd, path.c_str(), 0755);
    (void)sys::mkdirat(sys::kCwd, cat(path, "/mon_groups").c_str(), 0755);
    write(cat(name, "/schemata"), schemata);
    write(cat(name, "/tasks"), "");
  }
  Result<plan::Strings> make(const plan::ResctrlPlan& plan) {
    return make_resctrl_groups(plan, root, undo);
  }
  std::string refusal(const plan::ResctrlPlan& plan) {
    auto made = make(plan);
    return made ? "no error" : made.error().message();
  }

  std::string root;
  RecordingUndoLog undo;
};

plan::ResctrlPlan own_class() {
  plan::ResctrlPlan plan;
  plan.group = "web";
  return plan;
}
plan::ResctrlPlan shared_class(std::string group, std::string schemata) {
  plan::ResctrlPlan plan;
  plan.group = std::move(group);
  plan.shared = true;
  plan.must_exist = schemata.empty();
  plan.schemata = std::move(schemata);
  return plan;
}

TEST_F(Resctrl, AContainersOwnClassIsMadeAndRegistered) {
  auto groups = make(own_class());
  ASSERT_TRUE(groups) << groups.error().message();
  EXPECT_THAT(*groups, ElementsAre(root + "/web"));
  EXPECT_TRUE(exists("web"));
  EXPECT_THAT(undo.targets, ElementsAre(root + "/web"));
  EXPECT_THAT(refusal(own_class()), HasSubstr("exists"));
}

TEST_F(Resctrl, ASharedClassThatExistsMustHaveTheSchemata) {
  make_class("gold", "    L3:0=7f0;1=01f\n    MB:0= 20;1=100\n");
  plan::ResctrlPlan plan = shared_class("gold", "L3:0=7f0;1=1f\nMB:0=20\n");
  EXPECT_TRUE(make(plan));
  EXPECT_THAT(undo.targets, IsEmpty()) << "not ours to remove";
  EXPECT_EQ(read("gold/schemata"), "    L3:0=7f0;1=01f\n    MB:0= 20;1=100\n");
  plan.schemata = "L3:0=f\n";
  EXPECT_THAT(refusal(plan), HasSubstr("other schemata"));
  plan.schemata = "L2:0=f\n";
  EXPECT_THAT(refusal(plan), HasSubstr("other schemata"));
}

TEST_F(Resctrl, ANamedClassWithoutSchemataMustBeThere) {
  EXPECT_THAT(refusal(shared_class("none", "")), HasSubstr("no such class of service"));
  EXPECT_THAT(undo.targets, IsEmpty());
}

TEST_F(Resctrl, TheRootClassIsTheMountPoint) {
  plan::ResctrlPlan plan = shared_class("", "");
  plan.monitoring_group = "web";
  auto groups = make(plan);
  ASSERT_TRUE(groups) << groups.error().message();
  EXPECT_THAT(*groups, ElementsAre(root, root + "/mon_groups/web"));
  EXPECT_THAT(undo.targets, ElementsAre(root + "/mon_groups/web"));
}

TEST_F(Resctrl, AProcessJoinsEveryGroup) {
  make_class("gold");
  make_class("gold/mon_groups/web");
  ASSERT_TRUE(join_resctrl_groups({root + "/gold", root + "/gold/mon_groups/web"}, 42));
  EXPECT_EQ(read("gold/tasks"), "42");
  EXPECT_EQ(read("gold/mon_groups/web/tasks"), "42");
  EXPECT_FALSE(join_resctrl_groups({root + "/none"}, 42));
}

TEST_F(Resctrl, AGroupThatOthersUseIsLeft) {
  ASSERT_TRUE(make(own_class()));
  write("web/tasks", "77\n");
  EXPECT_TRUE(remove_resctrl_group(root + "/web"));
  EXPECT_TRUE(exists("web"));
  ASSERT_TRUE(sys::unlinkat(sys::kCwd, cat(root, "/web/tasks").c_str()));
  EXPECT_TRUE(remove_resctrl_group(root + "/web"));
  EXPECT_FALSE(exists("web"));
  EXPECT_TRUE(remove_resctrl_group(root + "/web")) << "again";
}

TEST_F(Resctrl, WithoutAMountItIsAnErrorThatNamesTheField) {
  auto mount = resctrl_mount_point();
  if (mount) GTEST_SKIP() << "this machine has one";
  EXPECT_THAT(mount.error().message(), HasSubstr("linux.intelRdt"));
}

}  // namespace
}  // namespace caisson::linux

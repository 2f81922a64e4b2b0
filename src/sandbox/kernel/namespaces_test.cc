#include "sandbox/kernel/namespaces.h"

#include <gtest/gtest.h>

namespace caisson::sandbox::kernel {
namespace {

TEST(PidNamespace, IdsRiseFromOne) {
  auto ns = make_ref<PidNamespace>(nullptr);
  EXPECT_EQ(ns->allocate(), 1);
  EXPECT_EQ(ns->allocate(), 2);
}

TEST(PidNamespace, IdsInUseAreLeftOut) {
  auto ns = make_ref<PidNamespace>(nullptr);
  ns->tasks[1] = nullptr;
  ns->process_groups[2] = nullptr;
  ns->sessions[3] = nullptr;
  EXPECT_EQ(ns->allocate(), 4);
}

TEST(PidNamespace, WrapsBehindTheFirstOnes) {
  auto ns = make_ref<PidNamespace>(nullptr);
  ns->limit = 400;
  ns->last = 399;
  EXPECT_EQ(ns->allocate(), 300);
}

TEST(PidNamespace, SaysWhenItIsFull) {
  auto ns = make_ref<PidNamespace>(nullptr);
  ns->limit = 302;
  for (int id = 1; id < 302; ++id) ns->tasks[id] = nullptr;
  EXPECT_EQ(ns->allocate(), -1);
}

TEST(PidNamespace, SeesWhatLivesBelow) {
  auto outer = make_ref<PidNamespace>(nullptr);
  auto inner = make_ref<PidNamespace>(outer);
  auto beside = make_ref<PidNamespace>(outer);
  std::vector<int> ids{17, 3};
  EXPECT_EQ(outer->pick(ids, *inner), 17);
  EXPECT_EQ(inner->pick(ids, *inner), 3);
  EXPECT_EQ(beside->pick(ids, *inner), 0);
  EXPECT_EQ(inner->pick({17}, *outer), 0);
}

TEST(UtsNamespace, CopyIsApart) {
  auto uts = make_ref<UtsNamespace>("one", "domain");
  auto copy = uts->copy();
  uts->set_host_name("two");
  EXPECT_EQ(copy->host_name(), "one");
  EXPECT_EQ(copy->domain_name(), "domain");
  EXPECT_NE(copy->inode, uts->inode);
}

}  // namespace
}  // namespace caisson::sandbox::kernel

#include "sandbox/boot/descriptors.h"

#include <unistd.h>

#include <gtest/gtest.h>

#include "sandbox/boot/inherited.h"
#include "sandbox/control/control.h"

namespace caisson::sandbox::boot {

using control::decode_control;
using control::encode_control;

namespace {

plan::Plan plan_with_binds(std::initializer_list<const char*> targets) {
  plan::Plan plan;
  plan.sandbox.emplace();
  plan.mounts.root.path = "/images/web";
  for (const char* target : targets) {
    plan::MountStep step;
    step.op = plan::MountOp::kBind;
    step.source = "/data";
    step.target = target;
    plan.mounts.steps.push_back(step);
  }
  return plan;
}

std::vector<Fd> descriptors(int count) {
  std::vector<Fd> out;
  for (int i = 0; i < count; ++i) out.emplace_back(::dup(2));
  return out;
}

std::string cause(const Result<>& result) {
  return result ? std::string("no error") : result.error().message();
}

TEST(HostPlaces, RootFirstThenBindsInTheirOrder) {
  auto places = host_places(plan_with_binds({"/b", "/a"}));
  ASSERT_EQ(places.size(), 3U);
  EXPECT_TRUE(places[0].is_root);
  EXPECT_EQ(places[1].target, "/b");
  EXPECT_EQ(places[2].target, "/a");
}

TEST(HostPlaces, BindsWithinTheRootTakeNone) {
  auto plan = plan_with_binds({"/a"});
  plan.mounts.steps[0].source_in_root = true;
  EXPECT_EQ(host_places(plan).size(), 1U);
}

TEST(HostPlaces, WhatIsOverlaidIsNotWritten) {
  auto plan = plan_with_binds({});
  EXPECT_TRUE(host_places(plan)[0].writable);
  plan.sandbox->overlay_root = true;
  EXPECT_FALSE(host_places(plan)[0].writable);
}

TEST(Dispenser, TooFewAreNamed) {
  auto places = host_places(plan_with_binds({"/a", "/b"}));
  Dispenser dispenser(descriptors(2), places);
  EXPECT_NE(cause(dispenser.check()).find("/b"), std::string::npos);
}

TEST(Dispenser, TooManyAreAnError) {
  auto places = host_places(plan_with_binds({"/a"}));
  Dispenser dispenser(descriptors(3), places);
  EXPECT_NE(cause(dispenser.check()).find("left over"), std::string::npos);
}

TEST(Dispenser, HandsOutInOrderOnly) {
  auto places = host_places(plan_with_binds({"/a", "/b"}));
  Dispenser dispenser(descriptors(3), places);
  EXPECT_TRUE(dispenser.take("/").has_value());
  EXPECT_FALSE(dispenser.take("/b").has_value());
  EXPECT_TRUE(dispenser.take("/a").has_value());
  EXPECT_NE(cause(dispenser.check_empty()).find("/b"), std::string::npos);
  EXPECT_TRUE(dispenser.take("/b").has_value());
  EXPECT_TRUE(dispenser.check_empty().has_value());
  EXPECT_FALSE(dispenser.take("/c").has_value());
}

TEST(KernelArguments, SurviveTheWayOverAnExec) {
  KernelDescriptors numbers;
  numbers.plan = 7;
  numbers.control = 9;
  numbers.places = {11, -1, 12};
  auto words = to_arguments(kKernelName, numbers);
  auto read = from_arguments({words.begin(), words.end()});
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->plan, 7);
  EXPECT_EQ(read->strace, -1);
  EXPECT_EQ(read->places, numbers.places);
}

TEST(KernelArguments, RefuseWhatNobodyMeant) {
  EXPECT_FALSE(from_arguments({"caisson-sandbox"}).has_value());
  EXPECT_FALSE(from_arguments({"caisson-sandbox", "plan=1", "control=x"}).has_value());
  EXPECT_FALSE(from_arguments({"caisson-sandbox", "plan=1", "control=2", "more=3"}).has_value());
}

TEST(Control, MessagesSurvive) {
  auto bytes = encode_control(3, -5, "text");
  auto read = decode_control(bytes);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->kind, 3);
  EXPECT_EQ(read->value, -5);
  EXPECT_EQ(read->text, "text");
  for (std::size_t size = 0; size < bytes.size() - 4; ++size)
    EXPECT_FALSE(decode_control(std::string_view(bytes).substr(0, size)).has_value());
  bytes[0] = 'x';
  EXPECT_FALSE(decode_control(bytes).has_value());
}

}  // namespace
}  // namespace caisson::sandbox::boot

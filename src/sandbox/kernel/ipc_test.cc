#include <sys/ipc.h>

#include <cerrno>

#include <gtest/gtest.h>

#include "sandbox/kernel/ipc_namespace.h"

namespace caisson::sandbox::kernel {
namespace {

sembuf change(int number, int by, int flags = 0) {
  return {static_cast<unsigned short>(number), static_cast<short>(by), static_cast<short>(flags)};
}

Ref<SemaphoreSet> set_of(std::vector<int> values) {
  auto set = make_ref<SemaphoreSet>();
  for (int value : values) set->semaphores.push_back({value});
  return set;
}

int result_of(SemaphoreSet& set, std::vector<sembuf> operations) {
  std::size_t blocked = 99;
  auto done = set.operate(operations, 1, blocked);
  return done ? 0 : done.error().value;
}

TEST(Ipc, SemaphoresChangeAllTogetherOrNotAtAll) {
  auto set = set_of({1, 0});
  std::size_t blocked = 0;
  std::vector<sembuf> list{change(0, -1), change(1, -1)};
  EXPECT_EQ(set->operate(list, 1, blocked).error().value, EAGAIN);
  EXPECT_EQ(blocked, 1U);
  EXPECT_EQ(set->semaphores[0].value, 1);
  EXPECT_EQ(result_of(*set, {change(1, 2), change(1, -1), change(0, -1)}), 0);
  EXPECT_EQ(set->semaphores[0].value, 0);
  EXPECT_EQ(set->semaphores[1].value, 1);
  EXPECT_EQ(result_of(*set, {change(0, 0)}), 0);
  EXPECT_EQ(result_of(*set, {change(1, 0)}), EAGAIN);
  EXPECT_EQ(result_of(*set, {change(2, 1)}), EFBIG);
  EXPECT_EQ(result_of(*set, {change(1, SemaphoreSet::kMostValue)}), ERANGE);
}

TEST(Ipc, WhatATaskDidIsTakenBackAtItsEnd) {
  auto ipc = make_ref<IpcNamespace>();
  auto set = set_of({5, 0});
  {
    Locked lock(ipc->mutex);
    ASSERT_TRUE(ipc->semaphores.add(set).has_value());
  }
  {
    auto undo = make_ref<SemaphoreUndo>(ipc);
    std::vector<sembuf> list{change(0, -3, SEM_UNDO), change(1, 2, SEM_UNDO), change(1, 1)};
    ASSERT_EQ(result_of(*set, list), 0);
    undo->note(*set, list);
    EXPECT_EQ(set->semaphores[0].value, 2);
  }
  EXPECT_EQ(set->semaphores[0].value, 5);
  EXPECT_EQ(set->semaphores[1].value, 1);
}

TEST(Ipc, AValueThatWasSetIsNotTakenBack) {
  auto ipc = make_ref<IpcNamespace>();
  auto set = set_of({5});
  ASSERT_TRUE(ipc->semaphores.add(set).has_value());
  {
    auto undo = make_ref<SemaphoreUndo>(ipc);
    std::vector<sembuf> list{change(0, -3, SEM_UNDO)};
    ASSERT_EQ(result_of(*set, list), 0);
    undo->note(*set, list);
    for (SemaphoreUndo* each : ipc->undos) each->forget(*set, 0);
  }
  EXPECT_EQ(set->semaphores[0].value, 2);
}

TEST(Ipc, IdsOfObjectsThatAreGoneLeadNowhere) {
  IpcTable<MessageQueue> table(2);
  auto first = make_ref<MessageQueue>();
  int id = MUST(table.add(first));
  EXPECT_EQ(MUST(table.find(id)).get(), first.get());
  table.remove(*first);
  int next = MUST(table.add(make_ref<MessageQueue>()));
  EXPECT_NE(next, id);
  EXPECT_EQ(table.find(id).error().value, EINVAL);
  EXPECT_TRUE(table.add(make_ref<MessageQueue>()).has_value());
  EXPECT_EQ(table.add(make_ref<MessageQueue>()).error().value, ENOSPC);
}

TEST(Ipc, PermissionIsThatOfTheClass) {
  IpcPermission permission;
  permission.uid = permission.creator_uid = 1;
  permission.gid = permission.creator_gid = 2;
  permission.mode = 0640;
  auto who = make_ref<vfs::Credentials>();
  who->euid = 1;
  EXPECT_TRUE(permission.check(*who, nullptr, 0600).has_value());
  who->euid = 3;
  who->fsgid = who->egid = 2;
  EXPECT_TRUE(permission.check(*who, nullptr, 0400).has_value());
  EXPECT_EQ(permission.check(*who, nullptr, 0200).error().value, EACCES);
  who->egid = who->fsgid = 9;
  EXPECT_EQ(permission.check(*who, nullptr, 0400).error().value, EACCES);
  EXPECT_TRUE(permission.check(*vfs::Credentials::root(), nullptr, 0600).has_value());
}

TEST(Ipc, MessagesAreTakenByType) {
  MessageQueue queue;
  for (std::int64_t type : {3, 1, 2, 1}) queue.add({type, std::vector<std::byte>(4)});
  auto type_of = [&](MessageQueue::Wanted wanted) {
    wanted.most = 8;
    auto taken = queue.take(wanted);
    return taken ? taken->type : -taken.error().value;
  };
  EXPECT_EQ(type_of({.type = 2}), 2);
  EXPECT_EQ(type_of({.type = -2}), 1);
  EXPECT_EQ(type_of({.type = 3, .except = true}), 1);
  EXPECT_EQ(type_of({.type = 7}), -EAGAIN);
  EXPECT_EQ(queue.take({.most = 2}).error().value, E2BIG);
  EXPECT_EQ(MUST(queue.take({.any_size = true, .most = 2})).type, 3);
  EXPECT_EQ(queue.bytes, 0U);
}

TEST(Ipc, ASegmentGoesWithItsLastAttachment) {
  auto ipc = make_ref<IpcNamespace>();
  auto segment = make_ref<SharedSegment>(std::uint64_t{4096}, nullptr);
  ASSERT_TRUE(ipc->segments.add(segment).has_value());
  auto first = SegmentFile::attach(ipc, segment, 2, 7);
  auto second = first->inherited_by_mapping();
  EXPECT_EQ(segment->attachments, 2U);
  segment->doomed = true;
  first = nullptr;
  EXPECT_EQ(ipc->segments.size(), 1U);
  second = nullptr;
  EXPECT_EQ(ipc->segments.size(), 0U);
}

}  // namespace
}  // namespace caisson::sandbox::kernel

#include "container/store.h"

#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "container/fake_executor.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace caisson::container {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Ids, FollowTheRulesOfEngines) {
  for (auto id : {"a", "A-b_c+d.e", "..a", "0123456789abcdef"}) EXPECT_TRUE(check_id(id)) << id;
  EXPECT_TRUE(check_id(std::string(255, 'x')));
  EXPECT_THAT(check_id("").error().message(), HasSubstr("container id cannot be empty"));
  for (auto id : {".", "..", "a/b", "a b", "ä", "~new", "a\n"}) {
    auto checked = check_id(id);
    ASSERT_FALSE(checked) << id;
    EXPECT_THAT(checked.error().message(), HasSubstr("invalid container ID format"));
  }
  EXPECT_FALSE(check_id(std::string(256, 'x')));
}

TEST(Ids, AreDifferentEachTime) {
  EXPECT_EQ(random_id().size(), 12U);
  EXPECT_NE(random_id(), random_id());
}

TEST(Store, AnIdIsClaimedOnceAndWithItsConfiguration) {
  World world;
  auto claim = claim_folder(world.context, "web", "{config}");
  ASSERT_TRUE(claim) << claim.error().message();
  auto again = claim_folder(world.context, "web", "");
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().message(), HasSubstr("container with given ID already exists"));
  std::string config;
  auto state = load_state(claim->folder, {}, &config);
  EXPECT_EQ(config, "{config}");
  EXPECT_EQ(state->id, "web");
  EXPECT_EQ(state->progress, Progress::kCreating);
  EXPECT_GT(state->created, 0);
  EXPECT_EQ(sys::fstatat(sys::kCwd, claim->folder.journal.c_str())->st_mode & 0777U, 0600U);
  EXPECT_EQ(world.leftovers().size(), 1U);
}

TEST(Store, OneOfManyRacingClaimsWins) {
  World world;
  int winners = 0;
  std::vector<int> pids;
  for (int i = 0; i < 8; ++i) {
    int pid = fork_test_process();
    if (pid == 0) ::_exit(claim_folder(world.context, "web", "") ? 1 : 0);
    pids.push_back(pid);
  }
  for (int pid : pids) winners += WEXITSTATUS(wait_test_process(pid));
  EXPECT_EQ(winners, 1);
  EXPECT_EQ(world.leftovers().size(), 1U);
}

TEST(Store, AMissingContainerIsSaidInTheWordsOfEngines) {
  World world;
  auto folder = open_folder(world.context, "none");
  ASSERT_FALSE(folder);
  EXPECT_THAT(folder.error().message(), HasSubstr("container does not exist"));
  EXPECT_EQ(folder.error().code(), "container.missing");
}

// Another process that holds the lock of "web" until `release` is written to.
struct Holder {
  int pid;
  sys::SocketPair pair;
};
Holder hold_lock(World& world) {
  Holder holder{0, std::move(*sys::socket_pair())};
  holder.pid = fork_test_process();
  if (holder.pid == 0) {
    auto folder = open_folder(world.context, "web");
    auto lock = lock_folder(world.context, *folder);
    (void)sys::send_message(holder.pair.second, lock ? "locked" : "failed");
    (void)sys::receive_message(holder.pair.second);
    ::_exit(0);
  }
  (void)sys::receive_message(holder.pair.first);
  return holder;
}

TEST(Store, ALockNamesItsHolderWhenItIsNotGivenUpInTime) {
  World world;
  world.context.lock_timeout_ms = 50;
  claim_folder(world.context, "web", "")->lock.release();
  auto holder = hold_lock(world);
  auto folder = open_folder(world.context, "web");
  auto lock = lock_folder(world.context, *folder);
  ASSERT_FALSE(lock);
  EXPECT_THAT(lock.error().message(), HasSubstr(cat("pid ", holder.pid)));
  EXPECT_EQ(lock.error().code(), "container.locked");
  EXPECT_EQ(*folder_lock_holder(*folder), holder.pid);
  (void)sys::send_message(holder.pair.first, "go");
  wait_test_process(holder.pid);
  EXPECT_TRUE(lock_folder(world.context, *folder));
}

TEST(Store, ALockDiesWithItsHolder) {
  World world;
  claim_folder(world.context, "web", "")->lock.release();
  auto holder = hold_lock(world);
  (void)sys::kill(holder.pid, SIGKILL);
  auto folder = open_folder(world.context, "web");
  EXPECT_TRUE(lock_folder(world.context, *folder));
  wait_test_process(holder.pid);
}

TEST(Store, AChildDoesNotKeepTheLockOfItsParent) {
  World world;
  auto claim = claim_folder(world.context, "web", "");
  int pid = fork_test_process();
  if (pid == 0) {
    pause_ms(10'000);
    ::_exit(0);
  }
  claim->lock.release();
  EXPECT_EQ(*folder_lock_holder(claim->folder), 0);
  (void)sys::kill(pid, SIGKILL);
  wait_test_process(pid);
}

TEST(Store, AnEmbeddedLockKeepsOtherCallsOfTheSameProcessOut) {
  World world;
  world.context.embedded = true;
  world.context.lock_timeout_ms = 20;
  auto claim = claim_folder(world.context, "web", "");
  // Looking at it opens the journal and closes it again, which a lock of the process would not
  // bear.
  (void)load_state(claim->folder);
  auto folder = open_folder(world.context, "web");
  auto second = lock_folder(world.context, *folder);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), "container.locked");
  EXPECT_EQ(*folder_lock_holder(*folder), -1);
  claim->lock.release();
  EXPECT_TRUE(lock_folder(world.context, *folder));
}

TEST(Store, AnEmbeddedLockAndACommandsLockExcludeEachOther) {
  World world;
  world.context.lock_timeout_ms = 20;
  claim_folder(world.context, "web", "")->lock.release();
  auto holder = hold_lock(world);
  world.context.embedded = true;
  auto folder = open_folder(world.context, "web");
  EXPECT_FALSE(lock_folder(world.context, *folder));
  EXPECT_EQ(*folder_lock_holder(*folder), holder.pid);
  (void)sys::send_message(holder.pair.first, "go");
  wait_test_process(holder.pid);
  EXPECT_TRUE(lock_folder(world.context, *folder));
}

TEST(Store, AChildDoesNotKeepAnEmbeddedLockOfItsParent) {
  World world;
  world.context.embedded = true;
  auto claim = claim_folder(world.context, "web", "");
  int pid = fork_test_process();
  if (pid == 0) {
    pause_ms(10'000);
    ::_exit(0);
  }
  claim->lock.release();
  EXPECT_EQ(*folder_lock_holder(claim->folder), 0);
  (void)sys::kill(pid, SIGKILL);
  wait_test_process(pid);
}

TEST(Store, TheLockOfARemovedContainerIsNotGiven) {
  World world;
  auto claim = claim_folder(world.context, "web", "");
  auto folder = open_folder(world.context, "web");
  ASSERT_TRUE(remove_folder(claim->folder, claim->lock));
  auto lock = lock_folder(world.context, *folder);
  ASSERT_FALSE(lock);
  EXPECT_EQ(lock.error().code(), "container.missing");
  EXPECT_THAT(world.leftovers(), IsEmpty());
}

TEST(Store, WhatIsOfAnotherProgramIsLeftAlone) {
  World world;
  ASSERT_TRUE(sys::make_directories(cat(world.context.root, "/web/other"), 0700));
  ASSERT_TRUE(sys::write_atomically(sys::kCwd, cat(world.context.root, "/db").c_str(), ""));
  EXPECT_EQ(load_state(*open_folder(world.context, "web")).error().code(), "container.broken");
  EXPECT_EQ(lock_folder(world.context, *open_folder(world.context, "web")).error().code(),
            "container.broken");
  EXPECT_EQ(load_state(*open_folder(world.context, "db")).error().code(), "container.missing");
  for (auto id : {"web", "db"}) {
    EXPECT_EQ(claim_folder(world.context, id, "").error().code(), "container.exists") << id;
  }
  EXPECT_EQ(world.leftovers().size(), 2U);
}

// Whoever meets a journal without a State that nobody holds takes it away.
TEST(Store, AClaimSurvivesThoseWhoCleanUp) {
  World world;
  ASSERT_TRUE(sys::make_directories(world.context.root, 0700));
  int remover = fork_test_process();
  if (remover == 0) {
    (void)sys::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    for (;;) {
      auto folder = open_folder(world.context, "web");
      if (!folder) continue;
      auto lock = try_lock_folder(world.context, *folder);
      if (lock && lock->held()) (void)remove_folder(*folder, *lock);
    }
  }
  for (int i = 0; i < 300; ++i) {
    auto claim = claim_folder(world.context, "web", "{}");
    ASSERT_TRUE(claim) << claim.error().message();
    ASSERT_TRUE(still_linked(claim->folder));
    ASSERT_TRUE(remove_folder(claim->folder, claim->lock));
  }
  (void)sys::kill(remover, SIGKILL);
  wait_test_process(remover);
  EXPECT_THAT(world.leftovers(), IsEmpty());
}

TEST(Store, OnlyWhatNeedsAFolderMakesOne) {
  World world;
  auto claim = claim_folder(world.context, "web", "");
  EXPECT_EQ(read_in_folder(claim->folder, "exit").error().value, ENOENT);
  EXPECT_EQ(world.leftovers().size(), 1U);
  ASSERT_TRUE(save_exit(claim->folder, Exit{true, 7, 0, false, 1}));
  EXPECT_EQ(world.leftovers().size(), 2U);
  ASSERT_TRUE(remove_folder(claim->folder, claim->lock));
  EXPECT_THAT(world.leftovers(), IsEmpty());
}

TEST(Store, TheFirstExitCounts) {
  World world;
  auto claim = claim_folder(world.context, "web", "");
  EXPECT_FALSE(load_exit(claim->folder)->has_value());
  ASSERT_TRUE(save_exit(claim->folder, Exit{true, 7, 0, false, 1}));
  ASSERT_TRUE(save_exit(claim->folder, Exit{true, 8, 0, false, 2}));
  EXPECT_EQ((*load_exit(claim->folder))->code, 7);
}

}  // namespace
}  // namespace caisson::container

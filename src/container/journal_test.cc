#include "container/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "container/fake_executor.h"
#include "sys/file.h"

namespace caisson::container {
namespace {

using plan::Undo;
using ::testing::ElementsAre;

class JournalTest : public ::testing::Test {
 protected:
  ScratchDirectory scratch_;
  Fd file_ = std::move(*sys::openat(sys::kCwd, cat(scratch_.path(), "/journal").c_str(),
                                    O_RDWR | O_APPEND | O_CREAT, 0600));
  Journal journal_{file_};

  void SetUp() override { ASSERT_TRUE(record_config(file_, "{\nundone\n}")); }
  void append(std::string_view bytes) { ASSERT_TRUE(sys::write_all(file_, bytes)); }
};

TEST_F(JournalTest, KeepsTheOrderAndOddNames) {
  Undo first{Undo::Kind::kRemoveCgroup, "/sys/fs/cgroup/a b\nc\\d"};
  Undo second{Undo::Kind::kUnlink, "/x"}, third{Undo::Kind::kUnmount, "/m"};
  ASSERT_TRUE(journal_.record({first, second}));
  ASSERT_TRUE(journal_.record({third}));
  auto read = read_journal(file_);
  ASSERT_TRUE(read);
  EXPECT_THAT(read->undos, ElementsAre(first, second, third));
}

TEST_F(JournalTest, BeginsWithTheConfiguration) {
  auto read = read_journal(file_);
  EXPECT_EQ(read->config, "{\nundone\n}");
  EXPECT_TRUE(read->undos.empty());
  EXPECT_FALSE(read->foreign);
}

TEST_F(JournalTest, AnythingElseIsNoJournal) {
  for (auto text :
       {"", "{}", "config", "config 3\n{}", "config x\n{}\n", "config 1", "\nundone\n"}) {
    EXPECT_TRUE(parse_journal(text).foreign) << text;
  }
  EXPECT_FALSE(parse_journal("config 2\n{}").foreign);
}

TEST_F(JournalTest, LeavesOutWhatAKillToreApart) {
  append("\nunlink /a\nremove-cgroup /sys/fs/cg");
  auto read = read_journal(file_);
  ASSERT_TRUE(read);
  EXPECT_THAT(read->undos, ElementsAre(Undo{Undo::Kind::kUnlink, "/a"}));
}

TEST_F(JournalTest, GoesOnAfterATornLine) {
  append("\nremove-cg");
  ASSERT_TRUE(journal_.record({{Undo::Kind::kUnlink, "/b"}}));
  auto read = read_journal(file_);
  ASSERT_TRUE(read);
  EXPECT_THAT(read->undos, ElementsAre(Undo{Undo::Kind::kUnlink, "/b"}));
}

TEST_F(JournalTest, TheLastWholeStateCounts) {
  State state;
  state.id = "web";
  ASSERT_TRUE(record_state(file_, state));
  state.id = "next";
  ASSERT_TRUE(record_state(file_, state));
  append("\nstate {\"version\":1,\"id\":\"torn");
  auto read = read_journal(file_);
  ASSERT_TRUE(read);
  EXPECT_EQ(parse_state(read->state, "journal")->id, "next");
}

class RecordingExecutor : public FakeExecutor {
 public:
  using FakeExecutor::FakeExecutor;
  Result<> undo(const Undo& change) override {
    undone.push_back(change.target);
    if (change.target == failing) return std::unexpected(Error(Errno{EBUSY}));
    return {};
  }
  Strings undone;
  std::string failing;
};

TEST_F(JournalTest, TakesBackTheLastFirstAndIsEmptyThen) {
  ASSERT_TRUE(journal_.record({{Undo::Kind::kUnlink, "/1"}, {Undo::Kind::kUnlink, "/2"}}));
  RecordingExecutor executor(scratch_.path());
  ASSERT_TRUE(undo_journal(executor, file_));
  EXPECT_THAT(executor.undone, ElementsAre("/2", "/1"));
  EXPECT_TRUE(undo_journal(executor, file_));
  EXPECT_EQ(executor.undone.size(), 2U);
}

TEST_F(JournalTest, StaysWhenSomethingCannotBeTakenBackYet) {
  ASSERT_TRUE(journal_.record({{Undo::Kind::kUnlink, "/1"}, {Undo::Kind::kUnlink, "/2"}}));
  RecordingExecutor executor(scratch_.path());
  executor.failing = "/2";
  EXPECT_FALSE(undo_journal(executor, file_));
  EXPECT_THAT(executor.undone, ElementsAre("/2", "/1"));
  executor.failing.clear();
  EXPECT_TRUE(undo_journal(executor, file_));
}

}  // namespace
}  // namespace caisson::container

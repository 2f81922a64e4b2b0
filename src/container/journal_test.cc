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
  Fd dir_ = std::move(*sys::openat(sys::kCwd, scratch_.path().c_str(), O_RDONLY | O_DIRECTORY));

  void append(std::string_view bytes) {
    auto file = sys::openat(dir_, "journal", O_WRONLY | O_APPEND | O_CREAT, 0600);
    ASSERT_TRUE(file && sys::write_all(*file, bytes));
  }
};

TEST_F(JournalTest, KeepsTheOrderAndOddNames) {
  Undo first{Undo::Kind::kRemoveCgroup, "/sys/fs/cgroup/a b\nc\\d"};
  Undo second{Undo::Kind::kUnlink, "/x"}, third{Undo::Kind::kUnmount, "/m"};
  {
    auto journal = Journal::open(dir_);
    ASSERT_TRUE(journal);
    ASSERT_TRUE(journal->record({first, second}));
    ASSERT_TRUE(journal->record({third}));
  }
  auto read = read_journal(dir_);
  ASSERT_TRUE(read);
  EXPECT_THAT(*read, ElementsAre(first, second, third));
}

TEST_F(JournalTest, IsEmptyWithoutAFile) { EXPECT_TRUE(read_journal(dir_)->empty()); }

TEST_F(JournalTest, LeavesOutWhatAKillToreApart) {
  append("\nunlink /a\nremove-cgroup /sys/fs/cg");
  auto read = read_journal(dir_);
  ASSERT_TRUE(read);
  EXPECT_THAT(*read, ElementsAre(Undo{Undo::Kind::kUnlink, "/a"}));
}

TEST_F(JournalTest, GoesOnAfterATornLine) {
  append("\nremove-cg");
  auto journal = Journal::open(dir_);
  ASSERT_TRUE(journal && journal->record({{Undo::Kind::kUnlink, "/b"}}));
  auto read = read_journal(dir_);
  ASSERT_TRUE(read);
  EXPECT_THAT(*read, ElementsAre(Undo{Undo::Kind::kUnlink, "/b"}));
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

TEST_F(JournalTest, TakesBackTheLastFirstAndIsGoneThen) {
  auto journal = Journal::open(dir_);
  ASSERT_TRUE(journal->record({{Undo::Kind::kUnlink, "/1"}, {Undo::Kind::kUnlink, "/2"}}));
  RecordingExecutor executor(scratch_.path());
  ASSERT_TRUE(undo_journal(executor, dir_));
  EXPECT_THAT(executor.undone, ElementsAre("/2", "/1"));
  EXPECT_TRUE(undo_journal(executor, dir_));
  EXPECT_EQ(executor.undone.size(), 2U);
}

TEST_F(JournalTest, StaysWhenSomethingCannotBeTakenBackYet) {
  auto journal = Journal::open(dir_);
  ASSERT_TRUE(journal->record({{Undo::Kind::kUnlink, "/1"}, {Undo::Kind::kUnlink, "/2"}}));
  RecordingExecutor executor(scratch_.path());
  executor.failing = "/2";
  EXPECT_FALSE(undo_journal(executor, dir_));
  EXPECT_THAT(executor.undone, ElementsAre("/2", "/1"));
  executor.failing.clear();
  EXPECT_TRUE(undo_journal(executor, dir_));
}

}  // namespace
}  // namespace caisson::container

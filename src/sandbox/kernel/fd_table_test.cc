#include "sandbox/kernel/fd_table.h"

#include <gtest/gtest.h>

namespace caisson::sandbox::kernel {
namespace {

class CountingFile final : public vfs::File {
 public:
  explicit CountingFile(int& closed) : File({}, nullptr, 0), closed_(closed) {}
  void descriptor_closed(vfs::Caller*) override { ++closed_; }

 private:
  int& closed_;
};

class Descriptors : public testing::Test {
 protected:
  Ref<vfs::File> file() { return Ref<vfs::File>(make_ref<CountingFile>(closed_)); }
  int add(int least = 0) { return *table_->add(file(), false, 16, least); }
  int closed_ = 0;
  Ref<FdTable> table_ = make_ref<FdTable>();
};

TEST_F(Descriptors, LowestFreeNumberIsTaken) {
  EXPECT_EQ(add(), 0);
  EXPECT_EQ(add(), 1);
  EXPECT_EQ(add(), 2);
  EXPECT_TRUE(table_->close(1, nullptr));
  EXPECT_EQ(add(), 1);
  EXPECT_EQ(add(), 3);
}

TEST_F(Descriptors, LeastNumberIsHeld) {
  EXPECT_EQ(add(5), 5);
  EXPECT_EQ(add(5), 6);
  EXPECT_EQ(add(), 0);
  EXPECT_EQ(add(), 1);
}

TEST_F(Descriptors, LimitIsEMFILE) {
  EXPECT_EQ(table_->add(file(), false, 0).error().value, EMFILE);
  EXPECT_EQ(table_->add(file(), false, 5, 5).error().value, EMFILE);
}

TEST_F(Descriptors, UnknownNumbersAreEBADF) {
  for (int fd : {-1, 0, 1000}) {
    EXPECT_EQ(table_->get(fd).error().value, EBADF);
    EXPECT_EQ(table_->close(fd, nullptr).error().value, EBADF);
    EXPECT_EQ(table_->is_close_on_exec(fd).error().value, EBADF);
    EXPECT_EQ(table_->set_close_on_exec(fd, true).error().value, EBADF);
  }
  EXPECT_EQ(table_->put(16, file(), false, 16, nullptr).error().value, EBADF);
  EXPECT_EQ(table_->put(-1, file(), false, 16, nullptr).error().value, EBADF);
}

TEST_F(Descriptors, PutClosesWhatWasThere) {
  add();
  EXPECT_TRUE(table_->put(0, file(), true, 16, nullptr));
  EXPECT_EQ(closed_, 1);
  EXPECT_TRUE(*table_->is_close_on_exec(0));
}

TEST_F(Descriptors, ExecutionClosesThoseMarked) {
  add();
  (void)table_->add(file(), true, 16);
  add();
  table_->close_on_exec(nullptr);
  EXPECT_EQ(table_->numbers(), (std::vector<int>{0, 2}));
  EXPECT_EQ(closed_, 1);
  EXPECT_EQ(add(), 1);
}

TEST_F(Descriptors, RangesCloseAndMark) {
  for (int i = 0; i < 6; ++i) add();
  table_->set_close_on_exec_range(4, ~0U);
  EXPECT_TRUE(*table_->is_close_on_exec(5));
  EXPECT_FALSE(*table_->is_close_on_exec(3));
  table_->close_range(1, 3, nullptr);
  EXPECT_EQ(table_->numbers(), (std::vector<int>{0, 4, 5}));
  EXPECT_EQ(closed_, 3);
}

TEST_F(Descriptors, CopyIsApart) {
  add();
  Ref<FdTable> copy = table_->copy();
  EXPECT_TRUE(copy->close(0, nullptr));
  EXPECT_TRUE(table_->get(0));
}

TEST_F(Descriptors, LastUserClosesAll) {
  add();
  table_->add_user();
  table_->add_user();
  EXPECT_TRUE(table_->is_shared());
  table_->drop_user(nullptr);
  EXPECT_EQ(closed_, 0);
  table_->drop_user(nullptr);
  EXPECT_EQ(closed_, 1);
}

TEST(FsContext, UmaskKeepsPermissionBitsOnly) {
  auto fs = make_ref<FsContext>(vfs::Path{}, vfs::Path{}, 022U);
  EXPECT_EQ(fs->set_umask(07777), 022U);
  EXPECT_EQ(fs->umask(), 0777U);
  EXPECT_EQ(fs->copy()->umask(), 0777U);
}

}  // namespace
}  // namespace caisson::sandbox::kernel

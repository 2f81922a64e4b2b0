#include <fcntl.h>
#include <poll.h>

#include <gtest/gtest.h>

#include "sandbox/fs/pipe/pipe_file.h"
#include "sandbox/fs/special.h"
#include "sandbox/fs/test_caller.h"

namespace caisson::sandbox::fs {
namespace {

class Pipes : public testing::Test {
 protected:
  Pipes() : pair_(PipePair::create(O_NONBLOCK, caller_.credentials())) {}
  FakeCaller caller_;
  PipePair pair_;
};

TEST_F(Pipes, BothEndsHaveTheSameOwnerAndMode) {
  vfs::AttributeChange change;
  change.mode = 0640;
  change.uid = 7;
  EXPECT_TRUE(pair_.reader->change(change).has_value());
  EXPECT_EQ(pair_.writer->attributes()->mode, static_cast<std::uint32_t>(S_IFIFO | 0640));
  EXPECT_EQ(pair_.writer->attributes()->uid, 7U);
  change.size = 1;
  EXPECT_EQ(pair_.reader->change(change).error().value, EINVAL);
}

TEST_F(Pipes, CannotBeSoughtOrReadAtAPlace) {
  EXPECT_EQ(pair_.reader->seek(0, SEEK_CUR).error().value, ESPIPE);
  std::byte byte{};
  auto to = vfs::IoBuffer::of(std::span(&byte, 1));
  EXPECT_EQ(pair_.reader->read_at(to, 0, caller_).error().value, ESPIPE);
}

TEST_F(Pipes, ABadAddressLosesNothing) {
  EXPECT_EQ(caller_.write(*pair_.writer, "abc"), 3);
  vfs::IoBuffer nowhere(caller_.memory(), 1, 3);
  EXPECT_EQ(pair_.reader->read(nowhere, caller_).error().value, EFAULT);
  EXPECT_EQ(caller_.read(*pair_.reader), "abc");
  vfs::IoBuffer half(caller_.memory(), caller_.memory().end() - 2, 4);
  EXPECT_EQ(FakeCaller::result(pair_.writer->write(half, caller_)), 2);
}

TEST_F(Pipes, MoreThanTheLimitNeedsAPrivilege) {
  auto weak = caller_.credentials().copy();
  weak->effective = 0;
  FakeCaller user(weak);
  EXPECT_EQ(pair_.reader->control(user, F_SETPIPE_SZ, 2 << 20).error().value, EPERM);
  EXPECT_EQ(*pair_.reader->control(caller_, F_SETPIPE_SZ, 2 << 20), 2 << 20);
  EXPECT_EQ(*pair_.writer->control(user, F_GETPIPE_SZ, 0), 2 << 20);
  EXPECT_EQ(*pair_.writer->control(user, F_SETPIPE_SZ, 1), 4096);
}

TEST_F(Pipes, FillAndDrainOtherFiles) {
  auto other = PipePair::create(O_NONBLOCK, caller_.credentials());
  Pipe& pipe = vfs::file_as<PipeFile>(*pair_.reader)->pipe();
  EXPECT_EQ(caller_.write(*other.writer, "through"), 7);
  EXPECT_EQ(FakeCaller::result(pipe.fill_from(*other.reader, std::nullopt, 4, caller_)), 4);
  EXPECT_EQ(FakeCaller::result(pipe.drain_to(*other.writer, std::nullopt, 100, caller_)), 4);
  EXPECT_EQ(caller_.read(*other.reader), "ughthro");
  EXPECT_EQ(FakeCaller::result(pipe.drain_to(*other.writer, std::nullopt, 100, caller_)), -EAGAIN);
}

TEST_F(Pipes, AnEndIsHeardOf) {
  CountingEntry entry;
  pair_.reader->wait_queue()->add(entry);
  pair_.writer = nullptr;
  EXPECT_EQ(entry.count, 1);
  EXPECT_EQ(pair_.reader->ready(), static_cast<vfs::ReadyMask>(POLLHUP));
  EXPECT_EQ(caller_.read(*pair_.reader), "");
}

// --- FIFOs

class NodeInode final : public vfs::Inode {
 public:
  explicit NodeInode(vfs::Filesystem& filesystem) : Inode(filesystem, S_IFIFO) {}
  ErrnoOr<vfs::Attributes> attributes() override { return vfs::Attributes{}; }
  ErrnoOr<> change(const vfs::AttributeChange&) override { return {}; }
  ErrnoOr<Ref<vfs::File>> open(const vfs::Path&, vfs::OpenFlags, vfs::Caller&) override {
    return std::unexpected(Errno{ENXIO});
  }
};

class NoFilesystem final : public vfs::Filesystem {
 public:
  NoFilesystem() : Filesystem("none") {}
  Ref<vfs::Inode> root() override { return {}; }
  ErrnoOr<vfs::FilesystemStatus> status() override { return vfs::FilesystemStatus{}; }
};

class Fifos : public testing::Test {
 protected:
  Ref<vfs::File> open(std::uint32_t flags) {
    auto file = node_->open({}, inode_, flags);
    EXPECT_TRUE(file.has_value());
    return file ? *file : nullptr;
  }
  FakeCaller caller_;
  Ref<NoFilesystem> filesystem_ = make_ref<NoFilesystem>();
  Ref<vfs::Inode> inode_ = make_ref<NodeInode>(*filesystem_);
  Ref<FifoNode> node_ = make_fifo_node();
};

TEST_F(Fifos, OneSideWaitsForTheOther) {
  auto reader = open(O_RDONLY);
  EXPECT_EQ(reader->finish_open().error().value, EAGAIN);
  auto writer = open(O_WRONLY);
  EXPECT_TRUE(writer->finish_open().has_value());
  EXPECT_TRUE(reader->finish_open().has_value());
}

TEST_F(Fifos, AWriterThatCameAndWentWasThere) {
  auto reader = open(O_RDONLY);
  open(O_WRONLY) = nullptr;
  EXPECT_TRUE(reader->finish_open().has_value());
  EXPECT_NE(reader->ready() & POLLHUP, 0U);
}

TEST_F(Fifos, NobodyWaitsWithoutBlocking) {
  EXPECT_EQ(node_->open({}, inode_, O_WRONLY | O_NONBLOCK).error().value, ENXIO);
  auto reader = open(O_RDONLY | O_NONBLOCK);
  EXPECT_TRUE(reader->finish_open().has_value());
  EXPECT_EQ(reader->ready(), 0U);  // no hang-up before there was a writer
  EXPECT_EQ(caller_.read(*reader), "");
  auto writer = open(O_WRONLY | O_NONBLOCK);
  EXPECT_EQ(caller_.read(*reader), "E11");
}

TEST_F(Fifos, BothSidesAtOnceNeedNobody) {
  auto both = open(O_RDWR);
  EXPECT_TRUE(both->finish_open().has_value());
  EXPECT_EQ(caller_.write(*both, "x"), 1);
  EXPECT_EQ(caller_.read(*both), "x");
}

TEST_F(Fifos, ContentsGoWithTheLastEnd) {
  auto both = open(O_RDWR);
  EXPECT_EQ(caller_.write(*both, "x"), 1);
  both = nullptr;
  auto reader = open(O_RDONLY | O_NONBLOCK);
  EXPECT_EQ(caller_.read(*reader), "");
}

}  // namespace
}  // namespace caisson::sandbox::fs

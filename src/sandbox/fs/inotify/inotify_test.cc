#include "sandbox/fs/inotify/inotify.h"

#include <fcntl.h>
#include <sys/inotify.h>

#include <cstring>

#include <gtest/gtest.h>

#include "base/text.h"
#include "sandbox/fs/kernel_fixture_test.h"
#include "sandbox/fs/test_caller.h"
#include "sandbox/fs/tmpfs/tmp_filesystem.h"

namespace caisson::sandbox::fs {
namespace {

class Inotify : public KernelFixture {
 protected:
  Inotify() {
    task_ = start(TmpFilesystem::create(MUST(FileMemory::create()), nullptr, TmpOptions{}));
    file_ = MUST(InotifyFile::create(*kernel_, 0, O_RDONLY));
  }
  vfs::WalkContext here() { return *task_->walk_context(AT_FDCWD); }
  int watch(std::string_view path, std::uint32_t mask) {
    auto number = file_->watch(MUST(vfs::walk(here(), path, {})), mask);
    return number ? *number : -number.error().value;
  }
  void make(std::string_view path) {
    EXPECT_TRUE(vfs::open(here(), path, {.flags = O_CREAT | O_WRONLY, .mode = 0644}).has_value());
  }
  // "1:100 name ..." in hexadecimal.
  std::string events(std::size_t room = 65536) {
    std::string bytes(room, '\0');
    auto to = vfs::IoBuffer::of(std::as_writable_bytes(std::span(bytes)));
    auto got = file_->read(to, *task_);
    if (!got) return cat("E", got.error().value);
    std::string text;
    for (std::size_t at = 0; at < *got;) {
      inotify_event event{};
      std::memcpy(&event, bytes.data() + at, sizeof event);
      text += cat(event.wd, ":", hex(event.mask));
      if (event.len != 0) text += cat(" ", bytes.data() + at + sizeof event);
      text += ";";
      at += sizeof event + event.len;
    }
    return text;
  }
  Ref<kernel::Task> task_;
  Ref<InotifyFile> file_;
};

TEST_F(Inotify, TellsOfNamesInADirectory) {
  EXPECT_TRUE(vfs::make_directory(here(), "d", 0755).has_value());
  EXPECT_EQ(watch("d", IN_CREATE | IN_DELETE | IN_MOVE), 1);
  make("d/x");
  EXPECT_TRUE(vfs::rename(here(), "d/x", here(), "d/y", 0).has_value());
  EXPECT_TRUE(vfs::make_directory(here(), "d/e", 0755).has_value());
  EXPECT_TRUE(vfs::unlink(here(), "d/y").has_value());
  EXPECT_EQ(events(), "1:100 x;1:40 x;1:80 y;1:40000100 e;1:200 y;");
  EXPECT_EQ(events(), "E11");
}

TEST_F(Inotify, TellsOfAFileAndItsEnd) {
  make("x");
  EXPECT_EQ(watch("x", IN_ALL_EVENTS), 1);
  {
    auto opened = vfs::open(here(), "x", {.flags = O_WRONLY});
  }
  EXPECT_TRUE(vfs::unlink(here(), "x").has_value());
  EXPECT_EQ(events(), "1:20;1:8;1:4;1:400;1:8000;");
  EXPECT_EQ(file_->remove(1).error().value, EINVAL);
}

TEST_F(Inotify, AnOpenFileOutlivesItsName) {
  make("x");
  EXPECT_EQ(watch("x", IN_DELETE_SELF), 1);
  {
    auto opened = vfs::open(here(), "x", {.flags = O_WRONLY});
    EXPECT_TRUE(vfs::unlink(here(), "x").has_value());
    EXPECT_EQ(events(), "E11");
  }
  EXPECT_EQ(events(), "1:400;1:8000;");
}

TEST_F(Inotify, OneEventAndNoMore) {
  EXPECT_EQ(watch("/", IN_CREATE | IN_ONESHOT), 1);
  make("x");
  make("y");
  EXPECT_EQ(events(), "1:100 x;1:8000;");
  EXPECT_EQ(watch("/", IN_CREATE), 2);
}

TEST_F(Inotify, JoinsEqualEventsAndOverflows) {
  make("x");
  EXPECT_EQ(watch("x", IN_MODIFY | IN_ATTRIB), 1);
  vfs::Path place = MUST(vfs::walk(here(), "x", {}));
  for (int i = 0; i < 3; ++i) vfs::tell_of(place, IN_MODIFY);
  EXPECT_EQ(events(), "1:2;");
  for (std::size_t i = 0; i < kMostInotifyEvents; ++i)
    vfs::tell_of(place, i % 2 == 0 ? IN_MODIFY : IN_ATTRIB);
  for (int i = 0; i < 3; ++i) vfs::tell_of(place, IN_MODIFY);
  std::string all = events(std::size_t{1} << 20);
  EXPECT_TRUE(all.ends_with("1:4;-1:4000;")) << all.substr(all.size() - 40);
}

TEST_F(Inotify, MasksAreReplacedOrAdded) {
  EXPECT_EQ(watch("/", IN_CREATE), 1);
  EXPECT_EQ(watch("/", IN_DELETE), 1);
  make("x");
  EXPECT_EQ(watch("/", IN_CREATE | IN_MASK_ADD), 1);
  make("y");
  EXPECT_TRUE(vfs::unlink(here(), "y").has_value());
  EXPECT_EQ(events(), "1:100 y;1:200 y;");
  EXPECT_EQ(watch("/", IN_CREATE | IN_MASK_CREATE), -EEXIST);
}

TEST_F(Inotify, RemovedNamesCanBeLeftOut) {
  make("x");
  EXPECT_EQ(watch("/", IN_CLOSE | IN_EXCL_UNLINK), 1);
  {
    auto opened = vfs::open(here(), "x", {.flags = O_WRONLY});
    EXPECT_TRUE(vfs::unlink(here(), "x").has_value());
  }
  EXPECT_EQ(events(), "E11");
}

TEST_F(Inotify, TooSmallABufferTakesNothing) {
  EXPECT_EQ(watch("/", IN_CREATE), 1);
  make("name");
  EXPECT_EQ(events(sizeof(inotify_event)), "E22");
  EXPECT_EQ(events(), "1:100 name;");
}

TEST_F(Inotify, InstancesAreLimitedPerUser) {
  std::vector<Ref<InotifyFile>> instances;
  for (std::uint64_t i = 0; i < kMostInotifyInstances; ++i)
    instances.push_back(MUST(InotifyFile::create(*kernel_, 7, O_RDONLY)));
  EXPECT_EQ(InotifyFile::create(*kernel_, 7, O_RDONLY).error().value, EMFILE);
  EXPECT_TRUE(InotifyFile::create(*kernel_, 8, O_RDONLY).has_value());
  instances.clear();
  EXPECT_TRUE(InotifyFile::create(*kernel_, 7, O_RDONLY).has_value());
}

TEST_F(Inotify, TheEndOfAFileSystemEndsItsWatches) {
  EXPECT_TRUE(vfs::make_directory(here(), "m", 0755).has_value());
  {
    Ref<vfs::Filesystem> other =
        TmpFilesystem::create(MUST(FileMemory::create()), nullptr, TmpOptions{});
    auto root = vfs::Dentry::make_root(other->root());
    auto mount = make_ref<vfs::Mount>(other, root, std::uint64_t{0}, std::string("tmp"));
    ASSERT_TRUE(mounts_->attach(std::move(mount), MUST(vfs::walk(here(), "m", {}))).has_value());
  }
  EXPECT_EQ(watch("m", IN_CREATE), 1);
  ASSERT_TRUE(mounts_->detach(MUST(vfs::walk(here(), "m", {})), 0).has_value());
  EXPECT_EQ(events(), "1:2000;1:8000;");
}

}  // namespace
}  // namespace caisson::sandbox::fs

#include "gofer/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "base/text.h"
#include "sys/file_at.h"

namespace caisson::gofer {
namespace {

class GoferFiles : public ::testing::Test {
 protected:
  GoferFiles() {
    std::string name = ::testing::TempDir() + "caisson-gofer-XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    top_ = name;
    make_directory("mount");
    make_directory("outside");
    write("outside/secret", "secret");
  }
  ~GoferFiles() override { (void)sys::remove_tree(sys::kCwd, top_.c_str()); }

  std::string at(std::string_view name) const { return cat(top_, "/", name); }
  void write(std::string_view name, std::string_view text) const {
    Fd file = MUST(sys::openat(sys::kCwd, at(name).c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644));
    MUST(sys::write_all(file, text));
  }
  void make_directory(std::string_view name) const {
    MUST(sys::mkdirat(sys::kCwd, at(name).c_str(), 0755));
  }
  std::string read(std::string_view name) const {
    return MUST(sys::read_file(sys::kCwd, at(name).c_str()));
  }
  struct stat stat(std::string_view name) const {
    return MUST(sys::fstatat(sys::kCwd, at(name).c_str(), AT_SYMLINK_NOFOLLOW));
  }
  bool has(std::string_view name) const {
    return sys::fstatat(sys::kCwd, at(name).c_str(), AT_SYMLINK_NOFOLLOW).has_value();
  }
  Files& files() {
    if (files_.mounts().empty()) mount({});
    return files_;
  }
  void mount(Mount options) {
    options.root = MUST(sys::openat(sys::kCwd, at("mount").c_str(), O_PATH | O_DIRECTORY));
    std::vector<Mount> mounts;
    mounts.push_back(std::move(options));
    files_ = Files(std::move(mounts));
  }
  Answer ask(Operation operation, std::string path, std::uint32_t flags = 0, std::uint32_t mode = 0,
             std::string second = {}) {
    Request request;
    request.operation = operation;
    request.path = std::move(path);
    request.flags = flags;
    request.mode = mode;
    request.second = std::move(second);
    return files().answer(request);
  }
  int errno_of(Operation operation, std::string path, std::uint32_t flags = 0,
               std::uint32_t mode = 0, std::string second = {}) {
    return ask(operation, std::move(path), flags, mode, std::move(second)).reply.errno_value;
  }

  std::string top_;
  Files files_{{}};
};

TEST_F(GoferFiles, OpensFilesAndDirectories) {
  write("mount/f", "text");
  Answer file = ask(Operation::kOpen, "f", O_RDONLY);
  EXPECT_EQ(MUST(sys::read_all(file.fd)), "text");
  EXPECT_TRUE(ask(Operation::kOpen, "", O_PATH | O_DIRECTORY).fd);
  EXPECT_EQ(errno_of(Operation::kOpen, "none", O_RDONLY), ENOENT);
  EXPECT_EQ(errno_of(Operation::kOpen, "f", O_RDWR | O_CREAT), EINVAL);
  EXPECT_EQ(errno_of(Operation::kOpen, "f", O_RDWR | O_TRUNC), EINVAL);
}

TEST_F(GoferFiles, SpecialFilesAreNotOpened) {
  ASSERT_EQ(::mkfifo(at("mount/p").c_str(), 0666), 0);
  EXPECT_EQ(errno_of(Operation::kOpen, "p", O_RDONLY), ENXIO);
  EXPECT_EQ(errno_of(Operation::kOpen, "p", O_PATH), ENXIO);
}

TEST_F(GoferFiles, LinksLeadNowhere) {
  ASSERT_EQ(::symlink("../outside", at("mount/l").c_str()), 0);
  ASSERT_EQ(::symlink("/etc", at("mount/abs").c_str()), 0);
  EXPECT_EQ(errno_of(Operation::kOpen, "l/secret", O_RDONLY), ELOOP);
  EXPECT_EQ(errno_of(Operation::kOpen, "abs/passwd", O_RDONLY), ELOOP);
  EXPECT_EQ(errno_of(Operation::kOpen, "l", O_RDONLY), ENXIO);
  EXPECT_EQ(errno_of(Operation::kCreate, "l/new", 0, 0644), ELOOP);
  EXPECT_EQ(errno_of(Operation::kUnlink, "l/secret"), ELOOP);
  EXPECT_EQ(errno_of(Operation::kRename, "l/secret", 0, 0, "s"), ELOOP);
  EXPECT_EQ(errno_of(Operation::kLink, "l/secret", 0, 0, "s"), ELOOP);
  EXPECT_EQ(errno_of(Operation::kSetMode, "l/secret", 0, 0777), ELOOP);
  EXPECT_EQ(errno_of(Operation::kSetMode, "l", 0, 0777), EOPNOTSUPP);
  EXPECT_EQ(ask(Operation::kReadLink, "l").reply.text, "../outside");
  EXPECT_EQ(read("outside/secret"), "secret");
}

TEST_F(GoferFiles, CreatesWithOwnerAndMode) {
  Request request;
  request.operation = Operation::kCreate;
  request.path = "new";
  request.mode = S_IFREG | 04755;
  request.uid = 1000;
  request.gid = 1001;
  Answer made = files().answer(request);
  ASSERT_EQ(made.reply.errno_value, 0);
  MUST(sys::write_all(made.fd, "x"));
  EXPECT_EQ(stat("mount/new").st_uid, 1000U);
  EXPECT_EQ(stat("mount/new").st_gid, 1001U);
  EXPECT_EQ(files().answer(request).reply.errno_value, EEXIST);
}

TEST_F(GoferFiles, GivesFilesToIdsOfTheContainerOnly) {
  Mount options;
  options.uids = options.gids = {{100'000, 65'536}};
  mount(std::move(options));
  Request request;
  request.operation = Operation::kCreate;
  request.path = "new";
  request.mode = S_IFREG | 0644;
  EXPECT_EQ(files().answer(request).reply.errno_value, EPERM);
  EXPECT_FALSE(has("mount/new"));
  request.uid = request.gid = 100'007;
  EXPECT_EQ(files().answer(request).reply.errno_value, 0);
  request.operation = Operation::kSetOwner;
  request.uid = 0;
  EXPECT_EQ(files().answer(request).reply.errno_value, EPERM);
  request.uid = ~std::uint32_t{0};
  EXPECT_EQ(files().answer(request).reply.errno_value, 0);
}

TEST_F(GoferFiles, MakesDirectoriesLinksAndNoDevices) {
  EXPECT_EQ(errno_of(Operation::kMake, "d", 0, S_IFDIR | 02750), 0);
  EXPECT_EQ(stat("mount/d").st_mode & 07777, 02750U);
  EXPECT_EQ(errno_of(Operation::kMakeSymlink, "l", 0, 0, "to/where"), 0);
  EXPECT_EQ(errno_of(Operation::kMake, "p", 0, S_IFIFO | 0600), 0);
  EXPECT_EQ(errno_of(Operation::kMake, "w", 0, S_IFCHR | 0600), 0);  // a whiteout
  EXPECT_EQ(errno_of(Operation::kMake, "b", 0, S_IFBLK | 0600), EPERM);
  Request device;
  device.operation = Operation::kMake;
  device.path = "null";
  device.mode = S_IFCHR | 0666;
  device.number = 0x103;
  EXPECT_EQ(files().answer(device).reply.errno_value, EPERM);
  EXPECT_EQ(errno_of(Operation::kUnlink, "d", AT_REMOVEDIR), 0);
  EXPECT_EQ(errno_of(Operation::kUnlink, "l", 1), EINVAL);
  EXPECT_EQ(errno_of(Operation::kUnlink, "l"), 0);
}

TEST_F(GoferFiles, TheRootHasNoName) {
  EXPECT_EQ(errno_of(Operation::kUnlink, "", AT_REMOVEDIR), EBUSY);
  EXPECT_EQ(errno_of(Operation::kRename, "", 0, 0, "x"), EBUSY);
  EXPECT_EQ(errno_of(Operation::kSetMode, "", 0, 0700), 0);
  EXPECT_EQ(stat("mount").st_mode & 0777, 0700U);
}

TEST_F(GoferFiles, RenamesAndLinks) {
  write("mount/a", "x");
  EXPECT_EQ(errno_of(Operation::kLink, "a", 0, 0, "b"), 0);
  EXPECT_EQ(errno_of(Operation::kRename, "a", 0, 0, "c"), 0);
  EXPECT_EQ(errno_of(Operation::kRename, "c", RENAME_NOREPLACE, 0, "b"), EEXIST);
  EXPECT_EQ(errno_of(Operation::kRename, "c", RENAME_WHITEOUT, 0, "d"), EINVAL);
  EXPECT_EQ(stat("mount/b").st_nlink, 2U);
}

TEST_F(GoferFiles, ChangesSizeTimesAndAttributes) {
  write("mount/f", "0123456789");
  Request request;
  request.path = "f";
  request.operation = Operation::kSetSize;
  request.number = 4;
  EXPECT_EQ(files().answer(request).reply.errno_value, 0);
  EXPECT_EQ(read("mount/f"), "0123");
  request.operation = Operation::kSetTimes;
  request.times = {timespec{1, 0}, timespec{2, 3}};
  EXPECT_EQ(files().answer(request).reply.errno_value, 0);
  EXPECT_EQ(stat("mount/f").st_mtim.tv_sec, 2);
  request.operation = Operation::kSetAttribute;
  request.second = "user.a";
  request.value = "1";
  EXPECT_EQ(files().answer(request).reply.errno_value, 0);
  request.second = "trusted.a";
  EXPECT_EQ(files().answer(request).reply.errno_value, EPERM);
  EXPECT_EQ(ask(Operation::kGetAttribute, "f", 0, 0, "user.a").reply.text, "1");
  EXPECT_EQ(ask(Operation::kListAttributes, "f").reply.text, std::string("user.a\0", 7));
  EXPECT_EQ(errno_of(Operation::kRemoveAttribute, "f", 0, 0, "user.a"), 0);
  EXPECT_EQ(errno_of(Operation::kGetAttribute, "f", 0, 0, "trusted.overlay.opaque"), ENODATA);
}

TEST_F(GoferFiles, ReadOnlyMountsAreNotWritten) {
  write("mount/f", "x");
  Mount options;
  options.readonly = true;
  mount(std::move(options));
  EXPECT_EQ(errno_of(Operation::kOpen, "f", O_RDONLY), 0);
  EXPECT_EQ(errno_of(Operation::kOpen, "f", O_RDWR), EROFS);
  EXPECT_EQ(errno_of(Operation::kStat, "f"), 0);
  for (auto operation :
       {Operation::kCreate, Operation::kMake, Operation::kMakeSymlink, Operation::kLink,
        Operation::kUnlink, Operation::kRename, Operation::kSetMode, Operation::kSetOwner,
        Operation::kSetTimes, Operation::kSetSize, Operation::kSetAttribute,
        Operation::kRemoveAttribute})
    EXPECT_EQ(errno_of(operation, "f", 0, S_IFREG, "g"), EROFS) << static_cast<int>(operation);
}

TEST_F(GoferFiles, UnknownMountsAreEbadf) {
  Request request;
  request.mount = 1;
  EXPECT_EQ(files().answer(request).reply.errno_value, EBADF);
}

// Somebody on the host puts a link to the outside in a directory's place, again and again.
TEST_F(GoferFiles, RacesDoNotLeadOut) {
  make_directory("mount/d");
  write("mount/d/secret", "inside");
  ASSERT_EQ(::symlink("../outside", at("mount/l").c_str()), 0);
  std::atomic<bool> over{false};
  std::thread swapper([&] {
    Fd directory = MUST(sys::openat(sys::kCwd, at("mount").c_str(), O_PATH | O_DIRECTORY));
    while (!over) (void)sys::renameat(directory, "d", directory, "l", RENAME_EXCHANGE);
  });
  int opened = 0;
  for (int i = 0; i < 3000; ++i) {
    Answer file = ask(Operation::kOpen, "d/secret", O_RDONLY);
    if (file.fd) {
      ++opened;
      EXPECT_EQ(MUST(sys::read_all(file.fd)), "inside");
    }
    (void)ask(Operation::kCreate, "d/made", 0, S_IFREG | 0644);
    (void)ask(Operation::kMake, "d/dir", 0, S_IFDIR | 0755);
    (void)ask(Operation::kSetMode, "d/secret", 0, 0600);
    (void)ask(Operation::kRename, "d/made", 0, 0, "d/moved");
    (void)ask(Operation::kUnlink, "d/moved");
    (void)ask(Operation::kUnlink, "d/dir", AT_REMOVEDIR);
  }
  over = true;
  swapper.join();
  EXPECT_GT(opened, 0);
  EXPECT_EQ(read("outside/secret"), "secret");
  EXPECT_EQ(stat("outside/secret").st_mode & 0777, 0644U);
  EXPECT_EQ(MUST(sys::list_directory(
                MUST(sys::openat(sys::kCwd, at("outside").c_str(), O_RDONLY | O_DIRECTORY)))),
            std::vector<std::string>{"secret"});
}

}  // namespace
}  // namespace caisson::gofer

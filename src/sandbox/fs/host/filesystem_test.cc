#include "sandbox/fs/host/filesystem.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "sandbox/fs/file_fixture_test.h"
#include "sandbox/fs/host/inode.h"
#include "sys/process.h"

namespace caisson::sandbox::fs {
namespace {

using Names = std::vector<std::string>;

class HostFs : public ::testing::Test {
 protected:
  Ref<HostFilesystem> mount(HostOptions options = {}) {
    auto fs = MUST(HostFilesystem::create(folder_.open(), std::move(options)));
    mounted_.push_back(fs);
    return fs;
  }
  Ref<HostFilesystem> shared() {
    HostOptions options;
    options.exclusive = false;
    return mount(options);
  }
  TestFolder folder_;
  std::vector<Ref<HostFilesystem>> mounted_;  // outlive their inodes
};

TEST_F(HostFs, ReadsAFile) {
  folder_.make_directory("etc");
  folder_.write("etc/hosts", "127.0.0.1 localhost\n");
  auto fs = mount();
  auto inode = MUST(find(fs->root(), "etc/hosts"));
  EXPECT_EQ(MUST(read_inode(*inode)), "127.0.0.1 localhost\n");
  EXPECT_EQ(MUST(inode->attributes()).size, 20U);
}

TEST_F(HostFs, TellsAttributesAsTheHostDoes) {
  folder_.write("f", "abc", 0640);
  auto fs = mount();
  auto seen = MUST(MUST(find(fs->root(), "f"))->attributes());
  struct stat host = folder_.stat("f");
  EXPECT_EQ(seen.mode, host.st_mode);
  EXPECT_EQ(seen.inode, host.st_ino);
  EXPECT_EQ(seen.links, 1U);
  EXPECT_EQ(seen.device, fs->device());
  EXPECT_EQ(seen.modified.seconds, host.st_mtim.tv_sec);
  EXPECT_EQ(seen.modified.nanoseconds, host.st_mtim.tv_nsec);
}

TEST_F(HostFs, AbsentNamesAreEnoent) {
  auto fs = mount();
  EXPECT_EQ(errno_of(fs->root()->lookup("none")), ENOENT);
  EXPECT_TRUE(fs->root()->caches_absent_names());
  EXPECT_FALSE(shared()->root()->caches_absent_names());
}

TEST_F(HostFs, TooLongNamesAreRefused) {
  EXPECT_EQ(errno_of(mount()->root()->lookup(std::string(256, 'x'))), ENAMETOOLONG);
}

TEST_F(HostFs, LookupBelowAFileIsEnotdir) {
  folder_.write("f", "");
  auto file = MUST(find(mount()->root(), "f"));
  EXPECT_EQ(errno_of(file->lookup("x")), ENOTDIR);
}

TEST_F(HostFs, OneInodePerFileWhateverItsName) {
  folder_.write("a", "x");
  ASSERT_EQ(::link(folder_.at("a").c_str(), folder_.at("b").c_str()), 0);
  auto fs = mount();
  auto a = MUST(find(fs->root(), "a"));
  EXPECT_EQ(a.get(), MUST(find(fs->root(), "b")).get());
  EXPECT_EQ(MUST(a->attributes()).links, 2U);
}

TEST_F(HostFs, ListsDirectoriesWithStablePositions) {
  for (int i = 0; i < 300; ++i) folder_.write(cat("file", i), "");
  auto fs = mount();
  FolderCaller caller;
  auto file = MUST(open_inode(*fs->root(), O_RDONLY | O_DIRECTORY));
  Entries all;
  for (;;) {
    Entries some(7);
    MUST(file->read_directory(some, caller));
    if (some.list.empty()) break;
    all.list.insert(all.list.end(), some.list.begin(), some.list.end());
  }
  EXPECT_EQ(all.list.size(), 302U);
  MUST(file->seek(static_cast<std::int64_t>(all.list[99].next), SEEK_SET));
  Entries again(1);
  MUST(file->read_directory(again, caller));
  EXPECT_EQ(again.list.at(0).name, all.list[100].name);
  MUST(file->seek(0, SEEK_SET));
  Entries begin(1);
  MUST(file->read_directory(begin, caller));
  EXPECT_EQ(begin.list.at(0).name, all.list[0].name);
}

TEST_F(HostFs, ReadsLinksAndDoesNotFollowThem) {
  ASSERT_EQ(::symlink("/etc/passwd", folder_.at("l").c_str()), 0);
  auto link = MUST(find(mount()->root(), "l"));
  EXPECT_TRUE(link->is_symlink());
  EXPECT_EQ(MUST(link->read_link(nullptr)), "/etc/passwd");
  EXPECT_EQ(errno_of(open_inode(*link, O_RDONLY)), ELOOP);
}

TEST_F(HostFs, DevicesAndSocketsOfTheHostAreNotOpened) {
  ASSERT_EQ(::mknod(folder_.at("s").c_str(), S_IFSOCK | 0666, 0), 0);
  EXPECT_EQ(errno_of(open_inode(*MUST(find(mount()->root(), "s")), O_RDWR)), ENXIO);
  if (::mknod(folder_.at("null").c_str(), S_IFCHR | 0666, makedev(1, 3)) != 0) return;
  EXPECT_EQ(errno_of(open_inode(*MUST(find(mount()->root(), "null")), O_RDWR)), ENXIO);
}

TEST_F(HostFs, TheEndsOfAFifoMeetInTheSandbox) {
  ASSERT_EQ(::mkfifo(folder_.at("p").c_str(), 0666), 0);
  auto fifo = MUST(find(mount()->root(), "p"));
  auto end = MUST(open_inode(*fifo, O_RDONLY | O_NONBLOCK));
  auto other = MUST(open_inode(*fifo, O_WRONLY | O_NONBLOCK));
  FolderCaller caller;
  std::string_view text = "through";
  auto buffer = vfs::IoBuffer::of(std::as_bytes(std::span(text)));
  EXPECT_EQ(MUST(other->write(buffer, caller)), 7U);
  std::string got(7, '\0');
  auto room = vfs::IoBuffer::of(std::as_writable_bytes(std::span(got)));
  EXPECT_EQ(MUST(end->read(room, caller)), 7U);
  EXPECT_EQ(got, text);
}

TEST_F(HostFs, CreatesFilesWithOwnerAndMode) {
  auto fs = mount();
  auto made = MUST(fs->root()->create("new", creation(S_IFREG | 04751, 1234, 4321)));
  EXPECT_EQ(MUST(made->attributes()).uid, 1234U);
  struct stat host = folder_.stat("new");
  EXPECT_EQ(host.st_uid, 1234U);
  EXPECT_EQ(host.st_gid, 4321U);
  EXPECT_EQ(host.st_mode & 07777, 04751U);
  EXPECT_EQ(errno_of(fs->root()->create("new", creation(S_IFREG | 0644))), EEXIST);
}

TEST_F(HostFs, WritesAreSeenBySizeAndReaders) {
  auto fs = mount();
  auto made = MUST(fs->root()->create("f", creation(S_IFREG | 0644)));
  auto file = MUST(open_inode(*made, O_RDWR));
  EXPECT_EQ(MUST(write_file(*file, "hello world")), 11U);
  EXPECT_EQ(MUST(made->attributes()).size, 11U);
  EXPECT_EQ(MUST(read_file(*file, 5, 6)), "world");
  EXPECT_EQ(folder_.read("f"), "hello world");
}

TEST_F(HostFs, AppendsAtTheEndThatOthersMoved) {
  for (bool exclusive : {true, false}) {
    HostOptions options;
    options.exclusive = exclusive;
    auto fs = mount(options);
    folder_.write("log", "one,");
    auto inode = MUST(find(fs->root(), "log"));
    auto file = MUST(open_inode(*inode, O_WRONLY | O_APPEND));
    auto other = MUST(open_inode(*inode, O_WRONLY | O_APPEND));
    FolderCaller caller;
    std::uint64_t end = 0;
    std::string_view text = "two,";
    auto buffer = vfs::IoBuffer::of(std::as_bytes(std::span(text)));
    MUST(file->append(buffer, end, caller));
    EXPECT_EQ(end, 8U);
    buffer = vfs::IoBuffer::of(std::as_bytes(std::span(text)));
    MUST(other->append(buffer, end, caller));
    EXPECT_EQ(end, 12U);
    EXPECT_EQ(folder_.read("log"), "one,two,two,");
  }
}

TEST_F(HostFs, LargeReadsAndWritesKeepEveryByte) {
  std::string text(300'000, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7 + i / 251);
  auto fs = mount();
  auto made = MUST(fs->root()->create("big", creation(S_IFREG | 0644)));
  EXPECT_EQ(MUST(write_inode(*made, text)), text.size());
  EXPECT_EQ(MUST(read_inode(*made)), text);
}

TEST_F(HostFs, TruncatesPunchesAndSeeksHoles) {
  auto fs = mount();
  auto made = MUST(fs->root()->create("f", creation(S_IFREG | 0644)));
  vfs::AttributeChange change;
  change.size = 1 << 20;
  MUST(made->change(change));
  EXPECT_EQ(MUST(made->attributes()).size, 1U << 20);
  auto file = MUST(open_inode(*made, O_RDWR));
  MUST(write_file(*file, "x", 512 << 10));
  EXPECT_EQ(MUST(file->seek(0, SEEK_DATA)), 512U << 10);
  MUST(file->allocate(0, 1 << 20, 4096));
  EXPECT_EQ(MUST(made->attributes()).size, (1U << 20) + 4096);
}

TEST_F(HostFs, WritesThroughAMappingAreSeenByStat) {
  folder_.write("f", "x");
  auto inode = MUST(find(mount()->root(), "f"));
  vfs::AttributeChange old;
  old.modified = vfs::Timestamp{1000, 0};
  MUST(inode->change(old));
  EXPECT_EQ(MUST(inode->attributes()).modified.seconds, 1000);
  auto file = MUST(open_inode(*inode, O_RDWR));
  int fd = MUST(file->map_source(0, 4096, PROT_READ, true)).fd;
  void* bytes = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ASSERT_NE(bytes, MAP_FAILED);
  *static_cast<char*>(bytes) = 'y';
  EXPECT_GT(MUST(inode->attributes()).modified.seconds, 1000);
  EXPECT_EQ(::munmap(bytes, 4096), 0);
}

TEST_F(HostFs, RemovesNamesAndKeepsOpenFiles) {
  folder_.write("f", "still here");
  auto fs = mount();
  auto inode = MUST(find(fs->root(), "f"));
  auto file = MUST(open_inode(*inode, O_RDWR));
  MUST(fs->root()->unlink("f", *inode));
  EXPECT_FALSE(folder_.has("f"));
  EXPECT_EQ(MUST(read_file(*file)), "still here");
  EXPECT_EQ(MUST(inode->attributes()).links, 0U);
  vfs::AttributeChange change;
  change.mode = 0600;
  change.size = 5;
  MUST(inode->change(change));
  EXPECT_EQ(MUST(inode->attributes()).size, 5U);
  EXPECT_EQ(MUST(inode->attributes()).mode & 0777, 0600U);
}

TEST_F(HostFs, ARemovedFileThatNobodyOpenedTellsWhatItWas) {
  folder_.write("f", "abc");
  auto fs = mount();
  auto inode = MUST(find(fs->root(), "f"));
  MUST(fs->root()->unlink("f", *inode));
  EXPECT_EQ(MUST(inode->attributes()).links, 0U);
  EXPECT_EQ(MUST(inode->attributes()).size, 3U);
  EXPECT_EQ(errno_of(open_inode(*inode, O_RDONLY)), ENOENT);
}

TEST_F(HostFs, OneOfSeveralNamesMayGo) {
  folder_.write("a", "x");
  auto fs = mount();
  auto inode = MUST(find(fs->root(), "a"));
  MUST(fs->root()->link("b", *inode));
  EXPECT_EQ(MUST(inode->attributes()).links, 2U);
  MUST(fs->root()->unlink("a", *inode));
  EXPECT_EQ(MUST(inode->attributes()).links, 1U);
  EXPECT_EQ(MUST(read_inode(*inode)), "x");
}

TEST_F(HostFs, AFileIsFoundAgainByANameThatWasNotKnown) {
  folder_.write("a", "x");
  ASSERT_EQ(::link(folder_.at("a").c_str(), folder_.at("b").c_str()), 0);
  auto fs = mount();
  auto inode = MUST(find(fs->root(), "a"));
  MUST(fs->root()->unlink("a", *inode));
  auto again = MUST(find(fs->root(), "b"));
  EXPECT_EQ(MUST(again->attributes()).links, 1U);
  EXPECT_EQ(MUST(read_inode(*again)), "x");
}

TEST_F(HostFs, RenamesAndFollowsTheRenamed) {
  folder_.make_directory("d");
  folder_.make_directory("d/e");
  folder_.write("d/e/f", "deep");
  auto fs = mount();
  auto root = fs->root();
  auto d = MUST(find(root, "d"));
  auto f = MUST(find(root, "d/e/f"));
  MUST(root->rename("d", *d, *root, "g", nullptr, 0));
  EXPECT_EQ(MUST(read_inode(*f)), "deep");
  EXPECT_EQ(errno_of(root->lookup("d")), ENOENT);
  EXPECT_EQ(MUST(find(root, "g/e/f")).get(), f.get());
}

TEST_F(HostFs, RenameOverAFileLeavesTheOpenOne) {
  folder_.write("old", "old");
  folder_.write("new", "new");
  auto fs = mount();
  auto root = fs->root();
  auto old = MUST(find(root, "old"));
  auto fresh = MUST(find(root, "new"));
  auto file = MUST(open_inode(*old, O_RDONLY));
  MUST(root->rename("new", *fresh, *root, "old", old.get(), 0));
  EXPECT_EQ(MUST(read_file(*file)), "old");
  EXPECT_EQ(MUST(read_inode(*fresh)), "new");
  EXPECT_EQ(MUST(find(root, "old")).get(), fresh.get());
}

TEST_F(HostFs, ExchangesNames) {
  folder_.write("a", "A");
  folder_.make_directory("b");
  auto fs = mount();
  auto root = fs->root();
  auto a = MUST(find(root, "a"));
  auto b = MUST(find(root, "b"));
  MUST(root->rename("a", *a, *root, "b", b.get(), RENAME_EXCHANGE));
  EXPECT_EQ(MUST(find(root, "b")).get(), a.get());
  EXPECT_EQ(MUST(find(root, "a")).get(), b.get());
  EXPECT_EQ(MUST(read_inode(*a)), "A");
  EXPECT_EQ(errno_of(root->rename("a", *b, *root, "b", a.get(), RENAME_NOREPLACE)), EEXIST);
}

TEST_F(HostFs, MakesDirectoriesLinksAndNodes) {
  auto fs = mount();
  auto root = fs->root();
  auto d = MUST(root->make_directory("d", creation(02775, 7, 8)));
  EXPECT_TRUE(d->is_directory());
  EXPECT_EQ(folder_.stat("d").st_mode & 07777, 02775U);
  EXPECT_EQ(folder_.stat("d").st_gid, 8U);
  auto l = MUST(root->make_symlink("l", "d/x", creation(S_IFLNK | 0777, 9, 9)));
  EXPECT_EQ(MUST(l->read_link(nullptr)), "d/x");
  EXPECT_EQ(folder_.stat("l").st_uid, 9U);
  auto p = MUST(root->make_node("p", creation(S_IFIFO | 0600), 0));
  EXPECT_EQ(p->type(), static_cast<std::uint32_t>(S_IFIFO));
  MUST(d->create("x", creation(S_IFREG | 0644)));
  EXPECT_EQ(errno_of(root->remove_directory("d", *d)), ENOTEMPTY);
  MUST(d->unlink("x", *MUST(d->lookup("x"))));
  MUST(root->remove_directory("d", *d));
  EXPECT_EQ(errno_of(d->create("y", creation(S_IFREG | 0644))), ENOENT);
  EXPECT_EQ(MUST(d->attributes()).links, 0U);
}

TEST_F(HostFs, ChangesModeOwnerAndTimes) {
  folder_.write("f", "x");
  auto fs = mount();
  auto inode = MUST(find(fs->root(), "f"));
  vfs::AttributeChange change;
  change.mode = 04711;
  change.uid = 11;
  change.accessed = vfs::Timestamp{100, 5};
  change.modified = vfs::Timestamp{200, 6};
  MUST(inode->change(change));
  auto seen = MUST(inode->attributes());
  EXPECT_EQ(seen.mode & 07777, 04711U);
  EXPECT_EQ(seen.uid, 11U);
  EXPECT_EQ(seen.accessed, (vfs::Timestamp{100, 5}));
  EXPECT_EQ(seen.modified, (vfs::Timestamp{200, 6}));
}

TEST_F(HostFs, ChangesOfALinkDoNotFollowIt) {
  folder_.write("f", "x", 0644);
  ASSERT_EQ(::symlink("f", folder_.at("l").c_str()), 0);
  auto link = MUST(find(mount()->root(), "l"));
  vfs::AttributeChange change;
  change.uid = 77;
  MUST(link->change(change));
  EXPECT_EQ(folder_.stat("f").st_uid, 0U);
  EXPECT_EQ(folder_.stat("l").st_uid, 77U);
}

TEST_F(HostFs, KeepsAttributesOfUsersAndHidesTheHosts) {
  folder_.write("f", "x");
  auto inode = MUST(find(mount()->root(), "f"));
  MUST(inode->set_attribute("user.color", "blue", 0));
  EXPECT_EQ(MUST(inode->get_attribute("user.color")), "blue");
  EXPECT_EQ(MUST(inode->list_attributes()), Names{"user.color"});
  EXPECT_EQ(errno_of(inode->set_attribute("trusted.x", "1", 0)), ENOTSUP);
  EXPECT_EQ(errno_of(inode->get_attribute("user.none")), ENODATA);
  std::string large(3000, 'v');
  MUST(inode->set_attribute("user.large", large, 0));
  EXPECT_EQ(MUST(inode->get_attribute("user.large")), large);
  MUST(inode->remove_attribute("user.color"));
  EXPECT_EQ(errno_of(inode->get_attribute("user.color")), ENODATA);
}

TEST_F(HostFs, RootsAndRemovedFilesHaveAttributesToo) {
  auto root = mount()->root();
  MUST(root->set_attribute("user.a", "1", 0));
  EXPECT_EQ(MUST(root->get_attribute("user.a")), "1");
  folder_.write("f", "x");
  auto f = MUST(root->lookup("f"));
  auto file = MUST(open_inode(*f, O_RDWR));
  MUST(root->unlink("f", *f));
  MUST(f->set_attribute("user.b", "2", 0));
  EXPECT_EQ(MUST(f->list_attributes()), Names{"user.b"});
}

TEST_F(HostFs, UnnamedFilesCanBeNamedLater) {
  auto fs = mount();
  auto root = fs->root();
  auto file = MUST(root->create_unnamed(creation(S_IFREG | 0600, 5, 5)));
  MUST(write_inode(*file, "from nowhere"));
  EXPECT_EQ(MUST(file->attributes()).links, 0U);
  MUST(root->link("here", *file));
  EXPECT_EQ(folder_.read("here"), "from nowhere");
  EXPECT_EQ(folder_.stat("here").st_uid, 5U);
}

TEST_F(HostFs, MapsOwnersBothWays) {
  folder_.write("f", "x");
  folder_.write("g", "x");
  ASSERT_EQ(::chown(folder_.at("f").c_str(), 100'005, 100'006), 0);
  HostOptions options;
  options.uids = options.gids = IdMap({{0, 100'000, 65536}});
  auto fs = mount(options);
  auto seen = MUST(MUST(find(fs->root(), "f"))->attributes());
  EXPECT_EQ(seen.uid, 5U);
  EXPECT_EQ(seen.gid, 6U);
  EXPECT_EQ(MUST(MUST(find(fs->root(), "g"))->attributes()).uid, kOverflowId);
  MUST(fs->root()->create("new", creation(S_IFREG | 0644, 1, 2)));
  EXPECT_EQ(folder_.stat("new").st_uid, 100'001U);
  EXPECT_EQ(errno_of(fs->root()->create("bad", creation(S_IFREG | 0644, 70'000, 0))), EOVERFLOW);
  EXPECT_FALSE(folder_.has("bad"));
}

TEST_F(HostFs, ASingleFileIsARoot) {
  folder_.write("hosts", "one");
  Fd fd = MUST(sys::openat(sys::kCwd, folder_.at("hosts").c_str(), O_RDWR));
  auto fs = MUST(HostFilesystem::create(std::move(fd), {}));
  EXPECT_EQ(fs->root()->type(), static_cast<std::uint32_t>(S_IFREG));
  EXPECT_EQ(MUST(read_inode(*fs->root())), "one");
  MUST(write_inode(*fs->root(), "two"));
  EXPECT_EQ(folder_.read("hosts"), "two");
  vfs::AttributeChange change;
  change.mode = 0600;
  MUST(fs->root()->change(change));
  EXPECT_EQ(folder_.stat("hosts").st_mode & 0777, 0600U);
}

TEST_F(HostFs, ARootOpenForReadingOnlyIsNotWritten) {
  folder_.write("hosts", "one");
  Fd fd = MUST(sys::openat(sys::kCwd, folder_.at("hosts").c_str(), O_RDONLY));
  auto fs = MUST(HostFilesystem::create(std::move(fd), {}));
  EXPECT_EQ(MUST(read_inode(*fs->root())), "one");
  EXPECT_EQ(errno_of(open_inode(*fs->root(), O_RDWR)), EACCES);
}

TEST_F(HostFs, OtherRootsAreRefused) {
  Fd fd = MUST(sys::openat(sys::kCwd, "/dev/null", O_RDWR));
  EXPECT_EQ(errno_of(HostFilesystem::create(std::move(fd), {})), ENOTSUP);
}

TEST_F(HostFs, MountPointsAreMadeInMemoryOnly) {
  auto fs = mount();
  auto& root = static_cast<HostInode&>(*fs->root());
  auto proc = MUST(root.make_mount_point("proc", S_IFDIR));
  auto inner = MUST(static_cast<HostNode&>(*proc).make_mount_point("sys", S_IFDIR));
  auto file = MUST(root.make_mount_point("resolv.conf", S_IFREG));
  folder_.write("real", "x");
  EXPECT_EQ(names_of(root), (Names{"proc", "real", "resolv.conf"}));
  EXPECT_EQ(MUST(find(fs->root(), "proc/sys")).get(), inner.get());
  EXPECT_EQ(MUST(read_inode(*file)), "");
  EXPECT_EQ(errno_of(root.make_mount_point("real", S_IFDIR)), EEXIST);
  EXPECT_EQ(errno_of(root.make_mount_point("proc", S_IFDIR)), EEXIST);
  EXPECT_EQ(errno_of(root.rename("proc", *proc, root, "x", nullptr, 0)), EBUSY);
  EXPECT_EQ(errno_of(root.remove_directory("proc", *proc)), ENOTEMPTY);
  EXPECT_FALSE(folder_.has("proc"));
  MUST(root.unlink("resolv.conf", *file));
  EXPECT_EQ(names_of(root), (Names{"proc", "real"}));
}

// --- what others do on the host

TEST_F(HostFs, SharedNamesAreHeldAgainstTheHost) {
  folder_.make_directory("d");
  folder_.write("d/f", "x");
  auto fs = shared();
  EXPECT_TRUE(fs->revalidates());
  auto d = MUST(find(fs->root(), "d"));
  auto f = MUST(find(fs->root(), "d/f"));
  EXPECT_TRUE(d->still_named("f", *f));
  folder_.write("d/g", "y");
  ASSERT_EQ(::rename(folder_.at("d/g").c_str(), folder_.at("d/f").c_str()), 0);
  EXPECT_FALSE(d->still_named("f", *f));
  EXPECT_NE(MUST(find(fs->root(), "d/f")).get(), f.get());
}

TEST_F(HostFs, AMovedDirectoryIsNoticedBelowIt) {
  folder_.make_directory("d");
  folder_.write("d/f", "x");
  auto fs = shared();
  auto d = MUST(find(fs->root(), "d"));
  auto f = MUST(find(fs->root(), "d/f"));
  ASSERT_EQ(::rename(folder_.at("d").c_str(), folder_.at("e").c_str()), 0);
  EXPECT_FALSE(d->still_named("f", *f));
  EXPECT_EQ(MUST(find(fs->root(), "e")).get(), d.get());
  EXPECT_TRUE(d->still_named("f", *f));
}

TEST_F(HostFs, SharedAttributesAreThoseOfNow) {
  folder_.write("f", "x");
  auto fs = shared();
  auto f = MUST(find(fs->root(), "f"));
  ASSERT_EQ(::truncate(folder_.at("f").c_str(), 1000), 0);
  ::usleep(100);
  EXPECT_EQ(MUST(f->attributes()).size, 1000U);
}

TEST_F(HostFs, AFileThatAnotherPutThereIsNotOpenedAsTheOld) {
  folder_.write("f", "old");
  auto fs = shared();
  auto f = MUST(find(fs->root(), "f"));
  folder_.write("g", "new");
  ASSERT_EQ(::rename(folder_.at("g").c_str(), folder_.at("f").c_str()), 0);
  EXPECT_EQ(errno_of(open_inode(*f, O_RDONLY)), ESTALE);
}

TEST_F(HostFs, SharedFilesAreNotKeptOpen) {
  folder_.write("f", "x");
  auto fs = shared();
  auto f = MUST(find(fs->root(), "f"));
  EXPECT_EQ(MUST(read_inode(*f)), "x");
  EXPECT_FALSE(fs->any_handle(static_cast<HostInode&>(*f)));
}

TEST_F(HostFs, ALinkPutInPlaceOfADirectoryDoesNotLeadOut) {
  TestFolder outside;
  outside.write("secret", "s");
  folder_.make_directory("d");
  folder_.write("d/secret", "mine");
  for (bool exclusive : {true, false}) {
    HostOptions options;
    options.exclusive = exclusive;
    options.cached_handles = 1;
    auto fs = mount(options);
    auto d = MUST(find(fs->root(), "d"));
    fs->drop_handles(static_cast<HostInode&>(*d));
    ASSERT_EQ(::rename(folder_.at("d").c_str(), folder_.at("e").c_str()), 0);
    ASSERT_EQ(::symlink(outside.path().c_str(), folder_.at("d").c_str()), 0);
    EXPECT_FALSE(d->lookup("secret"));
    EXPECT_FALSE(d->create("made", creation(S_IFREG | 0644)));
    EXPECT_FALSE(outside.has("made"));
    ASSERT_EQ(::unlink(folder_.at("d").c_str()), 0);
    ASSERT_EQ(::rename(folder_.at("e").c_str(), folder_.at("d").c_str()), 0);
  }
}

// Somebody puts a link to the outside in a directory's place, again and again.
TEST_F(HostFs, RacesOnTheHostDoNotLeadOut) {
  TestFolder outside;
  outside.write("f", "outside");
  folder_.make_directory("d");
  folder_.write("d/f", "inside");
  ASSERT_EQ(::symlink(outside.path().c_str(), folder_.at("l").c_str()), 0);
  std::atomic<bool> over{false};
  std::thread swapper([&] {
    Fd directory = folder_.open();
    while (!over) (void)sys::renameat(directory, "d", directory, "l", RENAME_EXCHANGE);
  });
  auto fs = shared();
  vfs::AttributeChange mode;
  mode.mode = 0600;
  for (int i = 0; i < 1500; ++i) {
    auto d = fs->root()->lookup("d");
    if (!d || !(*d)->is_directory()) continue;
    if (i % 2 == 0) fs->drop_handles(static_cast<HostInode&>(**d));
    auto f = (*d)->lookup("f");
    if (f) {
      (void)(*f)->change(mode);
      auto text = read_inode(**f);
      EXPECT_TRUE(!text || *text == "inside") << *text;
    }
    auto made = (*d)->create("made", creation(S_IFREG | 0644));
    if (made) (void)(*d)->unlink("made", **made);
    auto below = (*d)->make_directory("below", creation(0755, 7, 7));
    if (below) (void)(*d)->remove_directory("below", **below);
  }
  over = true;
  swapper.join();
  EXPECT_EQ(outside.read("f"), "outside");
  EXPECT_EQ(outside.stat("f").st_mode & 0777, 0644U);
  EXPECT_EQ(MUST(sys::list_directory(outside.open(O_RDONLY | O_DIRECTORY))), Names{"f"});
}

// --- descriptors

TEST_F(HostFs, DescriptorsAreSharedAndFew) {
  for (int i = 0; i < 50; ++i) folder_.write(cat("f", i), "x");
  HostOptions options;
  options.cached_handles = 4;
  auto fs = mount(options);
  std::vector<Ref<vfs::Inode>> inodes;
  for (int i = 0; i < 50; ++i) {
    inodes.push_back(MUST(find(fs->root(), cat("f", i))));
    EXPECT_EQ(MUST(read_inode(*inodes.back())), "x");
  }
  int open = 0;
  for (const auto& inode : inodes)
    if (fs->any_handle(static_cast<HostInode&>(*inode))) ++open;
  EXPECT_EQ(open, 4);
  auto a = MUST(open_inode(*inodes[0], O_RDONLY));
  auto b = MUST(open_inode(*inodes[0], O_RDONLY));
  EXPECT_EQ(MUST(a->map_source(0, 1, PROT_READ, false)).fd,
            MUST(b->map_source(0, 1, PROT_READ, false)).fd);
}

TEST_F(HostFs, VeryDeepTreesAreReached) {
  auto fs = mount();
  std::string name(200, 'n');
  Ref<vfs::Inode> directory = fs->root();
  std::vector<Ref<vfs::Inode>> all;
  for (int i = 0; i < 60; ++i) {
    directory = MUST(directory->make_directory(name, creation(0755)));
    all.push_back(directory);
  }
  for (const auto& inode : all) fs->drop_handles(static_cast<HostInode&>(*inode));
  MUST(directory->create("f", creation(S_IFREG | 0644)));
  EXPECT_EQ(names_of(*directory), Names{"f"});
  MUST(directory->unlink("f", *MUST(directory->lookup("f"))));
  for (int i = 59; i >= 0; --i) {
    auto parent = i == 0 ? fs->root() : all[static_cast<std::size_t>(i) - 1];
    MUST(parent->remove_directory(name, *all[static_cast<std::size_t>(i)]));
  }
}

// --- without privilege: in a child, which answers by its exit status

template <typename Work>
int as_user(std::uint32_t uid, Work work) {
  pid_t child = ::fork();
  if (child == 0) {
    if (::setgid(uid) != 0 || ::setuid(uid) != 0) ::_exit(125);
    ::_exit(work());
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(HostFs, WithoutPrivilegeTheHostRefusesForeignOwners) {
  if (sys::geteuid() != 0) GTEST_SKIP() << "needs root to change its user";
  folder_.make_directory("d", 0777);
  ASSERT_EQ(::chmod(folder_.at("d").c_str(), 0777), 0);
  folder_.write("secret", "s", 0600);
  int status = as_user(12345, [&] {
    auto fs = mount();
    auto d = MUST(find(fs->root(), "d"));
    if (errno_of(d->create("f", creation(S_IFREG | 0644, 0, 0))) != EPERM) return 1;
    if (folder_.has("d/f")) return 2;
    if (errno_of(d->make_directory("g", creation(0755, 0, 0))) != EPERM) return 3;
    if (folder_.has("d/g")) return 4;
    if (!d->create("own", creation(S_IFREG | 0644, 12345, 12345))) return 5;
    auto secret = MUST(find(fs->root(), "secret"));
    if (errno_of(open_inode(*secret, O_RDONLY)) != EACCES) return 6;
    vfs::AttributeChange change;
    change.mode = 0644;
    return errno_of(secret->change(change)) == EPERM ? 0 : 7;
  });
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace caisson::sandbox::fs

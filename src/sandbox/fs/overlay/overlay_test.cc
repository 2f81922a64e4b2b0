// Files of an overlay: what is read, copied, hidden.
#include <dirent.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <set>

#include "sandbox/fs/overlay/overlay_fixture_test.h"

namespace caisson::sandbox::fs {
namespace {

using Overlay = OverlayTest;

// --- reading

TEST_F(Overlay, ShowsTheLowerFile) {
  lower_.write("f", "below");
  EXPECT_EQ(tree().read("/f"), "below");
  EXPECT_FALSE(upper_.has("f"));
}

TEST_F(Overlay, ShowsTheUpperFileOverTheLower) {
  lower_.write("f", "below");
  upper_.write("f", "above");
  EXPECT_EQ(tree().read("/f"), "above");
}

TEST_F(Overlay, MergesDirectoriesWithoutDuplicates) {
  lower_.make_directory("d");
  upper_.make_directory("d");
  lower_.write("d/a", "");
  lower_.write("d/both", "below");
  upper_.write("d/both", "above");
  upper_.write("d/z", "");
  EXPECT_EQ(tree().list("/d"), (Names{"a", "both", "z"}));
  EXPECT_EQ(tree().entries("/d").size(), 5U);
}

TEST_F(Overlay, AnUpperFileHidesALowerDirectory) {
  lower_.make_directory("x");
  lower_.write("x/f", "");
  upper_.write("x", "file");
  EXPECT_EQ(tree().read("/x"), "file");
  EXPECT_EQ(tree().exists("/x/f"), "ENOTDIR");
}

TEST_F(Overlay, AnUpperDirectoryHidesALowerFile) {
  lower_.write("x", "");
  upper_.make_directory("x");
  EXPECT_EQ(tree().list("/x"), Names{});
}

TEST_F(Overlay, AbsentIsEnoent) { EXPECT_EQ(tree().read("/none"), "ENOENT"); }

TEST_F(Overlay, FollowsLinksOfTheLowerLayer) {
  lower_.write("f", "x");
  ASSERT_EQ(::symlink("f", lower_.at("l").c_str()), 0);
  EXPECT_EQ(tree().read("/l"), "x");
  EXPECT_EQ(tree().read_link("/l"), "f");
}

TEST_F(Overlay, TheRootHasModeAndOwnerOfTheLower) {
  ASSERT_EQ(::chmod(lower_.path().c_str(), 01777), 0);
  ASSERT_EQ(::chown(lower_.path().c_str(), 33, 44), 0);
  auto seen = tree().stat("/");
  EXPECT_EQ(seen.mode & 07777, 01777U);
  EXPECT_EQ(seen.uid, 33U);
  EXPECT_EQ(seen.gid, 44U);
}

TEST_F(Overlay, StatusIsTheUppersByTheNameOfOverlay) {
  tree();
  EXPECT_EQ(MUST(overlay_->status()).type, 0x794c7630);
}

TEST_F(Overlay, OneDeviceForAllFiles) {
  lower_.write("a", "");
  upper_.write("b", "");
  mount();
  EXPECT_EQ(tree().stat("/a").device, overlay_->device());
  EXPECT_EQ(tree().stat("/b").device, overlay_->device());
}

// --- copies

TEST_F(Overlay, AWriteCopiesTheFile) {
  lower_.write("f", "hello world");
  EXPECT_EQ(tree().write("/f", "HELLO", O_WRONLY), "ok");
  EXPECT_EQ(tree().read("/f"), "HELLO world");
  EXPECT_EQ(lower_.read("f"), "hello world");
  EXPECT_EQ(upper_.read("f"), "HELLO world");
}

TEST_F(Overlay, OpeningToWriteAloneCopiesNothing) {
  lower_.write("f", "x");
  auto file = tree().open("/f", O_RDWR);
  EXPECT_FALSE(upper_.has("f"));
  EXPECT_EQ(MUST(read_file(*file)), "x");
}

TEST_F(Overlay, TruncatingOpensDoNotCopyWhatTheyCut) {
  lower_.write("f", "old content");
  EXPECT_EQ(tree().write("/f", "new"), "ok");
  EXPECT_EQ(tree().read("/f"), "new");
  EXPECT_EQ(lower_.read("f"), "old content");
}

TEST_F(Overlay, AppendsToTheCopy) {
  lower_.write("f", "one");
  EXPECT_EQ(tree().append("/f", "two"), "ok");
  EXPECT_EQ(tree().read("/f"), "onetwo");
}

TEST_F(Overlay, TruncatesToALengthWithin) {
  lower_.write("f", "0123456789");
  EXPECT_EQ(tree().truncate("/f", 4), "ok");
  EXPECT_EQ(tree().read("/f"), "0123");
  EXPECT_EQ(tree().truncate("/f", 6), "ok");
  EXPECT_EQ(tree().read("/f"), std::string("0123\0\0", 6));
}

TEST_F(Overlay, ChangingTheModeCopies) {
  lower_.write("f", "x", 0644);
  EXPECT_EQ(tree().set_mode("/f", 0600), "ok");
  EXPECT_EQ(tree().stat("/f").mode & 07777, 0600U);
  EXPECT_EQ(tree().read("/f"), "x");
  EXPECT_EQ(lower_.stat("f").st_mode & 07777, 0644U);
}

TEST_F(Overlay, ChangingTheOwnerCopiesDirectories) {
  lower_.make_directory("d");
  lower_.write("d/f", "x");
  vfs::AttributeChange change;
  change.uid = 500;
  EXPECT_EQ(tree().change("/d", change), "ok");
  EXPECT_EQ(tree().stat("/d").uid, 500U);
  EXPECT_EQ(tree().read("/d/f"), "x");
  EXPECT_EQ(lower_.stat("d").st_uid, 0U);
}

TEST_F(Overlay, ChangingTimesCopiesSymlinks) {
  ASSERT_EQ(::symlink("target", lower_.at("l").c_str()), 0);
  vfs::AttributeChange change;
  change.modified = vfs::Timestamp{42, 0};
  EXPECT_EQ(tree().change("/l", change), "ok");
  EXPECT_EQ(tree().stat("/l").modified.seconds, 42);
  EXPECT_EQ(tree().read_link("/l"), "target");
}

TEST_F(Overlay, ACopyKeepsModeOwnerAndTimes) {
  lower_.write("f", "x", 04755);
  ASSERT_EQ(::chown(lower_.at("f").c_str(), 12, 13), 0);
  ASSERT_EQ(::chmod(lower_.at("f").c_str(), 04755), 0);
  struct stat before = lower_.stat("f");
  MUST(static_cast<OverlayInode&>(tree().inode("/f")).copy_up());
  auto seen = tree().stat("/f");
  EXPECT_EQ(seen.mode & 07777, 04755U);
  EXPECT_EQ(seen.uid, 12U);
  EXPECT_EQ(seen.gid, 13U);
  EXPECT_EQ(seen.modified.seconds, before.st_mtim.tv_sec);
  EXPECT_EQ(seen.modified.nanoseconds, before.st_mtim.tv_nsec);
}

TEST_F(Overlay, ACopyKeepsExtendedAttributes) {
  lower_.write("f", "x");
  auto fs = MUST(HostFilesystem::create(lower_.open(), {}));
  MUST(MUST(find(fs->root(), "f"))->set_attribute("user.a", "1", 0));
  EXPECT_EQ(tree().set_mode("/f", 0600), "ok");
  EXPECT_EQ(MUST(tree().inode("/f").get_attribute("user.a")), "1");
  EXPECT_EQ(MUST(tree().inode("/f").list_attributes()), Names{"user.a"});
}

TEST_F(Overlay, ACopyMakesItsDirectories) {
  lower_.make_directory("a", 0751);
  lower_.make_directory("a/b", 0711);
  lower_.write("a/b/f", "x");
  EXPECT_EQ(tree().append("/a/b/f", "y"), "ok");
  EXPECT_EQ(upper_.stat("a").st_mode & 07777, 0751U);
  EXPECT_EQ(upper_.stat("a/b").st_mode & 07777, 0711U);
  EXPECT_EQ(upper_.read("a/b/f"), "xy");
}

TEST_F(Overlay, ACopyOfASparseFileIsSparse) {
  Fd file = MUST(sys::openat(sys::kCwd, lower_.at("f").c_str(), O_RDWR | O_CREAT, 0644));
  MUST(sys::ftruncate(file, 64 << 20));
  MUST(sys::pwrite(file, std::as_bytes(std::span("data", 4)), 32 << 20));
  EXPECT_EQ(tree().set_mode("/f", 0600), "ok");
  EXPECT_EQ(upper_.stat("f").st_size, 64 << 20);
  EXPECT_LT(upper_.stat("f").st_blocks, 1 << 11);
  auto copy = tree().open("/f", O_RDONLY);
  EXPECT_EQ(MUST(read_file(*copy, 4, 32 << 20)), "data");
}

TEST_F(Overlay, LargeFilesAreCopiedWhole) {
  std::string text(1'000'003, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 31 + i / 257);
  lower_.write("f", text);
  EXPECT_EQ(tree().append("/f", "!"), "ok");
  EXPECT_EQ(upper_.read("f"), text + "!");
}

TEST_F(Overlay, NothingOfACopyIsLeftUnderItsTemporaryName) {
  lower_.write("f", "x");
  EXPECT_EQ(tree().append("/f", "y"), "ok");
  auto left = MUST(sys::list_directory(upper_.open(O_RDONLY | O_DIRECTORY)));
  EXPECT_EQ(left, Names{"f"});
}

TEST_F(Overlay, FilesOpenBeforeTheCopyReadTheNewBytes) {
  lower_.write("f", "old");
  auto reader = tree().open("/f", O_RDONLY);
  EXPECT_EQ(MUST(read_file(*reader)), "old");
  EXPECT_EQ(tree().write("/f", "NEW", O_WRONLY), "ok");
  EXPECT_EQ(MUST(read_file(*reader)), "NEW");
  EXPECT_EQ(MUST(reader->attributes()).size, 3U);
}

TEST_F(Overlay, TwoWritersSeeEachOther) {
  lower_.write("f", "....");
  auto a = tree().open("/f", O_RDWR);
  auto b = tree().open("/f", O_RDWR);
  MUST(write_file(*a, "a", 0));
  MUST(write_file(*b, "b", 1));
  EXPECT_EQ(MUST(read_file(*a)), "ab..");
}

TEST_F(Overlay, AWritableMappingShowsTheCopy) {
  lower_.write("f", "x");
  auto file = tree().open("/f", O_RDWR);
  auto source = MUST(file->map_source(0, 4096, PROT_READ | PROT_WRITE, true));
  EXPECT_TRUE(upper_.has("f"));
  EXPECT_EQ(MUST(sys::fstat(FdRef(source.fd))).st_ino, upper_.stat("f").st_ino);
}

TEST_F(Overlay, APrivateMappingCopiesNothing) {
  lower_.write("f", "x");
  auto file = tree().open("/f", O_RDWR);
  MUST(file->map_source(0, 4096, PROT_READ | PROT_WRITE, false));
  EXPECT_FALSE(upper_.has("f"));
}

TEST_F(Overlay, NumbersStayOverTheCopy) {
  lower_.write("f", "x");
  lower_.make_directory("d");
  auto file = tree().stat("/f").inode;
  auto directory = tree().stat("/d").inode;
  EXPECT_EQ(tree().append("/f", "y"), "ok");
  EXPECT_EQ(tree().set_mode("/d", 0700), "ok");
  twice([&] {
    EXPECT_EQ(tree().stat("/f").inode, file);
    EXPECT_EQ(tree().stat("/d").inode, directory);
    for (const auto& entry : tree().entries("/")) {
      if (entry.name != "f") continue;
      EXPECT_EQ(entry.inode, file);
    }
  });
}

TEST_F(Overlay, NumbersOfTheLayersDoNotMeet) {
  std::set<std::uint64_t> numbers;
  for (int i = 0; i < 20; ++i) {
    lower_.write(cat("l", i), "");
    upper_.write(cat("u", i), "");
  }
  for (const auto& name : tree().list()) numbers.insert(tree().stat(cat("/", name)).inode);
  EXPECT_EQ(numbers.size(), 40U);
}

TEST_F(Overlay, SyncOfAnUnwrittenFileTouchesNothing) {
  lower_.write("f", "x");
  auto file = tree().open("/f", O_RDWR);
  EXPECT_TRUE(file->sync(false));
  EXPECT_FALSE(upper_.has("f"));
}

TEST_F(Overlay, AllocatingCopies) {
  lower_.write("f", "x");
  auto file = tree().open("/f", O_RDWR);
  MUST(file->allocate(0, 0, 8192));
  EXPECT_EQ(tree().stat("/f").size, 8192U);
  EXPECT_EQ(lower_.stat("f").st_size, 1);
}

TEST_F(Overlay, SeeksDataOfTheCopy) {
  lower_.write("f", "x");
  EXPECT_EQ(tree().truncate("/f", 1 << 20), "ok");
  auto file = tree().open("/f", O_RDWR);
  MUST(write_file(*file, "y", 512 << 10));
  EXPECT_EQ(MUST(file->seek(8192, SEEK_DATA)), 512U << 10);
}

// --- extended attributes

TEST_F(Overlay, SettingAnAttributeCopies) {
  lower_.write("f", "x");
  MUST(tree().inode("/f").set_attribute("user.a", "1", 0));
  EXPECT_TRUE(upper_.has("f"));
  EXPECT_EQ(MUST(tree().inode("/f").get_attribute("user.a")), "1");
  MUST(tree().inode("/f").remove_attribute("user.a"));
  EXPECT_EQ(errno_of(tree().inode("/f").get_attribute("user.a")), ENODATA);
}

TEST_F(Overlay, RemovingAnAbsentAttributeCopiesNothing) {
  lower_.write("f", "x");
  EXPECT_EQ(errno_of(tree().inode("/f").remove_attribute("user.a")), ENODATA);
  EXPECT_FALSE(upper_.has("f"));
}

TEST_F(Overlay, ItsOwnAttributesAreOutOfReach) {
  lower_.make_directory("d");
  EXPECT_EQ(tree().set_mode("/d", 0700), "ok");
  vfs::Inode& d = tree().inode("/d");
  EXPECT_EQ(errno_of(d.set_attribute("user.overlay.opaque", "y", 0)), ENOTSUP);
  EXPECT_EQ(errno_of(d.get_attribute("user.overlay.origin")), ENOTSUP);
  EXPECT_EQ(errno_of(d.remove_attribute("user.overlay.redirect")), ENOTSUP);
  EXPECT_EQ(MUST(d.list_attributes()), Names{});
}

// --- special files

TEST_F(Overlay, FifoEndsMeetAcrossTheCopy) {
  ASSERT_EQ(::mkfifo(lower_.at("p").c_str(), 0666), 0);
  auto reader = tree().open("/p", O_RDONLY | O_NONBLOCK);
  EXPECT_EQ(tree().set_mode("/p", 0600), "ok");
  auto writer = tree().open("/p", O_WRONLY | O_NONBLOCK);
  ASSERT_TRUE(writer);
  FolderCaller caller;
  std::string_view text = "x";
  auto from = vfs::IoBuffer::of(std::as_bytes(std::span(text)));
  EXPECT_EQ(MUST(writer->write(from, caller)), 1U);
}

TEST_F(Overlay, GuestsMakeNoWhiteouts) {
  EXPECT_EQ(tree().make_node("/w", S_IFCHR | 0666, 0), "EPERM");
  EXPECT_EQ(tree().make_node("/s", S_IFSOCK | 0666, 0), "ok");
  EXPECT_EQ(tree().stat("/s").mode & S_IFMT, static_cast<std::uint32_t>(S_IFSOCK));
}

TEST_F(Overlay, DeviceNodesWithoutADriverAreEnxio) {
  if (::mknod(lower_.at("null").c_str(), S_IFCHR | 0666, makedev(1, 3)) != 0) GTEST_SKIP();
  EXPECT_EQ(tree().try_open("/null", O_RDWR), "ENXIO");
}

// --- a file as root

TEST_F(Overlay, AFileIsARoot) {
  lower_.write("hosts", "one\n");
  auto make = [&] {
    Fd fd = MUST(sys::openat(sys::kCwd, lower_.at("hosts").c_str(), O_RDONLY));
    auto lower = MUST(HostFilesystem::create(std::move(fd), {}));
    auto upper = MUST(HostFilesystem::create(upper_.open(), {}));
    return MUST(OverlayFilesystem::create(lower, upper, {}));
  };
  auto overlay = make();
  auto root = overlay->root();
  EXPECT_EQ(MUST(read_inode(*root)), "one\n");
  std::uint64_t number = MUST(root->attributes()).inode;
  auto file = MUST(open_inode(*root, O_WRONLY));
  MUST(write_file(*file, "two\n"));
  EXPECT_EQ(MUST(read_inode(*root)), "two\n");
  EXPECT_EQ(lower_.read("hosts"), "one\n");
  auto again = make();
  EXPECT_EQ(MUST(read_inode(*again->root())), "two\n");
  EXPECT_EQ(MUST(again->root()->attributes()).inode, number);
}

TEST_F(Overlay, AnUpperFileIsRefused) {
  upper_.write("f", "");
  Fd fd = MUST(sys::openat(sys::kCwd, upper_.at("f").c_str(), O_RDWR));
  auto upper = MUST(HostFilesystem::create(std::move(fd), {}));
  auto lower = MUST(HostFilesystem::create(lower_.open(), {}));
  EXPECT_EQ(errno_of(OverlayFilesystem::create(lower, upper, {})), ENOTDIR);
}

// --- an upper layer in memory

class OverlayInMemory : public OverlayTest {
 protected:
  void SetUp() override { in_memory_ = true; }
};

TEST_F(OverlayInMemory, CopiesSparseAndLargeFiles) {
  Fd file = MUST(sys::openat(sys::kCwd, lower_.at("f").c_str(), O_RDWR | O_CREAT, 0644));
  MUST(sys::ftruncate(file, 64 << 20));
  MUST(sys::pwrite(file, std::as_bytes(std::span("data", 4)), 32 << 20));
  EXPECT_EQ(tree().append("/f", "!"), "ok");
  EXPECT_EQ(tree().stat("/f").size, (64U << 20) + 1);
  EXPECT_LT(tree().stat("/f").blocks, 1U << 11);
  EXPECT_EQ(MUST(read_file(*tree().open("/f", O_RDONLY), 4, 32 << 20)), "data");
}

TEST_F(OverlayInMemory, KeepsNumbersAndAttributesOverTheCopy) {
  lower_.write("f", "x", 04711);
  ASSERT_EQ(::chmod(lower_.at("f").c_str(), 04711), 0);
  auto before = tree().stat("/f");
  MUST(tree().inode("/f").set_attribute("user.a", "1", 0));
  twice([&] {
    EXPECT_EQ(tree().stat("/f").inode, before.inode);
    EXPECT_EQ(tree().stat("/f").mode, before.mode);
    EXPECT_EQ(tree().stat("/f").modified, before.modified);
    EXPECT_EQ(MUST(tree().inode("/f").list_attributes()), Names{"user.a"});
  });
}

TEST_F(OverlayInMemory, RemovedFilesStayUsable) {
  lower_.write("f", "old");
  auto file = tree().open("/f", O_RDWR);
  EXPECT_EQ(tree().unlink("/f"), "ok");
  MUST(write_file(*file, "NEW"));
  EXPECT_EQ(MUST(read_file(*file)), "NEW");
}

TEST_F(OverlayInMemory, AFullUpperLayerIsEnospcAndLeavesTheFileAsItWas) {
  lower_.write("f", std::string(100'000, 'x'));
  TmpOptions small;
  small.size = 16 << 10;
  memory_ = TmpFilesystem::create(MUST(FileMemory::create()), nullptr, small);
  EXPECT_EQ(tree().append("/f", "y"), "ENOSPC");
  EXPECT_EQ(tree().stat("/f").size, 100'000U);
  EXPECT_EQ(tree().list(), Names{"f"});
  EXPECT_EQ(tree().unlink("/f"), "ok");
}

// --- mount points

TEST_F(Overlay, MountPointsStayOutOfTheUpperLayer) {
  lower_.write("f", "");
  MUST(tree().inode("/").make_mount_point("proc", S_IFDIR));
  MUST(tree().inode("/").make_mount_point("resolv.conf", S_IFREG));
  EXPECT_EQ(tree().list(), (Names{"f", "proc", "resolv.conf"}));
  EXPECT_EQ(errno_of(tree().inode("/").make_mount_point("f", S_IFREG)), EEXIST);
  EXPECT_FALSE(upper_.has("proc"));
  EXPECT_FALSE(lower_.has("proc"));
}

TEST_F(Overlay, MountPointsInADirectoryThatWasMadeAreInTheUpperLayer) {
  EXPECT_EQ(tree().make_directory("/d"), "ok");
  MUST(tree().inode("/d").make_mount_point("m", S_IFDIR));
  EXPECT_EQ(tree().list("/d"), Names{"m"});
}

}  // namespace
}  // namespace caisson::sandbox::fs

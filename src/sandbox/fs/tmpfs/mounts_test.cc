// Mounts, the cache of names, what tmpfs counts: what no script can say.
#include <fcntl.h>
#include <linux/openat2.h>
#include <unistd.h>

#include <cerrno>

#include <gtest/gtest.h>

#include "sandbox/fs/file_services.h"
#include "sandbox/fs/tmpfs/script_test.h"
#include "sandbox/fs/tmpfs/tmp_regular.h"
#include "sandbox/vfs/dentry_cache.h"

namespace caisson::sandbox::fs {
namespace {

class Mounts : public testing::Test {
 protected:
  vfs::Path at(std::string_view path) { return MUST(guest.find(path)); }
  int errno_of(const ErrnoOr<>& result) { return result ? 0 : result.error().value; }
  // What stat(2) would say of a path: 0, or the errno.
  int lookup(std::string_view path) {
    auto found = guest.find(path);
    return found ? 0 : found.error().value;
  }
  GuestExecutor guest;
};

TEST_F(Mounts, CoverAndUncover) {
  guest.run("mkdir d 755");
  guest.run("open d/below wronly,creat");
  ASSERT_TRUE(guest.mount("d"));
  EXPECT_EQ(lookup("d/below"), ENOENT);
  guest.run("open d/above wronly,creat");
  EXPECT_EQ(errno_of(guest.mounts().detach(at("d"), 0)), 0);
  EXPECT_EQ(lookup("d/below"), 0);
  EXPECT_EQ(lookup("d/above"), ENOENT);
  EXPECT_FALSE(at("d").dentry->is_mount_point());
}

TEST_F(Mounts, DotDotLeadsOutOfThem) {
  guest.run("mkdir d 755");
  guest.run("open here wronly,creat");
  ASSERT_TRUE(guest.mount("d"));
  EXPECT_EQ(lookup("d/../here"), 0);
  ASSERT_TRUE(guest.mount("d"));  // stacked
  EXPECT_EQ(lookup("d/../here"), 0);
  guest.run("chdir d");
  EXPECT_EQ(lookup("../here"), 0);
}

TEST_F(Mounts, CannotBeRemovedNorReplaced) {
  guest.run("mkdir d 755");
  guest.run("mkdir e 755");
  ASSERT_TRUE(guest.mount("d"));
  EXPECT_EQ(guest.run("rmdir d"), "EBUSY");
  EXPECT_EQ(guest.run("rename d f"), "EBUSY");
  EXPECT_EQ(guest.run("rename e d"), "EBUSY");
  EXPECT_EQ(guest.run("rename2 e d 2"), "EBUSY");
  EXPECT_EQ(guest.run("rmdir d/."), "EINVAL");
}

TEST_F(Mounts, NamesDoNotCrossThem) {
  guest.run("mkdir d 755");
  guest.run("open f wronly,creat");
  ASSERT_TRUE(guest.mount("d"));
  EXPECT_EQ(guest.run("rename f d/f"), "EXDEV");
  EXPECT_EQ(guest.run("link f d/f"), "EXDEV");
  EXPECT_EQ(guest.run("openat2 d rdonly no_xdev"), "EXDEV");
  EXPECT_EQ(guest.run("openat2 d/.. rdonly no_xdev"), "EXDEV");
  EXPECT_EQ(guest.run("openat2 f rdonly no_xdev"), "ok");
}

TEST_F(Mounts, ReadOnlyOnesRefuseEachCall) {
  guest.run("mkdir d 755");
  auto mount = guest.mount("d");
  ASSERT_TRUE(mount);
  guest.run("open d/f wronly,creat 4777");
  guest.run("mkdir d/e 755");
  (*mount)->set_flags(MS_RDONLY);
  for (std::string_view line :
       {"open d/f wronly", "open d/f rdwr", "open d/f rdonly,trunc", "open d/n wronly,creat",
        "mkdir d/n 755", "rmdir d/e", "unlink d/f", "unlink d/missing", "rename d/f d/g",
        "symlink x d/n", "link d/f d/n", "mknod d/n 10644", "chmod d/f 600", "chown d/f 1 1",
        "truncate d/f 0", "utimes d/f 1 1", "setxattr d/f trusted.a x", "open d/e wronly,tmpfile"})
    EXPECT_EQ(guest.run(line), "EROFS") << line;
  EXPECT_EQ(guest.run("mkdir d/e 755"), "EEXIST");
  EXPECT_EQ(guest.run("open d/f rdonly"), "ok");
  EXPECT_EQ(guest.run("open d/f rdonly,creat"), "ok");
}

TEST_F(Mounts, NodevAndNosymfollow) {
  guest.run("mkdir d 755");
  auto mount = guest.mount("d", MS_NODEV | vfs::kNoSymlinkFollow);
  ASSERT_TRUE(mount);
  guest.run("mknod d/c 20666 1 3");
  guest.run("symlink c d/l");
  EXPECT_EQ(guest.run("open d/c rdonly"), "EACCES");
  EXPECT_EQ(guest.run("open d/c path"), "ok");
  EXPECT_EQ(guest.run("stat d/l"), "ELOOP");
  EXPECT_EQ(guest.run("readlink d/l"), "ok: c");
}

TEST_F(Mounts, FilesCoverFiles) {
  guest.run("mkdir d 755");
  guest.run("open f wronly,creat");
  guest.run("open g wronly,creat 600");
  auto of_file = MUST(guest.mounts().clone(at("g"), false));
  EXPECT_EQ(errno_of(guest.mounts().attach(of_file, at("d"))), ENOTDIR);
  EXPECT_EQ(errno_of(guest.mounts().attach(of_file, at("f"))), 0);
  EXPECT_EQ(guest.run("stat f"), "ok: 100600 0 0 1 0 0");
  EXPECT_EQ(guest.run("unlink f"), "EBUSY");
  EXPECT_EQ(errno_of(guest.mounts().attach(of_file, at("g"))), EINVAL);
}

TEST_F(Mounts, BindsShowAPart) {
  guest.run("mkdir a 755");
  guest.run("mkdir a/b 755");
  guest.run("open a/b/f wronly,creat");
  guest.run("mkdir c 755");
  ASSERT_TRUE(guest.mounts().attach(MUST(guest.mounts().clone(at("a/b"), false)), at("c")));
  EXPECT_EQ(lookup("c/f"), 0);
  EXPECT_EQ(lookup("c/../c/f"), 0);
  guest.run("unlink c/f");
  EXPECT_EQ(lookup("a/b/f"), ENOENT);
  // A directory that is moved out of what the bind shows has no way up.
  guest.run("mkdir a/b/in 755");
  guest.run("chdir c/in");
  guest.run("rename /a/b/in /a/out");
  EXPECT_EQ(lookup(".."), ENOENT);
}

TEST_F(Mounts, RecursiveBindsTakeWhatIsBelow) {
  guest.run("mkdir a 755");
  guest.run("mkdir a/b 755");
  guest.run("mkdir c 755");
  guest.run("mkdir d 755");
  ASSERT_TRUE(guest.mount("a/b"));
  guest.run("open a/b/f wronly,creat");
  ASSERT_TRUE(guest.mounts().attach(MUST(guest.mounts().clone(at("a"), false)), at("c")));
  ASSERT_TRUE(guest.mounts().attach(MUST(guest.mounts().clone(at("a"), true)), at("d")));
  EXPECT_EQ(lookup("c/b/f"), ENOENT);
  EXPECT_EQ(lookup("d/b/f"), 0);
}

TEST_F(Mounts, DetachIsRefusedWhileInUse) {
  guest.run("mkdir d 755");
  ASSERT_TRUE(guest.mount("d"));
  guest.run("mkdir d/e 755");
  EXPECT_EQ(errno_of(guest.mounts().detach(at("d/e"), 0)), EINVAL);
  ASSERT_TRUE(guest.mount("d/e"));
  EXPECT_EQ(errno_of(guest.mounts().detach(at("d"), 0)), EBUSY);
  EXPECT_EQ(errno_of(guest.mounts().detach(at("d/e"), 0)), 0);
  {
    auto file = MUST(guest.open("d/f", O_CREAT | O_WRONLY));
    EXPECT_EQ(errno_of(guest.mounts().detach(at("d"), 0)), EBUSY);
  }
  EXPECT_EQ(errno_of(guest.mounts().detach(at("/"), 0)), EBUSY);
  EXPECT_EQ(errno_of(guest.mounts().detach(at("d"), 0)), 0);
}

TEST_F(Mounts, LazyDetachTakesTheTreeOff) {
  guest.run("mkdir d 755");
  ASSERT_TRUE(guest.mount("d"));
  guest.run("mkdir d/e 755");
  ASSERT_TRUE(guest.mount("d/e"));
  auto file = MUST(guest.open("d/e/f", O_CREAT | O_RDWR));
  EXPECT_EQ(errno_of(guest.mounts().detach(at("d"), MNT_DETACH)), 0);
  EXPECT_EQ(lookup("d/e"), ENOENT);
  EXPECT_TRUE(file->attributes());
  EXPECT_EQ(vfs::path_text(file->path(), at("/")), "(unreachable)/f");
}

TEST_F(Mounts, MoveAndPivot) {
  guest.run("mkdir a 755");
  guest.run("mkdir b 755");
  ASSERT_TRUE(guest.mount("a"));
  guest.run("open a/f wronly,creat");
  guest.run("mkdir a/old 755");
  EXPECT_EQ(errno_of(guest.mounts().move(at("a/old"), at("b"))), EINVAL);
  EXPECT_EQ(errno_of(guest.mounts().move(at("a"), at("a/old"))), ELOOP);
  EXPECT_EQ(errno_of(guest.mounts().move(at("a"), at("b"))), 0);
  EXPECT_EQ(lookup("b/f"), 0);
  EXPECT_EQ(errno_of(guest.mounts().pivot(at("a"), at("a"))), EBUSY);
  EXPECT_EQ(errno_of(guest.mounts().pivot(at("b"), at("a"))), EBUSY);
  EXPECT_EQ(errno_of(guest.mounts().pivot(at("b"), at("b/old"))), 0);
  vfs::Path root = guest.mounts().root();
  vfs::WalkContext context = guest.context();
  context.root = context.base = root;
  EXPECT_TRUE(vfs::walk(context, "/f", {}));
  EXPECT_TRUE(vfs::walk(context, "/old/b", {}));
  EXPECT_EQ(errno_of(guest.mounts().detach(MUST(vfs::walk(context, "/old", {})), MNT_DETACH)), 0);
  EXPECT_EQ(vfs::walk(context, "/old/b", {}).error().value, ENOENT);
}

TEST_F(Mounts, PivotOntoItself) {
  guest.run("mkdir a 755");
  ASSERT_TRUE(guest.mount("a"));
  guest.run("open a/f wronly,creat");
  vfs::Path made = at("a");
  EXPECT_EQ(errno_of(guest.mounts().pivot(made, made)), 0);
  // The old root lies over the new one until it is taken off.
  EXPECT_EQ(errno_of(guest.mounts().detach(guest.mounts().root(), MNT_DETACH)), 0);
  vfs::WalkContext context = guest.context();
  context.root = context.base = guest.mounts().root();
  EXPECT_TRUE(vfs::walk(context, "/f", {}));
}

TEST_F(Mounts, CopiesAreApart) {
  guest.run("mkdir d 755");
  ASSERT_TRUE(guest.mount("d"));
  guest.run("open d/f wronly,creat");
  auto copy = guest.mounts().copy();
  vfs::Path there = copy->translate(guest.mounts(), at("d"));
  EXPECT_NE(there.mount, at("d").mount);
  EXPECT_EQ(errno_of(guest.mounts().detach(at("d"), 0)), 0);
  vfs::WalkContext context = guest.context();
  context.mounts = copy.get();
  context.root = context.base = copy->root();
  EXPECT_TRUE(vfs::walk(context, "d/f", {}));
  EXPECT_EQ(lookup("d/f"), ENOENT);
  EXPECT_NE(copy->id(), guest.mounts().id());
}

TEST_F(Mounts, TextsOfPlaces) {
  guest.run("mkdir a 755");
  guest.run("mkdir a/b 755");
  ASSERT_TRUE(guest.mount("a/b"));
  guest.run("mkdir a/b/c 755");
  vfs::Path root = at("/"), deep = at("a/b/c");
  EXPECT_EQ(vfs::path_text(root, root), "/");
  EXPECT_EQ(vfs::path_text(deep, root), "/a/b/c");
  EXPECT_EQ(vfs::path_text(deep, at("a")), "/b/c");
  EXPECT_EQ(vfs::path_text(deep, deep), "/");
  EXPECT_EQ(vfs::path_text(at("a"), deep), "(unreachable)/a");
  guest.run("rmdir a/b/c");
  EXPECT_EQ(vfs::path_text(deep, root), "/a/b/c (deleted)");
}

TEST_F(Mounts, LinesOfMountinfo) {
  guest.run("mkdir a 755");
  ASSERT_TRUE(guest.mount("a", MS_NOSUID | MS_RDONLY));
  std::string text = vfs::mountinfo_text(guest.mounts(), at("/"));
  EXPECT_NE(text.find(" / / rw,relatime - tmpfs none rw"), std::string::npos) << text;
  EXPECT_NE(text.find(" / /a ro,nosuid - tmpfs none rw"), std::string::npos) << text;
  // From below, only what is there.
  std::string below = vfs::mountinfo_text(guest.mounts(), at("a"));
  EXPECT_EQ(below.find(" / /a "), std::string::npos) << below;
}

// --- names

TEST_F(Mounts, UnusedNamesAreBounded) {
  vfs::DentryCache& names = guest.filesystem()->names();
  names.set_limit(100);
  for (int i = 0; i < 1000; ++i) guest.run("open f" + std::to_string(i) + " wronly,creat");
  EXPECT_LE(names.unused(), 100U);
  EXPECT_EQ(guest.run("stat f0"), "ok: 100644 0 0 1 0 0");
  for (int i = 0; i < 1000; ++i) guest.run("stat absent" + std::to_string(i));
  EXPECT_LE(names.unused(), 100U);
  names.drop_unused();
  EXPECT_EQ(names.unused(), 0U);
}

TEST_F(Mounts, NestedNamesAreDroppedFromBelow) {
  std::string path;
  for (int i = 0; i < 200; ++i) {
    path += "/d";
    guest.run("mkdir " + path + " 755");
  }
  vfs::DentryCache& names = guest.filesystem()->names();
  names.drop_unused();
  EXPECT_EQ(names.unused(), 0U);
  EXPECT_EQ(lookup(path), 0);
}

TEST_F(Mounts, VeryDeepTreesEnd) {
  for (int i = 0; i < 50000; ++i) {
    ASSERT_EQ(guest.run("mkdir d 755"), "ok");
    ASSERT_EQ(guest.run("chdir d"), "ok");
  }
  guest.cwd() = guest.mounts().root();
}

// --- tmpfs

std::string read_text(vfs::File& file, std::uint64_t offset, std::size_t length,
                      vfs::Caller& caller) {
  std::string text(length, '?');
  auto to = vfs::IoBuffer::of(std::as_writable_bytes(std::span(text)));
  text.resize(MUST(file.read_at(to, offset, caller)));
  return text;
}

std::size_t write_text(vfs::File& file, std::uint64_t offset, const std::string& text,
                       vfs::Caller& caller) {
  auto from = vfs::IoBuffer::of(std::as_bytes(std::span(text)));
  return file.write_at(from, offset, caller).value_or(0);
}

TEST(Tmpfs, OptionsAreParsed) {
  auto options = TmpOptions::parse("size=64m,mode=755,uid=5,gid=6,nr_inodes=1k,huge=never");
  ASSERT_TRUE(options);
  EXPECT_EQ(options->size, std::uint64_t{64} << 20);
  EXPECT_EQ(options->mode, 0755U);
  EXPECT_EQ(options->inodes, 1024U);
  EXPECT_TRUE(TmpOptions::parse(""));
  EXPECT_TRUE(TmpOptions::parse("size=50%"));
  for (std::string_view wrong : {"size=x", "size=", "mode=9", "uid=-1", "nothing", "size=1m1",
                                 "nr_inodes=99999999999999999999", "size=-1"})
    EXPECT_FALSE(TmpOptions::parse(wrong)) << wrong;
}

TEST(Tmpfs, SizeIsLimited) {
  TmpOptions options;
  options.size = 3 * 4096;
  GuestExecutor guest(options);
  auto file = MUST(guest.open("f", O_CREAT | O_RDWR));
  EXPECT_EQ(write_text(*file, 0, std::string(20000, 'a'), guest.caller()), 3U * 4096);
  EXPECT_EQ(write_text(*file, 5 * 4096, "b", guest.caller()), 0U);
  EXPECT_EQ(write_text(*file, 100, "b", guest.caller()), 1U);
  EXPECT_EQ(MUST(guest.filesystem()->status()).free_blocks, 0U);
  EXPECT_EQ(guest.run("truncate f 4096"), "ok");
  EXPECT_EQ(MUST(guest.filesystem()->status()).free_blocks, 2U);
  EXPECT_EQ(guest.run("allocate f 0 0 20000"), "ENOSPC");
  EXPECT_EQ(guest.run("unlink f"), "ok");
  file = nullptr;
  guest.filesystem()->names().drop_unused();
  EXPECT_EQ(MUST(guest.filesystem()->status()).free_blocks, 3U);
}

TEST(Tmpfs, InodesAreLimited) {
  TmpOptions options;
  options.inodes = 3;
  GuestExecutor guest(options);
  EXPECT_EQ(guest.run("mkdir a 755"), "ok");
  EXPECT_EQ(guest.run("symlink x b"), "ok");
  EXPECT_EQ(guest.run("open c wronly,creat"), "ENOSPC");
  EXPECT_EQ(guest.run("link b c"), "ok");
  EXPECT_EQ(guest.run("rmdir a"), "ok");
  EXPECT_EQ(guest.run("open d wronly,creat"), "ok");
}

TEST(Tmpfs, UnlinkedFilesLiveUntilClosed) {
  GuestExecutor guest;
  auto file = MUST(guest.open("f", O_CREAT | O_RDWR));
  EXPECT_EQ(write_text(*file, 0, "still here", guest.caller()), 10U);
  EXPECT_EQ(guest.run("unlink f"), "ok");
  EXPECT_EQ(read_text(*file, 0, 100, guest.caller()), "still here");
  EXPECT_EQ(MUST(file->attributes()).links, 0U);
  EXPECT_EQ(vfs::path_text(file->path(), guest.mounts().root()), "/f (deleted)");
}

TEST(Tmpfs, UnnamedFilesCanBeGivenAName) {
  GuestExecutor guest;
  auto file = MUST(guest.open("/", O_TMPFILE | O_RDWR));
  EXPECT_EQ(MUST(file->attributes()).links, 0U);
  EXPECT_TRUE(vfs::link(guest.context(), file->path(), "named"));
  EXPECT_EQ(guest.run("stat named"), "ok: 100644 0 0 1 0 0");
  EXPECT_EQ(guest.run("unlink named"), "ok");
  // Once it had a name it cannot get another.
  EXPECT_EQ(vfs::link(guest.context(), file->path(), "again").error().value, ENOENT);
}

TEST(Tmpfs, LargeFilesGoByWindows) {
  GuestExecutor guest;
  auto file = MUST(guest.open("f", O_CREAT | O_RDWR));
  std::string text(200000, ' ');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 31 >> 3);
  std::uint64_t edge = FileWindow::kLength - 70000;
  EXPECT_EQ(write_text(*file, edge, text, guest.caller()), text.size());
  EXPECT_EQ(read_text(*file, edge, text.size(), guest.caller()), text);
  EXPECT_EQ(write_text(*file, edge + 1, text, guest.caller()), text.size());
  EXPECT_EQ(read_text(*file, edge + 1, text.size(), guest.caller()), text);
  EXPECT_EQ(read_text(*file, 0, 100000, guest.caller()), std::string(100000, '\0'));
  // Only what was written has memory.
  EXPECT_LE(MUST(file->attributes()).blocks, (text.size() / 4096 + 3) * 8);
}

TEST(Tmpfs, MapsShowTheBytes) {
  GuestExecutor guest;
  auto file = MUST(guest.open("f", O_CREAT | O_RDWR));
  EXPECT_EQ(write_text(*file, 0, std::string(5000, 'm'), guest.caller()), 5000U);
  auto source = MUST(file->map_source(4096, 4096, 3, true));
  ASSERT_TRUE(source.end);
  EXPECT_EQ(source.end->bytes(), 5000U);
  char byte = 0;
  EXPECT_EQ(::pread(source.fd, &byte, 1, static_cast<off_t>(source.offset)), 1);
  EXPECT_EQ(byte, 'm');
  // What a guest writes through its mapping is read, counted and found.
  source = MUST(file->map_source(0, 4096, 3, true));
  EXPECT_EQ(guest.run("truncate f 100000"), "ok");
  EXPECT_EQ(::pwrite(source.fd, "x", 1, static_cast<off_t>(source.offset + 40960)), 1);
  EXPECT_EQ(read_text(*file, 40960, 1, guest.caller()), "x");
  EXPECT_EQ(MUST(file->attributes()).blocks, 24U);
  EXPECT_EQ(MUST(file->seek(8192, SEEK_DATA)), 40960U);
}

TEST(Tmpfs, RangesAreClearedForTheNextFile) {
  GuestExecutor guest;
  {
    auto file = MUST(guest.open("f", O_CREAT | O_RDWR));
    EXPECT_EQ(write_text(*file, 0, std::string(100000, 's'), guest.caller()), 100000U);
  }
  guest.run("unlink f");
  guest.filesystem()->names().drop_unused();
  auto file = MUST(guest.open("g", O_CREAT | O_RDWR));
  EXPECT_EQ(write_text(*file, 99999, "e", guest.caller()), 1U);
  EXPECT_EQ(read_text(*file, 0, 99999, guest.caller()), std::string(99999, '\0'));
}

TEST(Tmpfs, FaultsOfGuestsLeaveTheFileAsItWas) {
  GuestExecutor guest;
  auto file = MUST(guest.open("f", O_CREAT | O_RDWR));
  vfs::IoBuffer wrong(guest.caller().memory(), 8, 100000);
  EXPECT_EQ(file->write_at(wrong, 0, guest.caller()).error().value, EFAULT);
  EXPECT_EQ(MUST(file->attributes()).size, 0U);
  EXPECT_EQ(MUST(file->attributes()).blocks, 0U);
}

TEST(Tmpfs, OffsetsHaveAnEnd) {
  GuestExecutor guest;
  auto file = MUST(guest.open("f", O_CREAT | O_RDWR));
  std::string text = "x";
  auto from = vfs::IoBuffer::of(std::as_bytes(std::span(std::as_const(text))));
  EXPECT_EQ(file->write_at(from, FileBytes::kLargest, guest.caller()).error().value, EFBIG);
  EXPECT_EQ(file->write_at(from, FileBytes::kLargest - 1, guest.caller()).value_or(0), 1U);
}

}  // namespace
}  // namespace caisson::sandbox::fs

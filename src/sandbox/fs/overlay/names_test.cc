// Names of an overlay: made, removed, renamed, linked.
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/fs/overlay/overlay_fixture_test.h"

namespace caisson::sandbox::fs {
namespace {

class OverlayNames : public OverlayTest {
 protected:
  bool is_whiteout_in_upper(std::string_view name) {
    struct stat info = upper_.stat(name);
    return S_ISCHR(info.st_mode) && info.st_rdev == 0;
  }
  Names upper_names() {
    auto names = MUST(sys::list_directory(upper_.open(O_RDONLY | O_DIRECTORY)));
    std::sort(names.begin(), names.end());
    return names;
  }
};

// --- removing

TEST_F(OverlayNames, RemovingALowerFileLeavesAWhiteout) {
  lower_.write("f", "x");
  EXPECT_EQ(tree().unlink("/f"), "ok");
  EXPECT_TRUE(is_whiteout_in_upper("f"));
  EXPECT_TRUE(lower_.has("f"));
  twice([&] {
    EXPECT_EQ(tree().exists("/f"), "ENOENT");
    EXPECT_EQ(tree().list(), Names{});
  });
}

TEST_F(OverlayNames, RemovingAnUpperFileLeavesNothing) {
  EXPECT_EQ(tree().write("/f", "x"), "ok");
  EXPECT_EQ(tree().unlink("/f"), "ok");
  EXPECT_EQ(upper_names(), Names{});
}

TEST_F(OverlayNames, RemovingACopyLeavesAWhiteout) {
  lower_.write("f", "x");
  EXPECT_EQ(tree().append("/f", "y"), "ok");
  EXPECT_EQ(tree().unlink("/f"), "ok");
  EXPECT_TRUE(is_whiteout_in_upper("f"));
  twice([&] { EXPECT_EQ(tree().exists("/f"), "ENOENT"); });
}

TEST_F(OverlayNames, RemovedFilesCanBeMadeAgain) {
  lower_.write("f", "old");
  EXPECT_EQ(tree().unlink("/f"), "ok");
  EXPECT_EQ(tree().write("/f", "new"), "ok");
  twice([&] {
    EXPECT_EQ(tree().read("/f"), "new");
    EXPECT_EQ(tree().list(), Names{"f"});
  });
  EXPECT_EQ(tree().unlink("/f"), "ok");
  twice([&] { EXPECT_EQ(tree().exists("/f"), "ENOENT"); });
  EXPECT_EQ(upper_names(), Names{"f"});
}

TEST_F(OverlayNames, RemovedLowerFilesStayReadable) {
  lower_.write("f", "still here");
  auto file = tree().open("/f", O_RDONLY);
  EXPECT_EQ(tree().unlink("/f"), "ok");
  EXPECT_EQ(MUST(read_file(*file)), "still here");
  EXPECT_EQ(MUST(file->attributes()).links, 0U);
}

TEST_F(OverlayNames, RemovedLowerFilesStayWritable) {
  lower_.write("f", "0123456789");
  auto file = tree().open("/f", O_RDWR);
  EXPECT_EQ(tree().unlink("/f"), "ok");
  MUST(write_file(*file, "ABC"));
  EXPECT_EQ(MUST(read_file(*file)), "ABC3456789");
  EXPECT_EQ(MUST(file->attributes()).links, 0U);
  EXPECT_EQ(lower_.read("f"), "0123456789");
  EXPECT_EQ(tree().exists("/f"), "ENOENT");
}

TEST_F(OverlayNames, ACopiedFileStaysWithThoseWhoOpenedTheLower) {
  lower_.write("f", "old");
  auto reader = tree().open("/f", O_RDONLY);
  EXPECT_EQ(tree().write("/f", "NEW", O_WRONLY), "ok");
  EXPECT_EQ(tree().unlink("/f"), "ok");
  EXPECT_EQ(MUST(read_file(*reader)), "NEW");
}

TEST_F(OverlayNames, DirectoriesMustBeEmptyInBothLayers) {
  lower_.make_directory("d");
  lower_.write("d/f", "");
  EXPECT_EQ(tree().remove_directory("/d"), "ENOTEMPTY");
  EXPECT_EQ(tree().write("/d/g", ""), "ok");
  EXPECT_EQ(tree().unlink("/d/f"), "ok");
  EXPECT_EQ(tree().remove_directory("/d"), "ENOTEMPTY");
  EXPECT_EQ(tree().unlink("/d/g"), "ok");
  EXPECT_EQ(tree().remove_directory("/d"), "ok");
  EXPECT_TRUE(is_whiteout_in_upper("d"));
  EXPECT_EQ(upper_names(), Names{"d"});
  twice([&] { EXPECT_EQ(tree().exists("/d"), "ENOENT"); });
}

TEST_F(OverlayNames, ARemovedDirectoryMadeAgainIsEmpty) {
  lower_.make_directory("d");
  lower_.write("d/f", "");
  lower_.make_directory("d/e");
  EXPECT_EQ(tree().unlink("/d/f"), "ok");
  EXPECT_EQ(tree().remove_directory("/d/e"), "ok");
  EXPECT_EQ(tree().remove_directory("/d"), "ok");
  EXPECT_EQ(tree().make_directory("/d", 0700), "ok");
  twice([&] {
    EXPECT_EQ(tree().list("/d"), Names{});
    EXPECT_EQ(tree().exists("/d/f"), "ENOENT");
    EXPECT_EQ(tree().stat("/d").mode & 0777, 0700U);
  });
}

TEST_F(OverlayNames, ADirectoryInPlaceOfAFile) {
  lower_.write("x", "file");
  EXPECT_EQ(tree().unlink("/x"), "ok");
  EXPECT_EQ(tree().make_directory("/x"), "ok");
  EXPECT_EQ(tree().write("/x/f", "in"), "ok");
  twice([&] { EXPECT_EQ(tree().read("/x/f"), "in"); });
}

TEST_F(OverlayNames, AFileInPlaceOfADirectory) {
  lower_.make_directory("x");
  EXPECT_EQ(tree().remove_directory("/x"), "ok");
  EXPECT_EQ(tree().write("/x", "file"), "ok");
  twice([&] { EXPECT_EQ(tree().read("/x"), "file"); });
}

TEST_F(OverlayNames, RemovedDirectoriesTakeNoNames) {
  lower_.make_directory("d");
  auto file = tree().open("/d", O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(tree().remove_directory("/d"), "ok");
  EXPECT_EQ(MUST(file->attributes()).links, 0U);
}

TEST_F(OverlayNames, WrongKindsAreRefused) {
  lower_.make_directory("d");
  lower_.write("f", "");
  EXPECT_EQ(tree().unlink("/d"), "EISDIR");
  EXPECT_EQ(tree().remove_directory("/f"), "ENOTDIR");
  EXPECT_EQ(tree().make_directory("/f"), "EEXIST");
  EXPECT_EQ(tree().write("/d", "x"), "EISDIR");
}

// --- making

TEST_F(OverlayNames, NewFilesAreInTheUpperLayer) {
  lower_.make_directory("d");
  EXPECT_EQ(tree().write("/d/new", "x", O_WRONLY | O_CREAT | O_EXCL, 0640), "ok");
  EXPECT_EQ(upper_.read("d/new"), "x");
  EXPECT_EQ(upper_.stat("d/new").st_mode & 0777, 0640U);
  EXPECT_FALSE(lower_.has("d/new"));
  EXPECT_EQ(tree().list("/d"), Names{"new"});
  EXPECT_EQ(tree().try_open("/d/new", O_WRONLY | O_CREAT | O_EXCL), "EEXIST");
}

TEST_F(OverlayNames, MakesLinksAndNodes) {
  lower_.make_directory("d");
  EXPECT_EQ(tree().make_symlink("../t", "/d/l"), "ok");
  EXPECT_EQ(tree().make_node("/d/p", S_IFIFO | 0600), "ok");
  twice([&] {
    EXPECT_EQ(tree().read_link("/d/l"), "../t");
    EXPECT_EQ(tree().list("/d"), (Names{"l", "p"}));
  });
}

TEST_F(OverlayNames, SymlinksInPlaceOfWhiteouts) {
  lower_.write("f", "x");
  EXPECT_EQ(tree().unlink("/f"), "ok");
  EXPECT_EQ(tree().make_symlink("g", "/f"), "ok");
  twice([&] { EXPECT_EQ(tree().read_link("/f"), "g"); });
}

TEST_F(OverlayNames, HiddenNamesAreNobodys) {
  upper_.write(".caisson-overlay.new.7", "half a copy");
  EXPECT_EQ(tree().list(), Names{});
  EXPECT_EQ(tree().exists("/.caisson-overlay.new.7"), "ENOENT");
  EXPECT_EQ(tree().write("/.caisson-overlay.x", "x"), "EPERM");
}

TEST_F(OverlayNames, UnnamedFilesGetNames) {
  lower_.make_directory("d");
  auto file = tree().open("/d", O_TMPFILE | O_RDWR, 0600);
  ASSERT_TRUE(file);
  MUST(write_file(*file, "x"));
  EXPECT_EQ(Tree::said(vfs::link(tree().context(), file->path(), "/d/named")), "ok");
  EXPECT_EQ(tree().read("/d/named"), "x");
}

// --- renaming

TEST_F(OverlayNames, RenamesALowerFile) {
  lower_.write("a", "x");
  EXPECT_EQ(tree().rename("/a", "/b"), "ok");
  EXPECT_TRUE(is_whiteout_in_upper("a"));
  twice([&] {
    EXPECT_EQ(tree().read("/b"), "x");
    EXPECT_EQ(tree().exists("/a"), "ENOENT");
    EXPECT_EQ(tree().list(), Names{"b"});
  });
}

TEST_F(OverlayNames, RenamesAnUpperFileWithoutATrace) {
  EXPECT_EQ(tree().write("/a", "x"), "ok");
  EXPECT_EQ(tree().rename("/a", "/b"), "ok");
  EXPECT_EQ(upper_names(), Names{"b"});
}

TEST_F(OverlayNames, ReplacesALowerFile) {
  lower_.write("a", "A");
  lower_.write("b", "B");
  EXPECT_EQ(tree().rename("/a", "/b"), "ok");
  twice([&] {
    EXPECT_EQ(tree().read("/b"), "A");
    EXPECT_EQ(tree().list(), Names{"b"});
  });
}

TEST_F(OverlayNames, ReplacesAnUpperFileByALowerOne) {
  lower_.write("a", "A");
  EXPECT_EQ(tree().write("/b", "B"), "ok");
  auto old = tree().open("/b", O_RDONLY);
  EXPECT_EQ(tree().rename("/a", "/b"), "ok");
  EXPECT_EQ(MUST(read_file(*old)), "B");
  twice([&] { EXPECT_EQ(tree().read("/b"), "A"); });
}

TEST_F(OverlayNames, RenamesOntoAWhiteout) {
  lower_.write("gone", "");
  lower_.write("a", "A");
  EXPECT_EQ(tree().unlink("/gone"), "ok");
  EXPECT_EQ(tree().rename("/a", "/gone"), "ok");
  twice([&] {
    EXPECT_EQ(tree().read("/gone"), "A");
    EXPECT_EQ(tree().list(), Names{"gone"});
  });
}

TEST_F(OverlayNames, RenamesBackAndForth) {
  lower_.write("a", "A");
  EXPECT_EQ(tree().rename("/a", "/b"), "ok");
  EXPECT_EQ(tree().rename("/b", "/a"), "ok");
  twice([&] {
    EXPECT_EQ(tree().read("/a"), "A");
    EXPECT_EQ(tree().list(), Names{"a"});
  });
}

TEST_F(OverlayNames, RenamesALowerDirectoryWithoutCopyingWhatIsInIt) {
  lower_.make_directory("d");
  lower_.make_directory("d/e");
  lower_.write("d/e/f", "deep");
  EXPECT_EQ(tree().rename("/d", "/moved"), "ok");
  EXPECT_FALSE(upper_.has("moved/e"));
  twice([&] {
    EXPECT_EQ(tree().read("/moved/e/f"), "deep");
    EXPECT_EQ(tree().exists("/d"), "ENOENT");
    EXPECT_EQ(tree().list(), Names{"moved"});
    EXPECT_EQ(tree().list("/moved"), Names{"e"});
  });
}

TEST_F(OverlayNames, WritesInARenamedDirectory) {
  lower_.make_directory("d");
  lower_.make_directory("d/e");
  lower_.write("d/e/f", "deep");
  EXPECT_EQ(tree().rename("/d", "/moved"), "ok");
  EXPECT_EQ(tree().append("/moved/e/f", "er"), "ok");
  EXPECT_EQ(tree().write("/moved/new", "n"), "ok");
  twice([&] {
    EXPECT_EQ(tree().read("/moved/e/f"), "deeper");
    EXPECT_EQ(tree().list("/moved"), (Names{"e", "new"}));
  });
  EXPECT_EQ(lower_.read("d/e/f"), "deep");
}

TEST_F(OverlayNames, RenamesADirectoryInARenamedOne) {
  lower_.make_directory("d");
  lower_.make_directory("d/e");
  lower_.write("d/e/f", "deep");
  EXPECT_EQ(tree().rename("/d", "/m"), "ok");
  EXPECT_EQ(tree().rename("/m/e", "/top"), "ok");
  twice([&] {
    EXPECT_EQ(tree().read("/top/f"), "deep");
    EXPECT_EQ(tree().list("/m"), Names{});
    EXPECT_EQ(tree().list(), (Names{"m", "top"}));
  });
}

TEST_F(OverlayNames, MovesADirectoryIntoAnother) {
  lower_.make_directory("a");
  lower_.write("a/f", "x");
  lower_.make_directory("b");
  lower_.make_directory("b/a");
  lower_.write("b/a/other", "");
  EXPECT_EQ(tree().unlink("/b/a/other"), "ok");
  EXPECT_EQ(tree().rename("/a", "/b/a"), "ok");
  twice([&] { EXPECT_EQ(tree().list("/b/a"), Names{"f"}); });
}

TEST_F(OverlayNames, ADirectoryTakesTheNameOfARemovedOne) {
  lower_.make_directory("old");
  lower_.write("old/f", "");
  EXPECT_EQ(tree().unlink("/old/f"), "ok");
  EXPECT_EQ(tree().remove_directory("/old"), "ok");
  EXPECT_EQ(tree().make_directory("/new"), "ok");
  EXPECT_EQ(tree().rename("/new", "/old"), "ok");
  twice([&] {
    EXPECT_EQ(tree().list("/old"), Names{});
    EXPECT_EQ(tree().list(), Names{"old"});
  });
}

TEST_F(OverlayNames, AMadeDirectoryOverAnEmptyLowerOneHidesIt) {
  lower_.make_directory("old");
  EXPECT_EQ(tree().make_directory("/new"), "ok");
  EXPECT_EQ(tree().write("/new/n", ""), "ok");
  EXPECT_EQ(tree().rename("/new", "/old"), "ok");
  twice([&] { EXPECT_EQ(tree().list("/old"), Names{"n"}); });
}

TEST_F(OverlayNames, ALowerDirectoryReplacesAnEmptyOne) {
  lower_.make_directory("a");
  lower_.write("a/f", "x");
  lower_.make_directory("b");
  lower_.write("b/g", "");
  EXPECT_EQ(tree().rename("/a", "/b"), "ENOTEMPTY");
  EXPECT_EQ(tree().unlink("/b/g"), "ok");
  EXPECT_EQ(tree().rename("/a", "/b"), "ok");
  twice([&] {
    EXPECT_EQ(tree().list("/b"), Names{"f"});
    EXPECT_EQ(tree().list(), Names{"b"});
  });
}

TEST_F(OverlayNames, AnUpperDirectoryReplacesAnUpperOne) {
  EXPECT_EQ(tree().make_directory("/a"), "ok");
  EXPECT_EQ(tree().write("/a/f", "x"), "ok");
  EXPECT_EQ(tree().make_directory("/b"), "ok");
  EXPECT_EQ(tree().rename("/a", "/b"), "ok");
  EXPECT_EQ(upper_names(), Names{"b"});
  twice([&] { EXPECT_EQ(tree().read("/b/f"), "x"); });
}

TEST_F(OverlayNames, ExchangesLowerFiles) {
  lower_.write("a", "A");
  lower_.write("b", "B");
  EXPECT_EQ(tree().rename("/a", "/b", RENAME_EXCHANGE), "ok");
  twice([&] {
    EXPECT_EQ(tree().read("/a"), "B");
    EXPECT_EQ(tree().read("/b"), "A");
  });
}

TEST_F(OverlayNames, ExchangesLowerDirectories) {
  lower_.make_directory("a");
  lower_.write("a/fa", "");
  lower_.make_directory("b");
  lower_.write("b/fb", "");
  EXPECT_EQ(tree().rename("/a", "/b", RENAME_EXCHANGE), "ok");
  twice([&] {
    EXPECT_EQ(tree().list("/a"), Names{"fb"});
    EXPECT_EQ(tree().list("/b"), Names{"fa"});
  });
}

TEST_F(OverlayNames, ExchangesAFileAndADirectory) {
  lower_.make_directory("d");
  lower_.write("d/x", "");
  lower_.write("f", "F");
  EXPECT_EQ(tree().rename("/d", "/f", RENAME_EXCHANGE), "ok");
  twice([&] {
    EXPECT_EQ(tree().read("/d"), "F");
    EXPECT_EQ(tree().list("/f"), Names{"x"});
  });
}

TEST_F(OverlayNames, DoesNotReplaceWhenAskedNotTo) {
  lower_.write("a", "A");
  lower_.write("b", "B");
  EXPECT_EQ(tree().rename("/a", "/b", RENAME_NOREPLACE), "EEXIST");
  EXPECT_EQ(tree().unlink("/b"), "ok");
  EXPECT_EQ(tree().rename("/a", "/b", RENAME_NOREPLACE), "ok");
  twice([&] { EXPECT_EQ(tree().read("/b"), "A"); });
}

TEST_F(OverlayNames, KeepsTheNumberOfWhatMoved) {
  lower_.write("a", "A");
  lower_.make_directory("d");
  auto file = tree().stat("/a").inode;
  auto directory = tree().stat("/d").inode;
  EXPECT_EQ(tree().rename("/a", "/b"), "ok");
  EXPECT_EQ(tree().rename("/d", "/e"), "ok");
  twice([&] {
    EXPECT_EQ(tree().stat("/b").inode, file);
    EXPECT_EQ(tree().stat("/e").inode, directory);
  });
}

TEST_F(OverlayNames, TheUsualWayOfReplacingAFile) {
  lower_.make_directory("etc");
  lower_.write("etc/passwd", "old");
  EXPECT_EQ(tree().write("/etc/passwd.new", "new"), "ok");
  EXPECT_EQ(tree().link("/etc/passwd", "/etc/passwd.bak"), "ok");
  EXPECT_EQ(tree().rename("/etc/passwd.new", "/etc/passwd"), "ok");
  twice([&] {
    EXPECT_EQ(tree().read("/etc/passwd"), "new");
    EXPECT_EQ(tree().read("/etc/passwd.bak"), "old");
    EXPECT_EQ(tree().list("/etc"), (Names{"passwd", "passwd.bak"}));
  });
}

// --- several names of one file

class OverlayLinks : public OverlayNames {
 protected:
  void SetUp() override {
    lower_.write("a", "x");
    ASSERT_EQ(::link(lower_.at("a").c_str(), lower_.at("b").c_str()), 0);
  }
};

TEST_F(OverlayLinks, LinkingALowerFileCopiesIt) {
  lower_.write("one", "1");
  EXPECT_EQ(tree().link("/one", "/two"), "ok");
  EXPECT_EQ(tree().append("/two", "+"), "ok");
  twice([&] {
    EXPECT_EQ(tree().read("/one"), "1+");
    EXPECT_EQ(tree().stat("/one").links, 2U);
    EXPECT_EQ(tree().stat("/one").inode, tree().stat("/two").inode);
  });
}

TEST_F(OverlayLinks, AWriteIsSeenByAllNames) {
  EXPECT_EQ(tree().append("/a", "y"), "ok");
  twice([&] {
    EXPECT_EQ(tree().read("/a"), "xy");
    EXPECT_EQ(tree().read("/b"), "xy");
    EXPECT_EQ(tree().stat("/a").inode, tree().stat("/b").inode);
    EXPECT_EQ(tree().stat("/a").links, 2U);
    EXPECT_EQ(tree().list(), (Names{"a", "b"}));
  });
}

TEST_F(OverlayLinks, WritesByBothNamesMeet) {
  EXPECT_EQ(tree().append("/a", "y"), "ok");
  mount();
  EXPECT_EQ(tree().append("/b", "z"), "ok");
  twice([&] { EXPECT_EQ(tree().read("/a"), "xyz"); });
}

TEST_F(OverlayLinks, RemovingOneNameLeavesTheOther) {
  EXPECT_EQ(tree().append("/a", "y"), "ok");
  EXPECT_EQ(tree().unlink("/a"), "ok");
  twice([&] {
    EXPECT_EQ(tree().read("/b"), "xy");
    EXPECT_EQ(tree().stat("/b").links, 1U);
    EXPECT_EQ(tree().exists("/a"), "ENOENT");
  });
  EXPECT_EQ(tree().unlink("/b"), "ok");
  EXPECT_EQ(tree().list(), Names{});
  EXPECT_EQ(upper_names(), (Names{"a", "b"}));  // whiteouts
}

TEST_F(OverlayLinks, RemovingANameBeforeTheCopyCounts) {
  EXPECT_EQ(tree().unlink("/a"), "ok");
  EXPECT_EQ(tree().stat("/b").links, 1U);
  EXPECT_EQ(tree().append("/b", "y"), "ok");
  twice([&] {
    EXPECT_EQ(tree().read("/b"), "xy");
    EXPECT_EQ(tree().stat("/b").links, 1U);
    EXPECT_EQ(tree().exists("/a"), "ENOENT");
  });
}

TEST_F(OverlayLinks, RenamesOneOfTheNames) {
  EXPECT_EQ(tree().append("/a", "y"), "ok");
  EXPECT_EQ(tree().rename("/b", "/c"), "ok");
  EXPECT_EQ(tree().append("/c", "z"), "ok");
  twice([&] {
    EXPECT_EQ(tree().read("/a"), "xyz");
    EXPECT_EQ(tree().list(), (Names{"a", "c"}));
    EXPECT_EQ(tree().stat("/a").links, 2U);
  });
}

TEST_F(OverlayLinks, FurtherNamesCount) {
  EXPECT_EQ(tree().link("/a", "/c"), "ok");
  twice([&] { EXPECT_EQ(tree().stat("/b").links, 3U); });
  EXPECT_EQ(tree().unlink("/c"), "ok");
  EXPECT_EQ(tree().unlink("/a"), "ok");
  twice([&] { EXPECT_EQ(tree().stat("/b").links, 1U); });
}

TEST_F(OverlayLinks, RenamingOneNameOverTheOtherDoesNothing) {
  EXPECT_EQ(tree().rename("/a", "/b"), "ok");
  EXPECT_EQ(tree().list(), (Names{"a", "b"}));
}

}  // namespace
}  // namespace caisson::sandbox::fs

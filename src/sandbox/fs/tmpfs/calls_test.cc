// What each call by path answers, line by line, here and on the host.
#include <gtest/gtest.h>

#include "sandbox/fs/tmpfs/script_test.h"

namespace caisson::sandbox::fs {
namespace {

struct Line {
  std::string line;
  std::string_view answer = "ok";
};

void run(const std::vector<Line>& script) {
  GuestExecutor guest;
  std::unique_ptr<Executor> host = make_host_executor();
  for (const Line& step : script) {
    EXPECT_EQ(guest.run(step.line), step.answer) << "here: " << step.line;
    if (!host) continue;
    EXPECT_EQ(host->run(step.line), step.answer) << "on the host: " << step.line;
  }
}

TEST(Calls, Mkdir) {
  run({{"mkdir a 755"},
       {"stat a", "ok: 40755 0 0 2 0 0"},
       {"mkdir a 755", "EEXIST"},
       {"mkdir a/ 755", "EEXIST"},
       {"mkdir b/ 700"},
       {"mkdir c/d 755", "ENOENT"},
       {"mkdir '' 755", "ENOENT"},
       {"mkdir / 755", "EEXIST"},
       {"mkdir . 755", "EEXIST"},
       {"mkdir a/.. 755", "EEXIST"},
       {"open f wronly,creat,excl 644"},
       {"mkdir f/x 755", "ENOTDIR"},
       {"mkdir f 755", "EEXIST"},
       {"symlink nowhere l"},
       {"mkdir l 755", "EEXIST"},
       {"mkdir l/ 755", "EEXIST"},
       {"mkdir a/s 6755"},
       {"stat a/s", "ok: 40755 0 0 2 0 0"},
       {"mkdir a/t 1777"},
       {"stat a/t", "ok: 41777 0 0 2 0 0"},
       {"stat a", "ok: 40755 0 0 4 0 0"}});
}

TEST(Calls, MkdirInheritsTheGroup) {
  run({{"mkdir g 2777"},
       {"chmod g 2777"},
       {"chown g 0 50"},
       {"chmod g 2777"},
       {"as 1000 1000"},
       {"mkdir g/d 755"},
       {"stat g/d", "ok: 42755 1000 50 2 0 0"},
       {"open g/f wronly,creat 755"},
       {"stat g/f", "ok: 100755 1000 50 1 0 0"},
       {"open g/s wronly,creat 2755"},
       {"stat g/s", "ok: 100755 1000 50 1 0 0"}});
}

TEST(Calls, MkdirNeedsPermission) {
  run({{"mkdir a 755"},
       {"mkdir closed 700"},
       {"as 1000 1000"},
       {"mkdir a/b 755", "EACCES"},
       {"mkdir closed/b 755", "EACCES"},
       {"mkdir a 755", "EEXIST"},
       {"mkdir mine 755"},
       {"stat mine", "ok: 40755 1000 1000 2 0 0"}});
}

TEST(Calls, NamesHaveAMost) {
  std::string longest(255, 'n'), too_long(256, 'n');
  run({{"mkdir " + longest + " 755"},
       {"mkdir " + too_long + " 755", "ENAMETOOLONG"},
       {"stat " + too_long, "ENAMETOOLONG"},
       {"stat " + too_long + "/x", "ENAMETOOLONG"},
       {"open " + too_long + " wronly,creat", "ENAMETOOLONG"},
       {"rename " + longest + " " + too_long, "ENAMETOOLONG"}});
}

TEST(Calls, PathsHaveAMost) {
  std::string path;
  for (int i = 0; i < 2048; ++i) path += "./";
  GuestExecutor guest;
  EXPECT_EQ(guest.run("stat " + path), "ENAMETOOLONG");
  EXPECT_EQ(guest.run("stat " + path.substr(2)), "ok: 41777 0 0 2 0 0");
}

TEST(Calls, Rmdir) {
  run({{"mkdir a 755"},
       {"mkdir a/b 755"},
       {"rmdir a", "ENOTEMPTY"},
       {"rmdir a/b/.", "EINVAL"},
       {"rmdir a/b/..", "ENOTEMPTY"},
       {"rmdir /", "EBUSY"},
       {"rmdir missing", "ENOENT"},
       {"rmdir ''", "ENOENT"},
       {"open f wronly,creat"},
       {"rmdir f", "ENOTDIR"},
       {"rmdir f/", "ENOTDIR"},
       {"symlink a l"},
       {"rmdir l", "ENOTDIR"},
       {"rmdir l/", "ENOTDIR"},
       {"rmdir a/b/"},
       {"rmdir a"},
       {"stat a", "ENOENT"}});
}

TEST(Calls, RemovedDirectoryTakesNothing) {
  run({{"mkdir a 755"},
       {"chdir a"},
       {"rmdir /a"},
       {"stat .", "ok: 40755 0 0 0 0 0"},
       {"mkdir b 755", "ENOENT"},
       {"open f wronly,creat", "ENOENT"},
       {"symlink x y", "ENOENT"},
       {"stat f", "ENOENT"},
       {"ls ."},
       {"stat ..", "ok: 41777 0 0 2 0 0"}});
}

TEST(Calls, Unlink) {
  run({{"open f wronly,creat"},
       {"unlink f/", "ENOTDIR"},
       {"unlink f"},
       {"unlink f", "ENOENT"},
       {"mkdir d 755"},
       {"unlink d", "EISDIR"},
       {"unlink d/", "EISDIR"},
       {"unlink .", "EISDIR"},
       {"unlink ..", "EISDIR"},
       {"unlink /", "EISDIR"},
       {"unlink ''", "ENOENT"},
       {"unlink d/x/y", "ENOENT"},
       {"symlink d l"},
       {"unlink l/", "ENOTDIR"},
       {"unlink l"},
       {"lstat l", "ENOENT"}});
}

TEST(Calls, StickyDirectoriesKeepOthersFiles) {
  run({{"mkdir t 1777"},
       {"chmod t 1777"},
       {"as 1000 1000"},
       {"open t/f wronly,creat"},
       {"mkdir t/d 755"},
       {"as 1001 1001"},
       {"unlink t/f", "EPERM"},
       {"rmdir t/d", "EPERM"},
       {"rename t/f t/g", "EPERM"},
       {"open t/mine wronly,creat"},
       {"rename t/mine t/f", "EPERM"},
       {"unlink t/missing", "ENOENT"},
       {"as 1000 1000"},
       {"rename t/f t/g"},
       {"unlink t/g"},
       {"as 0 0"},
       {"unlink t/mine"}});
}

TEST(Calls, Symlink) {
  run({{"symlink target l"},
       {"lstat l", "ok: 120777 0 0 1 6 0"},
       {"readlink l", "ok: target"},
       {"stat l", "ENOENT"},
       {"symlink other l", "EEXIST"},
       {"symlink '' e", "ENOENT"},
       {"symlink x ''", "ENOENT"},
       {"symlink x new/", "ENOENT"},
       {"open target wronly,creat"},
       {"stat l", "ok: 100644 0 0 1 0 0"},
       {"readlink target", "EINVAL"},
       {"stat l/", "ENOTDIR"},
       {"lstat l/", "ENOTDIR"}});
}

TEST(Calls, SymlinksAreFollowed) {
  run({{"mkdir d 755"},
       {"mkdir d/e 755"},
       {"open d/e/f wronly,creat 640"},
       {"symlink d/e one"},
       {"symlink /d two"},
       {"symlink ../two/e d/three"},
       {"stat one/f", "ok: 100640 0 0 1 0 0"},
       {"stat two/e/f", "ok: 100640 0 0 1 0 0"},
       {"stat d/three/f", "ok: 100640 0 0 1 0 0"},
       {"lstat one/", "ok: 40755 0 0 2 0 0"},
       {"stat one/../e/f", "ok: 100640 0 0 1 0 0"},
       {"symlink f/ d/e/slash"},
       {"stat d/e/slash", "ENOTDIR"},
       {"symlink ../../.. d/e/up"},
       {"stat d/e/up/d/e/up", "ok: 41777 0 0 3 0 0"},
       {"symlink loop loop"},
       {"stat loop", "ELOOP"},
       {"stat loop/x", "ELOOP"},
       {"lstat loop", "ok: 120777 0 0 1 4 0"},
       {"symlink b a"},
       {"symlink a b"},
       {"open a rdonly", "ELOOP"}});
}

TEST(Calls, FortyLinksAndNoMore) {
  std::vector<std::string> text = {"mkdir d 755", "symlink d l0"};
  for (int i = 1; i <= 41; ++i)
    text.push_back("symlink l" + std::to_string(i - 1) + " l" + std::to_string(i));
  std::vector<Line> script;
  for (const std::string& line : text) script.push_back({line});
  script.push_back({"stat l39", "ok: 40755 0 0 2 0 0"});
  script.push_back({"stat l40", "ELOOP"});
  run(script);
}

TEST(Calls, SharedStickyDirectoriesProtectFromLinks) {
  GuestExecutor guest;
  EXPECT_EQ(guest.run("mkdir t 1777"), "ok");
  EXPECT_EQ(guest.run("open target wronly,creat 666"), "ok");
  guest.become(1000, 1000);
  EXPECT_EQ(guest.run("symlink ../target t/l"), "ok");
  EXPECT_EQ(guest.run("stat t/l"), "ok: 100666 0 0 1 0 0");
  guest.become(0, 0);
  EXPECT_EQ(guest.run("stat t/l"), "EACCES");
  EXPECT_EQ(guest.run("lstat t/l"), "ok: 120777 1000 1000 1 9 0");
  guest.become(1001, 1001);
  EXPECT_EQ(guest.run("open t/l rdonly"), "EACCES");
}

TEST(Calls, Link) {
  run({{"open f wronly,creat"},
       {"link f g"},
       {"stat f", "ok: 100644 0 0 2 0 0"},
       {"link f g", "EEXIST"},
       {"link missing h", "ENOENT"},
       {"link f new/", "ENOENT"},
       {"link f .", "EEXIST"},
       {"link f ''", "ENOENT"},
       {"mkdir d 755"},
       {"link d e", "EPERM"},
       {"link f d", "EEXIST"},
       {"link f d/f"},
       {"symlink f l"},
       {"link l m"},
       {"lstat m", "ok: 120777 0 0 2 1 0"},
       {"linkfollow l n"},
       {"lstat n", "ok: 100644 0 0 4 0 0"},
       {"unlink f"},
       {"stat g", "ok: 100644 0 0 3 0 0"},
       {"write g 0 5 x", "ok: 5"},
       {"stat d/f", "ok: 100644 0 0 3 5 0"}});
}

TEST(Calls, LinkNeedsPermission) {
  run({{"open f wronly,creat 644"},
       {"mkdir d 755"},
       {"mkdir open 777"},
       {"chmod open 777"},
       {"as 1000 1000"},
       {"open mine wronly,creat"},
       {"link mine d/x", "EACCES"},
       {"link mine open/x"},
       {"stat open/x", "ok: 100644 1000 1000 2 0 0"}});
}

TEST(Calls, Mknod) {
  run({{"mknod p 10644"},
       {"stat p", "ok: 10644 0 0 1 0 0"},
       {"mknod s 140600"},
       {"stat s", "ok: 140600 0 0 1 0 0"},
       {"mknod c 20666 1 3"},
       {"stat c", "ok: 20666 0 0 1 0 259"},
       {"mknod b 60600 8 1"},
       {"stat b", "ok: 60600 0 0 1 0 2049"},
       {"mknod f 100600"},
       {"stat f", "ok: 100600 0 0 1 0 0"},
       {"mknod g 600"},
       {"stat g", "ok: 100600 0 0 1 0 0"},
       {"mknod d 40755", "EPERM"},
       {"mknod l 120777", "EINVAL"},
       {"mknod p 10644", "EEXIST"},
       {"mknod x/ 10644", "ENOENT"},
       {"open s rdonly", "ENXIO"},
       {"as 1000 1000"},
       {"mknod cc 20666 1 3", "EPERM"},
       {"mknod pp 10666"},
       {"mknod w 20000 0 0"}});
}

TEST(Calls, OpenMakesFiles) {
  run({{"open f wronly,creat 640"},
       {"stat f", "ok: 100640 0 0 1 0 0"},
       {"open f wronly,creat 600"},
       {"stat f", "ok: 100640 0 0 1 0 0"},
       {"open f wronly,creat,excl", "EEXIST"},
       {"open g rdonly", "ENOENT"},
       {"open g/ wronly,creat", "EISDIR"},
       {"open f/ wronly,creat", "EISDIR"},
       {"open f/ rdonly", "ENOTDIR"},
       {"open '' rdonly", "ENOENT"},
       {"open '' wronly,creat", "ENOENT"},
       {"mkdir d 755"},
       {"open d wronly", "EISDIR"},
       {"open d rdwr", "EISDIR"},
       {"open d rdonly"},
       {"open d rdonly,creat", "EISDIR"},
       {"open d rdonly,creat,excl", "EEXIST"},
       {"open d/ rdonly,creat", "EISDIR"},
       {"open . rdonly,creat", "EISDIR"},
       {"open .. rdonly,creat,excl", "EEXIST"},
       {"open / rdonly,creat", "EISDIR"},
       {"open d rdonly,trunc", "EISDIR"},
       {"open f rdonly,directory", "ENOTDIR"},
       {"open d rdonly,directory"},
       {"open f wronly,creat,directory", "EINVAL"},
       {"open d/x/y wronly,creat", "ENOENT"},
       {"open f/x wronly,creat", "ENOTDIR"}});
}

TEST(Calls, OpenAndLinks) {
  run({{"symlink f l"},
       {"open l rdonly", "ENOENT"},
       {"open l wronly,creat,excl", "EEXIST"},
       {"open l wronly,creat,nofollow", "ELOOP"},
       {"open l wronly,creat 600"},
       {"lstat f", "ok: 100600 0 0 1 0 0"},
       {"open l rdonly,nofollow", "ELOOP"},
       {"open l path,nofollow"},
       {"open l path,nofollow,directory", "ENOTDIR"},
       {"mkdir d 755"},
       {"symlink d k"},
       {"open k rdonly,nofollow,directory", "ENOTDIR"},
       {"open k/ rdonly,nofollow"},
       {"symlink d/new m"},
       {"open m wronly,creat 611"},
       {"stat d/new", "ok: 100611 0 0 1 0 0"},
       {"symlink d/ n"},
       {"open n wronly,creat", "EISDIR"},
       {"symlink missing/ o"},
       {"open o wronly,creat", "EISDIR"},
       {"symlink no/where p"},
       {"open p wronly,creat", "ENOENT"},
       {"symlink q q"},
       {"open q wronly,creat", "ELOOP"}});
}

TEST(Calls, OpenNeedsPermission) {
  run({{"open f wronly,creat 640"},
       {"open r wronly,creat 444"},
       {"open w wronly,creat 222"},
       {"chmod w 222"},
       {"mkdir d 755"},
       {"open r wronly"},
       {"as 1000 1000"},
       {"open f rdonly", "EACCES"},
       {"open f wronly", "EACCES"},
       {"open r rdonly"},
       {"open r wronly", "EACCES"},
       {"open r rdonly,trunc", "EACCES"},
       {"open w rdonly", "EACCES"},
       {"open w wronly"},
       {"open w rdwr", "EACCES"},
       {"open w both", "EACCES"},
       {"open f path"},
       {"open d/x wronly,creat", "EACCES"},
       {"open d/x rdonly", "ENOENT"},
       {"open r rdonly,noatime", "EPERM"},
       {"open mine wronly,creat 000"},
       {"open mine rdonly", "EACCES"},
       {"open mine rdonly,creat", "EACCES"},
       {"as 1001 1000"},
       {"as 0 0"},
       {"open r rdonly,noatime"}});
}

TEST(Calls, GroupsCount) {
  run({{"open f wronly,creat 040"},
       {"chown f 0 100"},
       {"open o wronly,creat 604"},
       {"chmod o 604"},
       {"chown o 0 100"},
       {"as 1000 100"},
       {"open f rdonly"},
       {"open o rdonly", "EACCES"},
       {"as 1000 101"},
       {"open f rdonly", "EACCES"},
       {"open o rdonly"}});
}

TEST(Calls, OpenTruncates) {
  run({{"open f wronly,creat 6755"},
       {"chmod f 6755"},
       {"write f 0 10 a", "ok: 10"},
       {"stat f", "ok: 106755 0 0 1 10 0"},
       {"open f wronly,trunc"},
       {"stat f", "ok: 106755 0 0 1 0 0"},
       {"open f rdonly,trunc"},
       {"mknod p 10600"},
       {"open p rdonly,path"}});
}

TEST(Calls, OpenUnnamed) {
  run({{"mkdir d 755"},
       {"open d wronly,tmpfile 600"},
       {"open d rdwr,tmpfile 600"},
       {"open d rdonly,tmpfile", "EINVAL"},
       {"open d wronly,tmpfile,creat", "EINVAL"},
       {"open missing wronly,tmpfile", "ENOENT"},
       {"open f wronly,creat"},
       {"open f wronly,tmpfile", "ENOTDIR"},
       {"ls d", "ok: ../4 ./4"},
       {"as 1000 1000"},
       {"open d wronly,tmpfile", "EACCES"}});
}

TEST(Calls, Openat2Resolves) {
  run({{"mkdir d 755"},
       {"mkdir d/e 755"},
       {"open d/e/f wronly,creat"},
       {"symlink /d abs"},
       {"symlink e/f d/rel"},
       {"symlink ../.. d/out"},
       {"openat2 d/e/f rdonly beneath"},
       {"openat2 d/../d/e/f rdonly beneath"},
       {"openat2 /d rdonly beneath", "EXDEV"},
       {"openat2 .. rdonly beneath", "EXDEV"},
       {"openat2 abs rdonly beneath", "EXDEV"},
       {"openat2 d/rel rdonly beneath"},
       {"openat2 d/rel rdonly no_symlinks", "ELOOP"},
       {"openat2 abs/e rdonly no_symlinks", "ELOOP"},
       {"openat2 abs path,nofollow no_symlinks"},
       {"openat2 d/out rdonly beneath", "EXDEV"},
       {"openat2 d/out/abs/e/f rdonly in_root"},
       {"chdir d"},
       {"openat2 /e/f rdonly in_root"},
       {"openat2 /d/e/f rdonly in_root", "ENOENT"},
       {"openat2 ../abs rdonly in_root", "ENOENT"},
       {"openat2 out/e rdonly in_root"},
       {"openat2 e/new wronly,creat beneath"},
       {"openat2 ../new wronly,creat beneath", "EXDEV"},
       {"openat2 e/f rdonly no_xdev"},
       {"openat2 e/f rdonly no_magiclinks"}});
}

TEST(Calls, Rename) {
  run({{"open f wronly,creat"},
       {"rename f g"},
       {"stat f", "ENOENT"},
       {"stat g", "ok: 100644 0 0 1 0 0"},
       {"rename missing x", "ENOENT"},
       {"rename g x/y", "ENOENT"},
       {"rename '' x", "ENOENT"},
       {"rename g ''", "ENOENT"},
       {"rename g g"},
       {"mkdir d 755"},
       {"rename g d", "EISDIR"},
       {"rename d g", "ENOTDIR"},
       {"rename g d/", "ENOTDIR"},
       {"rename g new/", "ENOTDIR"},
       {"rename g/ new", "ENOTDIR"},
       {"rename d e/"},
       {"rename e d"},
       {"rename d d/x", "EINVAL"},
       {"mkdir d/e 755"},
       {"rename d d/e", "EINVAL"},
       {"rename d d/e/f", "EINVAL"},
       {"rename d/e d", "ENOTEMPTY"},
       {"rename . x", "EBUSY"},
       {"rename d/.. x", "EBUSY"},
       {"rename d .", "EBUSY"},
       {"rename d /", "EBUSY"},
       {"rename g d/e/g"},
       {"stat d/e/g", "ok: 100644 0 0 1 0 0"},
       {"mkdir empty 700"},
       {"rename d empty"},
       {"stat empty/e/g", "ok: 100644 0 0 1 0 0"},
       {"stat empty", "ok: 40755 0 0 3 0 0"},
       {"mkdir other 755"},
       {"rename other empty", "ENOTEMPTY"},
       {"rename empty/e other"},
       {"stat empty", "ok: 40755 0 0 2 0 0"},
       {"stat other/g", "ok: 100644 0 0 1 0 0"}});
}

TEST(Calls, RenameOfOneFileByTwoNamesDoesNothing) {
  run({{"open f wronly,creat"},
       {"link f g"},
       {"rename f g"},
       {"stat f", "ok: 100644 0 0 2 0 0"},
       {"stat g", "ok: 100644 0 0 2 0 0"},
       {"rename2 f g 1", "EEXIST"}});
}

TEST(Calls, RenameWithFlags) {
  run({{"open f wronly,creat 600"},
       {"open g wronly,creat 611"},
       {"rename2 f g 1", "EEXIST"},
       {"rename2 f h 1"},
       {"rename2 h . 1", "EEXIST"},
       {"rename2 h g 2"},
       {"stat g", "ok: 100600 0 0 1 0 0"},
       {"stat h", "ok: 100611 0 0 1 0 0"},
       {"rename2 g missing 2", "ENOENT"},
       {"rename2 g h 3", "EINVAL"},
       {"rename2 g h 8", "EINVAL"},
       {"mkdir d 755"},
       {"mkdir d/e 755"},
       {"mkdir other 755"},
       {"rename2 d g 2"},
       {"stat d", "ok: 100600 0 0 1 0 0"},
       {"stat g/e", "ok: 40755 0 0 2 0 0"},
       {"rename2 g/e g 2", "EINVAL"},
       {"rename2 g g/e 2", "EINVAL"},
       {"rename2 g/e d 2"},
       {"stat g", "ok: 40755 0 0 2 0 0"},
       {"stat d", "ok: 40755 0 0 2 0 0"},
       {"rename2 d h/ 2", "ENOTDIR"},
       {"rename2 h/ d 2", "ENOTDIR"}});
}

TEST(Calls, RenameNeedsPermission) {
  run({{"mkdir a 755"},
       {"mkdir b 777"},
       {"chmod b 777"},
       {"open a/f wronly,creat"},
       {"mkdir b/d 755"},
       {"mkdir c 777"},
       {"chmod c 777"},
       {"as 1000 1000"},
       {"rename a/f b/f", "EACCES"},
       {"open b/g wronly,creat"},
       {"rename b/g a/g", "EACCES"},
       {"rename b/g c/g"},
       {"rename b/d c/d", "EACCES"},
       {"rename b/d b/e"},
       {"as 0 0"},
       {"stat b", "ok: 40777 0 0 3 0 0"},
       {"rename b/e c/e"},
       {"stat b", "ok: 40777 0 0 2 0 0"},
       {"stat c", "ok: 40777 0 0 3 0 0"}});
}

TEST(Calls, Chmod) {
  run({{"open f wronly,creat"},
       {"chmod f 7777"},
       {"stat f", "ok: 107777 0 0 1 0 0"},
       {"chmod missing 644", "ENOENT"},
       {"as 1000 1000"},
       {"chmod f 644", "EPERM"},
       {"open mine wronly,creat"},
       {"chmod mine 2755"},
       {"stat mine", "ok: 102755 1000 1000 1 0 0"},
       {"as 0 0"},
       {"chown mine 1000 50"},
       {"as 1000 1000"},
       {"chmod mine 2755"},
       {"stat mine", "ok: 100755 1000 50 1 0 0"},
       {"chmod mine 4755"},
       {"stat mine", "ok: 104755 1000 50 1 0 0"}});
}

TEST(Calls, Chown) {
  run({{"open f wronly,creat 6755"},
       {"chmod f 6755"},
       {"chown f 1000 1000"},
       {"stat f", "ok: 100755 1000 1000 1 0 0"},
       {"chmod f 6745"},
       {"chown f 1000 1000"},
       {"stat f", "ok: 102745 1000 1000 1 0 0"},
       {"chmod f 6755"},
       {"chown f -1 -1"},
       {"stat f", "ok: 100755 1000 1000 1 0 0"},
       {"mkdir d 6755"},
       {"chmod d 6755"},
       {"chown d 1 1"},
       {"stat d", "ok: 46755 1 1 2 0 0"},
       {"as 1000 1000"},
       {"chown f 1001 -1", "EPERM"},
       {"chown f -1 50", "EPERM"},
       {"chown f 1000 1000"},
       {"chown f -1 1000"},
       {"chown d -1 1000", "EPERM"},
       {"symlink f l"},
       {"as 0 0"},
       {"lchown l 7 8"},
       {"lstat l", "ok: 120777 7 8 1 1 0"},
       {"stat f", "ok: 100755 1000 1000 1 0 0"}});
}

TEST(Calls, Times) {
  run({{"open f wronly,creat 666"},
       {"chmod f 666"},
       {"utimes f 1000 2000"},
       {"times f", "ok: 1000 2000"},
       {"utimes missing 1 2", "ENOENT"},
       {"open g wronly,creat 644"},
       {"as 1000 1000"},
       {"utimes f 1 2", "EPERM"},
       {"touch f"},
       {"touch g", "EACCES"},
       {"touch missing", "ENOENT"}});
}

TEST(Calls, ReadingSetsTheAccessTimeOnceAfterAWrite) {
  run({{"open f wronly,creat"},
       {"write f 0 3 x", "ok: 3"},
       {"utimes f 1000 2000000000"},
       {"read f 0 3", "ok: 3:119160"},
       {"utimes f 4000000000 1000"},
       {"read f 0 3", "ok: 3:119160"},
       {"times f", "ok: 4000000000 1000"}});
}

TEST(Calls, Truncate) {
  run({{"open f wronly,creat 644"},
       {"write f 0 100 a", "ok: 100"},
       {"truncate f 50"},
       {"stat f", "ok: 100644 0 0 1 50 0"},
       {"truncate f 100"},
       {"read f 40 20", "ok: 20:2487165716064871584"},
       {"truncate f 10000000"},
       {"stat f", "ok: 100644 0 0 1 10000000 0"},
       {"truncate f 0"},
       {"truncate f -1", "EINVAL"},
       {"mkdir d 755"},
       {"truncate d 0", "EISDIR"},
       {"mknod p 10644"},
       {"truncate p 0", "EINVAL"},
       {"truncate missing 0", "ENOENT"},
       {"as 1000 1000"},
       {"truncate f 0", "EACCES"}});
}

TEST(Calls, WritingDropsSetIds) {
  run({{"open f wronly,creat 777"},
       {"chmod f 6777"},
       {"write f 0 1 a", "ok: 1"},
       {"stat f", "ok: 106777 0 0 1 1 0"},
       {"as 1000 1000"},
       {"write f 0 1 a", "ok: 1"},
       {"stat f", "ok: 100777 0 0 1 1 0"},
       {"as 0 0"},
       {"chmod f 6777"},
       {"as 1000 1000"},
       {"truncate f 0"},
       {"stat f", "ok: 100777 0 0 1 0 0"}});
}

TEST(Calls, Access) {
  run({{"open f wronly,creat 640"},
       {"open x wronly,creat 100"},
       {"mkdir d 000"},
       {"access f 0"},
       {"access f 6"},
       {"access f 1", "EACCES"},
       {"access x 1"},
       {"access d 7"},
       {"as 1000 1000"},
       {"access f 0"},
       {"access f 4", "EACCES"},
       {"access x 1", "EACCES"},
       {"access d 1", "EACCES"},
       {"access d/x 0", "EACCES"},
       {"access missing 0", "ENOENT"}});
}

TEST(Calls, SearchPermissionOfEachDirectory) {
  run({{"mkdir a 755"},
       {"mkdir a/b 700"},
       {"mkdir a/b/c 777"},
       {"open a/b/c/f wronly,creat 666"},
       {"as 1000 1000"},
       {"stat a/b", "ok: 40700 0 0 3 0 0"},
       {"stat a/b/c", "EACCES"},
       {"stat a/b/.", "EACCES"},
       {"stat a/b/..", "EACCES"},
       {"stat a/b/missing", "EACCES"},
       {"open a/b/c/f rdonly", "EACCES"},
       {"ls a", "ok: ../4 ./4 b/4"},
       {"ls a/b", "EACCES"},
       {"chdir a/b", "EACCES"}});
}

TEST(Calls, Chdir) {
  run({{"mkdir a 755"},
       {"mkdir a/b 755"},
       {"chdir a/b"},
       {"stat ../../a", "ok: 40755 0 0 3 0 0"},
       {"open f wronly,creat"},
       {"stat /a/b/f", "ok: 100644 0 0 1 0 0"},
       {"chdir f", "ENOTDIR"},
       {"chdir missing", "ENOENT"},
       {"rename /a /z"},
       {"stat f", "ok: 100644 0 0 1 0 0"},
       {"chdir ../../../.."},
       {"stat z/b/f", "ok: 100644 0 0 1 0 0"}});
}

TEST(Calls, ExtendedAttributes) {
  run({{"open f wronly,creat"},
       {"setxattr f trusted.a value"},
       {"getxattr f trusted.a", "ok: value"},
       {"setxattr f trusted.a other 1", "EEXIST"},
       {"setxattr f trusted.b other 2", "ENODATA"},
       {"setxattr f trusted.a other 2"},
       {"getxattr f trusted.a", "ok: other"},
       {"setxattr f trusted.a x 8", "EINVAL"},
       {"getxattr f trusted.missing", "ENODATA"},
       {"removexattr f trusted.a"},
       {"removexattr f trusted.a", "ENODATA"},
       {"setxattr f nothing.a x", "EOPNOTSUPP"},
       {"getxattr f nothing.a", "EOPNOTSUPP"},
       {"setxattr f trusted. x", "EINVAL"},
       {"setxattr missing trusted.a x", "ENOENT"},
       {"setxattr f trusted.t x"},
       {"setxattr f security.s x"},
       {"as 1000 1000"},
       {"getxattr f trusted.t", "ENODATA"},
       {"setxattr f trusted.t x", "EPERM"},
       {"getxattr f security.s", "ok: x"},
       {"setxattr f security.s y", "EPERM"}});
}

TEST(Calls, FileBytes) {
  run({{"open f wronly,creat"},
       {"write f 0 10 a", "ok: 10"},
       {"write f 5 10 b", "ok: 10"},
       {"append f 0 3 c", "ok: 3"},
       {"stat f", "ok: 100644 0 0 1 18 0"},
       {"read f 100 10", "ok: 0:0"},
       {"write f 100000 10 z", "ok: 10"},
       {"stat f", "ok: 100644 0 0 1 100010 0"},
       {"blocks f", "ok: 16"},
       {"write f 0 5000 q", "ok: 5000"},
       {"blocks f", "ok: 24"},
       {"truncate f 4096"},
       {"blocks f", "ok: 8"},
       {"truncate f 0"},
       {"blocks f", "ok: 0"}});
}

TEST(Calls, HolesAreFound) {
  run({{"open f wronly,creat"},         {"truncate f 40960"},
       {"seek f 0 3", "ENXIO"},         {"seek f 0 4", "ok: 0"},
       {"seek f 100 4", "ok: 100"},     {"write f 8192 4096 a", "ok: 4096"},
       {"seek f 0 3", "ok: 8192"},      {"seek f 9000 3", "ok: 9000"},
       {"seek f 9000 4", "ok: 12288"},  {"seek f 12288 3", "ENXIO"},
       {"seek f 12288 4", "ok: 12288"}, {"seek f 40960 4", "ENXIO"},
       {"seek f 40960 3", "ENXIO"},     {"write f 36864 4096 a", "ok: 4096"},
       {"seek f 12288 3", "ok: 36864"}, {"seek f 36864 4", "ok: 40960"},
       {"seek f -1 3", "ENXIO"},        {"seek f -5 2", "ok: 40955"},
       {"seek f -5 0", "EINVAL"},       {"seek f 0 9", "EINVAL"},
       {"seek f -50000 2", "EINVAL"}});
}

TEST(Calls, Fallocate) {
  run({{"open f wronly,creat"},
       {"allocate f 0 0 10000"},
       {"stat f", "ok: 100644 0 0 1 10000 0"},
       {"blocks f", "ok: 24"},
       {"allocate f 1 20480 4096"},
       {"stat f", "ok: 100644 0 0 1 10000 0"},
       {"blocks f", "ok: 32"},
       {"write f 0 10000 x", "ok: 10000"},
       {"allocate f 3 100 5000"},
       {"read f 0 10000", "ok: 10000:1551065090436758528"},
       {"blocks f", "ok: 32"},
       {"allocate f 3 0 8192"},
       {"blocks f", "ok: 16"},
       {"allocate f 8 0 4096", "EOPNOTSUPP"},
       {"truncate f 100"},
       {"blocks f", "ok: 0"}});
}

TEST(Calls, DirectoriesHaveSizes) {
  run({{"mkdir d 755"},
       {"dirsize d", "ok: 40"},
       {"open d/f wronly,creat"},
       {"mkdir d/e 755"},
       {"dirsize d", "ok: 80"},
       {"ls d", "ok: ../4 ./4 e/4 f/8"},
       {"unlink d/f"},
       {"dirsize d", "ok: 60"}});
}

}  // namespace
}  // namespace caisson::sandbox::fs

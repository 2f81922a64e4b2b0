// Files of the host for a kernel process without privilege: what it may not do, the gofer does.
#include "sandbox/boot/gofer_files.h"

#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "gofer/start.h"
#include "sandbox/fs/host/filesystem.h"
#include "sandbox/fs/tree_fixture_test.h"
#include "sys/process.h"

namespace caisson::sandbox::boot {
namespace {

class UnprivilegedFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!sys::has_effective_capability(CAP_SYS_ADMIN)) GTEST_SKIP() << "needs CAP_SYS_ADMIN";
    std::vector<gofer::Mount> mounts(1);
    mounts[0].root = folder_.open();
    auto started = gofer::start(std::move(mounts));
    ASSERT_TRUE(started) << started.error().message();
    gofer_ = std::move(*started);
  }
  void TearDown() override {
    gofer_.socket.reset();
    if (!gofer_.pidfd) return;
    EXPECT_TRUE(MUST(sys::wait_readable(gofer_.pidfd, 10'000)));
    EXPECT_EQ(MUST(sys::wait_pidfd(gofer_.pidfd)).shell_status(), 0);
  }

  // Runs `work` on the folder as somebody without privilege; it answers the number of the line that
  // failed, or 0.
  template <typename Work>
  int as_nobody(bool exclusive, Work work) {
    pid_t child = ::fork();
    if (child == 0) {
      if (::setgid(54321) != 0 || ::setuid(54321) != 0) ::_exit(125);
      gofer::Client client(std::move(gofer_.socket));
      GoferFiles files(client, 0);
      fs::HostOptions options;
      options.exclusive = exclusive;
      options.gofer = &files;
      auto host = MUST(fs::HostFilesystem::create(folder_.open(), options));
      ::_exit(work(fs::Tree(host)));
    }
    gofer_.socket.reset();
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  fs::TestFolder folder_;
  gofer::Started gofer_;
};

#define HOLD(condition) \
  if (!(condition)) return __COUNTER__ + 1

TEST_F(UnprivilegedFiles, AreReadAndWritten) {
  folder_.make_directory("secret", 0700);
  folder_.write("secret/f", "root's", 0600);
  for (bool exclusive : {true, false}) {
    if (!exclusive) SetUp();
    int failed = as_nobody(exclusive, [](const fs::Tree& tree) {
      HOLD(tree.read("/secret/f") == "root's");
      HOLD(tree.stat("/secret/f").mode == (S_IFREG | 0600));
      HOLD(tree.list("/secret") == std::vector<std::string>{"f"});
      HOLD(tree.write("/secret/f", "ours!!") == "ok");
      HOLD(tree.read("/secret/f") == "ours!!");
      HOLD(tree.truncate("/secret/f", 3) == "ok");
      HOLD(tree.write("/secret/f", "root's") == "ok");
      return 0;
    });
    EXPECT_EQ(failed, 0) << "exclusive " << exclusive;
    if (exclusive) TearDown();
  }
  EXPECT_EQ(folder_.read("secret/f"), "root's");
}

TEST_F(UnprivilegedFiles, AreMadeForTheirOwners) {
  folder_.make_directory("d", 0755);
  int failed = as_nobody(true, [](const fs::Tree& tree) {
    HOLD(tree.write("/d/f", "x", O_WRONLY | O_CREAT, 04755) == "ok");
    HOLD(tree.stat("/d/f").uid == 0);
    HOLD(tree.make_directory("/d/e") == "ok");
    HOLD(tree.make_symlink("f", "/d/l") == "ok");
    HOLD(tree.read_link("/d/l") == "f");
    HOLD(tree.make_node("/d/p", S_IFIFO | 0600) == "ok");
    HOLD(tree.link("/d/f", "/d/g") == "ok");
    HOLD(tree.rename("/d/g", "/d/e/h") == "ok");
    HOLD(tree.stat("/d/e/h").links == 2);
    vfs::AttributeChange owner;
    owner.uid = 1000;
    owner.gid = 1001;
    HOLD(tree.change("/d/e/h", owner) == "ok");
    HOLD(tree.stat("/d/f").uid == 1000);
    HOLD(tree.set_mode("/d/f", 0640) == "ok");
    HOLD(tree.inode("/d/f").set_attribute("user.a", "1", 0));
    HOLD(*tree.inode("/d/f").get_attribute("user.a") == "1");
    HOLD(*tree.inode("/d/f").list_attributes() == std::vector<std::string>{"user.a"});
    HOLD(tree.unlink("/d/e/h") == "ok");
    HOLD(tree.remove_directory("/d/e") == "ok");
    HOLD((tree.list("/d") == std::vector<std::string>{"f", "l", "p"}));
    return 0;
  });
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(folder_.stat("d/f").st_uid, 1000U);
  EXPECT_EQ(folder_.stat("d/f").st_mode & 07777, 0640U);
  EXPECT_EQ(folder_.stat("d/l").st_uid, 0U);
}

TEST_F(UnprivilegedFiles, GoTheDirectWayWhereTheyMay) {
  folder_.write("public", "x", 0644);
  MUST(sys::pidfd_send_signal(gofer_.pidfd, SIGKILL));
  int failed = as_nobody(true, [](const fs::Tree& tree) {
    HOLD(tree.read("/public") == "x");
    return 0;
  });
  EXPECT_EQ(failed, 0);
  EXPECT_TRUE(MUST(sys::wait_readable(gofer_.pidfd, 10'000)));
  (void)MUST(sys::wait_pidfd(gofer_.pidfd));
  gofer_.pidfd.reset();
}

}  // namespace
}  // namespace caisson::sandbox::boot

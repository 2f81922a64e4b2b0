// The same random operations here and on the host: each answer, and at times the whole tree, is to
// be the same.
#include <random>

#include <gtest/gtest.h>

#include "base/text.h"
#include "sandbox/fs/tmpfs/script_test.h"

namespace caisson::sandbox::fs {
namespace {

class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {}

  std::string line() {
    switch (pick(26)) {
      case 0:
      case 1: return cat("mkdir ", path(), " ", mode());
      case 2: return cat("rmdir ", path());
      case 3:
      case 4: return cat("unlink ", path());
      case 5: return cat("symlink ", path(), " ", path());
      case 6: return cat("link ", path(), " ", path());
      case 7:
      case 8: return cat("rename ", path(), " ", path());
      case 9: return cat("rename2 ", path(), " ", path(), " ", pick(3));
      case 10: return cat("mknod ", path(), " 140", mode());
      case 11: return cat("chmod ", path(), " ", pick(4) * 2, mode());
      case 12: return cat("chown ", path(), " ", user(), " ", user());
      case 13: return cat("truncate ", path(), " ", pick(20000));
      case 14: return cat("stat ", path());
      case 15: return cat("lstat ", path());
      case 16: return cat("readlink ", path());
      case 17:
      case 18: return cat("open ", path(), " ", flags(), " ", mode());
      case 19:
      case 20: {
        unsigned most = pick(8) == 0 ? 300000 : 9000;  // some by a window of the memory file
        return cat("write ", path(), " ", pick(12000), " ", pick(most) + 1, " ", letter());
      }
      case 21: return cat("read ", path(), " ", pick(12000), " ", pick(9000) + 1);
      case 22: return cat("append ", path(), " 0 ", pick(3000) + 1, " ", letter());
      case 23: return cat("as ", user(), " ", user());
      case 24: return cat("seek ", path(), " ", pick(20000), " ", 3 + pick(2));
      default: return cat("allocate ", path(), " 3 ", pick(9000), " ", pick(9000) + 1);
    }
  }

 private:
  unsigned pick(unsigned count) { return static_cast<unsigned>(random_() % count); }
  char letter() { return static_cast<char>('a' + pick(26)); }
  std::string user() { return pick(3) == 0 ? "1000" : "0"; }
  std::string mode() {
    constexpr std::string_view kModes[] = {"755", "700", "777", "644", "600", "000", "666", "711"};
    return std::string(kModes[pick(8)]);
  }
  std::string flags() {
    constexpr std::string_view kFlags[] = {"rdonly",
                                           "wronly",
                                           "rdwr",
                                           "wronly,creat",
                                           "rdwr,creat,excl",
                                           "wronly,trunc",
                                           "rdonly,path",
                                           "rdonly,directory",
                                           "rdonly,nofollow",
                                           "rdwr,creat,trunc",
                                           "wronly,creat,nofollow",
                                           "path,nofollow,rdonly"};
    return std::string(kFlags[pick(12)]);
  }
  std::string path() {
    constexpr std::string_view kNames[] = {"a", "b", "c", "d", "..", "."};
    std::string text = pick(8) == 0 ? "/" : "";
    for (unsigned depth = 1 + pick(3); depth != 0; --depth) {
      text += kNames[pick(pick(3) == 0 ? 6 : 4)];
      if (depth != 1 || pick(12) == 0) text += '/';
    }
    return text;
  }
  std::mt19937 random_;
};

// Every name with what it is, from both.
void compare_trees(Executor& guest, Executor& host, const std::string& path) {
  std::string list = guest.run("ls " + path);
  ASSERT_EQ(list, host.run("ls " + path)) << path;
  if (!list.starts_with("ok: ")) return;
  for (std::string_view entry : split(std::string_view(list).substr(4), ' ')) {
    std::string name(split_once(entry, '/').first);
    if (name == "." || name == "..") continue;
    std::string below = cat(path == "/" ? "" : path, "/", name);
    std::string info = guest.run("lstat " + below);
    ASSERT_EQ(info, host.run("lstat " + below)) << below;
    if (info.starts_with("ok: 100")) {
      ASSERT_EQ(guest.run("read " + below + " 0 400000"), host.run("read " + below + " 0 400000"));
    }
    if (info.starts_with("ok: 4")) compare_trees(guest, host, below);
  }
}

void compare(unsigned seed, int count) {
  GuestExecutor guest;
  std::unique_ptr<Executor> host = make_host_executor();
  if (!host) GTEST_SKIP() << "needs the privilege to chroot";
  // Not sticky: whether others' links are followed there is a setting of the host.
  ASSERT_EQ(guest.run("chmod / 777"), host->run("chmod / 777"));
  Generator generator(seed);
  std::string done;
  for (int i = 0; i < count; ++i) {
    std::string line = generator.line();
    append(done, line, "\n");
    ASSERT_EQ(guest.run(line), host->run(line)) << "seed " << seed << ", " << i << ": " << line;
    if (i % 200 != 199) continue;
    guest.run("as 0 0");
    host->run("as 0 0");
    compare_trees(guest, *host, "/");
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(RandomCalls, AnswerAsTheHostDoes) {
  for (unsigned seed = 1; seed <= 12; ++seed) {
    compare(seed, 1500);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace caisson::sandbox::fs

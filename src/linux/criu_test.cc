// The pure parts around CRIU: its log, the names of mounts and streams.
#include <fcntl.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "linux/criu_log.h"
#include "linux/criu_mounts.h"
#include "linux/criu_streams.h"

namespace caisson::linux {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(CriuLog, ItsLastErrorsAreQuotedOnceAndWithoutPlaces) {
  EXPECT_EQ(
      last_criu_errors("(00.01) Running pre-dump scripts\n"
                       "(00.02) Error (criu/sockets.c:1): sk: Can't dump\n"
                       "(00.03)      1: Error (criu/sockets.c:1): sk: Can't dump\n"
                       "(00.04) Error (criu/cr-dump.c:2): Dump files (pid: 9) failed with -1\n"
                       "(00.05) Error (criu/cr-dump.c:3): Dumping FAILED.\n"),
      "sk: Can't dump; Dump files (pid: 9) failed with -1");
  EXPECT_EQ(last_criu_errors("(00.01) all is well\n"), "");
  std::string many;
  for (int i = 0; i < 20; ++i) append(many, "Error (x.c:1): number ", i, "\n");
  EXPECT_THAT(last_criu_errors(many), HasSubstr("number 15; number 16"));
  EXPECT_EQ(last_criu_errors(many).find("number 14"), std::string::npos);
}

TEST(CriuLog, KnowsWhatToDoAboutCommonOnes) {
  EXPECT_THAT(std::string(criu_cure("inet: Connected TCP socket, consider using")),
              HasSubstr("--tcp-established"));
  EXPECT_EQ(criu_cure("never heard of"), "");
}

std::vector<std::string> texts(const CriuPairs& pairs) {
  std::vector<std::string> out;
  for (const auto& pair : pairs) out.push_back(cat(pair.key, " < ", pair.value));
  return out;
}

TEST(CriuMounts, ARecursiveBindBringsWhatTheHostHasBelow) {
  auto host = parse_mountinfo(
      "20 1 8:1 / / rw - ext4 /dev/sda rw\n"
      "21 20 0:5 / /srv/data/sub rw - tmpfs tmpfs rw\n"
      "22 20 0:6 / /srv/database rw - tmpfs tmpfs rw\n");
  ASSERT_TRUE(host);
  auto pairs = mounts_to_restore(
      {{"", "/c/rootfs", true}, {"/data", "/srv/data", true}, {"/one", "/srv/data", false}}, *host);
  EXPECT_THAT(texts(pairs), ElementsAre("/dev/null < /dev/null", "/data < /srv/data",
                                        "/data/sub < /srv/data/sub", "/one < /srv/data"));
}

TEST(CriuStreams, PipesAndFilesOfTheHostAreTakenFromTheCaller) {
  std::vector<Fd> opened;
  auto streams = streams_to_restore({"/dev/pts/0", "pipe:[7]", "file[1f:22]"}, {}, 4, opened);
  ASSERT_EQ(streams.size(), 2U);
  EXPECT_EQ(streams[0].key, "pipe:[7]");
  EXPECT_EQ(streams[0].fd, 1);
  EXPECT_EQ(streams[1].key, "file[1f:22]");
  EXPECT_EQ(streams[1].fd, 2);
  EXPECT_THAT(opened, IsEmpty());
}

TEST(CriuStreams, AFileThatIsReadAndWrittenIsOpenedForBoth) {
  Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  plan::Stdio stdio;
  stdio.in = stdio.out = null.number();
  std::vector<Fd> opened;
  auto streams = streams_to_restore({"file[1f:22]", "file[1f:22]", "x"}, stdio, 6, opened);
  ASSERT_EQ(streams.size(), 1U);
  ASSERT_EQ(opened.size(), 1U);
  EXPECT_EQ(streams[0].fd, 6);
  EXPECT_EQ(::fcntl(opened[0].number(), F_GETFL) & O_ACCMODE, O_RDWR);
}

}  // namespace
}  // namespace caisson::linux

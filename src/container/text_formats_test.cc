// Signals by name, users by name, the log's lines, the control socket's messages, errors on the
// wire.
#include <signal.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "container/api.h"
#include "container/control.h"
#include "container/errors.h"
#include "container/fake_executor.h"
#include "container/log.h"
#include "container/user.h"
#include "sys/file.h"

namespace caisson::container {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ParseSignal, TakesNamesAndNumbers) {
  EXPECT_EQ(*parse_signal("TERM"), SIGTERM);
  EXPECT_EQ(*parse_signal("sigkill"), SIGKILL);
  EXPECT_EQ(*parse_signal("SigUsr1"), SIGUSR1);
  EXPECT_EQ(*parse_signal("9"), 9);
  EXPECT_EQ(*parse_signal("0"), 0);
  EXPECT_EQ(*parse_signal("RTMIN"), 34);
  EXPECT_EQ(*parse_signal("SIGRTMIN+3"), 37);
  EXPECT_EQ(*parse_signal("rtmax-1"), 63);
}

TEST(ParseSignal, RefusesOthers) {
  for (auto text : {"", "SIG", "NOPE", "65", "-1", "RTMIN-1", "RTMIN+31", "RTMAX+1", "9 "}) {
    EXPECT_FALSE(parse_signal(text)) << text;
  }
}

constexpr std::string_view kPasswd = "root:x:0:0:root:/root:/bin/sh\nwww:x:33:34::/:/bin/false\n";
constexpr std::string_view kGroup = "root:x:0:\nweb:x:34:\nlogs:x:50:www,other\nadm:x:51:other\n";

spec::User choose(std::string_view choice) {
  spec::User user;
  user.uid = 1;
  user.gid = 2;
  auto chosen = choose_user(choice, kPasswd, kGroup, user);
  EXPECT_TRUE(chosen) << chosen.error().message();
  return user;
}

TEST(ChooseUser, NumbersStandForThemselves) {
  EXPECT_EQ(choose("1000").uid, 1000U);
  EXPECT_EQ(choose("1000").gid, 2U);
  EXPECT_EQ(choose("1000:7").gid, 7U);
}

TEST(ChooseUser, ANameBringsItsGroups) {
  auto user = choose("www");
  EXPECT_EQ(user.uid, 33U);
  EXPECT_EQ(user.gid, 34U);
  EXPECT_THAT(user.additional_gids, ElementsAre(50U));
  EXPECT_EQ(choose("www:adm").gid, 51U);
}

TEST(ChooseUser, UnknownNamesAreErrors) {
  spec::User user;
  EXPECT_FALSE(choose_user("nobody", kPasswd, kGroup, user));
  EXPECT_FALSE(choose_user("www:none", kPasswd, kGroup, user));
}

TEST(ChooseUser, TheHighestNumberIsNobody) {
  spec::User user;
  EXPECT_FALSE(choose_user("4294967295", kPasswd, kGroup, user));
  EXPECT_FALSE(choose_user("1000:4294967295", kPasswd, kGroup, user));
  EXPECT_FALSE(choose_user("evil", "evil:x:4294967295:0::/:/bin/sh\n", kGroup, user));
}

TEST(ChooseUser, LinksDoNotLeaveTheRoot) {
  ScratchDirectory scratch;
  ASSERT_TRUE(sys::make_directories(scratch / "etc", 0700));
  ASSERT_TRUE(sys::symlinkat("/etc/passwd", sys::kCwd, (scratch / "etc/group").c_str()));
  ASSERT_TRUE(sys::write_atomically(sys::kCwd, (scratch / "etc/passwd").c_str(), kPasswd));
  Fd root = std::move(*sys::openat(sys::kCwd, scratch.path().c_str(), O_PATH));
  spec::User user;
  ASSERT_TRUE(choose_user_in("www", root, user));
  EXPECT_EQ(user.uid, 33U);
  EXPECT_FALSE(choose_user_in("daemon", root, user));
}

// --- the log

std::vector<LogLine> lines_of(const std::string& text) {
  std::vector<LogLine> lines;
  for (auto line : split(text, '\n')) {
    if (auto parsed = parse_log_line(line)) lines.push_back(*parsed);
  }
  return lines;
}

class LogTest : public ::testing::Test {
 protected:
  ScratchDirectory scratch_;
  Fd dir_ = std::move(*sys::openat(sys::kCwd, scratch_.path().c_str(), O_RDONLY | O_DIRECTORY));
};

TEST_F(LogTest, WritesWholeAndPartialLines) {
  auto log = LogWriter::open(dir_, 0);
  ASSERT_TRUE(log);
  log->write("stdout", "one\ntw");
  log->write("stdout", "o\n\n");
  log->write("stderr", "bad\n");
  std::string text = *sys::read_file(dir_, "log");
  auto lines = lines_of(text);
  ASSERT_EQ(lines.size(), 5U);
  EXPECT_EQ(lines[0].text, "one");
  EXPECT_FALSE(lines[0].partial);
  EXPECT_EQ(lines[1].text, "tw");
  EXPECT_TRUE(lines[1].partial);
  EXPECT_EQ(lines[2].text, "o");
  EXPECT_FALSE(lines[2].partial);
  EXPECT_EQ(lines[3].text, "");
  EXPECT_EQ(lines[4].stream, "stderr");
  EXPECT_EQ(lines[4].time.size(), std::string_view("2026-11-22T10:00:00.123456789Z").size());
}

TEST_F(LogTest, CutsLongLinesIntoParts) {
  auto log = LogWriter::open(dir_, 0);
  std::string data = cat(std::string(kLogPartLimit + 10, 'x'), "\n");
  log->write("stdout", data);
  std::string text = *sys::read_file(dir_, "log");
  auto lines = lines_of(text);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_TRUE(lines[0].partial);
  EXPECT_EQ(lines[0].text.size(), kLogPartLimit);
  EXPECT_FALSE(lines[1].partial);
  EXPECT_EQ(lines[1].text.size(), 10U);
}

TEST_F(LogTest, RotatesOnceAtItsLimit) {
  auto log = LogWriter::open(dir_, 1000);
  for (int i = 0; i < 100; ++i) log->write("stdout", "0123456789012345678901234567890123456789\n");
  EXPECT_LE(sys::fstatat(dir_, "log")->st_size, 1000);
  EXPECT_LE(sys::fstatat(dir_, "log.1")->st_size, 1000);
  EXPECT_EQ(sys::list_directory(dir_)->size(), 2U);
}

TEST(LogLine, OthersAreNone) {
  EXPECT_FALSE(parse_log_line(""));
  EXPECT_FALSE(parse_log_line("hello world"));
  EXPECT_FALSE(parse_log_line("2026-11-22T10:00:00Z stdin F x"));
}

// --- messages

TEST(Control, RequestsSurviveTheWire) {
  ControlRequest request{ControlRequest::Op::kResize, 24, 80};
  auto read = parse_request(to_json(request));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->op, ControlRequest::Op::kResize);
  EXPECT_EQ(read->rows, 24);
  EXPECT_EQ(read->columns, 80);
  EXPECT_FALSE(parse_request(R"({"op":"fly"})"));
  EXPECT_FALSE(parse_request(R"({"op":"resize","rows":-1})"));
  EXPECT_FALSE(parse_request("nonsense"));
  Exit exit{true, 1, 0, false, 5};
  EXPECT_EQ(*parse_exit_answer(exit_answer(exit)), exit);
}

TEST(Errors, SurviveTheWire) {
  auto error = Error::with_cause(ENOENT, "why \"so\"")
                   .doing("a thing")
                   .where("config.json:1:2")
                   .cure("do it")
                   .code("x.y")
                   .step("mounts");
  auto read = error_from_json(error_to_json(error));
  EXPECT_EQ(read.message(), error.message());
  EXPECT_EQ(read.cure(), "do it");
  EXPECT_EQ(read.code(), "x.y");
  EXPECT_TRUE(read.is(ENOENT));
  EXPECT_THAT(error_from_json("{torn").message(), HasSubstr("supervisor"));
}

}  // namespace
}  // namespace caisson::container

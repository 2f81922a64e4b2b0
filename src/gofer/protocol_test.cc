#include "gofer/protocol.h"

#include <cerrno>

#include <gtest/gtest.h>

namespace caisson::gofer {
namespace {

int errno_of(const ErrnoOr<Request>& result) { return result ? 0 : result.error().value; }

Request with_path(std::string path) {
  Request request;
  request.path = std::move(path);
  return request;
}

TEST(GoferProtocol, RequestsComeOutAsTheyWentIn) {
  Request request;
  request.operation = Operation::kSetAttribute;
  request.mount = 7;
  request.path = "a/b";
  request.second = "user.x";
  request.value = std::string("\0\1binary", 8);
  request.flags = 1;
  request.mode = 2;
  request.uid = 3;
  request.gid = 4;
  request.number = 1ULL << 60;
  request.times = {timespec{-5, 6}, timespec{7, 8}};
  auto out = decode_request(encode(request));
  ASSERT_TRUE(out);
  EXPECT_EQ(out->operation, request.operation);
  EXPECT_EQ(out->mount, 7U);
  EXPECT_EQ(out->path, "a/b");
  EXPECT_EQ(out->second, "user.x");
  EXPECT_EQ(out->value, request.value);
  EXPECT_EQ(out->number, request.number);
  EXPECT_EQ(out->times[0].tv_sec, -5);
  EXPECT_EQ(out->times[1].tv_nsec, 8);
}

TEST(GoferProtocol, PathsThatLeadElsewhereAreNone) {
  for (const char* path : {"..", ".", "/", "/etc", "a/../b", "a/..", "a//b", "a/", "./a"})
    EXPECT_EQ(errno_of(decode_request(encode(with_path(path)))), EPROTO) << path;
  EXPECT_EQ(errno_of(decode_request(encode(with_path(std::string("a\0b", 3))))), EPROTO);
  EXPECT_EQ(errno_of(decode_request(encode(with_path(std::string(256, 'a'))))), EPROTO);
  EXPECT_EQ(errno_of(decode_request(encode(with_path("")))), 0);
  EXPECT_EQ(errno_of(decode_request(encode(with_path("..a/b..")))), 0);
}

TEST(GoferProtocol, SecondPathsAreHeldToTheSame) {
  Request request = with_path("a");
  request.operation = Operation::kRename;
  request.second = "../b";
  EXPECT_EQ(errno_of(decode_request(encode(request))), EPROTO);
  request.operation = Operation::kMakeSymlink;  // a link's text may be anything
  EXPECT_EQ(errno_of(decode_request(encode(request))), 0);
}

TEST(GoferProtocol, WrongSizesAndNumbersAreRefused) {
  std::string bytes = encode(with_path("abc"));
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_EQ(errno_of(decode_request(bytes.substr(0, size))), EPROTO) << size;
  EXPECT_EQ(errno_of(decode_request(bytes + "x")), EPROTO);
  std::string other = bytes;
  other[0] = static_cast<char>(other[0] + 1);
  EXPECT_EQ(errno_of(decode_request(other)), EPROTO);
  Request unknown = with_path("a");
  unknown.operation = static_cast<Operation>(99);
  EXPECT_EQ(errno_of(decode_request(encode(unknown))), EPROTO);
  unknown.operation = static_cast<Operation>(0);
  EXPECT_EQ(errno_of(decode_request(encode(unknown))), EPROTO);
}

TEST(GoferProtocol, RepliesComeOutAsTheyWentIn) {
  Reply reply;
  reply.errno_value = ENOENT;
  reply.text = "text";
  reply.info.stx_size = 12;
  auto out = decode_reply(encode(reply));
  ASSERT_TRUE(out);
  EXPECT_EQ(out->errno_value, ENOENT);
  EXPECT_EQ(out->text, "text");
  EXPECT_EQ(out->info.stx_size, 12U);
  EXPECT_FALSE(decode_reply("short"));
  reply.errno_value = -1;
  EXPECT_FALSE(decode_reply(encode(reply)));
}

}  // namespace
}  // namespace caisson::gofer

#include "formats/criu.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/protobuf.h"

namespace caisson::formats::criu {
namespace {

using protobuf::Field;
using protobuf::Reader;
using protobuf::Writer;

std::multimap<std::uint32_t, Field> fields(std::string_view bytes) {
  std::multimap<std::uint32_t, Field> all;
  Reader in(bytes);
  while (auto field = in.next()) all.emplace(field->number, *field);
  EXPECT_TRUE(in.good());
  return all;
}

TEST(CriuRequest, AsksForTheVersionWithTwoBytes) {
  EXPECT_EQ(encode({.kind = Kind::kVersion}), "\x08\x0a");
}

TEST(CriuRequest, AnAnswerToANotificationSaysHowItWent) {
  EXPECT_EQ(encode({.kind = Kind::kNotify, .notify_success = false}),
            std::string_view("\x08\x06\x18\x00", 4));
}

TEST(CriuRequest, HoldsTheOptionsUnderTheirNumbers) {
  Options options;
  options.images_dir_fd = 5;
  options.pid = 77;
  options.tcp_established = true;
  options.manage_cgroups_mode = CgroupMode::kIgnore;
  options.ext_mnt = {{"/data", "/srv/data"}, {"/dev/null", "/dev/null"}};
  options.inherit_fd = {{"pipe:[12]", 1}};
  options.network_lock = NetworkLock::kSkip;
  const std::string message = encode({.kind = Kind::kDump, .options = options});
  auto request = fields(message);
  ASSERT_EQ(request.count(2), 1U);
  auto sent = fields(request.find(2)->second.bytes);
  EXPECT_EQ(sent.find(1)->second.value, 5U);
  EXPECT_EQ(sent.find(2)->second.value, 77U);
  EXPECT_TRUE(sent.find(5)->second.boolean());
  EXPECT_EQ(sent.find(34)->second.value, 0U);
  EXPECT_EQ(sent.find(64)->second.value, 3U);
  EXPECT_EQ(sent.count(23), 2U);
  auto inherited = fields(sent.find(27)->second.bytes);
  EXPECT_EQ(inherited.find(1)->second.bytes, "pipe:[12]");
  EXPECT_EQ(inherited.find(2)->second.value, 1U);
  EXPECT_EQ(sent.count(3), 0U) << "what is not asked for is left to CRIU";
}

TEST(CriuReply, OfAVersion) {
  Writer version;
  version.number(1, 3);
  version.number(2, 17);
  version.number(4, 1);
  Writer out;
  out.number(1, 10);
  out.boolean(2, true);
  out.message(10, version);
  auto reply = decode(out.bytes());
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->kind, Kind::kVersion);
  EXPECT_TRUE(reply->success);
  EXPECT_EQ(reply->version, 31701);
}

TEST(CriuReply, OfANotificationAndAFailure) {
  Writer notify;
  notify.bytes(1, "setup-namespaces");
  notify.number(2, 4242);
  Writer out;
  out.number(1, 6);
  out.boolean(2, false);
  out.message(5, notify);
  out.number(7, 52);
  out.bytes(9, "why");
  auto reply = decode(out.bytes());
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->script, "setup-namespaces");
  EXPECT_EQ(reply->notify_pid, 4242);
  EXPECT_EQ(reply->error_number, 52);
  EXPECT_EQ(reply->error_message, "why");
}

TEST(CriuReply, NeedsItsKindAndWhetherItWentWell) {
  EXPECT_FALSE(decode("").has_value());
  EXPECT_FALSE(decode("\x08\x0a").has_value());
  EXPECT_FALSE(decode(std::string_view("\x08\x0a\x10\x01\x2a\x05", 6)).has_value());
}

}  // namespace
}  // namespace caisson::formats::criu

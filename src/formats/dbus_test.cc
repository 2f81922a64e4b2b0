#include "formats/dbus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace caisson::formats::dbus {
namespace {

using testing::Eq;
using testing::Optional;

Message call() {
  Message message;
  message.serial = 7;
  message.destination = "org.freedesktop.systemd1";
  message.path = "/org/freedesktop/systemd1";
  message.interface = "org.freedesktop.systemd1.Manager";
  message.member = "StopUnit";
  message.signature = "ss";
  Writer body;
  body.string("a.scope");
  body.string("fail");
  message.body = body.bytes();
  return message;
}

TEST(DBusWriter, AlignsNumbersAndTerminatesStrings) {
  Writer out;
  out.byte(1);
  out.uint32(2);
  out.string("ab");
  out.uint64(3);
  EXPECT_EQ(out.bytes(), std::string("\1\0\0\0\2\0\0\0\2\0\0\0ab\0\0\3\0\0\0\0\0\0\0", 24));
}

TEST(DBusWriter, ThePaddingBeforeTheFirstElementIsNotInAnArraysLength) {
  Writer out;
  auto array = out.begin_array(8);
  out.begin_struct();
  out.uint32(5);
  out.end_array(array);
  EXPECT_EQ(out.bytes(), std::string("\4\0\0\0\0\0\0\0\5\0\0\0", 12));
  Writer empty;
  empty.end_array(empty.begin_array(8));
  EXPECT_EQ(empty.bytes(), std::string("\0\0\0\0\0\0\0\0", 8));
}

TEST(DBusMessage, IsReadAsItWasWritten) {
  const std::string bytes = encode(call());
  EXPECT_THAT(message_size(bytes), Optional(bytes.size()));
  auto read = decode(bytes);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->serial, 7U);
  EXPECT_EQ(read->path, "/org/freedesktop/systemd1");
  EXPECT_EQ(read->member, "StopUnit");
  EXPECT_EQ(read->signature, "ss");
  Reader body(read->body);
  EXPECT_THAT(body.string(), Optional(Eq("a.scope")));
  EXPECT_THAT(body.string(), Optional(Eq("fail")));
  EXPECT_FALSE(body.string().has_value());
}

TEST(DBusMessage, NoPrefixOfAMessageIsOne) {
  const std::string bytes = encode(call());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode(std::string_view(bytes).substr(0, size)).has_value()) << size;
  }
}

TEST(DBusMessage, SizesBeyondTheBoundAreRefused) {
  std::string bytes = encode(call());
  bytes[7] = '\x7f';  // length of the body
  EXPECT_FALSE(message_size(bytes).has_value());
  bytes = encode(call());
  bytes[0] = 'B';  // big-endian
  EXPECT_FALSE(message_size(bytes).has_value());
}

TEST(DBusReader, SkipsWhatNobodyAskedFor) {
  Writer out;
  auto array = out.begin_array(8);
  out.begin_struct();
  out.string("Delegate");
  out.signature("b");
  out.boolean(true);
  out.end_array(array);
  out.string("after");
  Reader in(out.bytes());
  std::string_view type = "a(sv)s";
  ASSERT_TRUE(in.skip(type));
  EXPECT_EQ(type, "s");
  EXPECT_THAT(in.string(), Optional(Eq("after")));
}

TEST(DBusReader, RefusesTypesWithoutEndAndTooDeepOnes) {
  const std::string zeros(64, '\0');
  for (std::string_view type : {"(", "a", "()", "z", "a{", "a("}) {
    Reader in(zeros);
    std::string_view rest = type;
    EXPECT_FALSE(in.skip(rest)) << type;
  }
  const std::string deep(200, 'a');
  Reader in(zeros);
  std::string_view rest = deep;
  EXPECT_FALSE(in.skip(rest));
}

}  // namespace
}  // namespace caisson::formats::dbus

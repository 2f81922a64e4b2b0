#include "formats/protobuf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace caisson::formats::protobuf {
namespace {

std::string bytes(std::initializer_list<int> values) {
  std::string out;
  for (int value : values) out += static_cast<char>(value);
  return out;
}

TEST(ProtobufWriter, WritesTheExamplesOfTheEncoding) {
  Writer out;
  out.number(1, 150);
  out.bytes(2, "testing");
  EXPECT_EQ(out.bytes(), bytes({0x08, 0x96, 0x01, 0x12, 0x07}) + "testing");
}

TEST(ProtobufWriter, ANegativeNumberHasTenBytes) {
  Writer out;
  out.number(1, -2);
  EXPECT_EQ(out.bytes(), bytes({0x08, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}));
}

TEST(ProtobufReader, ReadsWhatWasWritten) {
  Writer inner;
  inner.boolean(3, true);
  Writer out;
  out.number(1, -1);
  out.message(70, inner);
  Reader in(out.bytes());
  auto number = in.next();
  ASSERT_TRUE(number.has_value());
  EXPECT_EQ(number->number, 1U);
  EXPECT_EQ(number->int32(), -1);
  auto message = in.next();
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(message->number, 70U);
  EXPECT_EQ(message->bytes, inner.bytes());
  EXPECT_FALSE(in.next().has_value());
  EXPECT_TRUE(in.good());
}

TEST(ProtobufReader, NumbersOfFixedSizeAreLittleEndian) {
  Reader in(std::string_view("\x0d\1\2\0\0\x11\1\0\0\0\0\0\0\x80", 14));
  auto four = in.next();
  ASSERT_TRUE(four.has_value());
  EXPECT_EQ(four->wire, Wire::kFixed32);
  EXPECT_EQ(four->value, 0x201U);
  auto eight = in.next();
  ASSERT_TRUE(eight.has_value());
  EXPECT_EQ(eight->value, 0x8000000000000001U);
}

class BadProtobuf : public testing::TestWithParam<std::string> {};

TEST_P(BadProtobuf, IsAnErrorAndNoEnd) {
  Reader in(GetParam());
  while (in.next()) {
  }
  EXPECT_FALSE(in.good());
  EXPECT_FALSE(in.next().has_value());
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, BadProtobuf,
    testing::Values(bytes({0x08}),             // no value
                    bytes({0x08, 0x96}),       // a value that does not end
                    bytes({0x12, 0x05, 'a'}),  // fewer bytes than said
                    bytes({0x0d, 0, 0}),       // a short number
                    bytes({0x00, 0x01}),       // field 0
                    bytes({0x0b}),             // a group
                    bytes({0x0e, 0x00}),       // no such kind
                    bytes({0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}),
                    bytes({0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02})));

}  // namespace
}  // namespace caisson::formats::protobuf

#include "formats/json.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace caisson::formats {
namespace {

using testing::HasSubstr;
using namespace std::literals;

// The message of the error that reading `text` as any value gives, or "" when there is none.
std::string refusal(std::string_view text) {
  JsonReader json(text);
  auto done = json.skip_value();
  if (done) done = json.finish();
  return done ? "" : done.error().message();
}

std::string read_text(std::string_view text) {
  JsonReader json(text);
  auto read = json.read_string();
  return read ? std::string(*read) : read.error().message();
}

template <typename Int>
std::string read_number(std::string_view text) {
  JsonReader json(text);
  auto read = json.read_int<Int>();
  return read ? cat(*read) : read.error().message();
}

// The next key, "(none)" at the end of the object, "(error)" when there is no reading on.
std::string key_of(JsonReader& json) {
  auto key = json.next_key();
  if (!key) return "(error)";
  return std::string(key->value_or("(none)"));
}

std::string place_of(const JsonReader& json) {
  auto error = json.error("x");
  return error.where();
}

TEST(JsonReader, ReadsNestedObjectsAndArrays) {
  JsonReader json(R"( {"a" : [1, {"b":true}, [ ], null] ,"c":"d"} )");
  std::vector<std::string> seen;
  ASSERT_TRUE(json.enter_object());
  ASSERT_EQ(key_of(json), "a");
  ASSERT_TRUE(json.enter_array());
  ASSERT_TRUE(*json.next_element());
  EXPECT_EQ(*json.read_int<int>(), 1);
  ASSERT_TRUE(*json.next_element());
  ASSERT_TRUE(json.enter_object());
  EXPECT_EQ(key_of(json), "b");
  EXPECT_TRUE(*json.read_bool());
  EXPECT_FALSE(json.next_key()->has_value());
  ASSERT_TRUE(*json.next_element());
  ASSERT_TRUE(json.enter_array());
  EXPECT_FALSE(*json.next_element());
  ASSERT_TRUE(*json.next_element());
  EXPECT_TRUE(*json.skip_null());
  EXPECT_FALSE(*json.next_element());
  EXPECT_EQ(key_of(json), "c");
  EXPECT_FALSE(*json.skip_null());
  EXPECT_EQ(*json.read_string(), "d");
  EXPECT_FALSE(json.next_key()->has_value());
  EXPECT_TRUE(json.finish());
}

TEST(JsonReader, GivesViewsIntoTheTextWhenNothingIsEscaped) {
  std::string text = "\"plain gr\xc3\xbc\xc3\x9f\"";
  JsonReader json(text);
  auto read = json.read_string();
  ASSERT_TRUE(read);
  EXPECT_EQ(read->data(), text.data() + 1);
}

TEST(JsonReader, DecodesEscapes) {
  EXPECT_EQ(read_text(R"("a\"b\\c\/d\b\f\n\r\t")"), "a\"b\\c/d\b\f\n\r\t");
  EXPECT_EQ(read_text(R"("\u0041\u00e9\u20ac\ud83d\ude00")"),
            "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
  EXPECT_EQ(read_text(R"("\u0000x")"), "\0x"s);
}

TEST(JsonReader, DecodesEscapesInKeys) {
  JsonReader json(R"({"\u0061rgs": 1})");
  ASSERT_TRUE(json.enter_object());
  EXPECT_EQ(key_of(json), "args");
}

TEST(JsonReader, KeepsIntegersExact) {
  EXPECT_EQ(read_number<std::uint64_t>("18446744073709551615"), "18446744073709551615");
  EXPECT_EQ(read_number<std::int64_t>("-9223372036854775808"), "-9223372036854775808");
  EXPECT_EQ(read_number<int>("-0"), "0");
}

TEST(JsonReader, RefusesIntegersThatDoNotFit) {
  EXPECT_EQ(read_number<std::uint8_t>("256"), "1:1: 256 is out of range: allowed are 0 to 255");
  EXPECT_EQ(read_number<std::uint32_t>("-1"),
            "1:1: -1 is out of range: allowed are 0 to 4294967295");
  EXPECT_EQ(read_number<std::int64_t>("9223372036854775808"),
            "1:1: 9223372036854775808 is out of range: allowed are -9223372036854775808 to "
            "9223372036854775807");
}

TEST(JsonReader, RefusesOtherNotationsForIntegers) {
  EXPECT_EQ(read_number<int>("1.0"),
            "1:1: expected an integer without fraction and exponent, found the number 1.0");
  EXPECT_EQ(read_number<int>("1e3"),
            "1:1: expected an integer without fraction and exponent, found the number 1e3");
  EXPECT_EQ(read_number<int>("\"12\""), "1:1: expected an integer, found the string \"12\"");
}

TEST(JsonReader, AcceptsWhatTheGrammarAllows) {
  for (std::string_view text : {"0", "-0", "1.5e+10", "0.1E-2", "true", "false", "null", "\"\"",
                                "[]", "{}", " [ ] ", "{\"\":0}", "[1,[2,[3]],{\"a\":{}}]",
                                "\r\n\t 1 \r\n", "\"\x7f\"", "\"\xf4\x8f\xbf\xbf\""}) {
    EXPECT_EQ(refusal(text), "") << text;
  }
}

struct Refused {
  std::string text, message;
};

TEST(JsonReader, RefusesWhatTheGrammarForbids) {
  const Refused cases[] = {
      {"", "1:1: expected a value, found the end"},
      {"  \n ", "2:2: expected a value, found the end"},
      {"[1,]", "1:4: [0]: expected another value after the comma, found \"]\""},
      {"{\"a\":1,}", "1:8: a: expected another key after the comma, found \"}\""},
      {"[1 2]", "1:4: [0]: expected \",\" or \"]\", found \"2\""},
      {"[,1]", "1:2: [0]: expected a value, found \",\""},
      {"{\"a\" 1}", "1:6: a: expected \":\" after the key, found \"1\""},
      {"{\"a\":1 \"b\":2}", "1:8: a: expected \",\" or \"}\", found \"\\\"\""},
      {"{a:1}", "1:2: expected a key in double quotes, found \"a\""},
      {"{1:1}", "1:2: expected a key in double quotes, found \"1\""},
      {"[1", "1:3: [0]: expected \",\" or \"]\", found the end"},
      {"{\"a\":", "1:6: a: expected a value, found the end"},
      {"\"abc", "1:1: the text ends inside this string"},
      {"\"a\\", "1:3: no such escape in JSON: \\"},
      {"\"a\nb\"", "1:3: control character \"\\n\" in a string"},
      {"\"\\q\"", "1:2: no such escape in JSON: \\q"},
      {"\"\\u12g4\"", "1:4: expected four hexadecimal digits after \\u, found \"12g4\""},
      {"\"\\u12", "1:4: expected four hexadecimal digits after \\u, found \"12\""},
      {"\"\\ud800\"", "1:2: half of a surrogate pair"},
      {"\"\\udc00\"", "1:2: half of a surrogate pair"},
      {"\"\\ud800\\u0041\"", "1:2: half of a surrogate pair"},
      {"\"\xff\"", "1:2: this byte is not UTF-8"},
      {"\"\xc0\xaf\"", "1:2: this byte is not UTF-8"},
      {"\"\xe0\x80\xaf\"", "1:2: this byte is not UTF-8"},
      {"\"\xed\xa0\x80\"", "1:2: this byte is not UTF-8"},
      {"\"\xf4\x90\x80\x80\"", "1:2: this byte is not UTF-8"},
      {"\"\xc3", "1:2: this byte is not UTF-8"},
      {"01", "1:1: a number must not begin with 0"},
      {"-", "1:2: expected a digit, found the end"},
      {"1.", "1:3: expected a digit, found the end"},
      {".5", "1:1: expected a value, found \".\""},
      {"+1", "1:1: expected a value, found \"+\""},
      {"1e", "1:3: expected a digit, found the end"},
      {"NaN", "1:1: expected a value, found \"NaN\""},
      {"True", "1:1: expected a value, found \"True\""},
      {"tru", "1:1: expected a value, found \"tru\""},
      {"'a'", "1:1: expected a value, found \"'\""},
      {"1 2", "1:3: expected nothing after the JSON value, found \"2\""},
      {"truex", "1:5: expected nothing after the JSON value, found \"x\""},
      {"// hi\n1", "1:1: JSON has no comments"},
      {"[1, /* two */ 2]", "1:5: [1]: JSON has no comments"},
      {"\xef\xbb\xbf{}", "1:1: the text begins with a byte order mark"},
      {"\0"s, "1:1: expected a value, found \"\\x00\""},
      {"[1\0]"s, "1:3: [0]: expected \",\" or \"]\", found \"\\x00\""},
  };
  for (const auto& [text, message] : cases) EXPECT_EQ(refusal(text), message) << text;
}

TEST(JsonReader, NestsTo128Levels) {
  EXPECT_EQ(refusal(std::string(128, '[') + std::string(128, ']')), "");
  EXPECT_THAT(refusal(std::string(129, '[') + std::string(129, ']')),
              HasSubstr("nested deeper than 128 levels"));
  EXPECT_THAT(refusal(std::string(1000000, '[')), HasSubstr("nested deeper than 128 levels"));
}

TEST(JsonReader, SaysWhereTheErrorIs) {
  JsonReader json("{\n  \"process\": {\n    \"args\": [\"s\xc3\xbc\", 7]\n  }\n}", "config.json");
  ASSERT_TRUE(json.enter_object());
  ASSERT_TRUE(json.next_key());
  ASSERT_TRUE(json.enter_object());
  ASSERT_TRUE(json.next_key());
  ASSERT_TRUE(json.enter_array());
  ASSERT_TRUE(json.next_element());
  ASSERT_TRUE(json.read_string());
  ASSERT_TRUE(json.next_element());
  auto read = json.read_string();
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().where(), "config.json:3:20: process.args[1]");
  EXPECT_EQ(read.error().cause(), "expected a string, found the number 7");
}

TEST(JsonReader, NamesKeysThatAreNoWordsInQuotes) {
  JsonReader json(R"({"annotations": {"org.x \"y\"": 1}})");
  ASSERT_TRUE(json.enter_object());
  ASSERT_TRUE(json.next_key());
  ASSERT_TRUE(json.enter_object());
  ASSERT_TRUE(json.next_key());
  auto read = json.read_string();
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().where(), R"(1:33: annotations["org.x \"y\""])");
}

TEST(JsonReader, PointsAtTheObjectOrArrayThatWasLeftLast) {
  JsonReader json("{\"a\": {\"b\": [1]}}");
  ASSERT_TRUE(json.enter_object());
  ASSERT_TRUE(json.next_key());
  ASSERT_TRUE(json.enter_object());
  ASSERT_TRUE(json.next_key());
  ASSERT_TRUE(json.skip_value());
  EXPECT_EQ(place_of(json), "1:13: a.b");
  ASSERT_FALSE(json.next_key()->has_value());
  EXPECT_EQ(place_of(json), "1:7: a");
  ASSERT_FALSE(json.next_key()->has_value());
  EXPECT_EQ(place_of(json), "1:1");
}

TEST(JsonReader, DescribesWhatItFoundInstead) {
  auto found = [](std::string_view text) {
    JsonReader json(text);
    return json.read_bool().error().cause();
  };
  EXPECT_EQ(found("\"yes\""), "expected true or false, found the string \"yes\"");
  EXPECT_EQ(found("1.5"), "expected true or false, found the number 1.5");
  EXPECT_EQ(found("null"), "expected true or false, found null");
  EXPECT_EQ(found("{}"), "expected true or false, found an object");
  EXPECT_EQ(found("[1"), "expected true or false, found an array");
  EXPECT_EQ(found('"' + std::string(100, 'a') + '"'),
            "expected true or false, found the string \"" + std::string(40, 'a') + "...\"");
}

TEST(JsonReader, HandsOutTheTextOfAValue) {
  JsonReader json(R"({"a": {"b" : [1, 2]} , "c": 3})");
  ASSERT_TRUE(json.enter_object());
  ASSERT_TRUE(json.next_key());
  EXPECT_EQ(*json.read_raw(), R"({"b" : [1, 2]})");
  EXPECT_EQ(key_of(json), "c");
}

// --- writer

TEST(JsonWriter, WritesCompactText) {
  std::string out;
  JsonWriter json(out);
  json.begin_object()
      .field("a", 1)
      .key("b")
      .begin_array()
      .value("x")
      .value(true)
      .null()
      .end_array();
  json.key("c").begin_object().end_object().field("d", std::vector<int>{-1, 2}).end_object();
  EXPECT_EQ(out, R"({"a":1,"b":["x",true,null],"c":{},"d":[-1,2]})");
}

TEST(JsonWriter, IndentsLikeGo) {
  std::string out;
  JsonWriter json(out, "\t");
  json.begin_object().field("a", 1).key("b").begin_array().value("x").value("y").end_array();
  json.key("c").begin_array().end_array().key("d").begin_object().end_object().end_object();
  EXPECT_EQ(
      out, "{\n\t\"a\": 1,\n\t\"b\": [\n\t\t\"x\",\n\t\t\"y\"\n\t],\n\t\"c\": [],\n\t\"d\": {}\n}");
}

TEST(JsonWriter, EscapesWhatMustBe) {
  std::string out;
  JsonWriter json(out);
  json.value("\"\\/\b\f\n\r\t\x01\x1f gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\x7f"sv);
  EXPECT_EQ(out,
            "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\x7f\"");
}

TEST(JsonWriter, ReplacesBytesThatAreNotUtf8) {
  std::string out;
  JsonWriter json(out);
  json.value("a\xff\xc3z");
  EXPECT_EQ(out, "\"a\xef\xbf\xbd\xef\xbf\xbdz\"");
}

TEST(JsonWriter, WritesTheLimitsOfIntegers) {
  std::string out;
  JsonWriter json(out);
  json.begin_array().value(UINT64_MAX).value(INT64_MIN).end_array();
  EXPECT_EQ(out, "[18446744073709551615,-9223372036854775808]");
}

}  // namespace
}  // namespace caisson::formats

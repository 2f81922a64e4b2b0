// Protocol Buffers on the wire (protobuf.dev, "Encoding"): fields written and read one by one, by
// their numbers; nothing is sent, and no schema is known here.
//
// What is read may come from anybody who holds the other end: every length is checked, nothing is
// allocated.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace caisson::formats::protobuf {

// A message under construction. The caller gives each field its number; nothing is checked here.
class Writer {
 public:
  // Integers of any kind but sint and fixed, enumerations. Negative ones take ten bytes, as the
  // encoding wants it.
  void number(std::uint32_t field, std::int64_t value);
  void boolean(std::uint32_t field, bool value) { number(field, value ? 1 : 0); }
  void bytes(std::uint32_t field, std::string_view value);  // also strings
  void message(std::uint32_t field, const Writer& value) { bytes(field, value.bytes_); }
  const std::string& bytes() const { return bytes_; }

 private:
  void varint(std::uint64_t value);
  std::string bytes_;
};

enum class Wire : std::uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct Field {
  std::uint32_t number = 0;
  Wire wire = Wire::kVarint;
  std::uint64_t value = 0;  // of numbers
  std::string_view bytes;   // of kBytes: a view into what is read

  std::int32_t int32() const { return static_cast<std::int32_t>(value); }
  bool boolean() const { return value != 0; }
};

// Fields in the order in which they stand. Groups, which nobody uses any more, are an error.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  // Nothing: the end, or (see good()) something that is no field.
  std::optional<Field> next();
  bool good() const { return good_; }

 private:
  std::optional<std::uint64_t> varint();
  std::optional<std::string_view> take(std::uint64_t size);
  std::string_view bytes_;
  bool good_ = true;
};

}  // namespace caisson::formats::protobuf

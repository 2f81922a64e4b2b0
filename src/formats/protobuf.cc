#include "formats/protobuf.h"

namespace caisson::formats::protobuf {
namespace {

constexpr int kWireBits = 3;
constexpr std::uint64_t kMaxField = (1U << 29) - 1;

std::uint64_t little_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) {
    value = value << 8 | static_cast<unsigned char>(bytes[i]);
  }
  return value;
}

}  // namespace

void Writer::varint(std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
  bytes_ += static_cast<char>(value);
}

void Writer::number(std::uint32_t field, std::int64_t value) {
  varint(std::uint64_t{field} << kWireBits | static_cast<unsigned>(Wire::kVarint));
  varint(static_cast<std::uint64_t>(value));
}

void Writer::bytes(std::uint32_t field, std::string_view value) {
  varint(std::uint64_t{field} << kWireBits | static_cast<unsigned>(Wire::kBytes));
  varint(value.size());
  bytes_ += value;
}

std::optional<std::uint64_t> Reader::varint() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (bytes_.empty()) return std::nullopt;
    auto byte = static_cast<unsigned char>(bytes_.front());
    bytes_.remove_prefix(1);
    // The tenth byte has room for one bit.
    if (shift == 63 && byte > 1) return std::nullopt;
    value |= std::uint64_t{byte & 0x7fU} << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

std::optional<std::string_view> Reader::take(std::uint64_t size) {
  if (size > bytes_.size()) return std::nullopt;
  auto taken = bytes_.substr(0, static_cast<std::size_t>(size));
  bytes_.remove_prefix(taken.size());
  return taken;
}

std::optional<Field> Reader::next() {
  if (!good_ || bytes_.empty()) return std::nullopt;
  good_ = false;  // until the whole field is there
  auto key = varint();
  if (!key || *key >> kWireBits == 0 || *key >> kWireBits > kMaxField) return std::nullopt;
  Field field;
  field.number = static_cast<std::uint32_t>(*key >> kWireBits);
  field.wire = static_cast<Wire>(*key & ((1U << kWireBits) - 1));
  switch (field.wire) {
    case Wire::kVarint: {
      auto value = varint();
      if (!value) return std::nullopt;
      field.value = *value;
      break;
    }
    case Wire::kBytes: {
      auto size = varint();
      auto bytes = size ? take(*size) : std::nullopt;
      if (!bytes) return std::nullopt;
      field.bytes = *bytes;
      break;
    }
    case Wire::kFixed64:
    case Wire::kFixed32: {
      auto bytes = take(field.wire == Wire::kFixed64 ? 8 : 4);
      if (!bytes) return std::nullopt;
      field.value = little_endian(*bytes);
      break;
    }
    default: return std::nullopt;
  }
  good_ = true;
  return field;
}

}  // namespace caisson::formats::protobuf

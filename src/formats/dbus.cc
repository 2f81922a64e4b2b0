#include "formats/dbus.h"

namespace caisson::formats::dbus {
namespace {

constexpr char kLittleEndian = 'l';
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kFixedHeader = 16;  // up to the length of the header fields' array
constexpr int kMaxDepth = 32;  // of containers in each other, as the specification has it

enum Field : std::uint8_t {
  kPath = 1,
  kInterface = 2,
  kMember = 3,
  kErrorName = 4,
  kReplySerial = 5,
  kDestination = 6,
  kSender = 7,
  kSignature = 8
};

std::size_t alignment_of(char type) {
  switch (type) {
    case 'y':
    case 'g':
    case 'v': return 1;
    case 'n':
    case 'q': return 2;
    case 'x':
    case 't':
    case 'd':
    case '(':
    case '{': return 8;
    default: return 4;
  }
}

// 0: not of a fixed size.
std::size_t size_of(char type) {
  switch (type) {
    case 'y': return 1;
    case 'n':
    case 'q': return 2;
    case 'b':
    case 'i':
    case 'u':
    case 'h': return 4;
    case 'x':
    case 't':
    case 'd': return 8;
    default: return 0;
  }
}

void put_text(Writer& out, Field field, char type, const std::string& text) {
  if (text.empty()) return;
  out.begin_struct();
  out.byte(field);
  out.signature(std::string_view(&type, 1));
  if (type == 'g') {
    out.signature(text);
  } else {
    out.string(text);
  }
}

// Takes one complete type off the front of a signature.
bool drop_type(std::string_view& type, int depth) {
  if (type.empty() || depth > kMaxDepth) return false;
  const char first = type.front();
  type.remove_prefix(1);
  if (first == 'a') return drop_type(type, depth + 1);
  if (first != '(' && first != '{') return std::string_view("ybnqiuxtdhsogv").contains(first);
  const char last = first == '(' ? ')' : '}';
  if (type.empty() || type.front() == last) return false;
  while (!type.empty() && type.front() != last) {
    if (!drop_type(type, depth + 1)) return false;
  }
  if (type.empty()) return false;
  type.remove_prefix(1);
  return true;
}

bool read_field(Reader& in, Message& message) {
  if (!in.align(8)) return false;
  auto field = in.byte();
  auto type = in.signature();
  if (!field || !type) return false;
  auto text = [&](std::string& out, std::string_view wanted) {
    if (*type != wanted) return false;
    auto value = wanted == "g" ? in.signature() : in.string();
    if (value) out = *value;
    return value.has_value();
  };
  switch (*field) {
    case kPath: return text(message.path, "o");
    case kInterface: return text(message.interface, "s");
    case kMember: return text(message.member, "s");
    case kErrorName: return text(message.error_name, "s");
    case kDestination: return text(message.destination, "s");
    case kSender: return text(message.sender, "s");
    case kSignature: return text(message.signature, "g");
    case kReplySerial: {
      auto serial = *type == "u" ? in.uint32() : std::nullopt;
      message.reply_serial = serial.value_or(0);
      return serial.has_value();
    }
    default: {
      std::string_view rest = *type;
      return in.skip(rest) && rest.empty();
    }
  }
}

}  // namespace

// --- writing

void Writer::number(std::uint64_t value, std::size_t size) {
  align(size);
  for (std::size_t i = 0; i < size; ++i) byte(static_cast<std::uint8_t>(value >> (8 * i)));
}

void Writer::string(std::string_view value) {
  uint32(static_cast<std::uint32_t>(value.size()));
  bytes_.append(value);
  bytes_.push_back('\0');
}

void Writer::signature(std::string_view value) {
  byte(static_cast<std::uint8_t>(value.size()));
  bytes_.append(value);
  bytes_.push_back('\0');
}

Writer::Array Writer::begin_array(std::size_t element_alignment) {
  align(4);
  Array array;
  array.length_at = bytes_.size();
  uint32(0);
  align(element_alignment);
  array.first = bytes_.size();
  return array;
}

void Writer::end_array(const Array& array) {
  const std::size_t length = bytes_.size() - array.first;
  for (std::size_t i = 0; i < 4; ++i) {
    bytes_[array.length_at + i] = static_cast<char>(static_cast<std::uint8_t>(length >> (8 * i)));
  }
}

std::string encode(const Message& message) {
  Writer out;
  out.byte(static_cast<std::uint8_t>(kLittleEndian));
  out.byte(static_cast<std::uint8_t>(message.type));
  out.byte(0);  // flags
  out.byte(kVersion);
  out.uint32(static_cast<std::uint32_t>(message.body.size()));
  out.uint32(message.serial);
  auto fields = out.begin_array(8);
  put_text(out, kPath, 'o', message.path);
  put_text(out, kInterface, 's', message.interface);
  put_text(out, kMember, 's', message.member);
  put_text(out, kErrorName, 's', message.error_name);
  if (message.reply_serial != 0) {
    out.begin_struct();
    out.byte(kReplySerial);
    out.signature("u");
    out.uint32(message.reply_serial);
  }
  put_text(out, kDestination, 's', message.destination);
  put_text(out, kSender, 's', message.sender);
  put_text(out, kSignature, 'g', message.signature);
  out.end_array(fields);
  out.align(8);
  return out.bytes() + message.body;
}

// --- reading

std::optional<std::uint64_t> Reader::number(std::size_t size) {
  if (!align(size) || bytes_.size() - at_ < size) {
    fail();
    return std::nullopt;
  }
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) {
    value |= std::uint64_t{static_cast<std::uint8_t>(bytes_[at_ + i])} << (8 * i);
  }
  at_ += size;
  return value;
}

std::optional<std::uint8_t> Reader::byte() {
  auto value = number(1);
  if (!value) return std::nullopt;
  return static_cast<std::uint8_t>(*value);
}

std::optional<std::uint32_t> Reader::uint32() {
  auto value = number(4);
  if (!value) return std::nullopt;
  return static_cast<std::uint32_t>(*value);
}

std::optional<std::uint64_t> Reader::uint64() { return number(8); }

std::optional<std::string_view> Reader::string() {
  auto length = uint32();
  // With the NUL at the end that the length leaves out.
  if (!length || bytes_.size() - at_ <= *length || bytes_[at_ + *length] != '\0') {
    fail();
    return std::nullopt;
  }
  auto value = bytes_.substr(at_, *length);
  at_ += *length + 1;
  return value;
}

std::optional<std::string_view> Reader::signature() {
  auto length = byte();
  if (!length || bytes_.size() - at_ <= *length || bytes_[at_ + *length] != '\0') {
    fail();
    return std::nullopt;
  }
  auto value = bytes_.substr(at_, *length);
  at_ += std::size_t{*length} + 1;
  return value;
}

bool Reader::align(std::size_t boundary) {
  const std::size_t next = (at_ + boundary - 1) / boundary * boundary;
  if (!good_ || next > bytes_.size()) return fail();
  at_ = next;
  return true;
}

std::optional<std::size_t> Reader::begin_array(std::size_t element_alignment) {
  auto length = uint32();
  if (!length || !align(element_alignment) || bytes_.size() - at_ < *length) {
    fail();
    return std::nullopt;
  }
  return at_ + *length;
}

bool Reader::skip_array(std::string_view& type, int depth) {
  const std::string_view element = type;
  if (!drop_type(type, depth)) return fail();
  auto end = begin_array(alignment_of(element.front()));
  if (!end) return false;
  while (at_ < *end) {
    std::string_view each = element;
    if (!skip(each, depth)) return fail();
  }
  return at_ == *end ? true : fail();
}

bool Reader::skip(std::string_view& type, int depth) {
  if (!good_ || type.empty() || depth > kMaxDepth) return fail();
  const char first = type.front();
  type.remove_prefix(1);
  if (std::size_t size = size_of(first); size != 0) return number(size).has_value();
  switch (first) {
    case 's':
    case 'o': return string().has_value();
    case 'g': return signature().has_value();
    case 'a': return skip_array(type, depth + 1);
    case 'v': {
      auto inner = signature();
      if (!inner) return false;
      std::string_view rest = *inner;
      return skip(rest, depth + 1) && (rest.empty() || fail());
    }
    case '(':
    case '{': {
      if (!align(8)) return false;
      const char last = first == '(' ? ')' : '}';
      if (type.starts_with(last)) return fail();
      while (!type.empty() && type.front() != last) {
        if (!skip(type, depth + 1)) return false;
      }
      if (type.empty()) return fail();
      type.remove_prefix(1);
      return true;
    }
    default: return fail();
  }
}

std::optional<std::size_t> message_size(std::string_view start) {
  if (start.size() < kFixedHeader) return 0;
  Reader in(start.substr(4));
  const std::size_t body = *in.uint32();
  (void)in.uint32();
  const std::size_t fields = *in.uint32();
  const bool known = start[0] == kLittleEndian && start[3] == static_cast<char>(kVersion);
  if (!known || body > kMaxMessage || fields > kMaxMessage) return std::nullopt;
  const std::size_t size = (kFixedHeader + fields + 7) / 8 * 8 + body;
  return size > kMaxMessage ? std::nullopt : std::optional(size);
}

std::optional<Message> decode(std::string_view bytes) {
  auto size = message_size(bytes);
  if (!size || *size == 0 || *size != bytes.size()) return std::nullopt;
  Message message;
  const auto type = static_cast<std::uint8_t>(bytes[1]);
  if (type < 1 || type > 4) return std::nullopt;
  message.type = static_cast<MessageType>(type);
  Reader in(bytes);
  for (int i = 0; i < 4; ++i) (void)in.byte();
  const std::size_t body = in.uint32().value_or(0);
  message.serial = in.uint32().value_or(0);
  auto end = in.begin_array(8);
  if (!end || message.serial == 0) return std::nullopt;
  while (in.at() < *end) {
    if (!read_field(in, message)) return std::nullopt;
  }
  if (in.at() != *end) return std::nullopt;
  message.body = bytes.substr(bytes.size() - body);
  return message;
}

}  // namespace caisson::formats::dbus

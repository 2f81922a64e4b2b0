// D-Bus messages as bytes (D-Bus specification 0.42, "Message Protocol"): written and read, nothing
// sent. Little-endian, protocol version 1, no descriptors: what a client of systemd needs.
//
// What is read may come from anybody who holds the other end: every length is checked, nothing is
// allocated that is not there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace caisson::formats::dbus {

// Values in the order of a signature. The caller calls in that order; nothing is checked here.
class Writer {
 public:
  void byte(std::uint8_t value) { bytes_.push_back(static_cast<char>(value)); }
  void boolean(bool value) { uint32(value ? 1 : 0); }
  void int32(std::int32_t value) { uint32(static_cast<std::uint32_t>(value)); }
  void uint32(std::uint32_t value) { number(value, sizeof value); }
  void int64(std::int64_t value) { uint64(static_cast<std::uint64_t>(value)); }
  void uint64(std::uint64_t value) { number(value, sizeof value); }
  void string(std::string_view value);  // also object paths
  void signature(std::string_view value);
  // Before the members of a struct.
  void begin_struct() { align(8); }
  // An array whose elements are aligned to `element_alignment`; returns what end_array() takes.
  struct Array {
    std::size_t length_at = 0, first = 0;
  };
  Array begin_array(std::size_t element_alignment);
  void end_array(const Array& array);
  void align(std::size_t boundary) {
    bytes_.resize((bytes_.size() + boundary - 1) / boundary * boundary);
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void number(std::uint64_t value, std::size_t size);
  std::string bytes_;
};

// Values from bytes. After the first thing that is not as asked for, every call fails.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  std::optional<std::uint8_t> byte();
  std::optional<std::uint32_t> uint32();
  std::optional<std::uint64_t> uint64();
  // Strings and object paths; the view is into the bytes.
  std::optional<std::string_view> string();
  std::optional<std::string_view> signature();
  bool align(std::size_t boundary);
  // The end of an array that begins here, as an offset for at(); its elements are aligned so.
  std::optional<std::size_t> begin_array(std::size_t element_alignment);
  std::size_t at() const { return at_; }
  // Leaves one value of this complete type out. False when there is none.
  bool skip(std::string_view& type, int depth = 0);
  bool good() const { return good_; }

 private:
  std::optional<std::uint64_t> number(std::size_t size);
  bool fail() { return good_ = false; }
  bool skip_array(std::string_view& type, int depth);
  std::string_view bytes_;
  std::size_t at_ = 0;
  bool good_ = true;
};

enum class MessageType : std::uint8_t { kCall = 1, kReply = 2, kError = 3, kSignal = 4 };

struct Message {
  MessageType type = MessageType::kCall;
  std::uint32_t serial = 0, reply_serial = 0;
  std::string destination, path, interface, member, error_name, sender, signature, body;
};

// The bytes of a message; `serial` must not be 0.
std::string encode(const Message& message);

// Longest message that is read. The protocol would allow 128 MiB; systemd's answers are short.
inline constexpr std::size_t kMaxMessage = 1 << 20;
// How many bytes the message has that begins with these; 0: 16 are needed to tell; absent: this is
// no message, or one that is too long.
std::optional<std::size_t> message_size(std::string_view start);
// One whole message.
std::optional<Message> decode(std::string_view bytes);

}  // namespace caisson::formats::dbus

#include "gofer/protocol.h"

#include <limits.h>

#include <cerrno>
#include <cstring>

namespace caisson::gofer {
namespace {

constexpr std::uint32_t kMagic = 0x67660001;  // "gf", version 1

struct RequestHeader {
  std::uint32_t magic, operation, mount, flags, mode, uid, gid;
  std::uint32_t path_size, second_size, value_size;
  std::uint64_t number;
  std::int64_t times[4];
};

struct ReplyHeader {
  std::uint32_t magic;
  std::int32_t errno_value;
  std::uint32_t text_size, reserved;
  struct statx info;
};

std::unexpected<Errno> malformed() { return std::unexpected(Errno{EPROTO}); }

template <typename Header>
std::string begin(const Header& header) {
  return {reinterpret_cast<const char*>(&header), sizeof header};
}

// The next `size` bytes; they are there.
std::string take(std::string_view& rest, std::size_t size) {
  std::string out(rest.substr(0, size));
  rest.remove_prefix(size);
  return out;
}

bool is_component(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.size() <= NAME_MAX;
}

// Nothing but names below the root.
bool is_path(std::string_view path) {
  if (path.size() >= PATH_MAX || path.find('\0') != std::string_view::npos) return false;
  while (!path.empty()) {
    std::size_t end = std::min(path.find('/'), path.size());
    if (!is_component(path.substr(0, end))) return false;
    if (end + 1 == path.size()) return false;  // a slash at the end
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return true;
}

bool is_text(std::string_view text) { return text.find('\0') == std::string_view::npos; }

bool second_is_path(Operation operation) {
  return operation == Operation::kLink || operation == Operation::kRename;
}

bool fits(const Request& request) {
  if (!is_path(request.path)) return false;
  return second_is_path(request.operation) ? is_path(request.second) : is_text(request.second);
}

}  // namespace

std::string encode(const Request& request) {
  RequestHeader header{};
  header.magic = kMagic;
  header.operation = static_cast<std::uint32_t>(request.operation);
  header.mount = request.mount;
  header.flags = request.flags;
  header.mode = request.mode;
  header.uid = request.uid;
  header.gid = request.gid;
  header.path_size = static_cast<std::uint32_t>(request.path.size());
  header.second_size = static_cast<std::uint32_t>(request.second.size());
  header.value_size = static_cast<std::uint32_t>(request.value.size());
  header.number = request.number;
  for (std::size_t i = 0; i < 2; ++i) {
    header.times[2 * i] = request.times[i].tv_sec;
    header.times[2 * i + 1] = request.times[i].tv_nsec;
  }
  return begin(header) + request.path + request.second + request.value;
}

ErrnoOr<Request> decode_request(std::string_view message) {
  RequestHeader header;
  if (message.size() < sizeof header || message.size() > kMaxMessage) return malformed();
  std::memcpy(&header, message.data(), sizeof header);
  message.remove_prefix(sizeof header);
  std::uint64_t size = std::uint64_t{header.path_size} + header.second_size + header.value_size;
  if (header.magic != kMagic || size != message.size()) return malformed();
  if (header.operation == 0 || header.operation > static_cast<std::uint32_t>(kLastOperation))
    return malformed();
  Request request;
  request.operation = static_cast<Operation>(header.operation);
  request.mount = header.mount;
  request.path = take(message, header.path_size);
  request.second = take(message, header.second_size);
  request.value = take(message, header.value_size);
  request.flags = header.flags;
  request.mode = header.mode;
  request.uid = header.uid;
  request.gid = header.gid;
  request.number = header.number;
  for (std::size_t i = 0; i < 2; ++i) {
    request.times[i].tv_sec = header.times[2 * i];
    request.times[i].tv_nsec = header.times[2 * i + 1];
  }
  if (!fits(request)) return malformed();
  return request;
}

std::string encode(const Reply& reply) {
  ReplyHeader header{};
  header.magic = kMagic;
  header.errno_value = reply.errno_value;
  header.text_size = static_cast<std::uint32_t>(reply.text.size());
  header.info = reply.info;
  return begin(header) + reply.text;
}

ErrnoOr<Reply> decode_reply(std::string_view message) {
  ReplyHeader header;
  if (message.size() < sizeof header || message.size() > kMaxMessage) return malformed();
  std::memcpy(&header, message.data(), sizeof header);
  message.remove_prefix(sizeof header);
  if (header.magic != kMagic || header.text_size != message.size()) return malformed();
  if (header.errno_value < 0 || header.errno_value > 4095) return malformed();
  Reply reply;
  reply.errno_value = header.errno_value;
  reply.text = take(message, header.text_size);
  reply.info = header.info;
  return reply;
}

}  // namespace caisson::gofer

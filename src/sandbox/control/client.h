// Client: the asking end of a control socket. Every wait is bounded, since the kernel that is asked
// may hang or be its guest's by now: what it says is taken as text and numbers, of limited length.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sandbox/control/control.h"

namespace caisson::sandbox::control {

inline constexpr int kAnswerTimeoutMs = 10'000;
// More than any answer has.
inline constexpr std::size_t kReplyLimit = std::size_t{64} << 20;

struct Reply {
  std::int64_t value = 0;
  std::string text;
};

class Client {
 public:
  // `container`: which of the sandbox's is meant.
  static Result<Client> connect(const std::string& path, std::string_view container);
  // Of a connection that stands.
  static Client of(Fd socket) { return Client(std::move(socket)); }
  // The whole answer; an Error is what the kernel refused, or ETIMEDOUT.
  Result<Reply> ask(Request request, std::int64_t value = 0, std::string_view text = {},
                    const std::vector<int>& descriptors = {});
  // The next message, whatever it is.
  Result<ControlMessage> receive(int timeout_ms = kAnswerTimeoutMs);
  FdRef socket() const { return socket_; }

 private:
  explicit Client(Fd socket) : socket_(std::move(socket)) {}
  Fd socket_;
};

}  // namespace caisson::sandbox::control

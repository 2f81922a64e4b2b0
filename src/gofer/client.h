// Client: the kernel process's end. One request is under way at a time, whatever thread asks.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/mutex.h"
#include "base/result.h"
#include "gofer/protocol.h"

namespace caisson::gofer {

class Client {
 public:
  explicit Client(Fd socket) : socket_(std::move(socket)) {}
  // The answer's errno is the error; EPIPE: the gofer has ended.
  struct Answer {
    Reply reply;
    Fd fd;
  };
  ErrnoOr<Answer> ask(const Request& request);
  // The gofer ends; whoever still asks gets EPIPE.
  void close();

 private:
  Fd socket_;
  Mutex mutex_;  // from the request to its answer
};

}  // namespace caisson::gofer

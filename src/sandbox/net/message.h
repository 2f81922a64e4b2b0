// What a message carries from one end of a socket to the other, and the requests to do so.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ref.h"
#include "sandbox/net/address.h"
#include "sandbox/net/requester.h"
#include "sandbox/vfs/file.h"
#include "sandbox/vfs/io.h"

namespace caisson::sandbox::net {

// SCM_RIGHTS and SCM_CREDENTIALS (unix(7)).
struct Ancillary {
  std::vector<Ref<vfs::File>> rights;
  std::optional<ProcessCredentials> credentials;
};

struct SendRequest {
  vfs::IoBuffer& data;
  Requester& requester;
  const Address* to = nullptr;
  int flags = 0;             // MSG_*
  bool nonblocking = false;  // MSG_DONTWAIT or O_NONBLOCK
  // Taken by the first part of a stream that is sent; kept on EAGAIN.
  Ancillary ancillary;
};

// What IPv4 and IPv6 tell about a datagram (ip(7), ipv6(7)).
struct PacketFacts {
  Address destination;
  int interface = 0;
  int hop_limit = 64;
  int traffic_class = 0;
};

// One more control message for the receiver.
struct ControlMessage {
  int level = 0, type = 0;
  std::string bytes;
};

struct ReceiveRequest {
  vfs::IoBuffer& data;
  Requester& requester;
  int flags = 0;
  bool nonblocking = false;
};

struct Received {
  std::size_t bytes = 0;  // the value of the call
  std::optional<Address> from;
  int flags = 0;  // MSG_TRUNC, MSG_EOR, MSG_CTRUNC
  Ancillary ancillary;
  std::optional<PacketFacts> packet;
  std::vector<ControlMessage> control;  // as they are to be handed over
  bool ends_wait_all = false;           // MSG_WAITALL goes no further than here
};

}  // namespace caisson::sandbox::net

// Control: what the host's side asks a running sandbox's kernel for, over a seqpacket socket that
// stands in the state directory. One request per message; descriptors come along.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace caisson::sandbox::control {

enum class Request : std::uint8_t {
  kExec = 1,  // text: a ProcessPlan (plan/wire.h); descriptors: stdin, stdout, stderr
  kSignal,    // value: signal, for the process of this connection's kExec
  kResize,    // value: rows << 16 | columns, for its terminal
  kShow,      // text: stacks, maps, fds, mounts, processes, syscalls; answered by text
  kStop,      // all guest code stands still; twice is once
  kResume,
  // Saves the container to two files (boot/image.h), which come along; it then stands still until
  // kResume comes or the connection ends.
  kCheckpoint,
  // Answered when the first process is there; by kFailed when it will never be.
  kReady,
  kContainer,  // text: the id of the container that this connection means; else the first one
  kProcesses,  // answered by text: GuestProcesses (plan/wire.h)
  kInitDrops,  // value: signal; answered by kDone, 1: the init would never notice it
  kLimits,     // text: GuestLimits
  kChanges,    // answered by text: GuestChanges
  // A further container. First its places, one a message, in their order; a message without a
  // descriptor stands for an optional one that is not there.
  kPlace,
  // text: its Plan; descriptors: stdin, stdout, stderr, and a gofer's socket where it has one.
  // Answered as kExec is; kFailed then has an exit status as its value and all that is to be told.
  // The container ends when this connection does.
  kJoin,
};

enum class Answer : std::uint8_t {
  kStarted = 1,  // value: the process's id in the container
  kExited,       // value: wait status as wait4(2) gives it
  kText,         // part of an answer; an empty one ends it
  kDone,
  kFailed,  // value: errno; text: what failed
};

struct ControlMessage {
  std::uint8_t kind = 0;  // a Request or an Answer
  std::int64_t value = 0;
  std::string text;
  std::vector<Fd> descriptors;
};

inline constexpr std::size_t kControlLimit = 256 * 1024;

std::string encode_control(std::uint8_t kind, std::int64_t value, std::string_view text);
// EPROTO: not a message.
ErrnoOr<ControlMessage> decode_control(std::string_view bytes);

ErrnoOr<> send_control(FdRef socket, Request request, std::int64_t value = 0,
                       std::string_view text = {}, const std::vector<int>& descriptors = {});
ErrnoOr<> send_control(FdRef socket, Answer answer, std::int64_t value, std::string_view text = {});
// ECONNRESET at the end of the connection.
ErrnoOr<ControlMessage> receive_control(FdRef socket);

}  // namespace caisson::sandbox::control

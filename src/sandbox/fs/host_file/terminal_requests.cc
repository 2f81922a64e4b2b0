#include "sandbox/fs/host_file/terminal_requests.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <span>

#include "sandbox/fs/host_file/host_file.h"
#include "sys/call.h"

namespace caisson::sandbox::fs {
namespace {

enum class Kind : std::uint8_t { kRead, kWrite, kValue };

struct Request {
  std::uint32_t number;
  Kind kind;         // what the argument is: to be filled, to be read, a plain value
  std::size_t size;  // of what it points to
  bool terminals_only = true;
  // Carried out instead, where waiting for output would hold the sandbox's thread up.
  std::uint32_t instead = 0;
};

constexpr std::size_t kTermios = 36;  // struct termios of the kernel
constexpr std::size_t kTermios2 = 44;
constexpr std::size_t kWindowSize = 8;

constexpr Request kRequests[] = {
    {TCGETS, Kind::kRead, kTermios},
    {TCSETS, Kind::kWrite, kTermios},
    {TCSETSW, Kind::kWrite, kTermios, true, TCSETS},
    {TCSETSF, Kind::kWrite, kTermios, true, TCSETS},
    {TCGETS2, Kind::kRead, kTermios2},
    {TCSETS2, Kind::kWrite, kTermios2},
    {TCSETSW2, Kind::kWrite, kTermios2, true, TCSETS2},
    {TCSETSF2, Kind::kWrite, kTermios2, true, TCSETS2},
    {TIOCGWINSZ, Kind::kRead, kWindowSize},
    {TIOCSWINSZ, Kind::kWrite, kWindowSize},
    {TIOCOUTQ, Kind::kRead, sizeof(int)},
    {TCFLSH, Kind::kValue, 0},
    {TCXONC, Kind::kValue, 0},
    {FIONREAD, Kind::kRead, sizeof(int), false},
};

const Request* find(std::uint32_t number) {
  for (const Request& request : kRequests)
    if (request.number == number) return &request;
  return nullptr;
}

ErrnoOr<> flush_input(HostDescriptor& host) {
  return sys::call_void(SYS_ioctl, host.fd().number(), TCFLSH, 0 /* TCIFLUSH */);
}

}  // namespace

ErrnoOr<std::int64_t> forward_request(HostDescriptor& host, vfs::Caller& caller,
                                      std::uint32_t number, std::uint64_t argument) {
  const Request* request = find(number);
  if (request == nullptr || (request->terminals_only && !host.is_terminal()))
    return std::unexpected(Errno{ENOTTY});
  if (request->kind == Kind::kValue)
    return TRY(sys::call(SYS_ioctl, host.fd().number(), number, argument));
  std::array<std::byte, kTermios2> buffer{};
  std::span<std::byte> bytes = std::span(buffer).first(request->size);
  if (request->kind == Kind::kWrite)
    if (TRY(caller.memory().read(argument, bytes)) != bytes.size())
      return std::unexpected(Errno{EFAULT});
  if (number == TCSETSF || number == TCSETSF2) TRY(flush_input(host));
  std::uint32_t carried_out = request->instead != 0 ? request->instead : number;
  auto result = TRY(sys::call(SYS_ioctl, host.fd().number(), carried_out, buffer.data()));
  if (request->kind == Kind::kRead)
    if (TRY(caller.memory().write(argument, bytes)) != bytes.size())
      return std::unexpected(Errno{EFAULT});
  return result;
}

}  // namespace caisson::sandbox::fs

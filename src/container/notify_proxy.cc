#include "container/notify_proxy.h"

#include <array>

#include "base/text.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace caisson::container {
namespace {

constexpr std::size_t kLongestMessage = 4096;
constexpr int kBarrierTimeoutMs = 5000;

// The line that says so, "READY=1".
std::string_view ready_line(std::string_view message) {
  for (auto line : split(message, '\n')) {
    if (line.starts_with("READY=")) return line;
  }
  return {};
}

// The manager closes its copy of the descriptor when it has dealt with all that came before.
void wait_for_barrier(FdRef manager) {
  int ends[2];
  if (!sys::call_void(SYS_pipe2, ends, O_CLOEXEC)) return;
  Fd reading(ends[0]), writing(ends[1]);
  int number = writing.number();
  if (!sys::send_message(manager, "BARRIER=1", std::span(&number, 1))) return;
  writing.reset();
  (void)sys::wait_readable(reading, kBarrierTimeoutMs);
}

}  // namespace

bool has_notify_directory(const Folder& folder) {
  std::string path = cat(folder.path, "/", kNotifyDirectory);
  return sys::faccessat(sys::kCwd, path.c_str(), F_OK).has_value();
}

Result<NotifyProxy> NotifyProxy::open(FdRef dir, std::string manager) {
  Fd inside = TRY_CTX(sys::openat(dir, kNotifyDirectory, O_RDONLY | O_DIRECTORY),
                      "open the directory for notifications");
  constexpr const char* kName = "notify.sock";
  (void)sys::unlinkat(inside, kName);
  NotifyProxy proxy;
  proxy.socket_ =
      TRY_CTX(sys::bind_unix_datagram(inside, kName, 0777), "make the socket for notifications");
  proxy.manager_ = std::move(manager);
  return proxy;
}

bool NotifyProxy::handle(int pid) {
  for (;;) {
    std::array<char, kLongestMessage> buffer;
    auto got = sys::call_retry(SYS_recvfrom, socket_.number(), buffer.data(), buffer.size(),
                               MSG_DONTWAIT, nullptr, nullptr);
    if (!got) return false;
    auto ready = ready_line({buffer.data(), static_cast<std::size_t>(*got)});
    if (ready.empty()) continue;
    // A manager that went away is no reason to end a program that is ready.
    if (auto manager = sys::connect_unix_datagram(manager_)) {
      (void)sys::send_message(*manager, cat(ready, '\n', "MAINPID=", pid, '\n'));
      wait_for_barrier(*manager);
    }
    socket_.reset();
    return true;
  }
}

Result<> NotifyProxy::wait(int pid, FdRef pidfd) {
  for (;;) {
    std::array<pollfd, 2> fds{{{socket_.number(), POLLIN, 0}, {pidfd.number(), POLLIN, 0}}};
    TRY_CTX(sys::poll(fds, -1), "wait for the program to be ready");
    if (fds[0].revents != 0 && handle(pid)) return {};
    if (fds[1].revents != 0) return {};
  }
}

}  // namespace caisson::container

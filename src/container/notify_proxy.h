// sd_notify(3) for a container: its program reports on a socket of ours, /run/notify/notify.sock
// inside, and the service manager that called us (NOTIFY_SOCKET) hears of it under our name.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "container/store.h"

namespace caisson::container {

// Of the directory in the container's folder that is mounted on /run/notify.
inline constexpr const char* kNotifyDirectory = "notify";
bool has_notify_directory(const Folder& folder);

class NotifyProxy {
 public:
  NotifyProxy() = default;
  // Listens in `dir`, the container's folder; `manager` is the path of the manager's socket, or
  // "@name" for an abstract one.
  static Result<NotifyProxy> open(FdRef dir, std::string manager);

  explicit operator bool() const { return socket_.valid(); }
  FdRef socket() const { return socket_; }
  // Reads what has come. When the program is ready the manager is told so, with `pid` as the main
  // process, and the proxy closes: true.
  bool handle(int pid);
  // Waits until the program is ready or has ended.
  Result<> wait(int pid, FdRef pidfd);

 private:
  std::string manager_;
  Fd socket_;
};

}  // namespace caisson::container

// Moves network devices of the host into a container's network namespace (linux.netDevices).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "sys/netlink.h"

namespace caisson::linux {

// Goes back on everything that it moved, unless kept: a start that fails leaves the host as it was.
class NetDevices {
 public:
  NetDevices() = default;
  NetDevices(const NetDevices&) = delete;
  NetDevices& operator=(const NetDevices&) = delete;
  ~NetDevices();

  // `devices`: name on the host, name inside ("": the same; "%d" in it stands for the first free
  // number). Permanent addresses of global scope go along; the devices are up afterwards.
  Result<> move_into(FdRef ns, const std::map<std::string, std::string>& devices);
  void keep() { moved_.clear(); }

 private:
  struct Moved {
    std::string host_name;
    bool was_up = false;
    int index = 0;  // inside
    std::vector<sys::InterfaceAddress> addresses;
  };
  ErrnoOr<> open(FdRef ns);
  ErrnoOr<std::string> free_name(std::string_view pattern);
  Result<> move_one(FdRef ns, const std::string& host_name, const std::string& wanted);
  void put_back(const Moved& device);

  sys::RouteSocket host_, inside_;
  Fd host_ns_;
  std::vector<Moved> moved_;
};

}  // namespace caisson::linux

#include "linux/net_devices.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <ranges>

#include "base/text.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::linux {
namespace {

// What only the administrator can have meant: not what the kernel or a router came up with, and
// not what is valid on one link or host only.
std::vector<sys::InterfaceAddress> lasting(const std::vector<sys::InterfaceAddress>& all) {
  std::vector<sys::InterfaceAddress> out;
  for (const auto& address : all) {
    bool lasts = (address.flags & IFA_F_PERMANENT) != 0 && address.scope == RT_SCOPE_UNIVERSE;
    if (lasts) out.push_back(address);
  }
  return out;
}

ErrnoOr<> restore(sys::RouteSocket& socket, int index,
                  const std::vector<sys::InterfaceAddress>& addresses) {
  constexpr std::uint32_t kSettable = IFA_F_NODAD | IFA_F_NOPREFIXROUTE | IFA_F_MCAUTOJOIN;
  for (auto address : addresses) {
    address.flags &= kSettable;
    auto added = socket.add_address(index, address);
    if (!added && added.error().value != EEXIST) return added;
  }
  return {};
}

Error failure(Errno error, const std::string& device) {
  return Error(error)
      .doing("move network device ", quoted(device))
      .where("linux.netDevices.", device);
}

Error explained(Errno error, const std::string& device) {
  Error out = failure(error, device);
  switch (error.value) {
    case ENODEV: return std::move(out).cure("name a device of the host's network namespace");
    case EINVAL:
      return std::move(out).cure("this kind of device can't leave its network namespace");
    case EPERM: return std::move(out).cure("moving it needs CAP_NET_ADMIN in both namespaces");
    default: return out;
  }
}

}  // namespace

// Opened inside by a short visit: a socket stays with the namespace that it was made in.
ErrnoOr<> NetDevices::open(FdRef ns) {
  if (host_ns_) return {};
  Fd host_ns = TRY(sys::openat(sys::kCwd, "/proc/self/ns/net", O_RDONLY));
  host_ = TRY(sys::RouteSocket::open());
  TRY(sys::setns(ns, CLONE_NEWNET));
  auto inside = sys::RouteSocket::open();
  // Anything that went on in the wrong namespace would be a disaster.
  if (!sys::setns(host_ns, CLONE_NEWNET)) sys::exit_process(125);
  inside_ = TRY(std::move(inside));
  host_ns_ = std::move(host_ns);
  return {};
}

ErrnoOr<std::string> NetDevices::free_name(std::string_view pattern) {
  auto place = pattern.find("%d");
  for (int number = 0; number < 100'000; ++number) {
    std::string name(pattern);
    if (place != pattern.npos) name.replace(place, 2, cat(number));
    auto taken = inside_.link(name);
    if (!taken && taken.error().value == ENODEV) return name;
    if (!taken) return std::unexpected(taken.error());
    if (place == pattern.npos) break;
  }
  return std::unexpected(Errno{EEXIST});
}

Result<> NetDevices::move_one(FdRef ns, const std::string& host_name, const std::string& wanted) {
  const std::string& pattern = wanted.empty() ? host_name : wanted;
  auto link = host_.link(host_name);
  if (!link) return std::unexpected(explained(link.error(), host_name));
  auto name = free_name(pattern);
  if (!name && name.error().value == EEXIST) {
    return std::unexpected(
        Error::with_cause(EEXIST, cat("the container's network namespace has a device ",
                                      quoted(pattern), " already"))
            .doing("move network device ", quoted(host_name))
            .where("linux.netDevices.", host_name)
            .cure("give it another \"name\", or one with %d for the first free number"));
  }
  if (!name) return std::unexpected(failure(name.error(), host_name));
  Moved device{host_name, (link->flags & IFF_UP) != 0, 0, {}};
  auto addresses = host_.addresses(link->index);
  if (!addresses) return std::unexpected(failure(addresses.error(), host_name));
  device.addresses = lasting(*addresses);
  auto moved = host_.move(link->index, ns, *name);
  // Moved, but not renamed: it is found inside under its old name.
  auto inside = inside_.link(moved ? *name : host_name);
  if (inside && (moved || !host_.link(host_name))) {
    device.index = inside->index;
    moved_.push_back(device);
  }
  if (!moved) return std::unexpected(explained(moved.error(), host_name));
  if (!inside) return std::unexpected(failure(inside.error(), host_name));
  auto ready = restore(inside_, device.index, device.addresses);
  if (ready) ready = inside_.set_up(device.index);
  if (!ready) return std::unexpected(failure(ready.error(), host_name));
  return {};
}

Result<> NetDevices::move_into(FdRef ns, const std::map<std::string, std::string>& devices) {
  TRY_CTX(open(ns), "open the container's network namespace");
  for (const auto& [host_name, wanted] : devices) TRY(move_one(ns, host_name, wanted));
  return {};
}

void NetDevices::put_back(const Moved& device) {
  (void)inside_.move(device.index, host_ns_, device.host_name);
  auto link = host_.link(device.host_name);
  if (!link) return;
  (void)restore(host_, link->index, device.addresses);
  if (device.was_up) (void)host_.set_up(link->index);
}

NetDevices::~NetDevices() {
  for (const auto& device : moved_ | std::views::reverse) put_back(device);
}

}  // namespace caisson::linux

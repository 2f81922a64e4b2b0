// Changes of what a file of the host is: owner, mode, times, size, extended attributes. Under the
// lock that holds off removals, since they go by name and must not meet another file.
#include <sys/stat.h>
#include <sys/xattr.h>

#include <array>

#include "sandbox/fs/host/inode.h"
#include "sys/file_at.h"
#include "sys/xattr.h"

namespace caisson::sandbox::fs {
namespace {

constexpr std::uint32_t kUnchanged = ~std::uint32_t{0};

timespec to_timespec(const std::optional<vfs::Timestamp>& time) {
  timespec out{};
  if (time) {
    out.tv_sec = time->seconds;
    out.tv_nsec = time->nanoseconds;
  } else {
    out.tv_nsec = UTIME_OMIT;
  }
  return out;
}

// What the guest may see and set on the host: what users say about their files, and what the host
// says about rights. The trusted ones are the host's administrator's own.
bool is_readable(std::string_view name) {
  return name.starts_with("user.") || name.starts_with("security.");
}
bool is_writable(std::string_view name) { return name.starts_with("user."); }

// Calls `work` with growing room until the value fits.
template <typename Work>
ErrnoOr<std::string> grow(Work work) {
  std::string value(256, '\0');
  for (;;) {
    auto size = work(std::span<char>(value));
    if (size) {
      value.resize(*size);
      return value;
    }
    if (size.error().value != ERANGE || value.size() > 65536) return std::unexpected(size.error());
    value.resize(value.size() * 16);
  }
}

}  // namespace

ErrnoOr<> HostInode::change(const vfs::AttributeChange& change) {
  if (change.size) TRY(change_size(*change.size));
  Locked lock(host().names_mutex());
  if (change.uid || change.gid) TRY(change_owner(change));
  if (change.mode) TRY(change_mode(*change.mode & 07777));
  if (change.accessed || change.modified || change.times_are_now) TRY(change_times(change));
  attributes_changed();
  return {};
}

ErrnoOr<> HostInode::change_owner(const vfs::AttributeChange& change) {
  std::uint32_t uid = kUnchanged;
  std::uint32_t gid = kUnchanged;
  if (change.uid) {
    auto host_id = host().options().uids.to_host(*change.uid);
    if (!host_id) return std::unexpected(Errno{EOVERFLOW});
    uid = *host_id;
  }
  if (change.gid) {
    auto host_id = host().options().gids.to_host(*change.gid);
    if (!host_id) return std::unexpected(Errno{EOVERFLOW});
    gid = *host_id;
  }
  Place place = TRY(host().place_of(*this));
  auto done = sys::fchownat(place.fd(), place.path(), uid, gid, place.flags());
  if (!done && is_denied(done.error()) && host().gofer() != nullptr)
    done = host().gofer()->set_owner(TRY(host().path_of(*this)), uid, gid);
  attributes_changed();
  return done;
}

ErrnoOr<> HostInode::change_mode(std::uint32_t mode) {
  if (is_symlink()) return std::unexpected(Errno{EOPNOTSUPP});
  Place place = TRY(host().place_of(*this));
  auto done = sys::fchmodat2(place.fd(), place.path(), mode, place.flags());
  if (!done && done.error().value == ENOSYS) {
    auto open = sys::openat2(place.fd(), place.name.empty() ? "." : place.path(),
                             O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, sys::kBeneath);
    done = open ? sys::fchmod(*open, mode) : std::unexpected(open.error());
  }
  if (!done && is_denied(done.error()) && host().gofer() != nullptr)
    done = host().gofer()->set_mode(TRY(host().path_of(*this)), mode);
  attributes_changed();
  return done;
}

ErrnoOr<> HostInode::change_times(const vfs::AttributeChange& change) {
  std::array times{to_timespec(change.accessed), to_timespec(change.modified)};
  // That much the host lets everybody do who may write.
  if (change.times_are_now) times[0].tv_nsec = times[1].tv_nsec = UTIME_NOW;
  Place place = TRY(host().place_of(*this));
  auto done = sys::utimensat(place.fd(), place.path(), times, place.flags());
  if (!done && is_denied(done.error()) && host().gofer() != nullptr)
    done = host().gofer()->set_times(TRY(host().path_of(*this)), times);
  return done;
}

ErrnoOr<> HostInode::change_size(std::uint64_t size) {
  if (is_directory()) return std::unexpected(Errno{EISDIR});
  if (type() != S_IFREG) return std::unexpected(Errno{EINVAL});
  auto handle = host().file_handle(*this, Access::kWrite);
  ErrnoOr<> done = std::unexpected(handle ? Errno{} : handle.error());
  if (handle) done = sys::ftruncate((*handle)->fd(), static_cast<std::int64_t>(size));
  attributes_changed();
  handle = nullptr;
  if (!host().exclusive()) host().drop_unused_handles(*this);
  return done;
}

// --- extended attributes: by name where the host can (Linux 6.13), else by the file opened

// Only regular files and directories have attributes of users (xattr(7)).
ErrnoOr<Fd> HostInode::open_for_attributes(const Place& place) {
  if (type() != S_IFREG && !is_directory()) return std::unexpected(Errno{ENOTSUP});
  if (place.name.empty() && !is_directory()) return sys::dup_cloexec(place.fd());
  return sys::openat2(place.fd(), place.name.empty() ? "." : place.path(),
                      O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, sys::kBeneath);
}

// Calls by_name(place), or by_file(descriptor) where the kernel has no such call or the thing has
// no name.
template <typename ByName, typename ByFile>
auto HostInode::with_attributes(ByName by_name, ByFile by_file)
    -> decltype(by_name(std::declval<Place&>())) {
  Place place = TRY(host().place_of(*this));
  if (!place.name.empty()) {
    auto done = by_name(place);
    if (done || done.error().value != ENOSYS) return done;
  }
  Fd file = TRY(open_for_attributes(place));
  return by_file(file.ref());
}

ErrnoOr<std::string> HostInode::get_attribute(std::string_view name) {
  if (!is_readable(name)) return std::unexpected(Errno{ENODATA});
  std::string key(name);
  Locked lock(host().names_mutex());
  auto value = with_attributes(
      [&](Place& place) {
        return grow([&](std::span<char> to) {
          return sys::getxattrat(place.fd(), place.path(), place.flags(), key.c_str(), to);
        });
      },
      [&](FdRef file) {
        return grow([&](std::span<char> to) { return sys::fgetxattr(file, key.c_str(), to); });
      });
  if (!value && is_denied(value.error()) && host().gofer() != nullptr)
    return host().gofer()->get_attribute(TRY(host().path_of(*this)), name);
  return value;
}

ErrnoOr<> HostInode::set_attribute(std::string_view name, std::string_view value, int flags) {
  if (!is_writable(name)) return std::unexpected(Errno{is_readable(name) ? EPERM : ENOTSUP});
  std::string key(name);
  Locked lock(host().names_mutex());
  auto done = with_attributes(
      [&](Place& place) {
        return sys::setxattrat(place.fd(), place.path(), place.flags(), key.c_str(), value, flags);
      },
      [&](FdRef file) { return sys::fsetxattr(file, key.c_str(), value, flags); });
  if (!done && is_denied(done.error()) && host().gofer() != nullptr)
    done = host().gofer()->set_attribute(TRY(host().path_of(*this)), name, value, flags);
  attributes_changed();
  return done;
}

ErrnoOr<std::vector<std::string>> HostInode::list_attributes() {
  Locked lock(host().names_mutex());
  auto all = with_attributes(
      [&](Place& place) {
        return grow([&](std::span<char> to) {
          return sys::listxattrat(place.fd(), place.path(), place.flags(), to);
        });
      },
      [&](FdRef file) {
        return grow([&](std::span<char> to) { return sys::flistxattr(file, to); });
      });
  std::vector<std::string> names;
  if (!all && is_denied(all.error()) && host().gofer() != nullptr) {
    names = TRY(host().gofer()->list_attributes(TRY(host().path_of(*this))));
  } else if (!all) {
    return std::unexpected(all.error());
  } else {
    for (std::string_view rest = *all; !rest.empty();) {
      names.emplace_back(rest.substr(0, rest.find('\0')));
      rest.remove_prefix(std::min(rest.size(), names.back().size() + 1));
    }
  }
  std::erase_if(names, [](const std::string& name) { return !is_readable(name); });
  return names;
}

ErrnoOr<> HostInode::remove_attribute(std::string_view name) {
  if (!is_writable(name)) return std::unexpected(Errno{is_readable(name) ? EPERM : ENODATA});
  std::string key(name);
  Locked lock(host().names_mutex());
  auto done = with_attributes(
      [&](Place& place) {
        return sys::removexattrat(place.fd(), place.path(), place.flags(), key.c_str());
      },
      [&](FdRef file) { return sys::fremovexattr(file, key.c_str()); });
  if (!done && is_denied(done.error()) && host().gofer() != nullptr)
    done = host().gofer()->remove_attribute(TRY(host().path_of(*this)), name);
  attributes_changed();
  return done;
}

}  // namespace caisson::sandbox::fs

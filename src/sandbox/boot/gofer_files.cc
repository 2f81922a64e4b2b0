#include "sandbox/boot/gofer_files.h"

#include <algorithm>

namespace caisson::sandbox::boot {
namespace {

using gofer::Operation;
using gofer::Request;

void give(Request& request, const fs::HostCreation& creation) {
  request.mode = creation.mode;
  request.uid = creation.uid;
  request.gid = creation.gid;
}

}  // namespace

Request GoferFiles::request(Operation operation, const std::string& path) const {
  Request request;
  request.operation = operation;
  request.mount = mount_;
  request.path = path;
  return request;
}

ErrnoOr<> GoferFiles::done(const Request& request) {
  TRY(client_.ask(request));
  return {};
}

ErrnoOr<Fd> GoferFiles::open(const std::string& path, int flags) {
  Request asked = request(Operation::kOpen, path);
  asked.flags = static_cast<std::uint32_t>(flags);
  auto answer = TRY(client_.ask(asked));
  if (!answer.fd) return std::unexpected(Errno{EPROTO});
  return std::move(answer.fd);
}

ErrnoOr<Fd> GoferFiles::create(const std::string& path, const fs::HostCreation& creation) {
  Request asked = request(Operation::kCreate, path);
  give(asked, creation);
  auto answer = TRY(client_.ask(asked));
  if (!answer.fd) return std::unexpected(Errno{EPROTO});
  return std::move(answer.fd);
}

ErrnoOr<> GoferFiles::make(const std::string& path, const fs::HostCreation& creation,
                           std::uint64_t device) {
  Request asked = request(Operation::kMake, path);
  give(asked, creation);
  asked.number = device;
  return done(asked);
}

ErrnoOr<> GoferFiles::make_symlink(const std::string& path, std::string_view target,
                                   const fs::HostCreation& creation) {
  Request asked = request(Operation::kMakeSymlink, path);
  give(asked, creation);
  asked.second = target;
  return done(asked);
}

ErrnoOr<> GoferFiles::link(const std::string& path, const std::string& new_path) {
  Request asked = request(Operation::kLink, path);
  asked.second = new_path;
  return done(asked);
}

ErrnoOr<> GoferFiles::unlink(const std::string& path, int flags) {
  Request asked = request(Operation::kUnlink, path);
  asked.flags = static_cast<std::uint32_t>(flags);
  return done(asked);
}

ErrnoOr<> GoferFiles::rename(const std::string& path, const std::string& new_path,
                             std::uint32_t flags) {
  Request asked = request(Operation::kRename, path);
  asked.second = new_path;
  asked.flags = flags;
  return done(asked);
}

ErrnoOr<struct statx> GoferFiles::stat(const std::string& path) {
  return TRY(client_.ask(request(Operation::kStat, path))).reply.info;
}

ErrnoOr<std::string> GoferFiles::read_link(const std::string& path) {
  return TRY(client_.ask(request(Operation::kReadLink, path))).reply.text;
}

ErrnoOr<> GoferFiles::set_mode(const std::string& path, std::uint32_t mode) {
  Request asked = request(Operation::kSetMode, path);
  asked.mode = mode;
  return done(asked);
}

ErrnoOr<> GoferFiles::set_owner(const std::string& path, std::uint32_t uid, std::uint32_t gid) {
  Request asked = request(Operation::kSetOwner, path);
  asked.uid = uid;
  asked.gid = gid;
  return done(asked);
}

ErrnoOr<> GoferFiles::set_times(const std::string& path, std::span<const timespec, 2> times) {
  Request asked = request(Operation::kSetTimes, path);
  std::copy(times.begin(), times.end(), asked.times.begin());
  return done(asked);
}

ErrnoOr<> GoferFiles::set_size(const std::string& path, std::uint64_t size) {
  Request asked = request(Operation::kSetSize, path);
  asked.number = size;
  return done(asked);
}

ErrnoOr<std::string> GoferFiles::get_attribute(const std::string& path, std::string_view name) {
  Request asked = request(Operation::kGetAttribute, path);
  asked.second = name;
  return TRY(client_.ask(asked)).reply.text;
}

ErrnoOr<> GoferFiles::set_attribute(const std::string& path, std::string_view name,
                                    std::string_view value, int flags) {
  Request asked = request(Operation::kSetAttribute, path);
  asked.second = name;
  asked.value = value;
  asked.flags = static_cast<std::uint32_t>(flags);
  return done(asked);
}

ErrnoOr<std::vector<std::string>> GoferFiles::list_attributes(const std::string& path) {
  std::string text = TRY(client_.ask(request(Operation::kListAttributes, path))).reply.text;
  std::vector<std::string> names;
  for (std::string_view rest = text; !rest.empty();) {
    names.emplace_back(rest.substr(0, rest.find('\0')));
    rest.remove_prefix(std::min(rest.size(), names.back().size() + 1));
  }
  return names;
}

ErrnoOr<> GoferFiles::remove_attribute(const std::string& path, std::string_view name) {
  Request asked = request(Operation::kRemoveAttribute, path);
  asked.second = name;
  return done(asked);
}

}  // namespace caisson::sandbox::boot

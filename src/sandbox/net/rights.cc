#include "sandbox/net/rights.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "sandbox/net/socket.h"
#include "sandbox/net/unix_endpoint.h"

namespace caisson::sandbox::net {

namespace {

// The unix socket that a file is, or null.
UnixEndpoint* unix_socket(vfs::File& file) {
  auto* socket = vfs::file_as<Socket>(file);
  if (socket == nullptr || socket->endpoint().domain() != AF_UNIX) return nullptr;
  return static_cast<UnixEndpoint*>(&socket->endpoint());
}

}  // namespace

Rights::Rights(Rights&& other) noexcept
    : table_(std::exchange(other.table_, nullptr)),
      files_(std::move(other.files_)),
      uid_(other.uid_) {
  other.files_.clear();
}

Rights& Rights::operator=(Rights&& other) noexcept {
  std::swap(table_, other.table_);
  std::swap(files_, other.files_);
  std::swap(uid_, other.uid_);
  return *this;
}

Rights::~Rights() {
  if (files_.empty()) return;
  table_->forget(files_, uid_);
  table_->drop(std::move(files_));
}

std::vector<Ref<vfs::File>> Rights::take() {
  if (!files_.empty()) table_->forget(files_, uid_);
  return std::exchange(files_, {});
}

ErrnoOr<Rights> RightsTable::send(std::vector<Ref<vfs::File>> files, std::uint32_t uid,
                                  std::uint64_t limit) {
  Rights rights;
  if (files.empty()) return rights;
  Locked lock(mutex_);
  std::uint64_t& of_user = by_user_[uid];
  if (limit != 0 && of_user > limit) return std::unexpected(Errno{ETOOMANYREFS});
  of_user += files.size();
  for (const auto& file : files) {
    UnixEndpoint* endpoint = unix_socket(*file);
    if (endpoint == nullptr) continue;
    InFlight& entry = sockets_[endpoint];
    entry.file = file.get();
    ++entry.count;
  }
  rights.table_ = this;
  rights.files_ = std::move(files);
  rights.uid_ = uid;
  return rights;
}

void RightsTable::forget(const std::vector<Ref<vfs::File>>& files, std::uint32_t uid) {
  Locked lock(mutex_);
  auto user = by_user_.find(uid);
  if (user != by_user_.end() && (user->second -= files.size()) == 0) by_user_.erase(user);
  for (const auto& file : files) {
    UnixEndpoint* endpoint = unix_socket(*file);
    auto entry = endpoint == nullptr ? sockets_.end() : sockets_.find(endpoint);
    if (entry != sockets_.end() && --entry->second.count == 0) sockets_.erase(entry);
  }
}

void RightsTable::drop(std::vector<Ref<vfs::File>> files) {
  {
    Locked lock(mutex_);
    for (auto& file : files) dropped_.push_back(std::move(file));
  }
  drain();
}

void RightsTable::collect() {
  {
    Locked lock(mutex_);
    if (sockets_.empty()) return;
    collection_wanted_ = true;
  }
  drain();
}

// One thread at a time drops; what others (or it itself, further down) leave meanwhile is its work.
void RightsTable::drain() {
  Ref<const RefCounted> keep = Ref<const RefCounted>::share(&owner_);
  {
    Locked lock(mutex_);
    if (std::exchange(draining_, true)) return;
  }
  for (;;) {
    Ref<vfs::File> file;
    std::vector<Rights> garbage;
    Locked lock(mutex_);
    if (!dropped_.empty()) {
      file = std::move(dropped_.back());
      dropped_.pop_back();
    } else if (std::exchange(collection_wanted_, false)) {
      garbage = find_garbage();
    } else {
      draining_ = false;
      return;
    }
    lock.unlock();  // `file` and `garbage` end without it
  }
}

// A socket is garbage when all references to its file are in flight, and none of them waits in the
// queue of a socket that is not garbage itself. (Linux: net/unix/garbage.c, before 6.10.)
std::vector<Rights> RightsTable::find_garbage() {
  for (auto& [endpoint, entry] : sockets_) {
    entry.candidate = entry.file->reference_count() == entry.count;
    entry.internal = 0;
    entry.reached = false;
  }
  for (auto& [endpoint, entry] : sockets_) {
    if (!entry.candidate) continue;
    for (UnixEndpoint* inside : endpoint->sockets_in_queue()) {
      auto found = sockets_.find(inside);
      if (found != sockets_.end()) ++found->second.internal;
    }
  }
  for (auto& [endpoint, entry] : sockets_)
    if (entry.candidate && entry.count > entry.internal) mark_reached(*endpoint);
  std::vector<Rights> garbage;
  for (auto& [endpoint, entry] : sockets_)
    if (entry.candidate && !entry.reached) endpoint->take_rights(garbage);
  return garbage;
}

void RightsTable::mark_reached(UnixEndpoint& from) {
  std::vector<UnixEndpoint*> todo{&from};
  while (!todo.empty()) {
    auto found = sockets_.find(todo.back());
    todo.pop_back();
    if (found == sockets_.end() || std::exchange(found->second.reached, true)) continue;
    for (UnixEndpoint* inside : found->first->sockets_in_queue()) todo.push_back(inside);
  }
}

std::size_t RightsTable::sockets_in_flight() const {
  Locked lock(mutex_);
  return sockets_.size();
}

}  // namespace caisson::sandbox::net

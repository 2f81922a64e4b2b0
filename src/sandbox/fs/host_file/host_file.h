// InheritedFile: a descriptor of the host as a file of the guest: what the container was given as
// its standard input, output and error. Not for trees of files (fs/host).
#pragma once

#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "base/fd.h"
#include "sandbox/fs/host_file/poller.h"
#include "sandbox/vfs/file.h"

namespace caisson::sandbox::fs {

// The descriptor, shared by the files that were opened from it (/proc/self/fd/1).
class HostDescriptor final : public RefCounted, private HostWatch {
 public:
  // `own`: nobody else has this open file description, so that O_NONBLOCK can be set on it.
  static ErrnoOr<Ref<HostDescriptor>> create(Fd fd, bool own, Ref<HostPoller> poller);

  FdRef fd() const { return fd_; }
  const struct stat& facts() const { return facts_; }  // from when it was taken over
  std::uint32_t access() const { return access_; }     // O_RDONLY, O_WRONLY, O_RDWR
  bool is_terminal() const { return terminal_; }
  bool is_stream() const { return pollable_; }  // can be waited for

  // Never block. EAGAIN: the queue will be notified.
  ErrnoOr<std::size_t> read(std::span<std::byte> to);
  ErrnoOr<std::size_t> write(std::span<const std::byte> from);
  // What is ready of what can be; for the rest a notification is asked for.
  vfs::ReadyMask ready();

  vfs::WaitQueue queue;
  // Which of the container's standard streams it is, so that a restore gives another for it; none:
  // of a program that came in later.
  std::optional<std::uint32_t> standard;

 private:
  HostDescriptor(Fd fd, const struct stat& facts, std::uint32_t access, Ref<HostPoller> poller)
      : fd_(std::move(fd)), facts_(facts), access_(access), poller_(std::move(poller)) {}
  ~HostDescriptor() override;
  void host_ready(vfs::ReadyMask ready) override { queue.notify(ready); }
  vfs::ReadyMask poll_now() const;
  void ask(vfs::ReadyMask events);

  const Fd fd_;
  const struct stat facts_;
  const std::uint32_t access_;
  const Ref<HostPoller> poller_;
  bool terminal_ = false, pollable_ = false, nonblocking_ = false;
};

// The container's standard streams, at a restore (a service of the state::Reader).
struct StandardStreams {
  std::array<Ref<HostDescriptor>, 3> host;
};

class InheritedFile final : public vfs::File {
 public:
  static constexpr char kKind = 0;
  InheritedFile(Ref<HostDescriptor> host, std::uint32_t flags);

  HostDescriptor& host() { return *host_; }

  const void* kind() const override { return &kKind; }
  ErrnoOr<std::size_t> read(vfs::IoBuffer& to, vfs::Caller& caller) override;
  ErrnoOr<std::size_t> write(vfs::IoBuffer& from, vfs::Caller& caller) override;
  ErrnoOr<std::size_t> read_at(vfs::IoBuffer& to, std::uint64_t offset,
                               vfs::Caller& caller) override;
  ErrnoOr<std::size_t> write_at(vfs::IoBuffer& from, std::uint64_t offset,
                                vfs::Caller& caller) override;
  ErrnoOr<std::uint64_t> seek(std::int64_t offset, int whence) override;
  ErrnoOr<std::uint64_t> size() override;
  vfs::ReadyMask ready() override { return host_->ready(); }
  vfs::WaitQueue* wait_queue() override { return host_->is_stream() ? &host_->queue : nullptr; }
  ErrnoOr<vfs::Attributes> attributes() override;
  // Owner and mode are changed in the eyes of the guest only; the size for real.
  ErrnoOr<> change(const vfs::AttributeChange& change) override;
  ErrnoOr<std::int64_t> ioctl(vfs::Caller& caller, std::uint32_t request,
                              std::uint64_t argument) override;
  ErrnoOr<> sync(bool data_only) override;
  ErrnoOr<vfs::MapSource> map_source(std::uint64_t offset, std::uint64_t length, int protection,
                                     bool shared) override;
  ErrnoOr<Ref<vfs::File>> reopen(std::uint32_t flags, vfs::Caller& caller) override;
  std::string link_text(const vfs::Path& root) override;
  state::Tag save_tag() const override { return state::Tag::kInheritedFile; }
  Result<> save(state::Writer& to) override;
  static Result<Ref<vfs::File>> restore(state::Reader& from);

 private:
  Ref<HostDescriptor> host_;
  Mutex owner_mutex_;
  std::optional<std::uint32_t> mode_;
  std::optional<vfs::Uid> uid_;
  std::optional<vfs::Gid> gid_;
};

}  // namespace caisson::sandbox::fs

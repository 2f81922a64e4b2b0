// The ends of pipes as open files, from pipe(2) or from opening a FIFO.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "sandbox/fs/pipe/pipe.h"
#include "sandbox/vfs/file.h"

namespace caisson::sandbox::fs {

class PipeFile final : public vfs::File {
 public:
  static constexpr char kKind = 0;
  // `inode` null: of pipe(2), which has `anonymous_inode` as its number.
  PipeFile(vfs::Path path, Ref<vfs::Inode> inode, std::uint32_t flags, Ref<Pipe> pipe,
           std::uint64_t anonymous_inode);

  Pipe& pipe() { return *pipe_; }

  const void* kind() const override { return &kKind; }
  ErrnoOr<std::size_t> read(vfs::IoBuffer& to, vfs::Caller& caller) override;
  ErrnoOr<std::size_t> write(vfs::IoBuffer& from, vfs::Caller& caller) override;
  ErrnoOr<std::size_t> read_at(vfs::IoBuffer& to, std::uint64_t offset,
                               vfs::Caller& caller) override;
  ErrnoOr<std::size_t> write_at(vfs::IoBuffer& from, std::uint64_t offset,
                                vfs::Caller& caller) override;
  ErrnoOr<std::uint64_t> seek(std::int64_t offset, int whence) override;
  vfs::ReadyMask ready() override;
  vfs::WaitQueue* wait_queue() override { return &pipe_->queue(readable(), writable()); }
  ErrnoOr<> finish_open() override;
  ErrnoOr<vfs::Attributes> attributes() override;
  ErrnoOr<> change(const vfs::AttributeChange& change) override;
  ErrnoOr<std::int64_t> ioctl(vfs::Caller& caller, std::uint32_t request,
                              std::uint64_t argument) override;
  ErrnoOr<std::int64_t> control(vfs::Caller& caller, int command, std::uint64_t argument) override;
  ErrnoOr<> sync(bool data_only) override;
  ErrnoOr<Ref<vfs::File>> reopen(std::uint32_t flags, vfs::Caller& caller) override;
  std::string link_text(const vfs::Path& root) override;
  state::Tag save_tag() const override { return state::Tag::kPipeFile; }
  Result<> save(state::Writer& to) override;
  static Result<Ref<vfs::File>> restore(state::Reader& from);

 private:
  ~PipeFile() override;
  Ref<Pipe> pipe_;
  std::uint64_t anonymous_inode_;
  // FIFOs: how many opens of the other kind there had been. POLLHUP is for those who saw a writer.
  std::uint64_t readers_before_ = 0, writers_before_ = 0;
  bool had_partner_ = true;
};

// pipe2(2); `flags`: O_NONBLOCK, O_DIRECT.
struct PipePair {
  Ref<vfs::File> reader, writer;
  static PipePair create(std::uint32_t flags, const vfs::Credentials& owner);
};

}  // namespace caisson::sandbox::fs

// eventfd(2): a counter that is waited for.
#pragma once

#include <cstdint>
#include <string>

#include "sandbox/fs/anon_inode/anon_file.h"

namespace caisson::sandbox::fs {

class EventFile final : public AnonymousFile {
 public:
  static constexpr char kKind = 0;
  // `semaphore`: EFD_SEMAPHORE. `flags`: O_RDWR and O_NONBLOCK.
  EventFile(std::uint64_t initial, bool semaphore, std::uint32_t flags);

  // Adds as far as the counter goes, without a caller: completions of asynchronous work.
  void signal(std::uint64_t amount);

  const void* kind() const override { return &kKind; }
  ErrnoOr<std::size_t> read(vfs::IoBuffer& to, vfs::Caller& caller) override;
  ErrnoOr<std::size_t> write(vfs::IoBuffer& from, vfs::Caller& caller) override;
  vfs::ReadyMask ready() override;
  vfs::WaitQueue* wait_queue() override { return &queue_; }
  std::string info_text() override;
  state::Tag save_tag() const override { return state::Tag::kEventFile; }
  Result<> save(state::Writer& to) override;
  static Result<Ref<vfs::File>> restore(state::Reader& from);

 private:
  Mutex mutex_;
  std::uint64_t count_;
  const bool semaphore_;
  const std::uint64_t id_;
  vfs::WaitQueue queue_;
};

}  // namespace caisson::sandbox::fs

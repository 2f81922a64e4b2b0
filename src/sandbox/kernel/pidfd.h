// Descriptors of processes (pidfd_open(2)): readable when the process has ended.
#pragma once

#include "base/ref.h"
#include "sandbox/kernel/thread_group.h"
#include "sandbox/vfs/file.h"

namespace caisson::sandbox::kernel {

class PidFile final : public vfs::File {
 public:
  static constexpr char kKind = 0;
  // `flags`: O_RDWR and perhaps O_NONBLOCK (PIDFD_NONBLOCK).
  PidFile(Ref<ThreadGroup> group, std::uint32_t flags);
  const void* kind() const override { return &kKind; }
  const Ref<ThreadGroup>& group() const { return group_; }

  vfs::ReadyMask ready() override;
  vfs::WaitQueue* wait_queue() override { return &group_->exited; }
  std::string link_text(const vfs::Path& root) override;
  std::string info_text() override;
  state::Tag save_tag() const override { return state::Tag::kPidFile; }
  Result<> save(state::Writer& to) override;
  static Result<Ref<vfs::File>> restore(state::Reader& from);

 private:
  ~PidFile() override = default;
  Ref<ThreadGroup> group_;
};

}  // namespace caisson::sandbox::kernel

// signalfd(2): pending signals of whoever reads, as bytes.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "sandbox/fs/anon_inode/anon_file.h"
#include "sandbox/kernel/kernel.h"

namespace caisson::sandbox::fs {

class SignalFile final : public AnonymousFile {
 public:
  static constexpr char kKind = 0;
  // `maker`: the process whose signals wake those who wait.
  SignalFile(Ref<kernel::ThreadGroup> maker, kernel::SignalSet mask, std::uint32_t flags);

  void set_mask(kernel::SignalSet mask);

  const void* kind() const override { return &kKind; }
  ErrnoOr<std::size_t> read(vfs::IoBuffer& to, vfs::Caller& caller) override;
  vfs::ReadyMask ready() override;
  vfs::ReadyMask ready_for(vfs::Caller& caller) override;
  vfs::WaitQueue* wait_queue() override { return &maker_->signal_arrivals; }
  std::string info_text() override;
  state::Tag save_tag() const override { return state::Tag::kSignalFile; }
  Result<> save(state::Writer& to) override;
  static Result<Ref<vfs::File>> restore(state::Reader& from);

 private:
  Ref<kernel::ThreadGroup> maker_;
  std::atomic<kernel::SignalSet> mask_;
};

}  // namespace caisson::sandbox::fs

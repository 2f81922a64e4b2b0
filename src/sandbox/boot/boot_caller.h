// Who acts while the sandbox is put together, and between the host's side and the guest's: root,
// with the kernel process' own memory.
#pragma once

#include <cstring>

#include "base/ref.h"
#include "sandbox/vfs/caller.h"
#include "sandbox/vfs/walk.h"

namespace caisson::sandbox::boot {

// Addresses are those of this process. For buffers of boot's own only.
class OwnMemory final : public vfs::Memory {
 public:
  ErrnoOr<std::size_t> read(std::uint64_t address, std::span<std::byte> to) override {
    std::memcpy(to.data(), reinterpret_cast<const void*>(address), to.size());
    return to.size();
  }
  ErrnoOr<std::size_t> write(std::uint64_t address, std::span<const std::byte> from) override {
    std::memcpy(reinterpret_cast<void*>(address), from.data(), from.size());
    return from.size();
  }
};

class BootCaller final : public vfs::Caller {
 public:
  const vfs::Credentials& credentials() const override { return *credentials_; }
  vfs::Memory& memory() override { return memory_; }
  // Paths of a namespace, from its root.
  vfs::WalkContext walk(vfs::MountNamespace& mounts) {
    vfs::WalkContext context;
    context.mounts = &mounts;
    context.root = context.base = mounts.root();
    context.caller = this;
    context.credentials = credentials_.get();
    return context;
  }

 private:
  Ref<vfs::Credentials> credentials_ = vfs::Credentials::root();
  OwnMemory memory_;
};

}  // namespace caisson::sandbox::boot

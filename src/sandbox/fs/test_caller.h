// A caller without a task, for the unit tests of this folder: credentials and a piece of memory.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/vfs/caller.h"
#include "sandbox/vfs/file.h"

namespace caisson::sandbox::fs {

class CallerMemory final : public vfs::Memory {
 public:
  static constexpr std::uint64_t kBegin = 0x10000;
  explicit CallerMemory(std::size_t size = 1 << 20) : bytes_(size) {}
  ErrnoOr<std::size_t> read(std::uint64_t address, std::span<std::byte> to) override {
    std::size_t size = TRY(reachable(address, to.size()));
    std::memcpy(to.data(), bytes_.data() + (address - kBegin), size);
    return size;
  }
  ErrnoOr<std::size_t> write(std::uint64_t address, std::span<const std::byte> from) override {
    std::size_t size = TRY(reachable(address, from.size()));
    std::memcpy(bytes_.data() + (address - kBegin), from.data(), size);
    return size;
  }
  std::uint64_t end() const { return kBegin + bytes_.size(); }

 private:
  ErrnoOr<std::size_t> reachable(std::uint64_t address, std::size_t size) const {
    if (address < kBegin || address >= end()) return std::unexpected(Errno{EFAULT});
    return std::min<std::size_t>(size, end() - address);
  }
  std::vector<std::byte> bytes_;
};

class FakeCaller final : public vfs::Caller {
 public:
  explicit FakeCaller(Ref<vfs::Credentials> credentials = vfs::Credentials::root())
      : credentials_(std::move(credentials)) {}
  const vfs::Credentials& credentials() const override { return *credentials_; }
  CallerMemory& memory() override { return memory_; }

  // --- what tests do with files: a value, or a negated errno
  static long result(const ErrnoOr<std::size_t>& outcome) {
    return outcome ? static_cast<long>(*outcome) : -outcome.error().value;
  }
  long write(vfs::File& file, std::string_view text) {
    auto from = vfs::IoBuffer::of(std::as_bytes(std::span(text)));
    return result(file.write(from, *this));
  }
  // What was read, or "E11" for an errno.
  std::string read(vfs::File& file, std::size_t size = 4096) {
    std::string text(size, '\0');
    auto to = vfs::IoBuffer::of(std::as_writable_bytes(std::span(text)));
    auto got = file.read(to, *this);
    if (!got) return "E" + std::to_string(got.error().value);
    text.resize(*got);
    return text;
  }
  long ioctl(vfs::File& file, std::uint32_t request, std::uint64_t argument) {
    auto outcome = file.ioctl(*this, request, argument);
    return outcome ? static_cast<long>(*outcome) : -outcome.error().value;
  }
  // An ioctl whose argument points to a T, which it may change.
  template <typename T>
  long ioctl_on(vfs::File& file, std::uint32_t request, T& value) {
    (void)memory_.write(CallerMemory::kBegin, std::as_bytes(std::span(&value, 1)));
    long outcome = ioctl(file, request, CallerMemory::kBegin);
    (void)memory_.read(CallerMemory::kBegin, std::as_writable_bytes(std::span(&value, 1)));
    return outcome;
  }

 private:
  Ref<vfs::Credentials> credentials_;
  CallerMemory memory_;
};

// Counts what a queue tells.
class CountingEntry final : public vfs::WaitEntry {
 public:
  explicit CountingEntry(vfs::ReadyMask mask = ~vfs::ReadyMask{0}) : WaitEntry(mask) {}
  ~CountingEntry() override { leave(); }
  void notified(vfs::ReadyMask ready) override {
    ++count;
    last = ready;
  }
  int count = 0;
  vfs::ReadyMask last = 0;
};

}  // namespace caisson::sandbox::fs

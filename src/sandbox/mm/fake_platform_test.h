// A platform for tests: an address space is an arena of this process, orders are carried out by its
// kernel, and what they made of the arena is kept in a list that tests compare with the mappings.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sandbox/mm/mapping.h"
#include "sandbox/platform/platform.h"

namespace caisson::sandbox::mm {

constexpr std::uint64_t kFakeLimit = 1ULL << 40;

struct HostPart {  // what stands in the arena from its key to `end`
  std::uint64_t end = 0;
  int protection = 0;
  bool shared = false;
  int fd = -1;  // as it was given; only compared
  std::uint64_t offset = 0;
  friend bool operator==(const HostPart&, const HostPart&) = default;
};

class FakeSpace final : public platform::AddressSpace {
 public:
  explicit FakeSpace(bool only_records = false) : only_records_(only_records) {
    void* base =
        mmap(nullptr, kFakeLimit, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    base_ = reinterpret_cast<std::uint64_t>(base);
  }
  ~FakeSpace() override { munmap(at(0), kFakeLimit); }

  std::uint64_t limit() const override { return kFakeLimit; }
  ErrnoOr<std::unique_ptr<platform::Thread>> new_thread(const platform::Registers&,
                                                        platform::Thread*) override {
    return std::unexpected(Errno{ENOSYS});
  }

  ErrnoOr<Ref<platform::AddressSpace>> fork(platform::Thread&) override {
    TRY(order("fork"));
    Ref<FakeSpace> child = make_ref<FakeSpace>(only_records_);
    for (const auto& [begin, part] : parts) {
      platform::MapRequest request{
          begin, part.end - begin, part.protection, part.shared, part.fd, part.offset, false};
      TRY(child->map(nullptr, request));
      if (part.shared || only_records_) continue;
      std::uint64_t length = part.end - begin;
      mprotect(at(begin), length, PROT_READ | PROT_WRITE);
      mprotect(child->at(begin), length, PROT_READ | PROT_WRITE);
      std::memcpy(child->at(begin), at(begin), length);
      mprotect(at(begin), length, part.protection);
      mprotect(child->at(begin), length, part.protection);
    }
    child->log.clear();
    last_child = child.get();
    return Ref<platform::AddressSpace>(child);
  }

  ErrnoOr<> add_island(platform::Thread&, std::uint64_t address) override {
    islands.push_back(address);
    return {};
  }
  ErrnoOr<> patch(platform::Thread&, const platform::PatchRequest& request) override {
    patches.push_back(request);
    if (request.island != full_island) return {};
    return std::unexpected(Errno{ENOSPC});
  }

  ErrnoOr<> map(platform::Thread*, const platform::MapRequest& request) override {
    TRY(order("map"));
    int flags = (request.shared ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED |
                (request.fd < 0 ? MAP_ANONYMOUS : 0) | (request.no_reserve ? MAP_NORESERVE : 0);
    if (!only_records_ && mmap(at(request.address), request.length, request.protection, flags,
                               request.fd, static_cast<off_t>(request.offset)) == MAP_FAILED)
      return std::unexpected(Errno{errno});
    cut(request.address, request.address + request.length);
    parts[request.address] = HostPart{request.address + request.length, request.protection,
                                      request.shared, request.fd, request.offset};
    return {};
  }

  ErrnoOr<> unmap(platform::Thread*, std::uint64_t address, std::uint64_t length) override {
    TRY(order("unmap"));
    reserve(address, length);
    cut(address, address + length);
    return {};
  }

  ErrnoOr<> protect(platform::Thread*, std::uint64_t address, std::uint64_t length,
                    int protection) override {
    TRY(order("protect"));
    if (!is_whole(address, address + length)) return std::unexpected(Errno{ENOMEM});
    if (!only_records_ && mprotect(at(address), length, protection) != 0)
      return std::unexpected(Errno{errno});
    split(address);
    split(address + length);
    for (auto part = parts.lower_bound(address);
         part != parts.end() && part->first < address + length; ++part)
      part->second.protection = protection;
    return {};
  }

  ErrnoOr<> move(platform::Thread*, std::uint64_t from, std::uint64_t length, std::uint64_t to,
                 std::uint64_t new_length, bool keep_old) override {
    TRY(order("move"));
    if (!is_whole(from, from + length)) return std::unexpected(Errno{EFAULT});
    if (from % kPageSize != 0 || to % kPageSize != 0 || new_length != length)
      return std::unexpected(Errno{EINVAL});
    if (seam > from && seam < from + length) return std::unexpected(Errno{EFAULT});
    constexpr int kDontUnmap = 4;
    int flags = MREMAP_MAYMOVE | MREMAP_FIXED | (keep_old ? kDontUnmap : 0);
    if (!only_records_ && mremap(at(from), length, new_length, flags, at(to)) == MAP_FAILED)
      return std::unexpected(Errno{errno});
    split(from);
    split(from + length);
    std::vector<std::pair<std::uint64_t, HostPart>> moved;
    for (auto part = parts.lower_bound(from); part != parts.end() && part->first < from + length;
         ++part)
      moved.push_back(*part);
    if (!keep_old) {
      cut(from, from + length);
      reserve(from, length);
    }
    cut(to, to + new_length);
    for (auto& [begin, part] : moved) {
      part.end = part.end - from + to;
      parts[begin - from + to] = part;
    }
    return {};
  }

  ErrnoOr<> advise(platform::Thread*, std::uint64_t address, std::uint64_t length,
                   int advice) override {
    TRY(order("advise " + std::to_string(advice)));
    if (!is_whole(address, address + length)) return std::unexpected(Errno{ENOMEM});
    if (!only_records_ && madvise(at(address), length, advice) != 0)
      return std::unexpected(Errno{errno});
    return {};
  }

  ErrnoOr<std::size_t> read(std::uint64_t address, std::span<std::byte> to) override {
    iovec local{to.data(), to.size()}, remote{at(address), to.size()};
    ssize_t got = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
    if (got < 0) return std::unexpected(Errno{errno});
    return static_cast<std::size_t>(got);
  }
  ErrnoOr<std::size_t> write(std::uint64_t address, std::span<const std::byte> from) override {
    iovec local{const_cast<std::byte*>(from.data()), from.size()};
    iovec remote{at(address), from.size()};
    ssize_t got = process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
    if (got < 0) return std::unexpected(Errno{errno});
    return static_cast<std::size_t>(got);
  }
  ErrnoOr<std::size_t> write_forced(std::uint64_t address,
                                    std::span<const std::byte> from) override {
    if (!is_whole(page_down(address), page_up(address + from.size())))
      return std::unexpected(Errno{EFAULT});
    std::uint64_t begin = page_down(address), length = page_up(address + from.size()) - begin;
    int protection = std::prev(parts.upper_bound(address))->second.protection;
    mprotect(at(begin), length, PROT_READ | PROT_WRITE);
    std::memcpy(at(address), from.data(), from.size());
    mprotect(at(begin), length, protection);
    return from.size();
  }
  ErrnoOr<std::uint32_t> compare_exchange(platform::Thread*, std::uint64_t address,
                                          std::uint32_t expected, std::uint32_t desired) override {
    std::uint32_t was = 0;
    TRY(read(address, std::as_writable_bytes(std::span(&was, 1))));
    if (was == expected) TRY(write(address, std::as_bytes(std::span(&desired, 1))));
    return was;
  }
  void kill() override { killed = true; }
  pid_t host_pid() const override { return getpid(); }

  // Whether [begin, end) is mapped without a hole.
  bool is_whole(std::uint64_t begin, std::uint64_t end) const {
    auto part = parts.upper_bound(begin);
    if (part == parts.begin()) return false;
    for (--part; part != parts.end() && part->first <= begin; ++part) {
      begin = std::max(begin, part->second.end);
      if (begin >= end) return true;
    }
    return false;
  }
  void* at(std::uint64_t address) const { return reinterpret_cast<void*>(base_ + address); }

  std::map<std::uint64_t, HostPart> parts;
  std::vector<std::uint64_t> islands;
  std::vector<platform::PatchRequest> patches;  // as they were asked for
  std::uint64_t full_island = 0;
  std::vector<std::string> log;  // of orders, by their names
  int fail_with = 0;             // the order after `orders_before_failure` more fails so
  int orders_before_failure = 0;
  std::uint64_t seam = 0;  // no move can reach across it, as across two mappings of a host
  bool killed = false;
  FakeSpace* last_child = nullptr;

 private:
  ErrnoOr<> order(std::string name) {
    log.push_back(std::move(name));
    if (fail_with == 0) return {};
    if (orders_before_failure-- > 0) return {};
    return std::unexpected(Errno{std::exchange(fail_with, 0)});
  }
  void reserve(std::uint64_t address, std::uint64_t length) {
    if (only_records_) return;
    mmap(at(address), length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
         -1, 0);
  }
  void split(std::uint64_t address) {
    auto part = parts.upper_bound(address);
    if (part == parts.begin()) return;
    --part;
    if (part->first >= address || part->second.end <= address) return;
    HostPart right = part->second;
    if (right.fd >= 0) right.offset += address - part->first;
    part->second.end = address;
    parts[address] = right;
  }
  void cut(std::uint64_t begin, std::uint64_t end) {
    split(begin);
    split(end);
    parts.erase(parts.lower_bound(begin), parts.lower_bound(end));
  }

  bool only_records_;
  std::uint64_t base_ = 0;
};

class FakeThread final : public platform::Thread {
 public:
  explicit FakeThread(platform::AddressSpace& space) : space_(space) {}
  platform::AddressSpace& address_space() override { return space_; }
  platform::Event run() override { return {}; }
  platform::Registers& registers() override { return registers_; }
  std::span<const std::byte> extended_state() override { return {}; }
  ErrnoOr<> set_extended_state(std::span<const std::byte>) override { return {}; }
  void reset_extended_state() override {}
  void interrupt() override {}
  pid_t host_tid() const override { return 0; }

 private:
  platform::AddressSpace& space_;
  platform::Registers registers_;
};

class FakePlatform final : public platform::Platform {
 public:
  std::string_view name() const override { return "fake"; }
  ErrnoOr<Ref<platform::AddressSpace>> new_address_space() override {
    Ref<FakeSpace> space = make_ref<FakeSpace>(only_records);
    last = space.get();
    return Ref<platform::AddressSpace>(space);
  }
  std::uint64_t vdso_address() const override { return vdso; }
  void publish(platform::Thread&, const platform::Identity&) override {}

  FakeSpace* last = nullptr;
  bool only_records = false;
  std::uint64_t vdso = 0;
};

}  // namespace caisson::sandbox::mm

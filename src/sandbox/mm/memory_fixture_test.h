// What tests of address spaces share: a map on the fake platform, calls with the usual arguments, a
// file whose end is known to nobody but itself, and the comparison of mappings and host.
#pragma once

#include <sys/mman.h>

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "sandbox/mm/fake_platform_test.h"
#include "sandbox/mm/memory_map.h"
#include "sys/file.h"

namespace caisson::sandbox::mm {

// A file of host bytes.
class TestFile final : public vfs::File {
 public:
  TestFile(std::uint64_t size, std::uint32_t flags, bool host_knows_end)
      : File(vfs::Path{}, nullptr, flags) {
    if (!host_knows_end) end = make_ref<vfs::FileEnd>(size);
    memory = MUST(sys::memfd_create("test"));
    // What only the sandbox knows the end of lies somewhere in something larger.
    base = host_knows_end ? 0 : 16 * kPageSize;
    std::uint64_t host_size = host_knows_end ? size : base + 64 * kPageSize;
    MUST(sys::ftruncate(memory, static_cast<std::int64_t>(host_size)));
  }
  ErrnoOr<vfs::MapSource> map_source(std::uint64_t offset, std::uint64_t, int, bool) override {
    ++asked;
    if (error != 0) return std::unexpected(Errno{error});
    return vfs::MapSource{memory.number(), base + offset, end};
  }
  ErrnoOr<vfs::Attributes> attributes() override {
    vfs::Attributes attributes;
    attributes.inode = 77;
    attributes.device = 0x802;
    return attributes;
  }
  std::string link_text(const vfs::Path&) override { return "/test file"; }
  ErrnoOr<> sync(bool) override {
    ++synced;
    return {};
  }
  ErrnoOr<> allocate(int mode, std::uint64_t offset, std::uint64_t length) override {
    return sys::call_void(SYS_fallocate, memory.number(), mode, base + offset, length);
  }
  void put(std::uint64_t offset, std::string_view text) {
    ASSERT_EQ(pwrite(memory.number(), text.data(), text.size(), static_cast<off_t>(base + offset)),
              static_cast<ssize_t>(text.size()));
  }

  Fd memory;
  std::uint64_t base = 0;
  Ref<vfs::FileEnd> end;
  int asked = 0, synced = 0, error = 0;
};

class MemoryTest : public testing::Test {
 protected:
  MemoryTest() { reset(); }
  void reset(bool only_records = false) {
    platform.only_records = only_records;
    memory = MUST(MemoryMap::create(platform));
    host = platform.last;
    thread = std::make_unique<FakeThread>(*host);
  }

  ErrnoOr<std::uint64_t> try_map(const MapCall& call) {
    return memory->map(thread.get(), call, limits);
  }
  std::uint64_t map(std::uint64_t length, int protection = PROT_READ | PROT_WRITE,
                    int flags = MAP_PRIVATE | MAP_ANONYMOUS, std::uint64_t address = 0) {
    return MUST(try_map({address, length, protection, flags, nullptr, 0, {}}));
  }
  std::uint64_t map_file(const Ref<vfs::File>& file, std::uint64_t length,
                         int protection = PROT_READ | PROT_WRITE, int flags = MAP_PRIVATE,
                         std::uint64_t offset = 0) {
    return MUST(try_map({0, length, protection, flags, file, offset, {}}));
  }
  static Ref<TestFile> file(std::uint64_t size, std::uint32_t flags = O_RDWR,
                            bool host_knows_end = true) {
    return make_ref<TestFile>(size, flags, host_knows_end);
  }

  ErrnoOr<> unmap(std::uint64_t address, std::uint64_t length) {
    return memory->unmap(thread.get(), address, length);
  }
  ErrnoOr<> protect(std::uint64_t address, std::uint64_t length, int protection) {
    return memory->protect(thread.get(), address, length, protection, limits);
  }
  ErrnoOr<std::uint64_t> remap(std::uint64_t address, std::uint64_t old_length,
                               std::uint64_t new_length, int flags = 0, std::uint64_t to = 0) {
    return memory->remap(thread.get(), address, old_length, new_length, flags, to, limits);
  }
  ErrnoOr<> advise(std::uint64_t address, std::uint64_t length, int advice) {
    return memory->advise(thread.get(), address, length, advice);
  }
  FaultOutcome touch(std::uint64_t address, std::uint32_t error = 0, int code = 1) {
    platform::Fault fault{SIGSEGV, code, address, 14, error};
    return memory->handle_fault(*thread, fault, limits);
  }

  std::string bytes_at(std::uint64_t address, std::size_t length) {
    std::string bytes(length, '?');
    auto got = memory->read(address, std::as_writable_bytes(std::span(bytes)));
    if (!got) return std::string(errno_name(got.error().value));
    bytes.resize(*got);
    return bytes;
  }
  ErrnoOr<std::size_t> put(std::uint64_t address, std::string_view text) {
    return memory->write(address, std::as_bytes(std::span(text)));
  }

  // The host has what the mappings say, and nothing else.
  testing::AssertionResult in_step(MemoryMap* map = nullptr, FakeSpace* space = nullptr) {
    if (map == nullptr) map = memory.get(), space = host;
    std::uint64_t mapped = 0, on_host = 0;
    for (const Mapping& mapping : map->mappings()) {
      if (mapping.special) continue;
      for (std::uint64_t at = mapping.begin; at < mapping.backed_end;) {
        auto part = space->parts.upper_bound(at);
        if (part == space->parts.begin() || (--part)->second.end <= at)
          return testing::AssertionFailure() << "the host lacks " << std::hex << at;
        if (part->second.protection != mapping.protection || part->second.shared != mapping.shared)
          return testing::AssertionFailure() << "another protection at " << std::hex << at;
        at = part->second.end;
      }
      mapped += mapping.backed_end - mapping.begin;
    }
    for (const auto& [begin, part] : space->parts) on_host += part.end - begin;
    if (mapped != on_host)
      return testing::AssertionFailure() << "the host has " << on_host << " of " << mapped;
    return testing::AssertionSuccess();
  }

  FakePlatform platform;
  MemoryLimits limits;
  Ref<MemoryMap> memory;
  FakeSpace* host = nullptr;
  std::unique_ptr<FakeThread> thread;
};

template <typename T>
testing::AssertionResult fails_with(const ErrnoOr<T>& result, int error) {
  if (result) return testing::AssertionFailure() << "it succeeded";
  if (result.error().value == error) return testing::AssertionSuccess();
  return testing::AssertionFailure() << errno_name(result.error().value);
}

}  // namespace caisson::sandbox::mm

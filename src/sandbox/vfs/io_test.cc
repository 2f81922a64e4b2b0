#include "sandbox/vfs/io.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace caisson::sandbox::vfs {
namespace {

// Bytes from address 1000 on; what lies beyond cannot be accessed.
class SmallMemory final : public Memory {
 public:
  ErrnoOr<std::size_t> read(std::uint64_t address, std::span<std::byte> to) override {
    std::size_t count = TRY(accessible(address, to.size()));
    std::memcpy(to.data(), bytes.data() + (address - 1000), count);
    return count;
  }
  ErrnoOr<std::size_t> write(std::uint64_t address, std::span<const std::byte> from) override {
    std::size_t count = TRY(accessible(address, from.size()));
    std::memcpy(bytes.data() + (address - 1000), from.data(), count);
    return count;
  }
  std::string bytes = std::string(100, '.');

 private:
  ErrnoOr<std::size_t> accessible(std::uint64_t address, std::size_t count) const {
    if (address < 1000 || address >= 1000 + bytes.size()) return std::unexpected(Errno{14});
    return std::min<std::size_t>(count, 1000 + bytes.size() - address);
  }
};

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

TEST(IoBuffer, PutsAcrossSegments) {
  SmallMemory memory;
  IoBuffer buffer(memory, std::vector<IoSegment>{{1000, 3}, {1010, 0}, {1020, 4}});
  EXPECT_EQ(buffer.remaining(), 7U);
  EXPECT_EQ(*buffer.put(bytes_of("abcde")), 5U);
  EXPECT_EQ(buffer.remaining(), 2U);
  EXPECT_EQ(*buffer.put(bytes_of("fghi")), 2U);
  EXPECT_EQ(*buffer.put(bytes_of("j")), 0U);
  EXPECT_EQ(memory.bytes.substr(0, 4), "abc.");
  EXPECT_EQ(memory.bytes.substr(20, 5), "defg.");
}

TEST(IoBuffer, GetsAcrossSegments) {
  SmallMemory memory;
  memory.bytes.replace(0, 6, "abcdef");
  IoBuffer buffer(memory, std::vector<IoSegment>{{1003, 3}, {1000, 3}});
  std::array<std::byte, 4> first, rest;
  EXPECT_EQ(*buffer.get(first), 4U);
  EXPECT_EQ(std::memcmp(first.data(), "defa", 4), 0);
  EXPECT_EQ(*buffer.get(rest), 2U);
  EXPECT_EQ(std::memcmp(rest.data(), "bc", 2), 0);
}

TEST(IoBuffer, StopsAtWhatCannotBeAccessed) {
  SmallMemory memory;
  IoBuffer buffer(memory, 1098, 10);
  EXPECT_EQ(*buffer.put(bytes_of("abcdef")), 2U);
  auto more = buffer.put(bytes_of("cdef"));
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().value, 14);
}

TEST(IoBuffer, FaultsWhenNothingCouldBeCopied) {
  SmallMemory memory;
  IoBuffer buffer(memory, 5, 10);
  EXPECT_EQ(buffer.put(bytes_of("a")).error().value, 14);
  std::array<std::byte, 1> to;
  EXPECT_EQ(buffer.get(to).error().value, 14);
  EXPECT_EQ(*buffer.put(bytes_of("")), 0U);
}

TEST(IoBuffer, ZeroesManyPages) {
  std::string text(50000, 'x');
  IoBuffer buffer = IoBuffer::of(std::as_writable_bytes(std::span(text)));
  EXPECT_EQ(*buffer.put_zeroes(40000), 40000U);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\0'), 40000);
  EXPECT_EQ(*buffer.put_zeroes(40000), 10000U);
}

TEST(IoBuffer, PeekDoesNotMove) {
  SmallMemory memory;
  memory.bytes.replace(0, 3, "abc");
  IoBuffer buffer(memory, 1000, 3);
  std::array<std::byte, 2> to;
  EXPECT_EQ(*buffer.peek(to), 2U);
  EXPECT_EQ(buffer.remaining(), 3U);
  buffer.skip(1);
  EXPECT_EQ(*buffer.peek(to), 2U);
  EXPECT_EQ(std::memcmp(to.data(), "bc", 2), 0);
}

TEST(IoBuffer, TruncatedSegmentsEndEarly) {
  SmallMemory memory;
  IoBuffer buffer(memory, std::vector<IoSegment>{{1000, 3}, {1010, 5}});
  buffer.skip(1);
  buffer.truncate(4);
  auto left = buffer.segments();
  ASSERT_EQ(left.size(), 2U);
  EXPECT_EQ(left[0].address, 1001U);
  EXPECT_EQ(left[0].length, 2U);
  EXPECT_EQ(left[1].length, 2U);
}

TEST(IoBuffer, OnlyToBeDrained) {
  IoBuffer buffer = IoBuffer::of(bytes_of("abc"));
  EXPECT_EQ(buffer.put(bytes_of("x")).error().value, 14);
  std::array<std::byte, 3> to;
  EXPECT_EQ(*buffer.get(to), 3U);
  EXPECT_EQ(buffer.memory(), nullptr);
}

}  // namespace
}  // namespace caisson::sandbox::vfs

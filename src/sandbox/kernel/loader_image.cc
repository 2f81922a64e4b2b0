#include "sandbox/kernel/loader_image.h"

#include <sys/inotify.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "sandbox/vfs/io.h"
#include "sandbox/vfs/watches.h"

namespace caisson::sandbox::kernel {
namespace {

using mm::page_down;
using mm::page_up;

ErrnoOr<> map_anonymous(mm::MemoryMap& memory, std::uint64_t begin, std::uint64_t end,
                        int protection, int more_flags, const mm::MemoryLimits& limits) {
  if (begin >= end) return {};
  mm::MapCall call;
  call.address = begin;
  call.length = end - begin;
  call.protection = protection;
  call.flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | more_flags;
  TRY(memory.map(nullptr, call, limits));
  return {};
}

// What the segment's last page of the file holds behind it is not the program's.
ErrnoOr<> clear_page_end(mm::MemoryMap& memory, std::uint64_t from, int protection) {
  std::uint64_t end = page_up(from);
  if (from == end) return {};
  std::vector<std::byte> zeroes(end - from);
  ErrnoOr<std::size_t> done = memory.write(from, zeroes);
  bool complete = done && *done == zeroes.size();
  // A segment that cannot be written keeps what is there, as on Linux.
  if (!complete && (protection & PROT_WRITE) != 0) return std::unexpected(Errno{EFAULT});
  return {};
}

ErrnoOr<> map_segment(mm::MemoryMap& memory, const ElfSegment& segment, const Ref<vfs::File>& file,
                      std::uint64_t bias, const mm::MemoryLimits& limits) {
  std::uint64_t address = segment.address + bias;
  std::uint64_t file_end = address + segment.file_size, end = address + segment.memory_size;
  std::uint64_t zero_begin = page_down(address);
  if (segment.file_size != 0) {
    mm::MapCall call;
    call.address = page_down(address);
    call.length = file_end - call.address;
    call.protection = segment.protection;
    call.flags = MAP_PRIVATE | MAP_FIXED;
    call.file = file;
    call.offset = page_down(segment.offset);
    TRY(memory.map(nullptr, call, limits));
    if (end == file_end) return {};
    TRY(clear_page_end(memory, file_end, segment.protection));
    zero_begin = page_up(file_end);
  }
  int protection = PROT_READ | PROT_WRITE | (segment.protection & PROT_EXEC);
  return map_anonymous(memory, zero_begin, page_up(end), protection, 0, limits);
}

// start_code and its like, as load_elf_binary() of Linux counts them.
void count_segment(const ElfSegment& segment, std::uint64_t bias, PlacedImage& placed) {
  std::uint64_t begin = segment.address + bias, file_end = segment.file_end() + bias;
  if ((segment.protection & PROT_EXEC) != 0) {
    placed.code_begin = placed.code_begin == 0 ? begin : std::min(placed.code_begin, begin);
    placed.code_end = std::max(placed.code_end, file_end);
  }
  placed.data_begin = std::max(placed.data_begin, begin);
  placed.data_end = std::max(placed.data_end, file_end);
  placed.memory_end = std::max(placed.memory_end, segment.memory_end() + bias);
}

}  // namespace

ErrnoOr<std::size_t> read_program(vfs::File& file, std::uint64_t offset, std::span<std::byte> to,
                                  vfs::Caller& caller) {
  std::size_t done = 0;
  while (done < to.size()) {
    vfs::IoBuffer buffer = vfs::IoBuffer::of(to.subspan(done));
    std::size_t got = TRY(file.read_at(buffer, offset + done, caller));
    if (got == 0) break;
    done += got;
  }
  if (done != 0) vfs::tell_of(file, IN_ACCESS);
  return done;
}

ErrnoOr<ElfImage> read_image(vfs::File& file, std::span<const std::byte> start,
                             vfs::Caller& caller) {
  ElfHeader header = TRY(parse_elf_header(start));
  std::uint64_t offset = header.segments_offset, size = header.segments_bytes();
  if (offset <= start.size() && size <= start.size() - offset)
    return parse_elf_segments(header, start.subspan(offset, size));
  std::vector<std::byte> segments(size);
  if (TRY(read_program(file, offset, segments, caller)) != size)
    return std::unexpected(Errno{ENOEXEC});
  return parse_elf_segments(header, segments);
}

ErrnoOr<PlacedImage> place_image(mm::MemoryMap& memory, const ElfImage& image,
                                 const Ref<vfs::File>& file, std::uint64_t bias,
                                 const mm::MemoryLimits& limits) {
  PlacedImage placed;
  placed.bias = bias;
  for (const ElfSegment& segment : image.segments) {
    TRY(map_segment(memory, segment, file, bias, limits));
    count_segment(segment, bias, placed);
  }
  placed.entry = image.header.entry + bias;
  if (image.headers_address != 0) placed.headers = image.headers_address + bias;
  return placed;
}

}  // namespace caisson::sandbox::kernel

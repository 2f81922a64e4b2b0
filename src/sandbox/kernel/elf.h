// Reading ELF program images (elf(5)): 64 bits, little endian, the host's machine. Pure: works on a
// copy of the file's bytes, since the guest may change the file meanwhile; what is returned has
// been checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"

namespace caisson::sandbox::kernel {

constexpr std::size_t kElfHeaderSize = 64;
constexpr std::size_t kElfSegmentSize = 56;         // of one program header
constexpr std::uint64_t kElfSegmentsLimit = 65536;  // bytes of program headers, as Linux bounds it

struct ElfHeader {
  bool position_independent = false;  // ET_DYN
  std::uint64_t entry = 0;
  std::uint64_t segments_offset = 0;  // of the program headers in the file
  std::uint16_t segment_count = 0;
  std::uint64_t segments_bytes() const { return segment_count * kElfSegmentSize; }
};

struct ElfSegment {  // PT_LOAD
  std::uint64_t address = 0, memory_size = 0;
  std::uint64_t offset = 0, file_size = 0;
  int protection = 0;  // PROT_*
  std::uint64_t file_end() const { return address + file_size; }
  std::uint64_t memory_end() const { return address + memory_size; }
};

struct ElfInterpreter {  // where the file names its program interpreter, with a zero byte at the
                         // end
  std::uint64_t offset = 0, size = 0;
};

struct ElfImage {
  ElfHeader header;
  std::vector<ElfSegment> segments;  // by rising address, not empty
  std::optional<ElfInterpreter> interpreter;
  bool executable_stack = false;      // PT_GNU_STACK asks for it
  std::uint64_t alignment = 0;        // the largest of the segments', at least a page
  std::uint64_t headers_address = 0;  // where the program headers stand in memory; 0: nowhere

  std::uint64_t begin() const;  // of the first segment's page
  std::uint64_t end() const;    // of the last segment's page
};

bool has_elf_magic(std::span<const std::byte> file);
// ENOEXEC: no program for this machine.
ErrnoOr<ElfHeader> parse_elf_header(std::span<const std::byte> file);
// `segments`: the program headers' bytes. ENOEXEC, EINVAL (segments that cannot be mapped).
ErrnoOr<ElfImage> parse_elf_segments(const ElfHeader& header, std::span<const std::byte> segments);

}  // namespace caisson::sandbox::kernel

// Any bytes as a program: the reader ends, and what it lets through can be mapped as it says.
//
// Input: a file; its program headers are looked for where its header says.
#include "sandbox/kernel/elf.h"

#include <cstdint>
#include <cstdlib>

#include "sandbox/kernel/loader_script.h"
#include "sandbox/mm/mapping.h"

namespace {

using namespace caisson::sandbox;  // NOLINT: a program of one file

void hold(bool condition) {
  if (!condition) std::abort();
}

void check(const kernel::ElfImage& image) {
  hold(!image.segments.empty() && image.begin() <= image.end());
  std::uint64_t reached = 0;
  for (const kernel::ElfSegment& segment : image.segments) {
    hold(segment.address >= reached && segment.file_size <= segment.memory_size);
    hold(segment.memory_end() >= segment.address && segment.file_end() >= segment.address);
    hold((segment.address - segment.offset) % mm::kPageSize == 0);
    reached = segment.memory_end();
  }
  hold(image.alignment >= mm::kPageSize && (image.alignment & (image.alignment - 1)) == 0);
  if (image.interpreter) hold(image.interpreter->size >= 2 && image.interpreter->size <= 4096);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::span<const std::byte> file(reinterpret_cast<const std::byte*>(data), size);
  if (auto script = kernel::parse_script(file.first(std::min<std::size_t>(size, 256))))
    hold(!script->interpreter.empty() && script->interpreter.find('\0') == std::string::npos);
  auto header = kernel::parse_elf_header(file);
  if (!header) return 0;
  std::uint64_t offset = header->segments_offset;
  if (offset > size || header->segments_bytes() > size - offset) return 0;
  if (auto image =
          kernel::parse_elf_segments(*header, file.subspan(offset, header->segments_bytes())))
    check(*image);
  return 0;
}

#include "sandbox/kernel/elf.h"

#include <elf.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "sandbox/mm/mapping.h"

namespace caisson::sandbox::kernel {
namespace {

static_assert(sizeof(Elf64_Ehdr) == kElfHeaderSize && sizeof(Elf64_Phdr) == kElfSegmentSize);
static_assert(std::endian::native == std::endian::little);

#if defined(__x86_64__)
constexpr std::uint16_t kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr std::uint16_t kMachine = EM_AARCH64;
#endif

constexpr std::uint64_t kAddressLimit = 1ULL << 56;  // no machine has more for a process
constexpr std::uint64_t kLargestAlignment = 1ULL << 32;
constexpr std::uint64_t kLongestPath = 4096;  // PATH_MAX

int protection_of(std::uint32_t flags) {
  return ((flags & PF_R) != 0 ? PROT_READ : 0) | ((flags & PF_W) != 0 ? PROT_WRITE : 0) |
         ((flags & PF_X) != 0 ? PROT_EXEC : 0);
}

ErrnoOr<> add_segment(const Elf64_Phdr& raw, ElfImage& image) {
  ElfSegment segment{raw.p_vaddr, raw.p_memsz, raw.p_offset, raw.p_filesz,
                     protection_of(raw.p_flags)};
  bool wrong = segment.file_size > segment.memory_size || segment.memory_size > kAddressLimit ||
               segment.address > kAddressLimit - segment.memory_size ||
               segment.offset > kAddressLimit || segment.file_size > kAddressLimit ||
               (segment.address - segment.offset) % mm::kPageSize != 0;
  // The specification wants them in order; what lies in another would replace it.
  if (!image.segments.empty())
    wrong = wrong || segment.address < image.segments.back().memory_end();
  if (wrong) return std::unexpected(Errno{EINVAL});
  if (std::has_single_bit(raw.p_align) && raw.p_align <= kLargestAlignment)
    image.alignment = std::max<std::uint64_t>(image.alignment, raw.p_align);
  std::uint64_t headers = image.header.segments_offset;
  if (segment.offset <= headers && headers - segment.offset < segment.file_size)
    image.headers_address = headers - segment.offset + segment.address;
  image.segments.push_back(segment);
  return {};
}

ErrnoOr<> add_header(const Elf64_Phdr& raw, ElfImage& image) {
  switch (raw.p_type) {
    case PT_LOAD: return add_segment(raw, image);
    case PT_GNU_STACK: image.executable_stack = (raw.p_flags & PF_X) != 0; return {};
    case PT_INTERP:
      if (image.interpreter) return {};  // the first one counts
      if (raw.p_filesz < 2 || raw.p_filesz > kLongestPath || raw.p_offset > kAddressLimit)
        return std::unexpected(Errno{ENOEXEC});
      image.interpreter = ElfInterpreter{raw.p_offset, raw.p_filesz};
      return {};
    default: return {};
  }
}

}  // namespace

std::uint64_t ElfImage::begin() const { return mm::page_down(segments.front().address); }
std::uint64_t ElfImage::end() const { return mm::page_up(segments.back().memory_end()); }

bool has_elf_magic(std::span<const std::byte> file) {
  return file.size() >= SELFMAG && std::memcmp(file.data(), ELFMAG, SELFMAG) == 0;
}

ErrnoOr<ElfHeader> parse_elf_header(std::span<const std::byte> file) {
  Elf64_Ehdr raw{};
  if (file.size() < sizeof raw || !has_elf_magic(file)) return std::unexpected(Errno{ENOEXEC});
  std::memcpy(&raw, file.data(), sizeof raw);
  bool is_ours = raw.e_ident[EI_CLASS] == ELFCLASS64 && raw.e_ident[EI_DATA] == ELFDATA2LSB &&
                 raw.e_machine == kMachine && (raw.e_type == ET_EXEC || raw.e_type == ET_DYN);
  bool has_segments = raw.e_phentsize == kElfSegmentSize && raw.e_phnum != 0 &&
                      raw.e_phnum * kElfSegmentSize <= kElfSegmentsLimit &&
                      raw.e_phoff <= kAddressLimit;
  if (!is_ours || !has_segments) return std::unexpected(Errno{ENOEXEC});
  return ElfHeader{raw.e_type == ET_DYN, raw.e_entry, raw.e_phoff, raw.e_phnum};
}

ErrnoOr<ElfImage> parse_elf_segments(const ElfHeader& header, std::span<const std::byte> segments) {
  if (segments.size() != header.segments_bytes()) return std::unexpected(Errno{ENOEXEC});
  ElfImage image;
  image.header = header;
  image.alignment = mm::kPageSize;
  for (std::size_t index = 0; index < header.segment_count; ++index) {
    Elf64_Phdr raw{};
    std::memcpy(&raw, segments.data() + index * kElfSegmentSize, sizeof raw);
    TRY(add_header(raw, image));
  }
  if (image.segments.empty()) return std::unexpected(Errno{ENOEXEC});
  return image;
}

}  // namespace caisson::sandbox::kernel

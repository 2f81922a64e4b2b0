#include "sandbox/kernel/elf.h"

#include <gtest/gtest.h>

#include "sandbox/kernel/loader_fixture_test.h"

namespace caisson::sandbox::kernel {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

ErrnoOr<ElfImage> parse(ElfBuilder& elf) {
  std::string file = elf.build();
  ElfHeader header = TRY(parse_elf_header(bytes_of(file)));
  return parse_elf_segments(
      header, bytes_of(file).subspan(header.segments_offset, header.segments_bytes()));
}

int error_of(ElfBuilder& elf) {
  auto image = parse(elf);
  return image ? 0 : image.error().value;
}

ElfBuilder one_segment() {
  ElfBuilder elf;
  elf.segment(PT_LOAD, PF_R | PF_X, 0, 0x400000, 0x1000, 0x2000);
  return elf;
}

TEST(Elf, ReadsSegmentsAndEntry) {
  ElfBuilder elf = one_segment();
  elf.header.e_entry = 0x400078;
  ElfImage image = MUST(parse(elf));
  EXPECT_EQ(image.header.entry, 0x400078U);
  EXPECT_FALSE(image.header.position_independent);
  ASSERT_EQ(image.segments.size(), 1U);
  EXPECT_EQ(image.segments[0].protection, PROT_READ | PROT_EXEC);
  EXPECT_EQ(image.begin(), 0x400000U);
  EXPECT_EQ(image.end(), 0x402000U);
  EXPECT_EQ(image.headers_address, 0x400040U);
}

TEST(Elf, HeaderMustBeOfThisMachine) {
  auto with = [](auto change) {
    ElfBuilder elf = one_segment();
    change(elf.header);
    return error_of(elf);
  };
  EXPECT_EQ(with([](Elf64_Ehdr& header) { header.e_ident[0] = 'x'; }), ENOEXEC);
  EXPECT_EQ(with([](Elf64_Ehdr& header) { header.e_ident[EI_CLASS] = ELFCLASS32; }), ENOEXEC);
  EXPECT_EQ(with([](Elf64_Ehdr& header) { header.e_ident[EI_DATA] = ELFDATA2MSB; }), ENOEXEC);
  EXPECT_EQ(with([](Elf64_Ehdr& header) { header.e_machine = EM_386; }), ENOEXEC);
  EXPECT_EQ(with([](Elf64_Ehdr& header) { header.e_type = ET_REL; }), ENOEXEC);
  EXPECT_EQ(with([](Elf64_Ehdr& header) { header.e_type = ET_CORE; }), ENOEXEC);
  EXPECT_EQ(with([](Elf64_Ehdr& header) { header.e_phentsize = 32; }), ENOEXEC);
}

TEST(Elf, ShortFilesAreNoPrograms) {
  std::string file = one_segment().build();
  for (std::size_t length : {0U, 3U, 4U, 63U}) {
    std::string cut = file.substr(0, length);
    EXPECT_FALSE(parse_elf_header(bytes_of(cut))) << length;
  }
}

TEST(Elf, SegmentsAreLimitedInNumber) {
  ElfHeader header;
  std::string file = one_segment().build();
  Elf64_Ehdr raw;
  std::memcpy(&raw, file.data(), sizeof raw);
  raw.e_phnum = 0;
  std::memcpy(file.data(), &raw, sizeof raw);
  EXPECT_FALSE(parse_elf_header(bytes_of(file)));
  raw.e_phnum = 1171;  // 65576 bytes
  std::memcpy(file.data(), &raw, sizeof raw);
  EXPECT_FALSE(parse_elf_header(bytes_of(file)));
}

TEST(Elf, SomethingMustBeLoaded) {
  ElfBuilder elf;
  elf.segment(PT_NOTE, PF_R, 0, 0, 8, 8);
  EXPECT_EQ(error_of(elf), ENOEXEC);
}

TEST(Elf, SegmentsMustBePossible) {
  auto with = [](std::uint64_t offset, std::uint64_t address, std::uint64_t file_size,
                 std::uint64_t memory_size) {
    ElfBuilder elf = one_segment();
    elf.segment(PT_LOAD, PF_R, offset, address, file_size, memory_size);
    return error_of(elf);
  };
  EXPECT_EQ(with(0x1000, 0x402000, 0x1000, 0x1000), 0);
  EXPECT_EQ(with(0x1000, 0x402000, 0x1001, 0x1000), EINVAL);  // more in the file
  EXPECT_EQ(with(0x1001, 0x402000, 0x1000, 0x1000), EINVAL);  // cannot be mapped
  EXPECT_EQ(with(0x1000, 0x401000, 0x1000, 0x1000), EINVAL);  // overlaps
  EXPECT_EQ(with(0x1000, 0x3ff000, 0x1000, 0x1000), EINVAL);  // out of order
  EXPECT_EQ(with(0x1000, ~std::uint64_t{0xfff}, 0x1000, 0x1000), EINVAL);
  EXPECT_EQ(with(0, 0x402000, 0, ~std::uint64_t{0}), EINVAL);
  EXPECT_EQ(with(~std::uint64_t{0xfff}, 0x402000, 0x1000, 0x1000), EINVAL);
}

TEST(Elf, AlignmentIsTheLargestThatIsOne) {
  ElfBuilder elf(ET_DYN);
  elf.segment(PT_LOAD, PF_R, 0, 0, 0x1000, 0x1000, 0x200000);
  elf.segment(PT_LOAD, PF_R, 0x1000, 0x1000, 0x1000, 0x1000, 0x3000);
  elf.segment(PT_LOAD, PF_R, 0x2000, 0x2000, 0x1000, 0x1000, 0);
  EXPECT_EQ(MUST(parse(elf)).alignment, 0x200000U);
}

TEST(Elf, InterpreterMustHaveAName) {
  auto with = [](std::uint64_t size) {
    ElfBuilder elf = one_segment();
    elf.segment(PT_INTERP, PF_R, 0x800, 0x400800, size, size, 1);
    return error_of(elf);
  };
  EXPECT_EQ(with(1), ENOEXEC);
  EXPECT_EQ(with(4097), ENOEXEC);
  EXPECT_EQ(with(20), 0);
}

TEST(Elf, HeadersMayBeNowhereInMemory) {
  ElfBuilder elf;
  elf.segment(PT_LOAD, PF_R, 0x1000, 0x401000, 0x1000, 0x1000);
  EXPECT_EQ(MUST(parse(elf)).headers_address, 0U);
}

}  // namespace
}  // namespace caisson::sandbox::kernel

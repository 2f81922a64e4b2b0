#include <gtest/gtest.h>

#include "sandbox/mm/memory_fixture_test.h"
#include "sandbox/vfs/mount.h"

namespace caisson::sandbox::mm {
namespace {

constexpr int kReadWrite = PROT_READ | PROT_WRITE;
constexpr int kFixed = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

struct NoFilesystem final : vfs::Filesystem {
  NoFilesystem() : Filesystem("none") {}
  Ref<vfs::Inode> root() override;
  ErrnoOr<vfs::FilesystemStatus> status() override { return vfs::FilesystemStatus{}; }

 private:
  ~NoFilesystem() override = default;
};
struct NoInode final : vfs::Inode {
  explicit NoInode(vfs::Filesystem& filesystem) : Inode(filesystem, std::uint32_t{S_IFDIR}) {}
  ErrnoOr<vfs::Attributes> attributes() override { return vfs::Attributes{}; }
  ErrnoOr<> change(const vfs::AttributeChange&) override { return {}; }
  ErrnoOr<Ref<vfs::File>> open(const vfs::Path&, vfs::OpenFlags, vfs::Caller&) override {
    return std::unexpected(Errno{EACCES});
  }
};
Ref<vfs::Inode> NoFilesystem::root() { return Ref<vfs::Inode>(make_ref<NoInode>(*this)); }

class MapsText : public MemoryTest {
 protected:
  std::string text(bool with_sizes = false) {
    return memory->maps_text(mounts->root(), *mounts, with_sizes);
  }
  Ref<NoFilesystem> filesystem = make_ref<NoFilesystem>();
  Ref<vfs::MountNamespace> mounts = vfs::MountNamespace::create(make_ref<vfs::Mount>(
      filesystem, vfs::Dentry::make_root(filesystem->root()), std::uint64_t{0}, "none"));
};

TEST_F(MapsText, AnonymousMemoryHasNoName) {
  map(kPageSize, kReadWrite, kFixed, 0x10000);
  EXPECT_EQ(text(), "00010000-00011000 rw-p 00000000 00:00 0 \n");
}

TEST_F(MapsText, FilesStandInTheirColumn) {
  MUST(try_map({0x20000000,
                kPageSize,
                PROT_READ | PROT_EXEC,
                MAP_PRIVATE | MAP_FIXED,
                Ref<vfs::File>(file(2 * kPageSize)),
                kPageSize,
                {}}));
  std::string expected = "20000000-20001000 r-xp 00001000 08:02 77";
  expected.resize(73, ' ');
  EXPECT_EQ(text(), expected + "/test file\n");
}

TEST_F(MapsText, SharedAnonymousMemoryIsDeletedZero) {
  map(kPageSize, kReadWrite, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, 0x20000000);
  std::string line = text();
  EXPECT_TRUE(line.starts_with("20000000-20001000 rw-s 00000000 00:01 ")) << line;
  EXPECT_TRUE(line.ends_with(" /dev/zero (deleted)\n")) << line;
  EXPECT_EQ(line.find('/'), 73U);
}

TEST_F(MapsText, HeapAndStackAreKnownByTheirPlace) {
  memory->set_break_area(0x500000);
  memory->set_break(thread.get(), 0x501000, limits);
  map(kPageSize, kReadWrite, kFixed | MAP_GROWSDOWN, 0x20000000);
  ProgramLayout layout;
  layout.stack_begin = 0x20000800;
  memory->set_layout(layout);
  std::string lines = text();
  EXPECT_NE(lines.find("[heap]\n"), std::string::npos);
  EXPECT_NE(lines.find("[stack]\n"), std::string::npos);
}

TEST_F(MapsText, VdsoIsShown) {
  memory->show_vdso(kFakeLimit + kPageSize, 2 * kPageSize);
  std::string lines = text();
  EXPECT_TRUE(lines.starts_with("10000001000-10000003000 r-xp 00000000 00:00 0 ")) << lines;
  EXPECT_TRUE(lines.ends_with(" [vdso]\n"));
}

TEST_F(MapsText, GuestCannotChangeTheVdso) {
  memory->show_vdso(kFakeLimit + kPageSize, 2 * kPageSize);
  std::uint64_t vdso = kFakeLimit + kPageSize;
  EXPECT_TRUE(fails_with(unmap(vdso, kPageSize), EINVAL));
  EXPECT_TRUE(fails_with(protect(vdso, kPageSize, kReadWrite), ENOMEM));
  EXPECT_TRUE(fails_with(remap(vdso, kPageSize, 2 * kPageSize, MREMAP_MAYMOVE), EFAULT));
  EXPECT_TRUE(fails_with(put(vdso, "x"), EFAULT));
}

TEST_F(MapsText, NamesOfThreadsPools) {
  std::uint64_t address = map(kPageSize);
  MUST(memory->name_range(address, kPageSize, "pool"));
  EXPECT_NE(text().find(" [anon:pool]\n"), std::string::npos);
}

TEST_F(MapsText, SizesFollowWithFlags) {
  std::uint64_t address =
      map(3 * kPageSize, kReadWrite, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
  MUST(advise(address, 3 * kPageSize, MADV_DONTFORK));
  MUST(memory->lock(address, 3 * kPageSize, true, limits));
  std::string lines = text(true);
  EXPECT_NE(lines.find("\nSize:                 12 kB\nKernelPageSize:        4 kB\n"),
            std::string::npos)
      << lines;
  EXPECT_NE(lines.find("\nVmFlags: rd wr mr mw me lo dc nr \n"), std::string::npos) << lines;
}

TEST_F(MapsText, NewlinesInNamesAreEscaped) {
  struct Odd final : vfs::File {
    Odd() : File(vfs::Path{}, nullptr, O_RDWR) {}
    ErrnoOr<vfs::MapSource> map_source(std::uint64_t, std::uint64_t, int, bool) override {
      return vfs::MapSource{};
    }
    ErrnoOr<vfs::Attributes> attributes() override { return vfs::Attributes{}; }
    std::string link_text(const vfs::Path&) override { return "/a\nb"; }
  };
  map_file(Ref<vfs::File>(make_ref<Odd>()), kPageSize);
  EXPECT_NE(text().find("/a\\012b\n"), std::string::npos);
}

}  // namespace
}  // namespace caisson::sandbox::mm

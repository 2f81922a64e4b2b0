// A flat file system of programs for tests of the loader, and ELF files built to order.
#pragma once

#include <elf.h>
#include <sys/mman.h>
#include <sys/mount.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "sandbox/kernel/loader.h"
#include "sandbox/mm/fake_platform_test.h"

namespace caisson::sandbox::kernel {

class ProgramInode;

class ProgramFilesystem final : public vfs::Filesystem {
 public:
  ProgramFilesystem() : Filesystem("programs") {}
  Ref<vfs::Inode> root() override;
  ErrnoOr<vfs::FilesystemStatus> status() override { return vfs::FilesystemStatus{}; }
  ProgramInode& add(const std::string& name, std::string_view contents, std::uint32_t mode);

 private:
  friend class ProgramInode;
  ~ProgramFilesystem() override = default;
  std::map<std::string, Ref<ProgramInode>, std::less<>> files_;
  Ref<ProgramInode> root_;
};

class ProgramFile final : public vfs::File {
 public:
  ProgramFile(const vfs::Path& path, Ref<vfs::Inode> inode, int fd)
      : File(path, std::move(inode), O_RDONLY), fd_(fd) {}
  ErrnoOr<std::size_t> read_at(vfs::IoBuffer& to, std::uint64_t offset, vfs::Caller&) override {
    std::vector<std::byte> bytes(to.remaining());
    ssize_t got = pread(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (got < 0) return std::unexpected(Errno{errno});
    return to.put(std::span(bytes).first(static_cast<std::size_t>(got)));
  }
  ErrnoOr<vfs::MapSource> map_source(std::uint64_t offset, std::uint64_t, int, bool) override {
    return vfs::MapSource{.fd = fd_, .offset = offset};
  }

 private:
  int fd_;
};

class ProgramInode final : public vfs::Inode {
 public:
  ProgramInode(ProgramFilesystem& filesystem, std::uint32_t type) : Inode(filesystem, type) {
    known.mode = type | 0755;
  }
  ErrnoOr<vfs::Attributes> attributes() override { return known; }
  ErrnoOr<> change(const vfs::AttributeChange&) override { return std::unexpected(Errno{EPERM}); }
  ErrnoOr<Ref<vfs::Inode>> lookup(std::string_view name) override {
    auto& files = static_cast<ProgramFilesystem&>(filesystem()).files_;
    auto found = files.find(name);
    if (found == files.end()) return std::unexpected(Errno{ENOENT});
    return Ref<vfs::Inode>(found->second);
  }
  ErrnoOr<Ref<vfs::File>> open(const vfs::Path& path, vfs::OpenFlags, vfs::Caller&) override {
    return Ref<vfs::File>(
        make_ref<ProgramFile>(path, Ref<vfs::Inode>::share(this), contents.number()));
  }
  ErrnoOr<std::string> get_attribute(std::string_view name) override {
    if (name != "security.capability" || capability.empty()) return std::unexpected(Errno{ENODATA});
    return capability;
  }
  ErrnoOr<std::string> read_link(vfs::Caller*) override { return target; }
  bool caches_absent_names() const override { return false; }

  vfs::Attributes known;
  Fd contents;
  std::string capability, target;
};

inline Ref<vfs::Inode> ProgramFilesystem::root() {
  if (!root_) root_ = make_ref<ProgramInode>(*this, std::uint32_t{S_IFDIR});
  return Ref<vfs::Inode>(root_);
}
inline ProgramInode& ProgramFilesystem::add(const std::string& name, std::string_view contents,
                                            std::uint32_t mode) {
  Ref<ProgramInode> inode = make_ref<ProgramInode>(*this, mode & S_IFMT);
  inode->known.mode = mode;
  inode->contents.reset(memfd_create("program", MFD_CLOEXEC));
  if (write(inode->contents.number(), contents.data(), contents.size()) !=
      static_cast<ssize_t>(contents.size()))
    std::abort();
  files_[name] = inode;
  return *inode;
}

class TestCaller final : public vfs::Caller {
 public:
  const vfs::Credentials& credentials() const override { return *held; }
  vfs::Memory& memory() override { std::abort(); }
  Ref<vfs::Credentials> held = vfs::Credentials::root();
};

// An ELF file, header by header; segments' bytes follow at their offsets.
struct ElfBuilder {
  Elf64_Ehdr header{};
  std::vector<Elf64_Phdr> segments;
  std::string contents;  // from offset 0 on; the headers are written over it

  explicit ElfBuilder(std::uint16_t type = ET_EXEC) {
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = type;
    header.e_machine = kHostMachine;
    header.e_phoff = sizeof header;
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_ehsize = sizeof header;
  }
  Elf64_Phdr& segment(std::uint32_t type, std::uint32_t flags, std::uint64_t offset,
                      std::uint64_t address, std::uint64_t file_size, std::uint64_t memory_size,
                      std::uint64_t alignment = 4096) {
    segments.push_back({type, flags, offset, address, address, file_size, memory_size, alignment});
    return segments.back();
  }
  ElfBuilder& interpreter(std::string_view path, std::uint64_t offset = 0x800) {
    put(offset, std::string(path) + '\0');
    segment(PT_INTERP, PF_R, offset, offset, path.size() + 1, path.size() + 1, 1);
    return *this;
  }
  void put(std::uint64_t offset, std::string_view bytes) {
    if (contents.size() < offset + bytes.size()) contents.resize(offset + bytes.size());
    contents.replace(offset, bytes.size(), bytes);
  }
  std::string build() {
    header.e_phnum = static_cast<std::uint16_t>(segments.size());
    put(0, {reinterpret_cast<const char*>(&header), sizeof header});
    if (header.e_phoff == sizeof header)
      put(sizeof header,
          {reinterpret_cast<const char*>(segments.data()), segments.size() * sizeof(Elf64_Phdr)});
    return contents;
  }

#if defined(__x86_64__)
  static constexpr std::uint16_t kHostMachine = EM_X86_64;
#elif defined(__aarch64__)
  static constexpr std::uint16_t kHostMachine = EM_AARCH64;
#endif
};

class LoaderTest : public testing::Test {
 protected:
  LoaderTest() {
    vfs::Path root = mounts->root();
    context.walk.mounts = mounts.get();
    context.walk.root = context.walk.base = root;
    context.walk.caller = &caller;
    context.walk.credentials = caller.held.get();
  }

  // Code at 0x401000, data with bss at 0x402000.
  static ElfBuilder static_program() {
    ElfBuilder elf;
    elf.header.e_entry = 0x401010;
    elf.put(0x1000, "code");
    elf.put(0x2000, "data");
    elf.put(0x2004, "behind the data");
    elf.segment(PT_LOAD, PF_R, 0, 0x400000, 0x1000, 0x1000);
    elf.segment(PT_LOAD, PF_R | PF_X, 0x1000, 0x401000, 0x100, 0x100);
    elf.segment(PT_LOAD, PF_R | PF_W, 0x2000, 0x402000, 4, 0x2800);
    return elf;
  }
  static ElfBuilder moved_program(std::uint64_t alignment = 4096) {
    ElfBuilder elf(ET_DYN);
    elf.header.e_entry = 0x1010;
    elf.put(0x1000, "code");
    elf.segment(PT_LOAD, PF_R, 0, 0, 0x1000, 0x1000, alignment);
    elf.segment(PT_LOAD, PF_R | PF_X, 0x1000, 0x1000, 0x100, 0x100, alignment);
    return elf;
  }
  ProgramInode& add(const std::string& name, std::string_view contents,
                    std::uint32_t mode = S_IFREG | 0755) {
    return filesystem->add(name, contents, mode);
  }
  ErrnoOr<LoadedProgram> load(const std::string& path, std::vector<std::string> args = {"program"},
                              std::vector<std::string> env = {}) {
    ExecRequest request;
    request.file = TRY(open_program(context.walk, path));
    request.path = path;
    request.args = std::move(args);
    request.env = std::move(env);
    return load_program(context, std::move(request));
  }
  static std::string bytes_at(const LoadedProgram& program, std::uint64_t address,
                              std::size_t length) {
    std::string bytes(length, '?');
    auto got = program.memory->read(address, std::as_writable_bytes(std::span(bytes)));
    if (!got) return std::string(errno_name(got.error().value));
    bytes.resize(*got);
    return bytes;
  }
  static std::uint64_t word_at(const LoadedProgram& program, std::uint64_t address) {
    std::uint64_t word = 0;
    MUST(program.memory->read(address, std::as_writable_bytes(std::span(&word, 1))));
    return word;
  }
  static std::vector<std::string> args_of(const LoadedProgram& program) {
    std::uint64_t at = program.registers.stack_pointer();
    std::vector<std::string> args(word_at(program, at));
    for (std::string& arg : args)
      arg = MUST(program.memory->read_string(word_at(program, at += 8), 200000));
    return args;
  }
  static std::uint64_t auxiliary(const LoadedProgram& program, std::uint64_t type) {
    const std::string& bytes = program.memory->layout().auxiliary_vector;
    for (std::size_t at = 0; at + 16 <= bytes.size(); at += 16) {
      std::uint64_t entry[2];
      std::memcpy(entry, bytes.data() + at, sizeof entry);
      if (entry[0] == type) return entry[1];
    }
    return ~std::uint64_t{0};
  }

  mm::FakePlatform platform;
  TestCaller caller;
  Ref<ProgramFilesystem> filesystem = make_ref<ProgramFilesystem>();
  Ref<vfs::Mount> mount = make_ref<vfs::Mount>(
      filesystem, vfs::Dentry::make_root(filesystem->root()), std::uint64_t{0}, "programs");
  Ref<vfs::MountNamespace> mounts = vfs::MountNamespace::create(mount);
  LoadContext context{platform, {}, {}, 0};
};

}  // namespace caisson::sandbox::kernel

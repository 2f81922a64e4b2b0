// execve(2): what stays, what goes, threads, errors.
#include <elf.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/prctl.h>

#include <cstring>

#include "sandbox/fs/tmpfs/tmp_filesystem.h"
#include "sandbox/kernel/pidfd.h"
#include "sandbox/syscalls/guest_fixture_test.h"

namespace caisson::sandbox::syscalls {
namespace {

// A program's image whose entry is the address of a function. It has no code of its own.
std::string image(std::uint64_t entry) {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_EXEC;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_entry = entry;
  header.e_phoff = sizeof(header);
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_ehsize = sizeof(header);
  header.e_phnum = 1;
  Elf64_Phdr segment{};
  segment.p_type = PT_LOAD;
  segment.p_flags = PF_R | PF_W;
  segment.p_vaddr = segment.p_paddr = kA;
  segment.p_filesz = 4096;
  segment.p_memsz = FakeGuest::kAreaSize;
  segment.p_align = 4096;
  std::string bytes(4096, '\0');
  std::memcpy(bytes.data(), &header, sizeof(header));
  std::memcpy(bytes.data() + sizeof(header), &segment, sizeof(segment));
  return bytes;
}

class Execution : public GuestTest {
 protected:
  Execution() {
    auto filesystem =
        fs::TmpFilesystem::create(MUST(fs::FileMemory::create()), nullptr, fs::TmpOptions{});
    auto mount =
        make_ref<vfs::Mount>(Ref<vfs::Filesystem>(filesystem),
                             vfs::Dentry::make_root(filesystem->root()), std::uint64_t{0}, "tmpfs");
    mounts_ = vfs::MountNamespace::create(std::move(mount));
    container_->mounts = mounts_;
    root_ = mounts_->root();
  }
  vfs::Path root_directory() override { return root_; }

  void add_program(const std::string& path, FakeProgram program) {
    add_file(path, image(platform().add_program(std::move(program))), 0755);
  }
  void add_file(const std::string& path, const std::string& contents, std::uint32_t mode) {
    vfs::WalkContext walk{mounts_.get(), root_, root_, &caller_, credentials.get()};
    auto file = MUST(vfs::open(walk, path, {O_CREAT | O_WRONLY, mode, 0}));
    auto buffer = vfs::IoBuffer::of(std::as_bytes(std::span(contents)));
    EXPECT_EQ(MUST(file->write(buffer, caller_)), contents.size());
  }

 private:
  class Writer final : public vfs::Caller {
   public:
    const vfs::Credentials& credentials() const override { return *held_; }
    vfs::Memory& memory() override { std::abort(); }

   private:
    Ref<vfs::Credentials> held_ = vfs::Credentials::root();
  };
  Ref<vfs::MountNamespace> mounts_;
  vfs::Path root_;
  Writer caller_;
};

std::int64_t execute(FakeGuest& guest, std::string_view path) {
  constexpr std::uint64_t kText = kA + 4 * 4096, kList = kText + 2048;
  guest.put_text(kText, path);
  guest.put(kList, std::array<std::uint64_t, 2>{kText, 0});
  return guest.call(SYS_execve, kText, kList, kList + 8);
}

TEST_F(Execution, NewProgramRunsUnderTheSameId) {
  auto id = std::make_shared<std::int64_t>(0);
  add_program("/program", [id](FakeGuest& guest) {
    EXPECT_EQ(guest.call(SYS_getpid), *id);
    guest.exit(9);
  });
  EXPECT_EQ(run([id](FakeGuest& guest) {
              *id = guest.call(SYS_getpid);
              execute(guest, "/program");
              ADD_FAILURE();
            }),
            9 << 8);
}

TEST_F(Execution, ErrorsLeaveTheProgram) {
  add_file("/text", "hello", 0755);
  add_file("/data", image(1), 0644);
  EXPECT_EQ(run([](FakeGuest& guest) {
              EXPECT_EQ(execute(guest, "/nothing"), -ENOENT);
              EXPECT_EQ(execute(guest, "/data"), -EACCES);
              EXPECT_EQ(execute(guest, "/text"), -ENOEXEC);
              EXPECT_EQ(execute(guest, "/text/x"), -ENOTDIR);
              EXPECT_EQ(guest.call(SYS_execve, 1, 0, 0), -EFAULT);
              EXPECT_EQ(execute(guest, ""), -ENOENT);
              guest.exit(3);
            }),
            3 << 8);
}

TEST_F(Execution, ScriptsNameTheirInterpreter) {
  add_program("/interpreter", [](FakeGuest& guest) { guest.exit(5); });
  add_file("/script", "#!/interpreter -x\n", 0755);
  EXPECT_EQ(run([](FakeGuest& guest) { execute(guest, "/script"); }), 5 << 8);
}

TEST_F(Execution, HandlersGoIgnoredAndMaskStay) {
  add_program("/program", [](FakeGuest& guest) {
    auto action = [&](int signal) {
      guest.call(SYS_rt_sigaction, signal, 0, kA, 8);
      return guest.get<std::uint64_t>(kA);
    };
    EXPECT_EQ(action(SIGUSR1), 0U);
    EXPECT_EQ(action(SIGUSR2), 1U);
    EXPECT_EQ(block(guest, 0), bit(SIGTERM));
    guest.call(SYS_rt_sigpending, kA, 8);
    EXPECT_EQ(guest.get<std::uint64_t>(kA), bit(SIGTERM));
    guest.exit(1);
  });
  EXPECT_EQ(run([](FakeGuest& guest) {
              set_handler(guest, SIGUSR1, handler(guest, [](FakeGuest&, int) {}));
              set_handler(guest, SIGUSR2, 1);
              block(guest, bit(SIGTERM));
              guest.call(SYS_kill, guest.call(SYS_getpid), SIGTERM);
              execute(guest, "/program");
            }),
            1 << 8);
}

TEST_F(Execution, DescriptorsCloseThatAskedForIt) {
  add_program("/program", [](FakeGuest& guest) {
    guest.exit(guest.call(SYS_pidfd_send_signal, 0, 0, 0, 0) == -EBADF &&
                       guest.call(SYS_getpgid, 0) > 0
                   ? 1
                   : 2);
  });
  EXPECT_EQ(run([](FakeGuest& guest) {
              EXPECT_EQ(guest.call(SYS_pidfd_open, 1, 0), 0);  // close-on-exec from birth
              EXPECT_EQ(guest.call(SYS_pidfd_send_signal, 0, 0, 0, 0), 0);
              execute(guest, "/program");
            }),
            1 << 8);
}

TEST_F(Execution, VforkedParentGoesOnAtTheChildsExecution) {
  auto executed = std::make_shared<std::atomic<bool>>(false);
  add_program("/program", [executed](FakeGuest& guest) {
    until(guest, [&] { return executed->load(); });
    guest.exit(4);
  });
  run([executed](FakeGuest& guest) {
    std::int64_t child = guest.clone(CLONE_VM | CLONE_VFORK | SIGCHLD,
                                     [](FakeGuest& own) { execute(own, "/program"); });
    *executed = true;  // the program waits for it: the parent was not kept until its end
    EXPECT_EQ(wait_status(guest, child), 4 << 8);
  });
}

TEST_F(Execution, OtherThreadsEnd) {
  add_program("/program", [](FakeGuest& guest) { guest.exit(6); });
  EXPECT_EQ(run([](FakeGuest& guest) {
              constexpr std::uint64_t kFlags = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;
              for (int i = 0; i < 3; ++i)
                guest.clone(kFlags, [](FakeGuest& own) { own.call(SYS_pause); });
              guest.clone(kFlags, [](FakeGuest& own) { own.spin(); });
              execute(guest, "/program");
            }),
            6 << 8);
}

TEST_F(Execution, ThreadThatExecutesTakesTheLeadersId) {
  auto process = std::make_shared<std::int64_t>(0);
  add_program("/program", [process](FakeGuest& guest) {
    EXPECT_EQ(guest.call(SYS_getpid), *process);
    EXPECT_EQ(guest.call(SYS_gettid), *process);
    guest.exit(7);
  });
  EXPECT_EQ(run([process](FakeGuest& guest) {
              *process = guest.call(SYS_getpid);
              guest.clone(CLONE_VM | CLONE_SIGHAND | CLONE_THREAD,
                          [](FakeGuest& own) { execute(own, "/program"); });
              guest.call(SYS_pause);
            }),
            7 << 8);
}

TEST_F(Execution, OnlyOneOfTwoThreadsExecutes) {
  add_program("/program", [](FakeGuest& guest) { guest.exit(8); });
  for (int i = 0; i < 10; ++i) {
    std::int64_t status = run([](FakeGuest& guest) {
      guest.clone(CLONE_VM | CLONE_SIGHAND | CLONE_THREAD,
                  [](FakeGuest& own) { execute(own, "/program"); });
      execute(guest, "/program");
    });
    EXPECT_EQ(status, 8 << 8);
  }
}

TEST_F(Execution, ParentMayNotMoveAChildThatExecuted) {
  auto go = std::make_shared<std::atomic<bool>>(false);
  add_program("/program", [go](FakeGuest& guest) {
    *go = true;
    guest.call(SYS_pause);
  });
  run([go](FakeGuest& guest) {
    std::int64_t child = guest.fork([](FakeGuest& own) { execute(own, "/program"); });
    until(guest, [&] { return go->load(); });
    EXPECT_EQ(guest.call(SYS_setpgid, child, child), -EACCES);
    guest.call(SYS_kill, child, SIGKILL);
  });
}

TEST_F(Execution, NameIsThatOfTheFile) {
  add_program("/a-name-longer-than-fifteen", [](FakeGuest& guest) {
    guest.call(SYS_prctl, PR_GET_NAME, kA);
    auto name = guest.get<std::array<char, 16>>(kA);
    EXPECT_STREQ(name.data(), "a-name-longer-t");
  });
  EXPECT_EQ(run([](FakeGuest& guest) { execute(guest, "/a-name-longer-than-fifteen"); }), 0);
}

TEST_F(Execution, MoreThanTheBudgetOfArgumentsIsE2BIG) {
  add_program("/program", [](FakeGuest& guest) { guest.exit(2); });
  EXPECT_EQ(run([](FakeGuest& guest) {
              constexpr std::uint64_t kText = kA + 4 * 4096;
              std::array<std::byte, 40 * 4096> text;
              text.fill(std::byte{'x'});
              guest.put(kText, text);
              guest.put_text(kA, "/program");
              guest.put(kA + 64, std::array<std::uint64_t, 2>{kText, 0});
              EXPECT_EQ(guest.call(SYS_execve, kA, kA + 64, 0), -E2BIG);
            }),
            0);
}

}  // namespace
}  // namespace caisson::sandbox::syscalls

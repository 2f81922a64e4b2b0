// A gofer as it runs: confined, in its own process.
#include "gofer/start.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/text.h"
#include "gofer/client.h"
#include "gofer/filter.h"
#include "plan/bpf_evaluator.h"
#include "sys/file_at.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace caisson::gofer {
namespace {

class GoferProcess : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!sys::has_effective_capability(CAP_SYS_ADMIN)) GTEST_SKIP() << "needs CAP_SYS_ADMIN";
    std::string name = ::testing::TempDir() + "caisson-gofer-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    std::vector<Mount> mounts(1);
    mounts[0].root = MUST(sys::openat(sys::kCwd, folder_.c_str(), O_PATH | O_DIRECTORY));
    auto started = start(std::move(mounts));
    ASSERT_TRUE(started) << started.error().message();
    gofer_ = std::move(*started);
  }
  void TearDown() override {
    gofer_.socket.reset();
    if (gofer_.pidfd) end();
    if (!folder_.empty()) (void)sys::remove_tree(sys::kCwd, folder_.c_str());
  }
  // Waits for its end, which comes with the socket's.
  sys::WaitStatus end() {
    EXPECT_TRUE(MUST(sys::wait_readable(gofer_.pidfd, 10'000)));
    (void)sys::pidfd_send_signal(gofer_.pidfd, SIGKILL);
    auto status = MUST(sys::wait_pidfd(gofer_.pidfd));
    gofer_.pidfd.reset();
    return status;
  }
  std::string status_line(std::string_view key) {
    auto text = MUST(sys::read_file(sys::kCwd, cat("/proc/", gofer_.pid, "/status").c_str()));
    std::size_t at = text.find(cat("\n", key, ":\t"));
    std::size_t begin = at + key.size() + 3;
    return text.substr(begin, text.find('\n', begin) - begin);
  }
  std::string folder_;
  Started gofer_;
};

Request request_for(Operation operation, std::string path) {
  Request request;
  request.operation = operation;
  request.path = std::move(path);
  return request;
}

TEST_F(GoferProcess, AnswersAndEndsWithItsSocket) {
  {
    Client client(std::move(gofer_.socket));
    Request create = request_for(Operation::kCreate, "f");
    create.mode = S_IFREG | 04755;
    create.uid = 1234;
    auto made = client.ask(create);
    ASSERT_TRUE(made) << made.error().value;
    MUST(sys::write_all(made->fd, "through the gofer"));
    EXPECT_EQ(MUST(client.ask(request_for(Operation::kStat, "f"))).reply.info.stx_uid, 1234U);
    auto none = client.ask(request_for(Operation::kStat, "none"));
    EXPECT_EQ(none.error().value, ENOENT);
  }
  EXPECT_EQ(end().shell_status(), 0);
}

// Each operation once, so that the filter is known to let it through.
TEST_F(GoferProcess, DoesEveryOperation) {
  Client client(std::move(gofer_.socket));
  auto ok = [&](Request request) {
    auto answer = client.ask(request);
    EXPECT_TRUE(answer) << static_cast<int>(request.operation) << ": "
                        << (answer ? 0 : answer.error().value);
  };
  Request request = request_for(Operation::kCreate, "f");
  request.mode = S_IFREG | 0644;
  ok(request);
  request = request_for(Operation::kMake, "d");
  request.mode = S_IFDIR | 0755;
  ok(request);
  request = request_for(Operation::kMake, "w");
  request.mode = S_IFCHR;
  ok(request);
  request = request_for(Operation::kMakeSymlink, "l");
  request.second = "f";
  ok(request);
  ok(request_for(Operation::kReadLink, "l"));
  request = request_for(Operation::kLink, "f");
  request.second = "d/g";
  ok(request);
  request = request_for(Operation::kRename, "d/g");
  request.second = "h";
  ok(request);
  for (int flags : {O_RDONLY, O_RDWR, O_WRONLY, O_PATH}) {
    request = request_for(Operation::kOpen, "h");
    request.flags = static_cast<std::uint32_t>(flags);
    ok(request);
  }
  ok(request_for(Operation::kStat, ""));
  request = request_for(Operation::kSetMode, "h");
  request.mode = 0600;
  ok(request);
  ok(request_for(Operation::kSetOwner, "l"));
  ok(request_for(Operation::kSetTimes, "h"));
  request = request_for(Operation::kSetSize, "h");
  request.number = 100'000;
  ok(request);
  request = request_for(Operation::kSetAttribute, "h");
  request.second = "user.a";
  request.value = std::string(2000, 'v');
  ok(request);
  request.operation = Operation::kGetAttribute;
  ok(request);
  ok(request_for(Operation::kListAttributes, "h"));
  request.operation = Operation::kRemoveAttribute;
  ok(request);
  ok(request_for(Operation::kUnlink, "h"));
  request = request_for(Operation::kUnlink, "d");
  request.flags = AT_REMOVEDIR;
  ok(request);
}

TEST_F(GoferProcess, HasFiveCapabilitiesAndNoMore) {
  EXPECT_EQ(status_line("CapEff"), "000000000000001f");
  EXPECT_EQ(status_line("CapBnd"), "000000000000001f");
  EXPECT_EQ(status_line("NoNewPrivs"), "1");
  EXPECT_EQ(status_line("Seccomp"), "2");
}

TEST_F(GoferProcess, SeesNothingOfTheHost) {
  Fd root = MUST(
      sys::openat(sys::kCwd, cat("/proc/", gofer_.pid, "/root").c_str(), O_RDONLY | O_DIRECTORY));
  EXPECT_EQ(MUST(sys::list_directory(root)), std::vector<std::string>{});
  Fd fds = MUST(
      sys::openat(sys::kCwd, cat("/proc/", gofer_.pid, "/fd").c_str(), O_RDONLY | O_DIRECTORY));
  EXPECT_EQ(MUST(sys::list_directory(fds)).size(), 2U);  // its socket and one mount
}

TEST_F(GoferProcess, WhatIsNoRequestEndsIt) {
  MUST(sys::send_message(gofer_.socket, "nonsense"));
  EXPECT_EQ(end().shell_status(), 1);
}

TEST_F(GoferProcess, DescriptorsThatComeAlongAreClosed) {
  std::string bytes = encode(request_for(Operation::kStat, ""));
  int sent[] = {0, 1};
  MUST(sys::send_message(gofer_.socket, bytes, sent));
  ASSERT_TRUE(MUST(sys::wait_readable(gofer_.socket, 10'000)));
  Fd fds = MUST(
      sys::openat(sys::kCwd, cat("/proc/", gofer_.pid, "/fd").c_str(), O_RDONLY | O_DIRECTORY));
  EXPECT_EQ(MUST(sys::list_directory(fds)).size(), 2U);
}

TEST_F(GoferProcess, ADeadGoferIsEpipe) {
  MUST(sys::pidfd_send_signal(gofer_.pidfd, SIGKILL));
  (void)end();
  Client client(std::move(gofer_.socket));
  EXPECT_FALSE(client.ask(request_for(Operation::kStat, "")));
  EXPECT_EQ(client.ask(request_for(Operation::kStat, "")).error().value, EPIPE);
}

// --- the filter, evaluated here

class GoferFilter : public ::testing::Test {
 protected:
  GoferFilter() {
    for (const sock_filter& one : filter()) program_.push_back({one.code, one.jt, one.jf, one.k});
  }
  bool allows(long number, std::array<std::uint64_t, 6> arguments = {}) {
    plan::SeccompData data;
    data.number = static_cast<std::int32_t>(number);
#if defined(__x86_64__)
    data.arch = AUDIT_ARCH_X86_64;
#else
    data.arch = AUDIT_ARCH_AARCH64;
#endif
    std::copy(arguments.begin(), arguments.end(), data.args);
    return plan::evaluate_bpf(program_, data).value == SECCOMP_RET_ALLOW;
  }
  static constexpr std::uint64_t kCwd = 0xffffffffffffff9c;
  std::vector<plan::BpfInstruction> program_;
};

TEST_F(GoferFilter, IsAProgram) { EXPECT_TRUE(plan::check_bpf(program_)); }

TEST_F(GoferFilter, FilesAreReachedByDescriptorOnly) {
  EXPECT_TRUE(allows(SYS_openat2, {5}));
  EXPECT_FALSE(allows(SYS_openat2, {kCwd}));
  EXPECT_FALSE(allows(SYS_openat2, {static_cast<std::uint32_t>(AT_FDCWD)}));
  EXPECT_FALSE(allows(SYS_openat, {5}));
  EXPECT_FALSE(allows(SYS_mkdirat, {kCwd}));
  EXPECT_FALSE(allows(SYS_symlinkat, {0, kCwd}));
  EXPECT_FALSE(allows(SYS_renameat2, {5, 0, kCwd}));
  EXPECT_TRUE(allows(SYS_renameat2, {5, 0, 6, 0, 1}));
  EXPECT_FALSE(allows(SYS_renameat2, {5, 0, 6, 0, 4}));
}

TEST_F(GoferFilter, NothingIsFollowedThatIsChanged) {
  EXPECT_TRUE(allows(SYS_fchownat, {5, 0, 0, 0, AT_EMPTY_PATH}));
  EXPECT_FALSE(allows(SYS_fchownat, {5, 0, 0, 0, 0}));
  EXPECT_TRUE(allows(SYS_linkat, {5, 0, 6, 0, 0}));
  EXPECT_FALSE(allows(SYS_linkat, {5, 0, 6, 0, AT_SYMLINK_FOLLOW}));
  EXPECT_FALSE(allows(SYS_statx, {5, 0, AT_NO_AUTOMOUNT}));
}

TEST_F(GoferFilter, MemoryIsData) {
  EXPECT_TRUE(allows(SYS_mmap, {0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS}));
  EXPECT_FALSE(allows(SYS_mmap, {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS}));
  EXPECT_FALSE(allows(SYS_mmap, {0, 4096, PROT_READ, MAP_PRIVATE, 3}));
  EXPECT_FALSE(allows(SYS_mprotect, {0, 4096, PROT_READ | PROT_EXEC}));
}

TEST_F(GoferFilter, WhatItHasNoUseForEndsIt) {
  for (long number : {SYS_execve, SYS_execveat, SYS_socket, SYS_connect, SYS_ptrace, SYS_mount,
                      SYS_clone, SYS_clone3, SYS_setns, SYS_unshare, SYS_bpf, SYS_kill, SYS_ioctl,
                      SYS_chroot, SYS_prctl, SYS_capset, SYS_process_vm_readv, SYS_io_uring_setup})
    EXPECT_FALSE(allows(number)) << number;
}

TEST_F(GoferFilter, OtherArchitecturesAreRefused) {
  plan::SeccompData data;
  data.number = SYS_close;
  data.arch = AUDIT_ARCH_I386;
  EXPECT_EQ(plan::evaluate_bpf(program_, data).value, SECCOMP_RET_KILL_PROCESS);
}

}  // namespace
}  // namespace caisson::gofer

#include "sandbox/fs/tty/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <csignal>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sandbox/fs/kernel_fixture_test.h"
#include "sandbox/fs/test_caller.h"
#include "sandbox/fs/tty/devpts.h"
#include "sandbox/fs/tty/terminal_files.h"
#include "sandbox/kernel/block.h"

namespace caisson::sandbox::fs {
namespace {

using testing::Contains;
using testing::Not;

class Pty : public KernelFixture {
 protected:
  Pty() {
    devpts_ = DevptsFilesystem::create(*kernel_, {});
    task_ = start_leader();
    auto context = task_->walk_context(AT_FDCWD);
    auto master = vfs::open(*context, "/ptmx", {.flags = O_RDWR | O_NOCTTY});
    EXPECT_TRUE(master.has_value());
    master_ = *master;
    terminal_ = vfs::file_as<MasterFile>(*master_)->terminal();
    terminal_->set_locked(false);
  }
  ~Pty() override {
    master_ = nullptr;
    files_.clear();
    for (const Ref<kernel::Task>& task : tasks_) {
      Locked tree(kernel_->task_lock());
      if (task->group().process_group) task->group().process_group->session->terminal = nullptr;
      task->group().leave_process_group();
    }
  }
  // A process that leads a session of its own.
  Ref<kernel::Task> start_leader() {
    auto task = start(devpts_);
    auto session = make_ref<kernel::Session>(task->group().ids, pids_);
    session->leader = &task->group();
    Locked tree(kernel_->task_lock());
    task->group().join(make_ref<kernel::ProcessGroup>(task->group().ids, pids_, session));
    return task;
  }
  // A child of `parent` in a process group of its own.
  Ref<kernel::Task> start_job(kernel::Task& parent) {
    auto task = start(devpts_);
    Locked tree(kernel_->task_lock());
    task->group().parent = &parent.group();
    task->group().join(make_ref<kernel::ProcessGroup>(task->group().ids, pids_,
                                                      parent.group().process_group->session));
    return task;
  }
  Ref<vfs::File> open(kernel::Task& task, std::string_view path, std::uint32_t flags = O_RDWR) {
    auto context = task.walk_context(AT_FDCWD);
    auto file = vfs::open(*context, path, {.flags = flags});
    EXPECT_TRUE(file.has_value()) << path;
    if (!file) return nullptr;
    files_.push_back(*file);
    return *file;
  }
  static std::string read(vfs::File& file, vfs::Caller& caller, std::size_t size = 4096) {
    std::string text(size, '\0');
    auto to = vfs::IoBuffer::of(std::as_writable_bytes(std::span(text)));
    auto got = file.read(to, caller);
    if (!got) return "E" + std::to_string(got.error().value);
    text.resize(*got);
    return text;
  }
  static long write(vfs::File& file, vfs::Caller& caller, std::string_view text) {
    auto from = vfs::IoBuffer::of(std::as_bytes(std::span(text)));
    return FakeCaller::result(file.write(from, caller));
  }
  void raw(unsigned char least, unsigned char time) {
    Termios termios = terminal_->termios();
    termios.c_lflag = 0;
    termios.c_iflag = 0;
    termios.c_cc[VMIN] = least;
    termios.c_cc[VTIME] = time;
    terminal_->set_termios(termios, Terminal::When::kNow);
  }
  static kernel::SignalSet pending(kernel::Task& task) {
    Locked lock(task.group().signal_mutex);
    return task.group().pending.set();
  }

  Ref<DevptsFilesystem> devpts_;
  Ref<kernel::Task> task_;
  Ref<vfs::File> master_;
  Ref<Terminal> terminal_;
  std::vector<Ref<vfs::File>> files_;
};

TEST_F(Pty, NamesComeAndGoWithMasters) {
  EXPECT_THAT(names(*task_, "/"), Contains("0"));
  auto second = open(*task_, "/ptmx");
  EXPECT_THAT(names(*task_, "/"), Contains("1"));
  files_.clear();
  second = nullptr;
  EXPECT_THAT(names(*task_, "/"), Not(Contains("1")));
}

TEST_F(Pty, CarriesBytesBothWays) {
  auto slave = open(*task_, "/0");
  EXPECT_EQ(write(*slave, *task_, "out\n"), 4);
  EXPECT_EQ(read(*master_, *task_), "out\r\n");
  EXPECT_EQ(read(*slave, *task_), "E11");
  EXPECT_EQ(write(*master_, *task_, "in\n"), 3);
  EXPECT_EQ(read(*slave, *task_), "in\n");
  EXPECT_EQ(read(*master_, *task_), "in\r\n");
}

TEST_F(Pty, IsReadyWhenThereIsALine) {
  auto slave = open(*task_, "/0");
  EXPECT_EQ(slave->ready() & POLLIN, 0U);
  CountingEntry entry(POLLIN);
  slave->wait_queue()->add(entry);
  (void)write(*master_, *task_, "in");
  EXPECT_EQ(slave->ready() & POLLIN, 0U);
  (void)write(*master_, *task_, "\n");
  EXPECT_NE(slave->ready() & POLLIN, 0U);
  EXPECT_EQ(entry.count, 1);
}

TEST_F(Pty, LockedTerminalsAreNotOpened) {
  terminal_->set_locked(true);
  auto context = task_->walk_context(AT_FDCWD);
  EXPECT_EQ(vfs::open(*context, "/0", {.flags = O_RDWR}).error().value, EIO);
}

TEST_F(Pty, MasterHearsOfTheLastClose) {
  EXPECT_EQ(read(*master_, *task_), "E11");
  open(*task_, "/0");
  files_.clear();
  EXPECT_EQ(read(*master_, *task_), "E5");
  EXPECT_NE(master_->ready() & POLLHUP, 0U);
  open(*task_, "/0");
  EXPECT_EQ(read(*master_, *task_), "E11");
}

TEST_F(Pty, ClosingTheMasterHangsUp) {
  auto slave = open(*task_, "/0");
  master_ = nullptr;
  EXPECT_EQ(read(*slave, *task_), "");
  EXPECT_EQ(write(*slave, *task_, "x"), -EIO);
  EXPECT_NE(slave->ready() & POLLHUP, 0U);
  EXPECT_NE(pending(*task_) & kernel::signal_bit(SIGHUP), 0U);
}

TEST_F(Pty, FirstOpenMakesItTheSessions) {
  auto slave = open(*task_, "/0");
  EXPECT_TRUE(terminal_->controls(*task_));
  EXPECT_EQ(*terminal_->foreground_group(*task_, false), task_->group().process_group->id);
  EXPECT_EQ(*terminal_->session_id(*task_, false), task_->group().process_group->session->id);
  auto other = start_leader();
  EXPECT_EQ(terminal_->acquire(*other, false).error().value, EPERM);
  EXPECT_FALSE(terminal_->foreground_group(*other, false).has_value());
}

TEST_F(Pty, NocttyLeavesItAlone) {
  auto slave = open(*task_, "/0", O_RDWR | O_NOCTTY);
  EXPECT_FALSE(terminal_->controls(*task_));
  EXPECT_EQ(slave->flags() & O_NOCTTY, 0U);
  EXPECT_TRUE(terminal_->acquire(*task_, false).has_value());
  EXPECT_TRUE(terminal_->controls(*task_));
}

TEST_F(Pty, TerminalCanBeGivenUp) {
  auto slave = open(*task_, "/0");
  EXPECT_TRUE(terminal_->release(*task_).has_value());
  EXPECT_FALSE(terminal_->controls(*task_));
  EXPECT_EQ(terminal_->release(*task_).error().value, ENOTTY);
}

TEST_F(Pty, KeysSignalTheForegroundGroup) {
  auto slave = open(*task_, "/0");
  auto job = start_job(*task_);
  ASSERT_TRUE(
      terminal_->set_foreground_group(*task_, job->group().process_group->id, false).has_value());
  (void)write(*master_, *task_, "\x03");
  EXPECT_NE(pending(*job) & kernel::signal_bit(SIGINT), 0U);
  EXPECT_EQ(pending(*task_) & kernel::signal_bit(SIGINT), 0U);
}

TEST_F(Pty, EchoOfKeysBeforeASignalIsKept) {
  auto slave = open(*task_, "/0", O_RDWR | O_NOCTTY);
  for (const char* key : {"a", "\x03", "\x1c"}) (void)write(*master_, *task_, key);
  EXPECT_EQ(read(*master_, *task_), "a^C^\\");
}

TEST_F(Pty, WindowSizeIsToldToTheForegroundGroup) {
  auto slave = open(*task_, "/0");
  kernel::SignalAction action;
  action.handler = 4096;  // else it is ignored
  kernel_->set_action(task_->group(), SIGWINCH, action);
  struct winsize size{24, 80, 0, 0};
  terminal_->set_window_size(size);
  EXPECT_NE(pending(*task_) & kernel::signal_bit(SIGWINCH), 0U);
  EXPECT_EQ(terminal_->window_size().ws_col, 80);
}

TEST_F(Pty, ReadsInTheBackgroundStop) {
  auto slave = open(*task_, "/0");
  auto job = start_job(*task_);
  (void)write(*master_, *task_, "line\n");
  EXPECT_EQ(read(*slave, *job), "E" + std::to_string(kernel::kRestart.value));
  EXPECT_NE(pending(*job) & kernel::signal_bit(SIGTTIN), 0U);
  job->set_blocked(kernel::signal_bit(SIGTTIN));
  EXPECT_EQ(read(*slave, *job), "E5");
  EXPECT_EQ(read(*slave, *task_), "line\n");
}

TEST_F(Pty, OrphanedGroupsGetAnError) {
  auto slave = open(*task_, "/0");
  auto job = start_job(*task_);
  job->group().parent = nullptr;
  EXPECT_EQ(read(*slave, *job), "E5");
}

TEST_F(Pty, WritesInTheBackgroundStopWithTostop) {
  auto slave = open(*task_, "/0");
  auto job = start_job(*task_);
  EXPECT_EQ(write(*slave, *job, "x"), 1);
  Termios termios = terminal_->termios();
  termios.c_lflag |= TOSTOP;
  terminal_->set_termios(termios, Terminal::When::kNow);
  EXPECT_EQ(write(*slave, *job, "x"), -kernel::kRestart.value);
  EXPECT_NE(pending(*job) & kernel::signal_bit(SIGTTOU), 0U);
  job->set_blocked(kernel::signal_bit(SIGTTOU));
  EXPECT_EQ(write(*slave, *job, "x"), 1);
}

TEST_F(Pty, OnlyGroupsOfTheSessionComeToTheFront) {
  auto slave = open(*task_, "/0");
  auto other = start_leader();
  int foreign = other->group().process_group->id;
  EXPECT_EQ(terminal_->set_foreground_group(*task_, foreign, false).error().value, EPERM);
  EXPECT_EQ(terminal_->set_foreground_group(*task_, 999, false).error().value, ESRCH);
  EXPECT_EQ(terminal_->set_foreground_group(*task_, -1, false).error().value, EINVAL);
  EXPECT_EQ(terminal_->set_foreground_group(*other, foreign, false).error().value, ENOTTY);
}

TEST_F(Pty, VminWaitsForThatMany) {
  auto slave = open(*task_, "/0");
  raw(3, 0);
  (void)write(*master_, *task_, "ab");
  EXPECT_EQ(read(*slave, *task_), "E11");
  (void)write(*master_, *task_, "c");
  EXPECT_EQ(read(*slave, *task_), "abc");
  slave->set_flags(slave->flags() | O_NONBLOCK);
  (void)write(*master_, *task_, "d");
  EXPECT_EQ(read(*slave, *task_), "d");
}

TEST_F(Pty, ZeroVminAndVtimeAnswerAtOnce) {
  auto slave = open(*task_, "/0");
  raw(0, 0);
  EXPECT_EQ(read(*slave, *task_), "");
  (void)write(*master_, *task_, "x");
  EXPECT_EQ(read(*slave, *task_), "x");
}

TEST_F(Pty, VtimeAloneEndsAReadWithNothing) {
  auto slave = open(*task_, "/0");
  raw(0, 1);
  std::int64_t began = kernel_->monotonic_ns();
  std::string text;
  do text = read(*slave, *task_);
  while (text == "E11" && kernel_->monotonic_ns() - began < std::int64_t{20'000'000'000});
  EXPECT_EQ(text, "");
  EXPECT_GE(kernel_->monotonic_ns() - began, 100'000'000);
}

TEST_F(Pty, PacketModeTellsWhatHappened) {
  auto slave = open(*task_, "/0");
  terminal_->set_packet_mode(true);
  (void)write(*slave, *task_, "x");
  EXPECT_EQ(read(*master_, *task_), std::string("\0x", 2));
  terminal_->flush(true, false);
  EXPECT_NE(master_->ready() & POLLPRI, 0U);
  EXPECT_EQ(read(*master_, *task_), std::string(1, TIOCPKT_FLUSHREAD));
}

TEST_F(Pty, StoppedOutputWaits) {
  auto slave = open(*task_, "/0");
  (void)write(*master_, *task_, "\x13");
  EXPECT_EQ(write(*slave, *task_, "x"), -EAGAIN);
  EXPECT_EQ(slave->ready() & POLLOUT, 0U);
  (void)write(*master_, *task_, "\x11");
  EXPECT_EQ(write(*slave, *task_, "x"), 1);
}

TEST_F(Pty, AFullTerminalTakesNoMore) {
  auto slave = open(*task_, "/0");
  long total = 0;
  std::string much(100000, 'x');
  while (write(*slave, *task_, much) > 0) total += 1;
  EXPECT_GT(total, 0);
  EXPECT_EQ(slave->ready() & POLLOUT, 0U);
  (void)read(*master_, *task_, 1 << 20);
  EXPECT_NE(slave->ready() & POLLOUT, 0U);
}

TEST_F(Pty, RequestsReachTheTerminal) {
  auto slave = open(*task_, "/0", O_RDWR | O_NOCTTY);
  FakeCaller caller;
  int number = -1;
  EXPECT_EQ(caller.ioctl_on(*master_, TIOCGPTN, number), 0);
  EXPECT_EQ(number, 0);
  int locked = 1;
  EXPECT_EQ(caller.ioctl_on(*master_, TIOCSPTLCK, locked), 0);
  EXPECT_TRUE(terminal_->is_locked());
  struct winsize size{10, 20, 0, 0};
  EXPECT_EQ(caller.ioctl_on(*master_, TIOCSWINSZ, size), 0);
  struct winsize told{};
  EXPECT_EQ(caller.ioctl_on(*slave, TIOCGWINSZ, told), 0);
  EXPECT_EQ(told.ws_row, 10);
  (void)write(*master_, *task_, "abc\n");
  int bytes = 0;
  EXPECT_EQ(caller.ioctl_on(*slave, FIONREAD, bytes), 0);
  EXPECT_EQ(bytes, 4);
  EXPECT_EQ(caller.ioctl(*slave, 0x1234, 0), -ENOTTY);
  EXPECT_EQ(caller.ioctl(*slave, TCGETS, 8), -EFAULT);
}

TEST_F(Pty, NamesAndNumbersAreThoseOfLinux) {
  auto slave = open(*task_, "/0");
  auto attributes = slave->attributes();
  EXPECT_EQ(attributes->mode, static_cast<std::uint32_t>(S_IFCHR | 0600));
  EXPECT_EQ(attributes->special_device, (std::uint64_t{136} << 8));
  EXPECT_EQ(attributes->inode, 3U);
  EXPECT_EQ(terminal_->name(), "/dev/pts/0");
}

TEST_F(Pty, OwnTerminalIsOpenedByItsDevice) {
  auto special = make_ref<SpecialFiles>();
  add_terminal_devices(*special, devpts_);
  auto inode = *devpts_->root()->lookup("0");
  std::uint64_t tty = std::uint64_t{5} << 8;
  EXPECT_EQ(special->open({}, inode, tty, O_RDWR, *task_).error().value, ENXIO);
  auto slave = open(*task_, "/0");
  auto own = special->open({}, inode, tty, O_RDWR, *task_);
  ASSERT_TRUE(own.has_value());
  files_.push_back(*own);
  EXPECT_EQ(vfs::file_as<TerminalFile>(**own)->terminal().get(), terminal_.get());
}

TEST(DevptsOptions, AreThoseOfMount) {
  auto options = DevptsOptions::parse("newinstance,ptmxmode=0666,mode=0620,gid=5");
  ASSERT_TRUE(options.has_value());
  EXPECT_EQ(options->mode, 0620U);
  EXPECT_EQ(options->ptmx_mode, 0666U);
  EXPECT_EQ(options->gid, 5U);
  EXPECT_TRUE(DevptsOptions::parse("").has_value());
  EXPECT_EQ(DevptsOptions::parse("mode=9").error().value, EINVAL);
  EXPECT_EQ(DevptsOptions::parse("what=1").error().value, EINVAL);
}

}  // namespace
}  // namespace caisson::sandbox::fs

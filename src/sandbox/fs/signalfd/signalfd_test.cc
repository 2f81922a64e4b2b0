#include "sandbox/fs/signalfd/signalfd.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>

#include <cstring>

#include <gtest/gtest.h>

#include "sandbox/fs/kernel_fixture_test.h"
#include "sandbox/fs/proc/proc.h"
#include "sandbox/fs/test_caller.h"

namespace caisson::sandbox::fs {
namespace {

class Signalfd : public KernelFixture {
 protected:
  Signalfd() {
    task_ = start(ProcFilesystem::create(*kernel_, pids_, facts_));
    task_->set_blocked(kernel::signal_bit(SIGUSR1) | kernel::signal_bit(SIGRTMIN + 1));
    file_ = make_ref<SignalFile>(Ref<kernel::ThreadGroup>::share(&task_->group()),
                                 kernel::signal_bit(SIGUSR1) | kernel::signal_bit(SIGRTMIN + 1),
                                 std::uint32_t{O_RDWR});
    task_->group().limits[11 /* RLIMIT_SIGPENDING */] = {100, 100};
  }
  long read(std::size_t size) {
    std::string bytes(size, '\0');
    auto to = vfs::IoBuffer::of(std::as_writable_bytes(std::span(bytes)));
    auto got = file_->read(to, *task_);
    if (got) std::memcpy(told_, bytes.data(), *got);
    return got ? static_cast<long>(*got) : -got.error().value;
  }
  void send(int signal, std::uint64_t value = 0) {
    auto info = kernel::SignalInfo::user(signal, 7, 8);
    info.value = value;
    EXPECT_TRUE(kernel_->signal_group(task_->group(), info).has_value());
  }
  Ref<kernel::Task> task_;
  Ref<SignalFile> file_;
  signalfd_siginfo told_[4] = {};
};

TEST_F(Signalfd, ReadsPendingSignals) {
  EXPECT_EQ(read(128), -EAGAIN);
  EXPECT_EQ(read(127), -EINVAL);
  send(SIGUSR1);
  EXPECT_EQ(file_->ready_for(*task_), static_cast<vfs::ReadyMask>(POLLIN));
  EXPECT_EQ(read(512), 128);
  EXPECT_EQ(told_[0].ssi_signo, static_cast<unsigned>(SIGUSR1));
  EXPECT_EQ(told_[0].ssi_pid, 7U);
  EXPECT_EQ(told_[0].ssi_uid, 8U);
  EXPECT_EQ(file_->ready_for(*task_), 0U);
}

TEST_F(Signalfd, ReadsSeveralAtOnce) {
  send(SIGRTMIN + 1);
  send(SIGRTMIN + 1);
  send(SIGUSR1);
  EXPECT_EQ(read(256), 256);
  EXPECT_EQ(read(256), 128);
}

TEST_F(Signalfd, LeavesOtherSignalsAlone) {
  task_->set_blocked(kernel::signal_bit(SIGUSR2));
  send(SIGUSR2);
  EXPECT_EQ(file_->ready_for(*task_), 0U);
  EXPECT_EQ(read(128), -EAGAIN);
  file_->set_mask(kernel::signal_bit(SIGUSR2));
  EXPECT_EQ(read(128), 128);
}

TEST_F(Signalfd, TellsWhoWaits) {
  CountingEntry entry;
  file_->wait_queue()->add(entry);
  send(SIGUSR1);
  EXPECT_EQ(entry.count, 1);
}

TEST_F(Signalfd, NeverTakesKillAndStop) {
  file_->set_mask(~kernel::SignalSet{0});
  EXPECT_EQ(file_->info_text(), "sigmask:\tfffffffffffbfeff\n");
}

}  // namespace
}  // namespace caisson::sandbox::fs

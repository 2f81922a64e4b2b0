// Pipes, eventfd and epoll against those of this host's kernel: the same random operations on both,
// all without blocking, have to give the same results.
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "sandbox/fs/epoll/epoll.h"
#include "sandbox/fs/eventfd/eventfd.h"
#include "sandbox/fs/pipe/pipe_file.h"
#include "sandbox/fs/test_caller.h"

namespace caisson::sandbox::fs {
namespace {

using Events = std::vector<EpollEvent>;

// A slot holds a descriptor, or nothing. Results: a value, or a negated errno.
class HostWorld {
 public:
  ~HostWorld() {
    for (int fd : slots_)
      if (fd >= 0) ::close(fd);
  }
  std::size_t size() const { return slots_.size(); }
  void make_pipe(int flags) {
    int fds[2];
    ASSERT_EQ(::pipe2(fds, O_NONBLOCK | O_CLOEXEC | flags), 0);
    slots_.insert(slots_.end(), fds, fds + 2);
  }
  void make_eventfd(unsigned initial, bool semaphore) {
    slots_.push_back(
        ::eventfd(initial, EFD_NONBLOCK | EFD_CLOEXEC | (semaphore ? EFD_SEMAPHORE : 0)));
  }
  void make_epoll() { slots_.push_back(::epoll_create1(EPOLL_CLOEXEC)); }
  void close(std::size_t slot) {
    if (slots_[slot] >= 0) ::close(slots_[slot]);
    slots_[slot] = -1;
  }
  long write(std::size_t slot, const std::string& text) {
    return outcome(::write(slots_[slot], text.data(), text.size()));
  }
  long read(std::size_t slot, std::string& text) {
    long got = outcome(::read(slots_[slot], text.data(), text.size()));
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return got;
  }
  long poll(std::size_t slot) {
    pollfd entry{slots_[slot], POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0};
    ::poll(&entry, 1, 0);
    return entry.revents;
  }
  long available(std::size_t slot) {
    int bytes = 0;
    return ::ioctl(slots_[slot], FIONREAD, &bytes) == 0 ? bytes : -errno;
  }
  long set_pipe_size(std::size_t slot, int size) {
    return outcome(::fcntl(slots_[slot], F_SETPIPE_SZ, size));
  }
  long tee(std::size_t from, std::size_t to, std::size_t size) {
    return outcome(::tee(slots_[from], slots_[to], size, SPLICE_F_NONBLOCK));
  }
  long splice(std::size_t from, std::size_t to, std::size_t size) {
    return outcome(::splice(slots_[from], nullptr, slots_[to], nullptr, size, SPLICE_F_NONBLOCK));
  }
  long control(int operation, std::size_t epoll, std::size_t slot, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = slot;
    return outcome(::epoll_ctl(slots_[epoll], operation, slots_[slot], &event));
  }
  long wait(std::size_t epoll, int most, Events& events) {
    epoll_event found[16];
    long count = outcome(::epoll_wait(slots_[epoll], found, most, 0));
    for (long i = 0; i < count; ++i) events.push_back({found[i].events, found[i].data.u64});
    return count;
  }

 private:
  static long outcome(long value) { return value < 0 ? -errno : value; }
  std::vector<int> slots_;
};

class OurWorld {
 public:
  std::size_t size() const { return slots_.size(); }
  void make_pipe(int flags) {
    auto pair =
        PipePair::create(static_cast<std::uint32_t>(O_NONBLOCK | flags), caller_.credentials());
    slots_.push_back(pair.reader);
    slots_.push_back(pair.writer);
  }
  void make_eventfd(unsigned initial, bool semaphore) {
    slots_.push_back(make_ref<EventFile>(std::uint64_t{initial}, semaphore,
                                         static_cast<std::uint32_t>(O_RDWR | O_NONBLOCK)));
  }
  void make_epoll() { slots_.push_back(make_ref<EpollFile>(0U)); }
  void close(std::size_t slot) { slots_[slot] = nullptr; }
  long write(std::size_t slot, const std::string& text) {
    if (!slots_[slot] || !slots_[slot]->writable()) return -EBADF;
    return caller_.write(*slots_[slot], text);
  }
  long read(std::size_t slot, std::string& text) {
    if (!slots_[slot] || !slots_[slot]->readable()) {
      text.clear();
      return -EBADF;
    }
    auto to = vfs::IoBuffer::of(std::as_writable_bytes(std::span(text)));
    long got = FakeCaller::result(slots_[slot]->read(to, caller_));
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return got;
  }
  long poll(std::size_t slot) {
    if (!slots_[slot]) return 0;  // a negative descriptor
    return slots_[slot]->ready() & (POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLERR | POLLHUP);
  }
  long available(std::size_t slot) {
    if (!slots_[slot]) return -EBADF;
    int bytes = 0;
    long outcome = caller_.ioctl_on(*slots_[slot], FIONREAD, bytes);
    return outcome == 0 ? bytes : outcome;
  }
  long set_pipe_size(std::size_t slot, int size) {
    if (!slots_[slot]) return -EBADF;
    auto outcome = slots_[slot]->control(caller_, F_SETPIPE_SZ, static_cast<std::uint64_t>(size));
    return outcome ? static_cast<long>(*outcome) : -outcome.error().value;
  }
  // The checks of the call itself are the system call layer's: only for a read and a write end.
  long tee(std::size_t from, std::size_t to, std::size_t size) {
    return FakeCaller::result(Pipe::duplicate(pipe(from), pipe(to), size));
  }
  long splice(std::size_t from, std::size_t to, std::size_t size) {
    return FakeCaller::result(Pipe::move(pipe(from), pipe(to), size));
  }
  bool is_epoll(std::size_t slot) const {
    return slots_[slot] && vfs::file_as<EpollFile>(*slots_[slot]) != nullptr;
  }
  bool is_pipe_end(std::size_t slot, bool reader) const {
    if (!slots_[slot] || vfs::file_as<PipeFile>(*slots_[slot]) == nullptr) return false;
    return reader ? slots_[slot]->readable() : slots_[slot]->writable();
  }
  long control(int operation, std::size_t epoll, std::size_t slot, std::uint32_t events) {
    if (!slots_[epoll] || !slots_[slot]) return -EBADF;
    auto* file = vfs::file_as<EpollFile>(*slots_[epoll]);
    if (file == nullptr) return -EINVAL;
    ErrnoOr<> outcome;
    EpollEvent event{events, slot};
    int fd = static_cast<int>(slot);
    if (operation == EPOLL_CTL_ADD) outcome = file->add(*slots_[slot], fd, event, caller_);
    if (operation == EPOLL_CTL_MOD) outcome = file->modify(*slots_[slot], fd, event, caller_);
    if (operation == EPOLL_CTL_DEL) outcome = file->remove(*slots_[slot], fd);
    return outcome ? 0 : -outcome.error().value;
  }
  long wait(std::size_t epoll, int most, Events& events) {
    if (!slots_[epoll]) return -EBADF;
    auto* file = vfs::file_as<EpollFile>(*slots_[epoll]);
    if (file == nullptr) return -EINVAL;
    events = file->collect(static_cast<std::size_t>(most), caller_);
    return static_cast<long>(events.size());
  }

 private:
  Pipe& pipe(std::size_t slot) { return vfs::file_as<PipeFile>(*slots_[slot])->pipe(); }
  FakeCaller caller_;
  std::vector<Ref<vfs::File>> slots_;
};

class Comparison {
 public:
  explicit Comparison(unsigned seed) : random_(seed) {
    (void)std::signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < 3; ++i) make(0);
    make(1);
    make(2);
    make(2);
  }
  // What was done, for the reader of a failure.
  const std::vector<std::string>& log() const { return log_; }
  void step() {
    ++step_;
    switch (pick(14)) {
      case 0: maybe_make_or_close(); break;
      case 1:
      case 2:
      case 3: write(); break;
      case 4:
      case 5:
      case 6: read(); break;
      case 7: poll(); break;
      case 8: size(); break;
      case 9: move(); break;
      case 10:
      case 11: control(); break;
      default: wait(); break;
    }
  }

 private:
  void note(const char* what, std::initializer_list<std::uint64_t> values) {
    std::string line = std::to_string(step_) + " " + what;
    for (std::uint64_t value : values) line += " " + std::to_string(value);
    log_.push_back(line);
  }
  std::size_t pick(std::size_t count) { return random_() % count; }
  std::size_t slot() { return pick(host_.size()); }

  void make(std::size_t kind) {
    unsigned initial = static_cast<unsigned>(pick(3));
    int flags = pick(4) == 0 ? O_DIRECT : 0;
    bool semaphore = pick(2) == 0;
    note("make kind flags semaphore", {kind, static_cast<unsigned>(flags), semaphore});
    if (kind == 0) host_.make_pipe(flags), ours_.make_pipe(flags);
    if (kind == 1) host_.make_eventfd(initial, semaphore), ours_.make_eventfd(initial, semaphore);
    if (kind == 2) host_.make_epoll(), ours_.make_epoll();
  }
  void maybe_make_or_close() {
    if (host_.size() < 24 && pick(3) == 0) return make(pick(3));
    if (pick(6) != 0) return;
    std::size_t gone = slot();
    note("close", {gone});
    host_.close(gone);
    ours_.close(gone);
  }
  std::size_t amount() {
    static constexpr std::size_t kAmounts[] = {0,    1,    7,    8,    100,   4095,
                                               4096, 4097, 8192, 9000, 65536, 70000};
    return kAmounts[pick(std::size(kAmounts))];
  }
  void write() {
    std::size_t at = slot();
    std::string text(amount(), '\0');
    for (char& byte : text) byte = static_cast<char>(next_byte_++ % 251);
    if (text.size() == 8) std::memset(text.data() + 1, pick(8) == 0 ? 0xff : 0, 7);
    note("write", {at, text.size()});
    long outcome = host_.write(at, text);
    note("  wrote", {static_cast<std::uint64_t>(outcome)});
    EXPECT_EQ(outcome, ours_.write(at, text)) << "write at " << step_;
  }
  void read() {
    std::size_t at = slot();
    std::string theirs(amount(), '\0');
    std::string mine = theirs;
    note("read", {at, theirs.size()});
    long outcome = host_.read(at, theirs);
    note("  got", {static_cast<std::uint64_t>(outcome)});
    EXPECT_EQ(outcome, ours_.read(at, mine)) << "read at " << step_;
    EXPECT_TRUE(theirs == mine) << "bytes at " << step_;
  }
  void poll() {
    std::size_t at = slot();
    note("poll", {at});
    EXPECT_EQ(host_.poll(at), ours_.poll(at)) << "poll at " << step_;
  }
  void size() {
    std::size_t at = slot();
    if (ours_.is_pipe_end(at, true) || ours_.is_pipe_end(at, false)) {
      EXPECT_EQ(host_.available(at), ours_.available(at)) << "FIONREAD at " << step_;
    }
    int wanted = static_cast<int>(amount() * (pick(4) + 1));
    if (pick(4) == 0) {
      note("resize", {at, static_cast<unsigned>(wanted)});
      EXPECT_EQ(host_.set_pipe_size(at, wanted), ours_.set_pipe_size(at, wanted))
          << "F_SETPIPE_SZ " << wanted << " at " << step_;
    }
  }
  void move() {
    std::size_t from = slot(), to = slot(), size = amount();
    if (!ours_.is_pipe_end(from, true) || !ours_.is_pipe_end(to, false)) return;
    note("tee or splice", {from, to, size});
    if (pick(2) == 0) {
      EXPECT_EQ(host_.tee(from, to, size), ours_.tee(from, to, size)) << "tee at " << step_;
    } else {
      EXPECT_EQ(host_.splice(from, to, size), ours_.splice(from, to, size))
          << "splice at " << step_;
    }
  }
  void control() {
    static constexpr std::uint32_t kFlags[] = {
        0, 0, 0, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLONESHOT};
    static constexpr std::uint32_t kEvents[] = {EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLOUT, 0,
                                                EPOLLRDHUP};
    static constexpr int kOperations[] = {EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_ADD,
                                          EPOLL_CTL_MOD, EPOLL_CTL_DEL};
    std::size_t epoll = slot(), at = slot();
    std::uint32_t events = kEvents[pick(std::size(kEvents))] | kFlags[pick(std::size(kFlags))];
    if (pick(10) == 0) events |= EPOLLEXCLUSIVE;
    // How often an instance in another one makes an edge is not what anybody can rely on.
    if (ours_.is_epoll(at)) events &= ~(EPOLLET | EPOLLONESHOT);
    int operation = kOperations[pick(std::size(kOperations))];
    note("control epoll operation slot events",
         {epoll, static_cast<unsigned>(operation), at, events});
    EXPECT_EQ(host_.control(operation, epoll, at, events),
              ours_.control(operation, epoll, at, events))
        << "epoll_ctl " << operation << " of " << at << " at " << step_;
  }
  void wait() {
    std::size_t at = slot();
    Events theirs, mine;
    int most = static_cast<int>(pick(15) + 1);
    note("wait most", {at, static_cast<unsigned>(most)});
    EXPECT_EQ(host_.wait(at, most, theirs), ours_.wait(at, most, mine)) << "wait at " << step_;
    for (const EpollEvent& event : theirs) note("  host", {event.data, event.events});
    for (const EpollEvent& event : mine) note("  ours", {event.data, event.events});
    ASSERT_EQ(theirs.size(), mine.size());
    for (std::size_t i = 0; i < mine.size(); ++i) {
      EXPECT_EQ(theirs[i].data, mine[i].data) << "event " << i << " at " << step_;
      EXPECT_EQ(theirs[i].events, mine[i].events) << "event " << i << " at " << step_;
    }
  }

  HostWorld host_;
  OurWorld ours_;
  std::mt19937 random_;
  std::vector<std::string> log_;
  unsigned next_byte_ = 0;
  int step_ = 0;
};

class Differential : public testing::TestWithParam<unsigned> {};

TEST_P(Differential, PipesEventfdsAndEpollBehaveAsTheHosts) {
  Comparison comparison(GetParam());
  for (int i = 0; i < 4000 && !HasFailure(); ++i) comparison.step();
  if (HasFailure())
    for (const std::string& line : comparison.log()) std::fprintf(stderr, "%s\n", line.c_str());
}

INSTANTIATE_TEST_SUITE_P(Seeds, Differential, testing::Range(1U, 41U));

}  // namespace
}  // namespace caisson::sandbox::fs

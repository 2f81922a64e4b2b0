#include "sandbox/platform/stub_process.h"

#include <linux/futex.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "sys/file.h"
#include "sys/process.h"

namespace caisson::sandbox::platform {
namespace {

// How long to sleep before looking whether the stub still lives. Wake-ups come by themselves; this
// is for the ways in which none comes.
constexpr timespec kLook{0, 20'000'000};

void futex_wait(const std::uint32_t& word, std::uint32_t expected) {
  (void)sys::call_void(SYS_futex, &word, FUTEX_WAIT, expected, &kLook, nullptr, 0);
}
void futex_wake(const std::uint32_t& word) {
  (void)sys::call_void(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

}  // namespace

StubProcess::StubProcess(StubFamily& family, Chunk chunk) : family_(&family), chunks_{chunk} {}

StubProcess::~StubProcess() {
  for (Chunk chunk : chunks_) family_->slots().give_back(chunk);
}

ThreadCommand& StubProcess::command(std::uint32_t index) const {
  return *reinterpret_cast<ThreadCommand*>(
      family_->slots().command(chunks_[index / kChunk], index));
}
std::byte* StubProcess::area(std::uint32_t index) const {
  return family_->slots().area(chunks_[index / kChunk], index);
}
AreaHead& StubProcess::head(std::uint32_t index) const {
  return *reinterpret_cast<AreaHead*>(area(index) + kHeadOffset);
}

void StubProcess::send_command(HelperOperation operation) {
  HelperCommand& command = helper();
  command.operation = operation;
  std::atomic_ref(command.sequence).fetch_add(1, std::memory_order_release);
  futex_wake(command.sequence);
}

// The position to which the helper thread, and nobody else, has set the answer's file.
ErrnoOr<std::int64_t> StubProcess::answer() {
  if (!answer_) answer_ = TRY(take_descriptor(kFdAnswer));
  return TRY(sys::call(SYS_lseek, answer_.number(), 0, SEEK_CUR));
}

// The answer to the last command.
ErrnoOr<std::int32_t> StubProcess::wait_for_answer() {
  for (;;) {
    std::int64_t position = TRY(answer());
    if ((position >> 32) == helper().sequence) return static_cast<std::int32_t>(position);
    if (ended()) return std::unexpected(Errno{ESRCH});
    // It was about to be given when this began to wait.
    (void)sys::call_void(SYS_sched_yield);
  }
}

// Sleeps until a new thread has told that it is ready; `teller` is whose helper was commanded.
ErrnoOr<std::uint32_t> StubProcess::wait_until_ready(const AreaHead& head, StubProcess& teller) {
  auto& word = const_cast<std::uint32_t&>(head.ready);
  for (;;) {
    std::uint32_t ready = std::atomic_ref(word).load(std::memory_order_acquire);
    auto error = static_cast<std::int32_t>(ready);
    if (error < 0) return std::unexpected(Errno{-error});
    if (ready != 0) return ready;
    futex_wait(word, 0);
    if (std::atomic_ref(word).load(std::memory_order_acquire) != 0) continue;
    if (teller.ended() || (pidfd_ && ended())) return std::unexpected(Errno{ESRCH});
    std::int64_t position = TRY(teller.answer());
    if ((position >> 32) != teller.helper().sequence) continue;
    auto result = static_cast<std::int32_t>(position);
    if (result < 0) return std::unexpected(Errno{-result});
    if (!pidfd_) TRY(adopt(result));
    if (this != &teller) TRY(look_for_failure(teller));
  }
}

// A new process answers its first command, the one for its thread, by a file of its own. Until it
// has that, it has its parent's.
ErrnoOr<> StubProcess::look_for_failure(const StubProcess& parent) {
  auto file = take_descriptor(kFdAnswer);
  if (!file) return {};  // it is about to end, which shows
  if (TRY(sys::fstat(*file)).st_ino == TRY(sys::fstat(parent.answer_)).st_ino) return {};
  answer_ = std::move(*file);
  std::int64_t position = TRY(answer());
  auto result = static_cast<std::int32_t>(position);
  if ((position >> 32) == helper().sequence && result < 0) return std::unexpected(Errno{-result});
  return {};
}

ErrnoOr<> StubProcess::adopt(pid_t pid) {
  pid_ = pid;
  pidfd_ = TRY(sys::pidfd_open(pid));
  return {};
}

void StubProcess::prepare_thread(std::uint32_t index) const {
  ThreadCommand& command = this->command(index);
  command = {};
  command.stack = kAreas + std::uint64_t{index} * kAreaSize;
  command.stack_size = kStackSize;
  std::memset(area(index) + kRecordOffset, 0, sizeof(CallRecord));
  std::memset(area(index) + kHeadOffset, 0, sizeof(AreaHead));
}

ErrnoOr<> StubProcess::map_chunk_for(std::uint32_t index) {
  HelperCommand& command = helper();
  command.map = index / kChunk == chunks_.size();
  if (command.map == 0) return {};
  Chunk chunk = TRY(family_->slots().take());
  chunks_.push_back(chunk);
  command.command_at = kCommands + std::uint64_t{index} * kCommandSize;
  command.command_offset = chunk.command_offset();
  command.area_at = kAreas + std::uint64_t{index} * kAreaSize;
  command.area_offset = chunk.area_offset();
  return {};
}

ErrnoOr<std::uint32_t> StubProcess::make_thread(std::uint32_t index) {
  Locked lock(mutex_);
  if (ended()) return std::unexpected(Errno{ESRCH});
  TRY(map_chunk_for(index));
  prepare_thread(index);
  HelperCommand& command = helper();
  command.index = index;
  command.listens = family_->traced() ? 0 : 1;
  command.filter_flags = family_->filter_flags();
  send_command(HelperOperation::kThread);
  return wait_until_ready(head(index), *this);
}

ErrnoOr<pid_t> StubProcess::made_thread_id() {
  Locked lock(mutex_);
  return TRY(wait_for_answer());
}

ErrnoOr<> StubProcess::fork(StubProcess& child) {
  Locked lock(mutex_);
  if (ended()) return std::unexpected(Errno{ESRCH});
  child.prepare_thread(1);
  HelperCommand& first = child.helper();
  first.index = 1;
  first.map = 0;
  first.listens = family_->traced() ? 0 : 1;
  first.filter_flags = family_->filter_flags();
  first.operation = HelperOperation::kThread;
  first.sequence = 1;
  HelperCommand& command = helper();
  command.command_offset = child.chunks_[0].command_offset();
  command.area_offset = child.chunks_[0].area_offset();
  command.kernel = sys::getpid();
  send_command(HelperOperation::kFork);
  auto ready = child.wait_until_ready(child.head(1), *this);
  if (!child.pidfd_) {
    // Whatever became of the thread: the process is there if the answer says so.
    pid_t pid = TRY(wait_for_answer());
    if (pid < 0) return std::unexpected(Errno{-pid});
    TRY(child.adopt(pid));
  }
  if (!ready) return std::unexpected(ready.error());
  return {};
}

ErrnoOr<Fd> StubProcess::take_descriptor(int number) const {
  return sys::pidfd_getfd(pidfd_, number);
}

// How many of `size` bytes lie in the guest's part of the address space.
static ErrnoOr<std::size_t> guest_bytes(std::uint64_t address, std::size_t size) {
  if (address >= kRegion) return std::unexpected(Errno{EFAULT});
  return std::min<std::size_t>(size, kRegion - address);
}

ErrnoOr<std::size_t> StubProcess::read(std::uint64_t address, std::span<std::byte> to) const {
  if (to.empty()) return 0;
  std::size_t size = TRY(guest_bytes(address, to.size()));
  iovec local{to.data(), size};
  iovec remote{reinterpret_cast<void*>(address), size};
  return static_cast<std::size_t>(
      TRY(sys::call(SYS_process_vm_readv, pid_, &local, 1, &remote, 1, 0)));
}

ErrnoOr<std::size_t> StubProcess::write(std::uint64_t address,
                                        std::span<const std::byte> from) const {
  if (from.empty()) return 0;
  std::size_t size = TRY(guest_bytes(address, from.size()));
  iovec local{const_cast<std::byte*>(from.data()), size};
  iovec remote{reinterpret_cast<void*>(address), size};
  return static_cast<std::size_t>(
      TRY(sys::call(SYS_process_vm_writev, pid_, &local, 1, &remote, 1, 0)));
}

namespace {

// Holds a thread of a stub that nobody else traces, for a scope.
class Seized {
 public:
  explicit Seized(pid_t thread) : thread_(thread) {}
  Seized(const Seized&) = delete;
  Seized& operator=(const Seized&) = delete;
  ~Seized() { (void)sys::call_void(SYS_ptrace, PTRACE_DETACH, thread_, 0, 0); }

  ErrnoOr<> stop() {
    TRY(sys::call_void(SYS_ptrace, PTRACE_SEIZE, thread_, 0, 0));
    TRY(sys::call_void(SYS_ptrace, PTRACE_INTERRUPT, thread_, 0, 0));
    int status = 0;
    TRY(sys::call_retry(SYS_wait4, thread_, &status, __WALL, nullptr));
    if (!WIFSTOPPED(status)) return std::unexpected(Errno{ESRCH});
    return {};
  }
  ErrnoOr<std::uint64_t> peek(std::uint64_t address) {
    std::uint64_t word = 0;
    TRY(sys::call_void(SYS_ptrace, PTRACE_PEEKDATA, thread_, address, &word));
    return word;
  }
  ErrnoOr<> poke(std::uint64_t address, std::uint64_t word) {
    return sys::call_void(SYS_ptrace, PTRACE_POKEDATA, thread_, address, word);
  }

 private:
  pid_t thread_;
};

}  // namespace

ErrnoOr<std::size_t> StubProcess::write_forced(std::uint64_t address,
                                               std::span<const std::byte> from) {
  from = from.first(TRY(guest_bytes(address, from.size())));
  Locked lock(mutex_);
  Seized helper(pid_);
  TRY(helper.stop());
  std::size_t done = 0;
  while (done < from.size()) {
    std::uint64_t at = (address + done) & ~std::uint64_t{7};
    std::size_t skip = address + done - at;
    std::size_t size = std::min(sizeof(std::uint64_t) - skip, from.size() - done);
    auto word = helper.peek(at);
    if (!word) break;
    std::memcpy(reinterpret_cast<std::byte*>(&*word) + skip, from.data() + done, size);
    if (!helper.poke(at, *word)) break;
    done += size;
  }
  if (done == 0 && !from.empty()) return std::unexpected(Errno{EFAULT});
  return done;
}

void StubProcess::kill() {
  killed_ = true;
  // Fails only when it has ended already.
  if (pidfd_) (void)sys::pidfd_send_signal(pidfd_, SIGKILL);
}

// A process of which a thread is traced does not count as ended before its tracer has seen that
// thread's end, and the tracer may be waiting for what depends on this.
bool StubProcess::ended() const {
  if (killed_) return true;
  pollfd end{pidfd_.number(), POLLIN, 0};
  auto ready = sys::poll({&end, 1}, 0);
  return ready && *ready > 0;
}

void StubProcess::await_end(int milliseconds) const {
  if (!pidfd_) return;
  pollfd end{pidfd_.number(), POLLIN, 0};
  (void)sys::poll({&end, 1}, milliseconds);
}

bool StubProcess::reap(bool wait) {
  if (!pidfd_) return true;
  auto status = sys::wait_pidfd(pidfd_, __WALL | (wait ? 0 : WNOHANG));
  return !status || status->pid != 0;
}

}  // namespace caisson::sandbox::platform

// Address spaces with real guests, on every platform: what guest code reads, writes and is told
// after the calls that the other tests hold against a host that is only imagined.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <string_view>

#include <gtest/gtest.h>

#include "sandbox/mm/memory_fixture_test.h"

#if defined(__x86_64__)

namespace caisson::sandbox::mm {
namespace {

constexpr std::uint64_t kCode = 0x400000;
constexpr int kReadWrite = PROT_READ | PROT_WRITE;
constexpr int kPrivate = MAP_PRIVATE | MAP_ANONYMOUS;

// Guest code by its bytes: loads or stores one byte at rdi, then makes a system call.
constexpr unsigned char kLoad[] = {0x8a, 0x1f, 0x0f, 0x05};         // mov (%rdi),%bl; syscall
constexpr unsigned char kStore[] = {0x40, 0x88, 0x37, 0x0f, 0x05};  // mov %sil,(%rdi); syscall
constexpr unsigned char kJump[] = {0xff, 0xe7};                     // jmp *%rdi
constexpr std::uint64_t kLoadAt = kCode, kStoreAt = kCode + 16, kJumpAt = kCode + 32;

struct Touched {
  int signal = 0, code = 0;  // 0: it worked
  std::uint8_t value = 0;
};

class RealMemory : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    ::alarm(50);  // a hang is a failure
    auto made = GetParam() == std::string_view("ptrace") ? platform::make_ptrace()
                                                         : platform::make_systrap();
    ASSERT_TRUE(made) << made.error().message();
    platform_ = std::move(*made);
    memory_ = MUST(MemoryMap::create(*platform_));
    MapCall code{kCode, kPageSize, kReadWrite | PROT_EXEC, kPrivate | MAP_FIXED, nullptr, 0, {}};
    MUST(memory_->map(nullptr, code, limits_));
    put_code(kLoadAt, kLoad);
    put_code(kStoreAt, kStore);
    put_code(kJumpAt, kJump);
    thread_ = MUST(memory_->space().new_thread(platform::Registers{}, nullptr));
  }
  void TearDown() override {
    thread_.reset();
    memory_ = nullptr;
    platform_.reset();
    EXPECT_EQ(::waitpid(-1, nullptr, __WALL | WNOHANG), -1);  // no stub is left
    ::alarm(0);
  }

  void put_code(std::uint64_t at, std::span<const unsigned char> bytes) {
    ASSERT_EQ(MUST(memory_->write(at, std::as_bytes(bytes))), bytes.size());
  }
  std::uint64_t map(std::uint64_t length, int protection = kReadWrite, int flags = kPrivate,
                    Ref<vfs::File> file = nullptr, std::uint64_t address = 0) {
    return MUST(memory_->map(
        thread_.get(), {address, length, protection, flags, std::move(file), 0, {}}, limits_));
  }

  // Runs one access of the guest to its end, with all the faults that the mappings resolve.
  Touched touch(std::uint64_t code, std::uint64_t address, std::uint8_t value, MemoryMap& memory,
                platform::Thread& thread) {
    platform::Registers& registers = thread.registers();
    registers.rip = code;
    registers.rdi = address;
    registers.rsi = value;
    registers.rax = SYS_pause;
    registers.rbx = 0;
    for (;;) {
      platform::Event event = thread.run();
      if (event.kind == platform::EventKind::kSyscall)
        return {0, 0, static_cast<std::uint8_t>(thread.registers().rbx)};
      if (event.kind == platform::EventKind::kGone) return {SIGKILL, 0};
      if (event.kind != platform::EventKind::kFault) continue;
      FaultOutcome outcome = memory.handle_fault(thread, event.fault, limits_);
      if (!outcome.resolved) return {outcome.signal, outcome.code};
    }
  }
  Touched load(std::uint64_t address) { return touch(kLoadAt, address, 0, *memory_, *thread_); }
  Touched store(std::uint64_t address, char value) {
    return touch(kStoreAt, address, static_cast<std::uint8_t>(value), *memory_, *thread_);
  }
  static void expect_signal(const Touched& touched, int signal, int code) {
    EXPECT_EQ(touched.signal, signal);
    EXPECT_EQ(touched.code, code);
  }
  void expect_value(std::uint64_t address, char value) {
    Touched touched = load(address);
    EXPECT_EQ(touched.signal, 0);
    EXPECT_EQ(static_cast<char>(touched.value), value);
  }

  std::unique_ptr<platform::Platform> platform_;
  Ref<MemoryMap> memory_;
  MemoryLimits limits_;
  std::unique_ptr<platform::Thread> thread_;
};

TEST_P(RealMemory, GuestReadsWhatItWrote) {
  std::uint64_t address = map(kPageSize);
  EXPECT_EQ(store(address + 7, 'x').signal, 0);
  expect_value(address + 7, 'x');
  expect_value(address + 8, '\0');
}

TEST_P(RealMemory, FaultsSayWhy) {
  std::uint64_t none = map(kPageSize, PROT_NONE), readable = map(kPageSize, PROT_READ);
  expect_signal(load(0), SIGSEGV, SEGV_MAPERR);
  expect_signal(load(0x10000000), SIGSEGV, SEGV_MAPERR);
  expect_signal(load(none), SIGSEGV, SEGV_ACCERR);
  expect_signal(store(readable, 'x'), SIGSEGV, SEGV_ACCERR);
  expect_signal(touch(kJumpAt, readable, 0, *memory_, *thread_), SIGSEGV, SEGV_ACCERR);
  MUST(memory_->unmap(thread_.get(), none, kPageSize));
  expect_signal(load(none), SIGSEGV, SEGV_MAPERR);
}

TEST_P(RealMemory, ProtectionChanges) {
  std::uint64_t address = map(kPageSize);
  EXPECT_EQ(store(address, 'a').signal, 0);
  MUST(memory_->protect(thread_.get(), address, kPageSize, PROT_READ));
  expect_signal(store(address, 'b'), SIGSEGV, SEGV_ACCERR);
  MUST(memory_->protect(thread_.get(), address, kPageSize, kReadWrite));
  EXPECT_EQ(store(address, 'b').signal, 0);
  expect_value(address, 'b');
}

TEST_P(RealMemory, StackGrowsUnderTheGuestAndUnderCopies) {
  constexpr std::uint64_t kStack = 0x20000000;
  map(kPageSize, kReadWrite, kPrivate | MAP_FIXED | MAP_GROWSDOWN, nullptr, kStack);
  EXPECT_EQ(store(kStack - 5 * kPageSize, 'x').signal, 0);
  expect_value(kStack - 5 * kPageSize, 'x');
  std::string text(2 * kPageSize, 'y');
  EXPECT_EQ(MUST(memory_->write(kStack - 9 * kPageSize, std::as_bytes(std::span(text)))),
            text.size());
  expect_value(kStack - 9 * kPageSize, 'y');
  limits_.stack = 10 * kPageSize;
  expect_signal(store(kStack - 10 * kPageSize, 'x'), SIGSEGV, SEGV_MAPERR);
}

TEST_P(RealMemory, CopiesStopAtTheGuestsProtection) {
  std::uint64_t address = map(2 * kPageSize);
  MUST(memory_->protect(thread_.get(), address + kPageSize, kPageSize, PROT_READ));
  std::string text(kPageSize + 10, 'x');
  EXPECT_EQ(MUST(memory_->write(address, std::as_bytes(std::span(text)))), kPageSize);
  EXPECT_TRUE(
      fails_with(memory_->write(address + kPageSize, std::as_bytes(std::span(text))), EFAULT));
  EXPECT_EQ(MUST(memory_->write_forced(address + kPageSize, std::as_bytes(std::span("!", 1)))), 1U);
  expect_value(address + kPageSize, '!');
}

TEST_P(RealMemory, ChildrenHaveCopiesOfTheirOwn) {
  std::uint64_t own = map(2 * kPageSize),
                common = map(kPageSize, kReadWrite, MAP_SHARED | MAP_ANONYMOUS);
  store(own, 'a');
  store(own + kPageSize, 'a');
  store(common, 'a');
  Ref<MemoryMap> child = MUST(memory_->fork(*thread_));
  auto its_thread = MUST(child->space().new_thread(platform::Registers{}, thread_.get()));
  store(own, 'b');
  touch(kStoreAt, own + kPageSize, 'c', *child, *its_thread);
  touch(kStoreAt, common, 'c', *child, *its_thread);
  EXPECT_EQ(touch(kLoadAt, own, 0, *child, *its_thread).value, 'a');
  expect_value(own, 'b');
  expect_value(own + kPageSize, 'a');
  expect_value(common, 'c');
}

TEST_P(RealMemory, ChildrenLackWhatIsNotInherited) {
  std::uint64_t gone = map(kPageSize), wiped = map(kPageSize, kReadWrite);
  store(gone, 'x');
  store(wiped, 'x');
  MUST(memory_->advise(thread_.get(), gone, kPageSize, MADV_DONTFORK));
  MUST(memory_->advise(thread_.get(), wiped, kPageSize, MADV_WIPEONFORK));
  Ref<MemoryMap> child = MUST(memory_->fork(*thread_));
  auto its_thread = MUST(child->space().new_thread(platform::Registers{}, thread_.get()));
  EXPECT_EQ(touch(kLoadAt, gone, 0, *child, *its_thread).signal, SIGSEGV);
  Touched zero = touch(kLoadAt, wiped, 0, *child, *its_thread);
  EXPECT_EQ(zero.signal, 0);
  EXPECT_EQ(zero.value, 0);
  expect_value(wiped, 'x');
}

TEST_P(RealMemory, ContentsMove) {
  std::uint64_t address = map(4 * kPageSize);
  store(address, 'a');
  store(address + 3 * kPageSize, 'd');
  std::uint64_t moved = MUST(memory_->remap(thread_.get(), address, 4 * kPageSize, 16 * kPageSize,
                                            MREMAP_MAYMOVE | MREMAP_FIXED, 0x30000000, limits_));
  expect_value(moved, 'a');
  expect_value(moved + 3 * kPageSize, 'd');
  EXPECT_EQ(store(moved + 15 * kPageSize, 'x').signal, 0);
  expect_signal(load(address), SIGSEGV, SEGV_MAPERR);
}

TEST_P(RealMemory, SeveralMappingsOfTheHostMoveAsOne) {
  // Two halves that grew together: to the host they may be strangers.
  std::uint64_t low = map(2 * kPageSize, kReadWrite, kPrivate | MAP_FIXED, nullptr, 0x30000000);
  std::uint64_t high = map(2 * kPageSize, kReadWrite, kPrivate | MAP_FIXED, nullptr, 0x38000000);
  store(low, 'l');
  store(high, 'h');
  MUST(memory_->remap(thread_.get(), high, 2 * kPageSize, 2 * kPageSize,
                      MREMAP_MAYMOVE | MREMAP_FIXED, low + 2 * kPageSize, limits_));
  std::uint64_t moved = MUST(memory_->remap(thread_.get(), low, 4 * kPageSize, 4 * kPageSize,
                                            MREMAP_MAYMOVE | MREMAP_FIXED, 0x40000000, limits_));
  expect_value(moved, 'l');
  expect_value(moved + 2 * kPageSize, 'h');
}

TEST_P(RealMemory, PrivateFilePagesAreCopiedOnWrite) {
  Ref<TestFile> file = make_ref<TestFile>(2 * kPageSize, std::uint32_t{O_RDWR}, true);
  file->put(0, "file");
  std::uint64_t own = map(2 * kPageSize, kReadWrite, MAP_PRIVATE, file);
  std::uint64_t common = map(2 * kPageSize, kReadWrite, MAP_SHARED, file);
  expect_value(own, 'f');
  store(own, 'F');
  expect_value(common, 'f');
  store(common + 1, 'I');
  char bytes[2];
  ASSERT_EQ(pread(file->memory.number(), bytes, 2, 0), 2);
  EXPECT_EQ(std::string_view(bytes, 2), "fI");
}

TEST_P(RealMemory, PagesBehindAFilesEndRaiseSigbus) {
  Ref<TestFile> hosts = make_ref<TestFile>(kPageSize, std::uint32_t{O_RDWR}, true);
  Ref<TestFile> ours = make_ref<TestFile>(kPageSize, std::uint32_t{O_RDWR}, false);
  std::uint64_t by_host = map(3 * kPageSize, kReadWrite, MAP_SHARED, hosts);
  std::uint64_t by_us = map(3 * kPageSize, kReadWrite, MAP_SHARED, ours);
  expect_value(by_host, '\0');
  expect_value(by_us, '\0');
  expect_signal(load(by_host + kPageSize), SIGBUS, BUS_ADRERR);
  expect_signal(load(by_us + kPageSize), SIGBUS, BUS_ADRERR);
  expect_signal(store(by_us + 2 * kPageSize, 'x'), SIGBUS, BUS_ADRERR);
  ours->end->set(2 * kPageSize);
  EXPECT_EQ(store(by_us + kPageSize, 'x').signal, 0);
  expect_value(by_us + kPageSize, 'x');
  ours->end->set(kPageSize);
  expect_signal(load(by_us + kPageSize), SIGBUS, BUS_ADRERR);
}

TEST_P(RealMemory, DroppedPagesAreZero) {
  std::uint64_t address = map(kPageSize);
  store(address, 'x');
  MUST(memory_->advise(thread_.get(), address, kPageSize, MADV_DONTNEED));
  expect_value(address, '\0');
}

TEST_P(RealMemory, HeapOfBrk) {
  memory_->set_break_area(0x50000000);
  EXPECT_EQ(memory_->set_break(thread_.get(), 0x50003000, limits_), 0x50003000U);
  EXPECT_EQ(store(0x50002fff, 'x').signal, 0);
  EXPECT_EQ(memory_->set_break(thread_.get(), 0x50001000, limits_), 0x50001000U);
  expect_signal(load(0x50002fff), SIGSEGV, SEGV_MAPERR);
}

TEST_P(RealMemory, WordsAreExchangedInTheGuest) {
  std::uint64_t address = map(kPageSize);
  EXPECT_EQ(MUST(memory_->compare_exchange(thread_.get(), address, 0, 'x')), 0U);
  expect_value(address, 'x');
  MUST(memory_->protect(thread_.get(), address, kPageSize, PROT_READ));
  EXPECT_TRUE(fails_with(memory_->compare_exchange(thread_.get(), address, 'x', 1), EFAULT));
}

INSTANTIATE_TEST_SUITE_P(Platforms, RealMemory, testing::Values("ptrace", "systrap"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace caisson::sandbox::mm

#endif

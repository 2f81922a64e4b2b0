// What every platform must do, tried with pieces of guest code that are copied into a guest.
#include "sandbox/platform/platform.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <functional>
#include <thread>

#include <gtest/gtest.h>

#include "sandbox/platform/layout.h"

// Guest code, position-independent. Each piece ends where the next begins.
#define GUEST(name, text)                                     \
  extern "C" const char guest_##name[], guest_##name##_end[]; \
  __asm__(                                                    \
      ".pushsection .rodata\n"                                \
      "guest_" #name ":\n" text "\nguest_" #name              \
      "_end:\n"                                               \
      ".popsection\n")

namespace caisson::sandbox::platform {
namespace {

constexpr std::uint64_t kCode = 0x400000, kData = 0x10000000, kPage = 4096;

GUEST(call, "syscall\n hlt\n");
GUEST(calls, "1: syscall\n jmp 1b\n");
GUEST(spin, "1: pause\n jmp 1b\n");
GUEST(load, "mov (%rdi), %rax\n syscall\n");
GUEST(store, "mov %rsi, (%rdi)\n syscall\n");
GUEST(jump, "jmp *%rdi\n");
GUEST(divide, "xor %ecx, %ecx\n div %ecx\n");
GUEST(undefined, "ud2\n");
GUEST(breakpoint, "int3\n");
GUEST(int80, "int $0x80\n");
GUEST(vector, "movq %rdi, %xmm7\n syscall\n movq %xmm7, %rdi\n syscall\n");
// Stores the thread pointer's word at %fs:0 and calls with it.
GUEST(thread_pointer, "mov %fs:0, %rdi\n syscall\n");
GUEST(count_forever, "1: incq (%rdi)\n jmp 1b\n");
// Fills rsi bytes at rdi with what it read from a counter, over and over.
GUEST(scribble,
      "1: mov %rdi, %rax\n mov %rsi, %rcx\n"
      "2: mov %rdx, (%rax)\n add $8, %rax\n sub $8, %rcx\n ja 2b\n"
      " imul $0x5851f42d, %rdx, %rdx\n add $12345, %rdx\n incq (%r8)\n jmp 1b\n");
GUEST(call_and_count, "1: syscall\n incq (%rbx)\n jmp 1b\n");

std::span<const std::byte> bytes(const char* begin, const char* end) {
  return {reinterpret_cast<const std::byte*>(begin), static_cast<std::size_t>(end - begin)};
}
#define CODE(name) bytes(guest_##name, guest_##name##_end)

Registers at(std::uint64_t address) {
  Registers registers;
  registers.rip = address;
  registers.rsp = kData + 8 * kPage;
  return registers;
}

MapRequest anonymous(std::uint64_t address, std::uint64_t length, int protection) {
  MapRequest request;
  request.address = address;
  request.length = length;
  request.protection = protection;
  return request;
}

class PlatformTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    ::alarm(20);  // a hang is a failure; ends all stubs too
    auto made = GetParam() == std::string_view("ptrace") ? make_ptrace() : make_systrap();
    ASSERT_TRUE(made) << made.error().message();
    platform_ = std::move(*made);
  }
  void TearDown() override {
    platform_.reset();
    // Every stub was our child.
    EXPECT_EQ(::waitpid(-1, nullptr, __WALL | WNOHANG), -1);
    EXPECT_EQ(errno, ECHILD);
    ::alarm(0);
  }

  // An address space with code and eight pages of data.
  Ref<AddressSpace> space(std::span<const std::byte> code) {
    auto made = platform_->new_address_space();
    EXPECT_TRUE(made) << Error(made.error()).message();
    if (!made) std::abort();
    AddressSpace& space = **made;
    EXPECT_TRUE(space.map(nullptr, anonymous(kCode, kPage, PROT_READ | PROT_WRITE | PROT_EXEC)));
    EXPECT_TRUE(space.map(nullptr, anonymous(kData, 8 * kPage, PROT_READ | PROT_WRITE)));
    EXPECT_EQ(space.write(kCode, code).value_or(0), code.size());
    return *made;
  }
  static std::unique_ptr<Thread> thread(AddressSpace& space, const Registers& registers,
                                        Thread* parent = nullptr) {
    auto made = space.new_thread(registers, parent);
    EXPECT_TRUE(made) << Error(made.error()).message();
    if (!made) std::abort();
    return std::move(*made);
  }
  static std::uint64_t word(AddressSpace& space, std::uint64_t address) {
    std::uint64_t value = 0;
    EXPECT_EQ(space.read(address, std::as_writable_bytes(std::span(&value, 1))).value_or(0), 8U);
    return value;
  }
  static void set_word(AddressSpace& space, std::uint64_t address, std::uint64_t value) {
    EXPECT_EQ(space.write(address, std::as_bytes(std::span(&value, 1))).value_or(0), 8U);
  }
  // Runs on until something other than an interruption happens.
  static Event run(Thread& thread) {
    for (;;) {
      Event event = thread.run();
      if (event.kind != EventKind::kInterrupted) return event;
    }
  }
  static void expect_call(Thread& thread, std::uint64_t number) {
    Event event = run(thread);
    ASSERT_EQ(event.kind, EventKind::kSyscall)
        << "signal " << event.fault.signal << " at " << std::hex << event.fault.address << " rip "
        << thread.registers().rip;
    EXPECT_EQ(thread.registers().syscall_number(), number);
  }

  std::unique_ptr<Platform> platform_;
};

INSTANTIATE_TEST_SUITE_P(All, PlatformTest, testing::Values("ptrace", "systrap"),
                         [](const auto& test) { return std::string(test.param); });

TEST_P(PlatformTest, SystemCallIsSeenWithItsArguments) {
  auto memory = space(CODE(call));
  Registers registers = at(kCode);
  registers.rax = SYS_openat;
  registers.rdi = 1, registers.rsi = 2, registers.rdx = 3;
  registers.r10 = 4, registers.r8 = 5, registers.r9 = ~0ULL;
  registers.rbx = 7, registers.r15 = 8;
  auto guest = thread(*memory, registers);
  expect_call(*guest, SYS_openat);
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(guest->registers().argument(i), static_cast<std::uint64_t>(i + 1));
  EXPECT_EQ(guest->registers().argument(5), ~0ULL);
  EXPECT_EQ(guest->registers().rip, kCode + 2);
  EXPECT_EQ(guest->registers().rcx, kCode + 2);
  EXPECT_EQ(guest->registers().rbx, 7U);
  EXPECT_EQ(guest->registers().r15, 8U);
}

TEST_P(PlatformTest, NumbersAreReadAsTheHostReadsThem) {
  auto memory = space(CODE(call));
  Registers registers = at(kCode);
  registers.rax = 0x1'ffff'ffffULL;
  auto guest = thread(*memory, registers);
  expect_call(*guest, ~0ULL);
}

TEST_P(PlatformTest, ResultIsReturned) {
  auto memory = space(CODE(calls));
  Registers registers = at(kCode);
  registers.rax = SYS_getpid;
  auto guest = thread(*memory, registers);
  expect_call(*guest, SYS_getpid);
  for (int i = 0; i < 100; ++i) {
    guest->registers().set_result(i);
    expect_call(*guest, static_cast<std::uint64_t>(i));
  }
  guest->registers().set_result(-ENOENT);
  expect_call(*guest, static_cast<std::uint64_t>(-ENOENT));
}

TEST_P(PlatformTest, HundredThousandCalls) {
  auto memory = space(CODE(calls));
  Registers registers = at(kCode);
  auto guest = thread(*memory, registers);
  // Not above 334: the host's kernel takes 335 and 336 (uretprobe, uprobe) for itself, past every
  // filter, and raises SIGILL.
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    Event event = run(*guest);
    ASSERT_EQ(event.kind, EventKind::kSyscall)
        << "call " << i << ", signal " << event.fault.signal << ", code " << event.fault.code;
    ASSERT_EQ(guest->registers().syscall_number(), i % 335);
    guest->registers().set_result(static_cast<std::int64_t>((i + 1) % 335));
  }
}

TEST_P(PlatformTest, CallCanBeMadeAgain) {
  auto memory = space(CODE(call));
  Registers registers = at(kCode);
  registers.rax = SYS_read;
  auto guest = thread(*memory, registers);
  expect_call(*guest, SYS_read);
  guest->registers().set_result(-EINTR);
  guest->registers().restart_syscall();
  expect_call(*guest, SYS_read);
}

TEST_P(PlatformTest, RegistersCanBeReplaced) {
  auto memory = space(CODE(calls));
  auto guest = thread(*memory, at(kCode));
  expect_call(*guest, 0);
  Registers other = at(kCode);
  other.rax = 77, other.rbp = 0x1234, other.r12 = 0x8877665544332211, other.rsp = kData + 64;
  guest->registers() = other;
  expect_call(*guest, 77);
  EXPECT_EQ(guest->registers().rbp, 0x1234U);
  EXPECT_EQ(guest->registers().r12, 0x8877665544332211U);
  EXPECT_EQ(guest->registers().rsp, kData + 64);
}

TEST_P(PlatformTest, ThreadPointerIsKeptAndCanBeSet) {
  auto memory = space(CODE(thread_pointer));
  set_word(*memory, kData + 128, 0xabcdef);
  Registers registers = at(kCode);
  registers.rax = 9;
  registers.set_thread_pointer(kData + 128);
  auto guest = thread(*memory, registers);
  expect_call(*guest, 9);
  EXPECT_EQ(guest->registers().rdi, 0xabcdefU);
  EXPECT_EQ(guest->registers().fs_base, kData + 128);
}

TEST_P(PlatformTest, CallsOfTheOldKindAreFaults) {
  auto memory = space(CODE(int80));
  auto guest = thread(*memory, at(kCode));
  Event event = run(*guest);
  ASSERT_EQ(event.kind, EventKind::kFault);
  EXPECT_EQ(event.fault.signal, SIGSEGV);
  EXPECT_EQ(guest->registers().rip, kCode);
}

TEST_P(PlatformTest, ReadFaultTellsAddressAndCause) {
  auto memory = space(CODE(load));
  Registers registers = at(kCode);
  registers.rdi = 0x123456000;
  auto guest = thread(*memory, registers);
  Event event = run(*guest);
  ASSERT_EQ(event.kind, EventKind::kFault);
  EXPECT_EQ(event.fault.signal, SIGSEGV);
  EXPECT_EQ(event.fault.code, SEGV_MAPERR);
  EXPECT_EQ(event.fault.address, 0x123456000U);
  EXPECT_EQ(event.fault.trap, 14U);
  EXPECT_EQ(event.fault.error & 0x16, 0x4U);
  EXPECT_EQ(guest->registers().rip, kCode);
  // Mapped now, it goes on.
  ASSERT_TRUE(memory->map(guest.get(), anonymous(0x123456000, kPage, PROT_READ | PROT_WRITE)));
  set_word(*memory, 0x123456000, SYS_getppid);
  expect_call(*guest, SYS_getppid);
}

TEST_P(PlatformTest, WriteFaultTellsAddressAndCause) {
  auto memory = space(CODE(store));
  ASSERT_TRUE(memory->protect(nullptr, kData, kPage, PROT_READ));
  Registers registers = at(kCode);
  registers.rdi = kData + 8, registers.rsi = 55;
  auto guest = thread(*memory, registers);
  Event event = run(*guest);
  ASSERT_EQ(event.kind, EventKind::kFault);
  EXPECT_EQ(event.fault.signal, SIGSEGV);
  EXPECT_EQ(event.fault.code, SEGV_ACCERR);
  EXPECT_EQ(event.fault.address, kData + 8);
  EXPECT_EQ(event.fault.error & 0x16, 0x6U);
  ASSERT_TRUE(memory->protect(guest.get(), kData, kPage, PROT_READ | PROT_WRITE));
  expect_call(*guest, 0);
  EXPECT_EQ(word(*memory, kData + 8), 55U);
}

TEST_P(PlatformTest, FetchFaultTellsAddressAndCause) {
  auto memory = space(CODE(jump));
  Registers registers = at(kCode);
  registers.rdi = kData;
  auto guest = thread(*memory, registers);
  Event event = run(*guest);
  ASSERT_EQ(event.kind, EventKind::kFault);
  EXPECT_EQ(event.fault.signal, SIGSEGV);
  EXPECT_EQ(event.fault.address, kData);
  EXPECT_EQ(event.fault.error & 0x14, 0x14U);
  EXPECT_EQ(guest->registers().rip, kData);
}

TEST_P(PlatformTest, OtherExceptions) {
  struct {
    std::span<const std::byte> code;
    int signal, si_code;
    std::uint64_t rip;
  } cases[] = {{CODE(divide), SIGFPE, FPE_INTDIV, kCode + 2},
               {CODE(undefined), SIGILL, ILL_ILLOPN, kCode},
               {CODE(breakpoint), SIGTRAP, SI_KERNEL, kCode + 1}};
  for (const auto& expected : cases) {
    auto memory = space(expected.code);
    auto guest = thread(*memory, at(kCode));
    Event event = run(*guest);
    ASSERT_EQ(event.kind, EventKind::kFault);
    EXPECT_EQ(event.fault.signal, expected.signal);
    EXPECT_EQ(event.fault.code, expected.si_code);
    EXPECT_EQ(guest->registers().rip, expected.rip);
  }
}

TEST_P(PlatformTest, PastTheEndOfAFileIsABusError) {
  auto memory = space(CODE(load));
  int file = ::memfd_create("file", MFD_CLOEXEC);
  MapRequest request = anonymous(0x20000000, kPage, PROT_READ);
  request.fd = file;
  ASSERT_TRUE(memory->map(nullptr, request));
  Registers registers = at(kCode);
  registers.rdi = 0x20000000;
  auto guest = thread(*memory, registers);
  Event event = run(*guest);
  ASSERT_EQ(event.kind, EventKind::kFault);
  EXPECT_EQ(event.fault.signal, SIGBUS);
  EXPECT_EQ(event.fault.address, 0x20000000U);
  ::close(file);
}

TEST_P(PlatformTest, InterruptOfASpinningGuest) {
  auto memory = space(CODE(spin));
  auto guest = thread(*memory, at(kCode));
  for (int i = 0; i < 20; ++i) {
    std::thread other([&] {
      ::usleep(static_cast<unsigned>(i) * 150);
      guest->interrupt();
    });
    EXPECT_EQ(guest->run().kind, EventKind::kInterrupted);
    other.join();
    EXPECT_GE(guest->registers().rip, kCode);
    EXPECT_LT(guest->registers().rip, kCode + 8);
  }
}

TEST_P(PlatformTest, InterruptOfAGuestThatDoesNotRunIsKept) {
  auto memory = space(CODE(spin));
  auto guest = thread(*memory, at(kCode));
  guest->interrupt();
  EXPECT_EQ(guest->run().kind, EventKind::kInterrupted);
  guest->interrupt();
  EXPECT_EQ(guest->run().kind, EventKind::kInterrupted);
}

TEST_P(PlatformTest, InterruptIsNeverLost) {
  auto memory = space(CODE(calls));
  auto guest = thread(*memory, at(kCode));
  std::atomic<int> asked = 0, seen = 0;
  std::thread other([&] {
    for (int i = 1; i <= 500; ++i) {
      asked = i;
      guest->interrupt();
      while (seen < i) std::this_thread::yield();
    }
  });
  while (seen < 500) {
    Event event = guest->run();
    ASSERT_NE(event.kind, EventKind::kGone);
    if (event.kind == EventKind::kInterrupted) seen = asked.load();
  }
  other.join();
}

TEST_P(PlatformTest, FilesAreMapped) {
  auto memory = space(CODE(store));
  int file = ::memfd_create("file", MFD_CLOEXEC);
  ASSERT_EQ(::ftruncate(file, 3 * kPage), 0);
  std::uint64_t value = 4711;
  ASSERT_EQ(::pwrite(file, &value, 8, kPage), 8);
  Registers registers = at(kCode);
  registers.rdi = 0x30000000 + 16, registers.rsi = 99;
  auto guest = thread(*memory, registers);
  MapRequest request = anonymous(0x30000000, 2 * kPage, PROT_READ | PROT_WRITE);
  request.fd = file, request.offset = kPage, request.shared = true;
  ASSERT_TRUE(memory->map(guest.get(), request));
  EXPECT_EQ(word(*memory, 0x30000000), 4711U);
  expect_call(*guest, 0);
  ASSERT_EQ(::pread(file, &value, 8, kPage + 16), 8);
  EXPECT_EQ(value, 99U);
  // A private mapping shows the file, and keeps its own writes.
  request.shared = false, request.address = 0x40000000;
  ASSERT_TRUE(memory->map(guest.get(), request));
  EXPECT_EQ(word(*memory, 0x40000000 + 16), 99U);
  set_word(*memory, 0x40000000 + 16, 1);
  ASSERT_EQ(::pread(file, &value, 8, kPage + 16), 8);
  EXPECT_EQ(value, 99U);
  ::close(file);
}

TEST_P(PlatformTest, ErrorsOfOrdersAreTold) {
  auto memory = space(CODE(call));
  auto guest = thread(*memory, at(kCode));
  for (Thread* via : {static_cast<Thread*>(nullptr), guest.get()}) {
    MapRequest request = anonymous(0x30000000, kPage, PROT_READ);
    int read_only = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    request.fd = read_only, request.shared = true, request.protection = PROT_READ | PROT_WRITE;
    EXPECT_EQ(memory->map(via, request).error().value, EACCES);
    ::close(read_only);
    EXPECT_EQ(memory->unmap(via, 0x30000001, kPage).error().value, EINVAL);
    EXPECT_EQ(memory->unmap(via, memory->limit() - kPage, 2 * kPage).error().value, ENOMEM);
    EXPECT_EQ(memory->protect(via, 0x50000000, kPage, PROT_READ).error().value, ENOMEM);
  }
  expect_call(*guest, 0);
}

TEST_P(PlatformTest, MappingsMoveAndGoAway) {
  auto memory = space(CODE(calls));
  auto guest = thread(*memory, at(kCode));
  expect_call(*guest, 0);
  set_word(*memory, kData, 31);
  ASSERT_TRUE(memory->move(guest.get(), kData, kPage, 0x60000000, 2 * kPage, false));
  EXPECT_EQ(word(*memory, 0x60000000), 31U);
  std::uint64_t value = 0;
  auto nothing = std::as_writable_bytes(std::span(&value, 1));
  EXPECT_EQ(memory->read(kData, nothing).error().value, EFAULT);
  ASSERT_TRUE(memory->advise(guest.get(), 0x60000000, kPage, MADV_DONTNEED));
  EXPECT_EQ(word(*memory, 0x60000000), 0U);
  ASSERT_TRUE(memory->unmap(guest.get(), 0x60000000, 2 * kPage));
  EXPECT_EQ(memory->read(0x60000000, nothing).error().value, EFAULT);
  expect_call(*guest, 0);
}

TEST_P(PlatformTest, CopiesStopAtTheFirstBadPage) {
  auto memory = space(CODE(call));
  std::vector<std::byte> buffer(2 * kPage);
  EXPECT_EQ(memory->read(kData + 7 * kPage, buffer).value_or(0), kPage);
  EXPECT_EQ(memory->write(kData + 7 * kPage + 96, buffer).value_or(0), kPage - 96);
  EXPECT_EQ(memory->read(kData + 8 * kPage, buffer).error().value, EFAULT);
  ASSERT_TRUE(memory->protect(nullptr, kData, kPage, PROT_READ));
  EXPECT_EQ(memory->write(kData, buffer).error().value, EFAULT);
  EXPECT_EQ(memory->read(memory->limit(), buffer).error().value, EFAULT);
  EXPECT_EQ(memory->write(kCommands, buffer).error().value, EFAULT);
  EXPECT_EQ(memory->read(kData, {}).value_or(9), 0U);
}

TEST_P(PlatformTest, WritesCanBeForced) {
  auto memory = space(CODE(call));
  ASSERT_TRUE(memory->protect(nullptr, kData, 8 * kPage, PROT_READ));
  const char text[] = "thirteen bytes";
  EXPECT_EQ(memory->write_forced(kData + kPage - 5, std::as_bytes(std::span(text))).value_or(0),
            sizeof text);
  char back[sizeof text] = {};
  EXPECT_EQ(memory->read(kData + kPage - 5, std::as_writable_bytes(std::span(back))).value_or(0),
            sizeof back);
  EXPECT_STREQ(back, text);
  EXPECT_EQ(memory->write_forced(0x77000000, std::as_bytes(std::span(text))).error().value, EFAULT);
  auto guest = thread(*memory, at(kCode));
  expect_call(*guest, 0);
}

TEST_P(PlatformTest, ForkCopiesMemory) {
  auto memory = space(CODE(store));
  set_word(*memory, kData, 1);
  Registers registers = at(kCode);
  registers.rax = SYS_fork, registers.rdi = kData + 16, registers.rsi = 5;
  auto parent = thread(*memory, registers);
  expect_call(*parent, SYS_fork);
  auto copy = memory->fork(*parent);
  ASSERT_TRUE(copy) << Error(copy.error()).message();
  AddressSpace& other = **copy;
  EXPECT_NE(other.host_pid(), memory->host_pid());
  Registers child_registers = parent->registers();
  child_registers.set_result(0);
  child_registers.rip = kCode, child_registers.rdi = kData + 24, child_registers.rsi = 6;
  auto child = thread(other, child_registers, parent.get());
  set_word(*memory, kData, 2);
  set_word(other, kData + 8, 3);
  expect_call(*child, 0);
  EXPECT_EQ(word(other, kData), 1U);
  EXPECT_EQ(word(*memory, kData), 2U);
  EXPECT_EQ(word(other, kData + 8), 3U);
  EXPECT_EQ(word(*memory, kData + 8), 0U);
  EXPECT_EQ(word(other, kData + 16), 5U);
  EXPECT_EQ(word(other, kData + 24), 6U);
  EXPECT_EQ(word(*memory, kData + 24), 0U);
  EXPECT_EQ(memory->host_pid(), parent->address_space().host_pid());
}

TEST_P(PlatformTest, ForksOfForksEach) {
  auto memory = space(CODE(calls));
  auto parent = thread(*memory, at(kCode));
  expect_call(*parent, 0);
  std::vector<Ref<AddressSpace>> spaces{memory};
  std::vector<std::unique_ptr<Thread>> threads;
  threads.push_back(std::move(parent));
  for (std::uint64_t i = 1; i < 12; ++i) {
    auto copy = spaces.back()->fork(*threads.back());
    ASSERT_TRUE(copy);
    spaces.push_back(*copy);
    threads.push_back(thread(**copy, threads.back()->registers(), threads.back().get()));
    threads.back()->registers().set_result(static_cast<std::int64_t>(i));
  }
  for (std::uint64_t i = 1; i < 12; ++i) expect_call(*threads[i], i);
}

TEST_P(PlatformTest, ThreadsShareMemory) {
  auto memory = space(CODE(count_forever));
  Registers registers = at(kCode);
  registers.rdi = kData;
  auto first = thread(*memory, registers);
  std::thread owner([&] {
    registers.rdi = kData + 8;
    auto second = thread(*memory, registers);
    std::thread stopper([&] {
      while (word(*memory, kData + 8) < 1000 || word(*memory, kData) < 1000)
        std::this_thread::yield();
      second->interrupt();
      first->interrupt();
    });
    EXPECT_EQ(second->run().kind, EventKind::kInterrupted);
    stopper.join();
    EXPECT_NE(second->host_tid(), first->host_tid());
  });
  EXPECT_EQ(first->run().kind, EventKind::kInterrupted);
  owner.join();
  EXPECT_GE(word(*memory, kData), 1000U);
}

TEST_P(PlatformTest, ManyThreadsComeAndGo) {
  auto memory = space(CODE(call));
  auto lasting = thread(*memory, at(kCode));
  for (int round = 0; round < 3; ++round) {
    std::vector<std::unique_ptr<Thread>> threads;
    for (int i = 0; i < 20; ++i) threads.push_back(thread(*memory, at(kCode), lasting.get()));
    for (auto& one : threads) expect_call(*one, 0);
  }
  expect_call(*lasting, 0);
}

TEST_P(PlatformTest, ThreadsGoOnWhileManyOthersAreMade) {
  for (int round = 0; round < 3; ++round) {
    auto memory = space(CODE(calls));
    auto lasting = thread(*memory, at(kCode));
    std::atomic<bool> done = false;
    std::thread maker([&] {
      std::vector<std::unique_ptr<Thread>> threads;
      for (int i = 0; i < 40; ++i) threads.push_back(thread(*memory, at(kCode)));
      done = true;
    });
    while (!done) expect_call(*lasting, 0);
    maker.join();
  }
}

TEST_P(PlatformTest, AThreadIsMadeByAnotherThanItsOwner) {
  auto memory = space(CODE(calls));
  auto made = thread(*memory, at(kCode));
  std::thread owner([&] {
    expect_call(*made, 0);
    expect_call(*made, 0);
    made.reset();
  });
  owner.join();
}

TEST_P(PlatformTest, KillWhileRunning) {
  auto memory = space(CODE(spin));
  auto guest = thread(*memory, at(kCode));
  std::thread other([&] {
    ::usleep(20'000);
    memory->kill();
  });
  EXPECT_EQ(guest->run().kind, EventKind::kGone);
  other.join();
  EXPECT_EQ(guest->run().kind, EventKind::kGone);
  EXPECT_FALSE(memory->map(guest.get(), anonymous(kData, kPage, PROT_READ)));
  EXPECT_FALSE(memory->map(nullptr, anonymous(kData, kPage, PROT_READ)));
  EXPECT_FALSE(memory->fork(*guest));
  EXPECT_FALSE(memory->new_thread(at(kCode), nullptr));
  EXPECT_FALSE(memory->compare_exchange(guest.get(), kData, 0, 1));
}

TEST_P(PlatformTest, AStubThatIsKilledFromOutsideIsGone) {
  auto memory = space(CODE(calls));
  auto guest = thread(*memory, at(kCode));
  expect_call(*guest, 0);
  ASSERT_EQ(::kill(memory->host_pid(), SIGKILL), 0);
  while (guest->run().kind != EventKind::kGone) {
  }
  EXPECT_FALSE(memory->unmap(guest.get(), kData, kPage));
  // Others are not touched by that.
  auto next = space(CODE(calls));
  auto survivor = thread(*next, at(kCode));
  expect_call(*survivor, 0);
}

TEST_P(PlatformTest, CompareExchange) {
  auto memory = space(CODE(call));
  auto guest = thread(*memory, at(kCode));
  for (Thread* via : {static_cast<Thread*>(nullptr), guest.get()}) {
    set_word(*memory, kData, 7);
    EXPECT_EQ(memory->compare_exchange(via, kData, 7, 9).value_or(0), 7U);
    EXPECT_EQ(word(*memory, kData), 9U);
    EXPECT_EQ(memory->compare_exchange(via, kData, 7, 10).value_or(0), 9U);
    EXPECT_EQ(word(*memory, kData), 9U);
    EXPECT_EQ(memory->compare_exchange(via, 0x70000000, 7, 10).error().value, EFAULT);
    EXPECT_EQ(memory->compare_exchange(via, kData + 2, 7, 10).error().value, EINVAL);
  }
  expect_call(*guest, 0);
  EXPECT_EQ(memory->compare_exchange(guest.get(), kData, 9, 4).value_or(0), 9U);
  EXPECT_EQ(word(*memory, kData), 4U);
  EXPECT_EQ(memory->compare_exchange(guest.get(), 0x70000000, 7, 10).error().value, EFAULT);
  EXPECT_EQ(guest->registers().rip, kCode + 2);
}

TEST_P(PlatformTest, ExtendedStateSurvivesAndIsTakenOver) {
  constexpr std::size_t kXmm7 = 160 + 7 * 16;
  auto memory = space(CODE(vector));
  Registers registers = at(kCode);
  registers.rax = 1, registers.rdi = 0x1122334455667788;
  auto guest = thread(*memory, registers);
  expect_call(*guest, 1);
  auto image = guest->extended_state();
  ASSERT_GT(image.size(), 576U);
  std::uint64_t value = 0;
  std::memcpy(&value, image.data() + kXmm7, 8);
  EXPECT_EQ(value, 0x1122334455667788U);
  // Another thread begins with it.
  Registers next = guest->registers();
  auto second = thread(*memory, next, guest.get());
  expect_call(*second, 1);
  EXPECT_EQ(second->registers().rdi, 0x1122334455667788U);
  // Changed from outside.
  std::vector<std::byte> changed(image.begin(), image.end());
  value = 0x99;
  std::memcpy(changed.data() + kXmm7, &value, 8);
  ASSERT_TRUE(guest->set_extended_state(changed));
  guest->registers().rdi = 0;
  guest->registers().rax = 1;
  expect_call(*guest, 1);
  EXPECT_EQ(guest->registers().rdi, 0x99U);
}

TEST_P(PlatformTest, ExtendedStateOfWrongSizeIsRefused) {
  auto memory = space(CODE(vector));
  auto guest = thread(*memory, at(kCode));
  expect_call(*guest, 0);
  auto image = guest->extended_state();
  std::vector<std::byte> copy(image.begin(), image.end());
  EXPECT_TRUE(guest->set_extended_state(copy));
  EXPECT_EQ(guest->set_extended_state(std::span(copy).first(300)).error().value, EINVAL);
  copy[464] ^= std::byte{1};  // the mark
  EXPECT_EQ(guest->set_extended_state(copy).error().value, EINVAL);
}

TEST_P(PlatformTest, ExtendedStateCanBeReset) {
  auto memory = space(CODE(vector));
  Registers registers = at(kCode);
  registers.rdi = 5;
  auto guest = thread(*memory, registers);
  expect_call(*guest, 0);
  guest->reset_extended_state();
  expect_call(*guest, 0);
  EXPECT_EQ(guest->registers().rdi, 0U);
}

TEST_P(PlatformTest, VdsoStandsInEveryAddressSpace) {
  auto memory = space(CODE(call));
  std::uint64_t address = platform_->vdso_address();
  if (address == 0) GTEST_SKIP() << "this host has no vDSO";
  EXPECT_GT(address, memory->limit());
  auto guest = thread(*memory, at(kCode));
  // The guest reads it; the kernel need not.
  Registers registers = at(kCode);
  ASSERT_EQ(memory->write(kCode, CODE(load)).value_or(0), CODE(load).size());
  registers.rdi = address;
  guest->registers() = registers;
  std::uint64_t elf = 0;
  std::memcpy(&elf, "\177ELF\2\1\1", 8);
  ASSERT_EQ(run(*guest).kind, EventKind::kSyscall);
  EXPECT_EQ(guest->registers().rax, elf);
}

// Whatever a guest does in the stub's code, it ends with an event.
TEST_P(PlatformTest, GuestJumpsIntoTheStub) {
  for (std::uint64_t target = kText; target < kText + 0x700; target += 1) {
    auto memory = space(CODE(jump));
    Registers registers = at(kCode);
    registers.rdi = target;
    registers.rax = SYS_mmap, registers.rsi = 0x1000, registers.rdx = PROT_READ | PROT_WRITE;
    registers.r10 = MAP_PRIVATE | MAP_ANONYMOUS;
    registers.r8 = ~0ULL, registers.r9 = 0;
    auto guest = thread(*memory, registers);
    for (int i = 0; i < 5; ++i) {
      std::thread stopper([&] {
        ::usleep(300);
        guest->interrupt();
      });
      Event event = guest->run();
      stopper.join();
      if (event.kind != EventKind::kSyscall) break;
      guest->registers().set_result(-ENOSYS);
    }
    if (target > kText + 0xd0) target += 12;
  }
}

TEST_P(PlatformTest, GuestScribblesOverItsAreas) {
  auto memory = space(CODE(call_and_count));
  for (int round = 0; round < 5; ++round) {
    auto victim_memory = space(CODE(call_and_count));
    std::vector<std::byte> code(CODE(scribble).begin(), CODE(scribble).end());
    ASSERT_EQ(victim_memory->write(kCode + 1024, code).value_or(0), code.size());
    Registers registers = at(kCode);
    registers.rbx = kData;
    auto victim = thread(*victim_memory, registers);
    Registers scribbler = at(kCode + 1024);
    scribbler.rdi = kAreas + kAreaSize + 0xe000, scribbler.rsi = 0x2000;
    scribbler.r8 = kData + 16, scribbler.rdx = static_cast<std::uint64_t>(round) * 77;
    std::thread owner([&] {
      auto second = thread(*victim_memory, scribbler);
      while (second->run().kind == EventKind::kInterrupted) {
      }
    });
    while (word(*victim_memory, kData + 16) == 0) std::this_thread::yield();
    for (int i = 0; i < 300; ++i) {
      Event event = victim->run();
      if (event.kind == EventKind::kGone) break;
      victim->registers() = registers;
      (void)victim_memory->map(victim.get(), anonymous(0x50000000, kPage, PROT_READ));
    }
    victim_memory->kill();
    owner.join();
  }
  // A guest beside it is not touched.
  auto guest = thread(*memory, [] {
    Registers registers = at(kCode);
    registers.rbx = kData;
    return registers;
  }());
  expect_call(*guest, 0);
}

}  // namespace
}  // namespace caisson::sandbox::platform

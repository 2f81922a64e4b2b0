// Patched call sites on systrap, with a guest whose code calls at one site over and over.
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "sandbox/platform/call_site.h"
#include "sandbox/platform/platform.h"

#if defined(__x86_64__)

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

constexpr std::uint64_t kCode = 0x400000, kData = 0x10000000, kIsland = 0x3f0000, kPage = 4096;
constexpr std::uint64_t kNumber = 1000;  // no system call has it

// The site is at the begin of each piece, aligned as a function would be.
GUEST(patch_calls, "1: mov $1000, %eax\n syscall\n mov %rax, %rbx\n jmp 1b\n");
// Counts in r12 that flags and the red zone were the same before and after; else stops.
GUEST(patch_keeps,
      "1: mov $1000, %eax\n syscall\n jnc 2f\n cmpq $77, -8(%rsp)\n jne 2f\n inc %r12\n"
      " movq $77, -8(%rsp)\n stc\n jmp 1b\n"
      "2: ud2\n");
GUEST(patch_getpid, "1: mov $39, %eax\n syscall\n incq (%rdi)\n cmp %rbx, %rax\n je 1b\n ud2\n");
GUEST(patch_vector, "1: mov $1000, %eax\n syscall\n movq %xmm7, %r13\n jmp 1b\n");
GUEST(patch_crossing, "nop\n nop\n nop\n nop\n nop\n1: mov $1000, %eax\n syscall\n jmp 1b\n");
GUEST(patch_own_gs, "1: mov $1000, %eax\n syscall\n wrgsbase %r14\n jmp 1b\n");

class Patch : public testing::Test {
 protected:
  void SetUp() override {
    ::alarm(20);  // a hang is a failure; ends all stubs too
    auto made = make_systrap();
    ASSERT_TRUE(made) << made.error().message();
    platform_ = std::move(*made);
    space_ = MUST(platform_->new_address_space());
    MUST(space_->map(nullptr,
                     {.address = kCode, .length = kPage, .protection = PROT_READ | PROT_WRITE}));
    MUST(space_->map(nullptr,
                     {.address = kData, .length = kPage, .protection = PROT_READ | PROT_WRITE}));
  }
  void TearDown() override {
    thread_.reset();
    space_ = nullptr;
    platform_.reset();
    EXPECT_EQ(::waitpid(-1, nullptr, __WALL | WNOHANG), -1);  // no stub is left
    ::alarm(0);
  }

  Registers start(const char* begin, const char* end) {
    MUST(space_->write(kCode, std::as_bytes(std::span(begin, end))));
    MUST(space_->protect(nullptr, kCode, kPage, kCodeProtection));
    Registers registers;
    registers.rip = kCode;
    registers.rsp = kData + kPage - 256;
    return registers;
  }
  void run_from(const Registers& registers) {
    thread_ = MUST(space_->new_thread(registers, nullptr));
  }

  static Event run(Thread& thread) {
    for (;;) {
      Event event = thread.run();
      if (event.kind != EventKind::kInterrupted) return event;
    }
  }
  // Answers calls until the site is reported.
  std::uint64_t make_hot() {
    for (int i = 0; i < 10'000; ++i) {
      Event event = run(*thread_);
      EXPECT_EQ(event.kind, EventKind::kSyscall);
      if (event.kind != EventKind::kSyscall || event.site != 0) return event.site;
      thread_->registers().set_result(i);
    }
    return 0;
  }
  ErrnoOr<> patch(std::uint64_t site) {
    TRY(space_->add_island(*thread_, kIsland));
    return space_->patch(*thread_, {.site = site,
                                    .island = kIsland,
                                    .begin = kCode,
                                    .length = kPage,
                                    .protection = kCodeProtection});
  }
  bool is_patched(std::uint64_t site) {
    std::byte first{};
    MUST(space_->read(site - kSiteSize, std::span(&first, 1)));
    return first == std::byte{0xe9};
  }
  void expect_call(Thread& thread, std::uint64_t number = kNumber) {
    Event event = run(thread);
    ASSERT_EQ(event.kind, EventKind::kSyscall)
        << "signal " << event.fault.signal << " at " << std::hex << thread.registers().rip;
    EXPECT_EQ(thread.registers().syscall_number(), number);
  }

  static constexpr int kCodeProtection = PROT_READ | PROT_EXEC;
  std::unique_ptr<Platform> platform_;
  Ref<AddressSpace> space_;
  std::unique_ptr<Thread> thread_;
};
#define CODE(name) guest_##name, guest_##name##_end

TEST_F(Patch, CallsKeepTheirRegistersAndGetTheirResults) {
  Registers registers = start(CODE(patch_calls));
  registers.rdi = 1, registers.rsi = 2, registers.rdx = 3, registers.r10 = 4, registers.r8 = 5;
  registers.r9 = 6, registers.rbp = 7, registers.r12 = 8, registers.r13 = 9, registers.r14 = 10;
  registers.r15 = 11;
  run_from(registers);
  std::uint64_t site = make_hot();
  ASSERT_EQ(site, kCode + kSiteSize);
  ASSERT_TRUE(patch(site));
  ASSERT_TRUE(is_patched(site));
  for (std::int64_t i = 100; i < 200; ++i) {
    thread_->registers().set_result(i);
    expect_call(*thread_);
    const Registers& now = thread_->registers();
    EXPECT_EQ(now.rbx, static_cast<std::uint64_t>(i));
    EXPECT_EQ(now.rip, site);
    EXPECT_EQ(now.rcx, site);
    EXPECT_EQ(now.rsp, registers.rsp);
    EXPECT_EQ(now.gs_base, 0U);
    for (auto member : {&Registers::rdi, &Registers::rsi, &Registers::rdx, &Registers::r10,
                        &Registers::r8, &Registers::r9, &Registers::rbp, &Registers::r12,
                        &Registers::r13, &Registers::r14, &Registers::r15})
      EXPECT_EQ(now.*member, registers.*member);
  }
}

TEST_F(Patch, FlagsAndTheRedZoneAreKept) {
  run_from(start(CODE(patch_keeps)));
  // The first call comes without what the piece looks for.
  expect_call(*thread_);
  thread_->registers().eflags |= 1;
  std::uint64_t value = 77;
  MUST(space_->write(thread_->registers().rsp - 8, std::as_bytes(std::span(&value, 1))));
  std::uint64_t site = make_hot();
  ASSERT_TRUE(patch(site));
  std::uint64_t before = thread_->registers().r12;
  for (int i = 0; i < 100; ++i) expect_call(*thread_);
  EXPECT_EQ(thread_->registers().r12, before + 100);
}

TEST_F(Patch, IdsAreAnsweredInPlaceAndInterruptsAreSeen) {
  Registers registers = start(CODE(patch_getpid));
  registers.rdi = kData;
  registers.rbx = 4321;
  run_from(registers);
  platform_->publish(*thread_, {.process = 4321});
  Event event = run(*thread_);  // one of many is handed over
  while (event.site == 0) {
    ASSERT_EQ(event.kind, EventKind::kSyscall);
    ASSERT_EQ(thread_->registers().syscall_number(), std::uint64_t{SYS_getpid});
    thread_->registers().set_result(4321);
    event = run(*thread_);
  }
  thread_->registers().set_result(4321);
  ASSERT_TRUE(patch(event.site));
  std::atomic<bool> done = false;
  std::thread interrupter([&] {
    while (!done) {
      thread_->interrupt();
      std::this_thread::yield();
    }
  });
  int stops = 0;
  for (int i = 0; i < 300; ++i) {
    Event stop = thread_->run();
    EXPECT_EQ(stop.kind, EventKind::kInterrupted) << stop.fault.signal;
    if (stop.kind != EventKind::kInterrupted) break;
    std::uint64_t at = thread_->registers().rip;
    EXPECT_TRUE(at >= kCode && at < kCode + kPage) << std::hex << at;
    ++stops;
  }
  done = true;
  interrupter.join();
  EXPECT_EQ(stops, 300);
  std::uint64_t calls = 0;
  MUST(space_->read(kData, std::as_writable_bytes(std::span(&calls, 1))));
  EXPECT_GT(calls, 0U);
}

TEST_F(Patch, RegistersAndExtendedStateCanBeChangedInACall) {
  run_from(start(CODE(patch_vector)));
  std::uint64_t site = make_hot();
  ASSERT_TRUE(patch(site));
  expect_call(*thread_);
  ASSERT_TRUE(is_patched(site));
  std::vector<std::byte> image(thread_->extended_state().begin(), thread_->extended_state().end());
  constexpr std::size_t kXmm7 = 160 + 7 * 16;  // of the FXSAVE image
  std::uint64_t value = 0x1122334455667788;
  std::memcpy(image.data() + kXmm7, &value, sizeof value);
  constexpr std::size_t kFeatures = 512;  // XSTATE_BV: the SSE registers are in use
  image[kFeatures] |= std::byte{2};
  ASSERT_TRUE(thread_->set_extended_state(image));
  thread_->registers().r15 = 99;
  expect_call(*thread_);
  EXPECT_EQ(thread_->registers().r13, value);
  EXPECT_EQ(thread_->registers().r15, 99U);
  EXPECT_EQ(std::memcmp(thread_->extended_state().data() + kXmm7, &value, sizeof value), 0);
  expect_call(*thread_);
  EXPECT_EQ(thread_->registers().r13, value);
}

TEST_F(Patch, ACallCanBeRestartedAndItsInstructionJumpedTo) {
  run_from(start(CODE(patch_calls)));
  std::uint64_t site = make_hot();
  ASSERT_TRUE(patch(site));
  expect_call(*thread_);
  thread_->registers().restart_syscall();
  expect_call(*thread_);
  thread_->registers().rip = site - 2;
  thread_->registers().rax = 2000;
  expect_call(*thread_, 2000);
  EXPECT_EQ(thread_->registers().rip, site);
}

TEST_F(Patch, StepsSeeTheSiteAsItWas) {
  run_from(start(CODE(patch_calls)));
  std::uint64_t site = make_hot();
  ASSERT_TRUE(patch(site));
  expect_call(*thread_);
  constexpr std::uint64_t kTrap = 0x100;
  std::vector<std::uint64_t> places;
  for (int i = 0; i < 3; ++i) {
    thread_->registers().eflags |= kTrap;
    Event event = run(*thread_);
    ASSERT_EQ(event.kind, EventKind::kFault);
    EXPECT_EQ(event.fault.signal, SIGTRAP);
    places.push_back(thread_->registers().rip);
  }
  EXPECT_EQ(places, (std::vector<std::uint64_t>{kCode + 10, kCode, kCode + 5}));
  EXPECT_EQ(thread_->registers().rax, kNumber);
  thread_->registers().eflags &= ~kTrap;
  expect_call(*thread_);
  EXPECT_EQ(thread_->registers().rip, site);
}

TEST_F(Patch, OrdersAreCarriedOutInACall) {
  run_from(start(CODE(patch_calls)));
  std::uint64_t site = make_hot();
  ASSERT_TRUE(patch(site));
  expect_call(*thread_);
  MUST(space_->map(
      thread_.get(),
      {.address = kData + kPage, .length = kPage, .protection = PROT_READ | PROT_WRITE}));
  EXPECT_EQ(MUST(space_->compare_exchange(thread_.get(), kData + kPage, 0, 5)), 0U);
  EXPECT_FALSE(space_->compare_exchange(thread_.get(), kCode, 0, 5));  // not writable
  expect_call(*thread_);
}

TEST_F(Patch, ACopyOfMemoryCanBeMadeTheProgramsOwn) {
  run_from(start(CODE(patch_calls)));
  auto original = std::as_bytes(std::span(CODE(patch_calls)));
  std::uint64_t site = make_hot();
  ASSERT_TRUE(patch(site));
  std::vector<std::byte> copy(original.size());
  MUST(space_->read(kCode, copy));
  EXPECT_FALSE(std::ranges::equal(copy, original));
  space_->undo_patches(kCode, copy);
  EXPECT_TRUE(std::ranges::equal(copy, original));
  auto part = std::span(copy).subspan(2, 2);
  MUST(space_->read(kCode + 2, part));
  space_->undo_patches(kCode + 2, part);
  EXPECT_TRUE(std::ranges::equal(copy, original));
}

TEST_F(Patch, AForkHasItsOwnCallsAtTheSamePlace) {
  run_from(start(CODE(patch_calls)));
  std::uint64_t site = make_hot();
  ASSERT_TRUE(patch(site));
  expect_call(*thread_);
  Ref<AddressSpace> child = MUST(space_->fork(*thread_));
  auto forked = MUST(child->new_thread(thread_->registers(), thread_.get()));
  forked->registers().set_result(1);
  thread_->registers().set_result(2);
  for (int i = 0; i < 50; ++i) expect_call(*forked);
  EXPECT_EQ(forked->registers().rbx, 1000U);  // the result of a call is its number until set
  expect_call(*thread_);
  EXPECT_EQ(thread_->registers().rbx, 2U);
  forked.reset();
}

TEST_F(Patch, AGuestWithAGsBaseOfItsOwnIsTrapped) {
  Registers registers = start(CODE(patch_own_gs));
  for (std::uint64_t base : {kData, std::uint64_t{0x7f0000000000}}) {  // the second: not mapped
    registers.r14 = base;
    if (!thread_) {
      run_from(registers);
      std::uint64_t site = make_hot();
      ASSERT_TRUE(patch(site));
    }
    thread_->registers().r14 = base;
    for (int i = 0; i < 5; ++i) expect_call(*thread_);
    EXPECT_EQ(thread_->registers().gs_base, base);
  }
}

TEST_F(Patch, AJumpInTwoWordsIsOnlyMadeWhereNobodyElseRuns) {
  Registers registers = start(CODE(patch_crossing));
  run_from(registers);
  std::uint64_t site = make_hot();
  ASSERT_FALSE(is_one_store(site - kSiteSize));
  auto other = MUST(space_->new_thread(registers, nullptr));
  EXPECT_FALSE(patch(site));
  EXPECT_FALSE(is_patched(site));
  other.reset();
  EXPECT_TRUE(space_->patch(*thread_, {.site = site,
                                       .island = kIsland,
                                       .begin = kCode,
                                       .length = kPage,
                                       .protection = kCodeProtection}));
  EXPECT_TRUE(is_patched(site));
  expect_call(*thread_);
}

// Others run through the site while it changes.
TEST_F(Patch, ThreadsRunThroughASiteThatIsPatched) {
  Registers registers = start(CODE(patch_calls));
  run_from(registers);
  std::uint64_t site = make_hot();
  std::atomic<int> calls = 0;
  std::atomic<bool> done = false;
  std::thread owner([&] {
    auto other = MUST(space_->new_thread(registers, nullptr));
    while (!done) {
      expect_call(*other);
      ++calls;
    }
  });
  while (calls < 100) std::this_thread::yield();
  ASSERT_TRUE(patch(site));
  for (int i = 0; i < 100; ++i) expect_call(*thread_);
  int reached = calls;
  while (calls < reached + 100) std::this_thread::yield();
  done = true;
  owner.join();
}

TEST_F(Patch, NothingIsReportedWhereItIsSwitchedOff) {
  thread_.reset();
  space_ = nullptr;
  platform_.reset();
  platform_ = MUST(make_systrap({}, false));
  space_ = MUST(platform_->new_address_space());
  MUST(space_->map(nullptr,
                   {.address = kCode, .length = kPage, .protection = PROT_READ | PROT_WRITE}));
  run_from(start(CODE(patch_calls)));
  for (int i = 0; i < 1'000; ++i) EXPECT_EQ(run(*thread_).site, 0U);
  EXPECT_FALSE(space_->add_island(*thread_, kIsland));
}

}  // namespace
}  // namespace caisson::sandbox::platform

#endif

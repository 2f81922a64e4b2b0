// What the sandbox's platforms cost, operation by operation: median and best of many, in ns.
//
//   platform_figures [ptrace|systrap]... [-calls] [-memory] [-faults] [-forks]
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string_view>
#include <vector>

#include "sandbox/platform/platform.h"

#define GUEST(name, text)                                     \
  extern "C" const char guest_##name[], guest_##name##_end[]; \
  __asm__(                                                    \
      ".pushsection .rodata\n"                                \
      "guest_" #name ":\n" text "\nguest_" #name              \
      "_end:\n"                                               \
      ".popsection\n")

GUEST(calls, "1: mov $39, %eax\n syscall\n jmp 1b\n");
// rbx calls of number ebp, then number 1000.
GUEST(some_calls,
      "1: mov %rbx, %r12\n"
      "2: mov %ebp, %eax\n syscall\n dec %r12\n jnz 2b\n"
      " mov $1000, %eax\n syscall\n jmp 1b\n");
// The same with the number in the instruction, as compilers and libraries write it.
GUEST(fixed_calls,
      "1: mov %rbx, %r12\n"
      "2: mov $39, %eax\n syscall\n dec %r12\n jnz 2b\n"
      " mov $1000, %eax\n syscall\n jmp 1b\n");
// Reads a byte of each of rbx pages from r13 on.
GUEST(touch,
      "1: mov %rbx, %r12\n mov %r13, %rax\n"
      "2: movb $1, (%rax)\n add $4096, %rax\n dec %r12\n jnz 2b\n"
      " mov $1000, %eax\n syscall\n jmp 1b\n");

namespace {

using namespace caisson;
using namespace caisson::sandbox;
using namespace caisson::sandbox::platform;

constexpr std::uint64_t kCode = 0x400000, kData = 0x10000000, kPage = 4096;

std::int64_t now() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

void report(const char* what, int rounds, int per_round, const std::function<void()>& operation) {
  std::vector<std::int64_t> times;
  for (int i = 0; i < rounds; ++i) {
    std::int64_t begin = now();
    operation();
    times.push_back((now() - begin) / per_round);
  }
  std::ranges::sort(times);
  std::printf("  %-44s %9lld %9lld %9lld\n", what, static_cast<long long>(times[times.size() / 2]),
              static_cast<long long>(times[0]),
              static_cast<long long>(times[times.size() * 9 / 10]));
}

Registers at(std::uint64_t address) {
  Registers registers;
  registers.rip = address;
  registers.rsp = kData + 8 * kPage;
  return registers;
}

void must_be(Event event, EventKind kind) {
  if (event.kind == kind) return;
  std::printf("unexpected event %d, signal %d at %llx\n", static_cast<int>(event.kind),
              event.fault.signal, static_cast<unsigned long long>(event.fault.address));
  std::exit(1);
}

struct Guest {
  Ref<AddressSpace> space;
  std::unique_ptr<Thread> thread;

  Guest(Platform& platform, const char* begin, const char* end, const Registers& registers)
      : space(MUST(platform.new_address_space())) {
    MUST(space->map(
        nullptr,
        {.address = kCode, .length = kPage, .protection = PROT_READ | PROT_WRITE | PROT_EXEC}));
    MUST(space->map(
        nullptr, {.address = kData, .length = 4096 * kPage, .protection = PROT_READ | PROT_WRITE}));
    MUST(space->write(kCode, std::as_bytes(std::span(begin, end))));
    thread = MUST(space->new_thread(registers, nullptr));
  }
  Event run() {
    for (;;) {
      Event event = thread->run();
      if (event.kind != EventKind::kInterrupted) return event;
    }
  }
};
#define CODE(name) guest_##name, guest_##name##_end

void calls(Platform& platform) {
  Guest guest(platform, CODE(calls), at(kCode));
  report("system call handed over", 20000, 1, [&] {
    must_be(guest.run(), EventKind::kSyscall);
    guest.thread->registers().set_result(1);
  });
  report("... 10 us of kernel work between", 2000, 1, [&] {
    must_be(guest.run(), EventKind::kSyscall);
    for (std::int64_t end = now() + 10'000; now() < end;) continue;
  });
}

void calls_answered_here(Platform& platform, bool fixed) {
  Registers registers = at(kCode);
  registers.rbx = 1000, registers.rbp = SYS_getpid;
  auto guest = fixed ? Guest(platform, CODE(fixed_calls), registers)
                     : Guest(platform, CODE(some_calls), registers);
  platform.publish(*guest.thread, {.process = 7, .thread = 8});
  auto round = [&] {
    do must_be(guest.run(), EventKind::kSyscall);
    while (guest.thread->registers().syscall_number() != 1000);
  };
  round();
  report(fixed ? "getpid, mov $39,%eax; syscall" : "getpid, number in another register", 200, 1000,
         round);
}

void memory(Platform& platform) {
  Guest guest(platform, CODE(calls), at(kCode));
  must_be(guest.run(), EventKind::kSyscall);
  MapRequest request{.address = 0x20000000, .length = 16 * kPage, .protection = PROT_READ};
  report("map and unmap, anonymous", 2000, 1, [&] {
    MUST(guest.space->map(guest.thread.get(), request));
    MUST(guest.space->unmap(guest.thread.get(), request.address, request.length));
  });
  request.fd = ::memfd_create("file", 0);
  if (::ftruncate(request.fd, 16 * kPage) != 0) std::exit(1);
  report("map and unmap, file", 2000, 1, [&] {
    MUST(guest.space->map(guest.thread.get(), request));
    MUST(guest.space->unmap(guest.thread.get(), request.address, request.length));
  });
  report("map and unmap, anonymous, by no thread", 500, 1, [&] {
    request.fd = -1;
    MUST(guest.space->map(nullptr, request));
    MUST(guest.space->unmap(nullptr, request.address, request.length));
  });
  report("the guest's call, map, unmap", 2000, 1, [&] {
    must_be(guest.run(), EventKind::kSyscall);
    MUST(guest.space->map(guest.thread.get(), request));
    must_be(guest.run(), EventKind::kSyscall);
    MUST(guest.space->unmap(guest.thread.get(), request.address, request.length));
  });
  std::byte buffer[64];
  report("read 64 bytes", 2000, 1, [&] { MUST(guest.space->read(kCode, buffer)); });
  report("compare and exchange", 2000, 1,
         [&] { MUST(guest.space->compare_exchange(guest.thread.get(), kData, 0, 0)); });
}

void faults(Platform& platform) {
  Registers registers = at(kCode);
  registers.rbx = 1024, registers.r13 = kData;
  Guest guest(platform, CODE(touch), registers);
  report("first touch of a page", 50, 1024, [&] {
    MUST(guest.space->advise(guest.thread.get(), kData, 1024 * kPage, MADV_DONTNEED));
    must_be(guest.run(), EventKind::kSyscall);
  });
  guest.thread->registers() = at(0x666000);
  report("fault handed over", 5000, 1, [&] { must_be(guest.run(), EventKind::kFault); });
}

void forks(Platform& platform) {
  Guest guest(platform, CODE(calls), at(kCode));
  must_be(guest.run(), EventKind::kSyscall);
  report("fork, first call of the child, end", 500, 1, [&] {
    auto copy = MUST(guest.space->fork(*guest.thread));
    auto child = MUST(copy->new_thread(guest.thread->registers(), guest.thread.get()));
    must_be(child->run(), EventKind::kSyscall);
  });
  report("thread, first call, end", 500, 1, [&] {
    auto other = MUST(guest.space->new_thread(guest.thread->registers(), guest.thread.get()));
    must_be(other->run(), EventKind::kSyscall);
  });
  report("address space, end", 500, 1, [&] { (void)MUST(platform.new_address_space()); });
}

struct Part {
  std::string_view option;
  void (*measure)(Platform&);
};
constexpr Part kParts[] = {
    {"-calls", calls},
    {"-calls", [](Platform& p) { calls_answered_here(p, false); }},
    {"-calls", [](Platform& p) { calls_answered_here(p, true); }},
    {"-memory", memory},
    {"-faults", faults},
    {"-forks", forks},
};

void figures(Platform& platform, std::span<char*> words) {
  std::printf("%-46s %9s %9s %9s\n", std::string(platform.name()).c_str(), "median", "best", "p90");
  bool all = std::ranges::none_of(words, [](const char* word) { return *word == '-'; });
  for (const Part& part : kParts)
    if (all || std::ranges::find(words, part.option) != words.end()) part.measure(platform);
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (*argv[i] == '-') continue;
    bool traced = std::string_view(argv[i]) == "ptrace";
    std::int64_t begin = now();
    auto platform = traced ? make_ptrace() : make_systrap();
    if (!platform) {
      std::printf("%s: %s\n", argv[i], platform.error().message().c_str());
      return 1;
    }
    std::printf("made in %lld us\n", static_cast<long long>(now() - begin) / 1000);
    begin = now();
    (void)MUST((*platform)->new_address_space());
    std::printf("first address space after %lld us\n",
                static_cast<long long>(now() - begin) / 1000);
    figures(**platform, std::span(argv, static_cast<std::size_t>(argc)));
  }
}

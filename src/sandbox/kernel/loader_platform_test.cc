// Programs that were loaded begin to run, on every platform.
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <string_view>

#include <gtest/gtest.h>

#include "sandbox/kernel/loader_fixture_test.h"

#if defined(__x86_64__)

namespace caisson::sandbox::kernel {
namespace {

// mov (%rsp),%rdi; mov 8(%rsp),%rsi; mov $231,%eax; syscall
constexpr std::string_view kCode("\x48\x8b\x3c\x24\x48\x8b\x74\x24\x08\xb8\xe7\x00\x00\x00\x0f\x05",
                                 16);

class LoadedPrograms : public LoaderTest, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    ::alarm(50);  // a hang is a failure
    auto made = GetParam() == std::string_view("ptrace") ? platform::make_ptrace()
                                                         : platform::make_systrap();
    ASSERT_TRUE(made) << made.error().message();
    real_ = std::move(*made);
  }
  void TearDown() override {
    real_.reset();
    EXPECT_EQ(::waitpid(-1, nullptr, __WALL | WNOHANG), -1);  // no stub is left
    ::alarm(0);
  }
  // Runs up to the program's first call, which hands over its argument count and first argument.
  void expect_start(const std::string& path) {
    LoadContext here{*real_, context.walk, {}, 0};
    ExecRequest request;
    request.file = MUST(open_program(here.walk, path));
    request.path = path;
    request.args = {"first", "second"};
    LoadedProgram program = MUST(load_program(here, std::move(request)));
    auto thread = MUST(program.memory->space().new_thread(program.registers, nullptr));
    platform::Event event = thread->run();
    while (event.kind == platform::EventKind::kInterrupted) event = thread->run();
    ASSERT_EQ(event.kind, platform::EventKind::kSyscall)
        << "signal " << event.fault.signal << " at " << event.fault.address;
    EXPECT_EQ(thread->registers().syscall_number(), std::uint64_t{SYS_exit_group});
    EXPECT_EQ(thread->registers().argument(0), 2U);
    EXPECT_EQ(MUST(program.memory->read_string(thread->registers().argument(1), 100)), "first");
  }
  static ElfBuilder with_code(ElfBuilder elf) {
    elf.put(0x1010, kCode);
    return elf;
  }

  std::unique_ptr<platform::Platform> real_;
};

TEST_P(LoadedPrograms, AtFixedAddresses) {
  add("program", with_code(static_program()).build());
  expect_start("/program");
}

TEST_P(LoadedPrograms, AtAddressesOfTheLoadersChoice) {
  add("program", with_code(moved_program()).build());
  expect_start("/program");
}

TEST_P(LoadedPrograms, ThroughTheirInterpreter) {
  add("ld.so", with_code(moved_program()).build());
  ElfBuilder elf = static_program();
  elf.interpreter("/ld.so");
  add("program", elf.build());
  expect_start("/program");
}

INSTANTIATE_TEST_SUITE_P(Platforms, LoadedPrograms, testing::Values("ptrace", "systrap"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace caisson::sandbox::kernel

#endif

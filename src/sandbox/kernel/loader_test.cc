#include "sandbox/kernel/loader.h"

#include <sys/auxv.h>
#include <sys/personality.h>

#include <gtest/gtest.h>

#include "sandbox/kernel/loader_fixture_test.h"

namespace caisson::sandbox::kernel {
namespace {

using Loader = LoaderTest;

template <typename T>
int error_of(const ErrnoOr<T>& result) {
  return result ? 0 : result.error().value;
}

TEST_F(Loader, StaticProgramStandsAtItsAddresses) {
  add("program", static_program().build());
  LoadedProgram program = MUST(load("/program"));
  EXPECT_EQ(program.registers.instruction_pointer(), 0x401010U);
  EXPECT_EQ(bytes_at(program, 0x401000, 4), "code");
  EXPECT_EQ(bytes_at(program, 0x402000, 4), "data");
  EXPECT_EQ(program.name, "program");
  EXPECT_FALSE(program.secure);
}

TEST_F(Loader, MemoryBehindTheDataIsZero) {
  add("program", static_program().build());
  LoadedProgram program = MUST(load("/program"));
  EXPECT_EQ(bytes_at(program, 0x402004, 0x2ffc - 0x4), std::string(0x2ffc - 0x4, '\0'));
}

TEST_F(Loader, PositionIndependentProgramIsMoved) {
  add("program", moved_program().build());
  LoadedProgram program = MUST(load("/program"));
  std::uint64_t base = program.registers.instruction_pointer() - 0x1010;
  EXPECT_NE(base, 0U);
  EXPECT_EQ(bytes_at(program, base + 0x1000, 4), "code");
  EXPECT_EQ(auxiliary(program, AT_PHDR), base + 64);
}

TEST_F(Loader, InterpreterRunsFirst) {
  add("ld.so", moved_program().build());
  ElfBuilder elf = static_program();
  elf.interpreter("/ld.so");
  add("program", elf.build());
  LoadedProgram program = MUST(load("/program"));
  std::uint64_t base = auxiliary(program, AT_BASE);
  EXPECT_EQ(program.registers.instruction_pointer(), base + 0x1010);
  EXPECT_EQ(auxiliary(program, AT_ENTRY), 0x401010U);
  EXPECT_EQ(auxiliary(program, AT_PHDR), 0x400040U);
  EXPECT_EQ(auxiliary(program, AT_PHNUM), 4U);
}

TEST_F(Loader, StackHoldsArgumentsAndEnvironment) {
  add("program", static_program().build());
  LoadedProgram program = MUST(load("/program", {"a", "", "ccc"}, {"X=1", "Y=2"}));
  EXPECT_EQ(args_of(program), (std::vector<std::string>{"a", "", "ccc"}));
  std::uint64_t at = program.registers.stack_pointer() + 4 * 8;
  EXPECT_EQ(word_at(program, at), 0U);
  EXPECT_EQ(MUST(program.memory->read_string(word_at(program, at + 8), 10)), "X=1");
  EXPECT_EQ(MUST(program.memory->read_string(word_at(program, at + 16), 10)), "Y=2");
  EXPECT_EQ(word_at(program, at + 24), 0U);
  EXPECT_EQ(program.registers.stack_pointer() % 16, 0U);
  mm::ProgramLayout layout = program.memory->layout();
  EXPECT_EQ(bytes_at(program, layout.args_begin, 7), std::string("a\0\0ccc\0", 7));
  EXPECT_EQ(layout.args_end - layout.args_begin, 7U);
  EXPECT_EQ(bytes_at(program, layout.env_begin, 8), std::string("X=1\0Y=2\0", 8));
}

TEST_F(Loader, NoArgumentsBecomeOneEmptyOne) {
  add("program", static_program().build());
  EXPECT_EQ(args_of(MUST(load("/program", {}))), (std::vector<std::string>{""}));
}

TEST_F(Loader, ScriptsBringTheirInterpreter) {
  add("sh", static_program().build());
  add("script", "#! /sh  -x y \n");
  LoadedProgram program = MUST(load("/script", {"name", "one"}));
  EXPECT_EQ(args_of(program), (std::vector<std::string>{"/sh", "-x y", "/script", "one"}));
  EXPECT_EQ(program.name, "script");
  EXPECT_EQ(MUST(program.memory->read_string(auxiliary(program, AT_EXECFN), 100)), "/script");
}

TEST_F(Loader, ScriptsOfScriptsEndSomewhere) {
  add("sh", static_program().build());
  add("s1", "#!/sh\n");
  for (int n = 2; n <= 6; ++n) add("s" + std::to_string(n), "#!/s" + std::to_string(n - 1) + "\n");
  EXPECT_EQ(args_of(MUST(load("/s5"))).size(), 6U);
  EXPECT_EQ(error_of(load("/s6")), ELOOP);
}

TEST_F(Loader, WhatCannotBeExecutedIsRefused) {
  add("no_bit", static_program().build(), S_IFREG | 0644);
  add("fifo", "", S_IFIFO | 0755);
  EXPECT_EQ(error_of(load("/no_bit")), EACCES);
  EXPECT_EQ(error_of(load("/fifo")), EACCES);
  EXPECT_EQ(error_of(load("/")), EACCES);
  EXPECT_EQ(error_of(load("/absent")), ENOENT);
}

TEST_F(Loader, MountsCanForbidExecution) {
  add("program", static_program().build());
  mount->set_flags(MS_NOEXEC);
  EXPECT_EQ(error_of(load("/program")), EACCES);
}

TEST_F(Loader, WhatIsNoProgramIsRefused) {
  add("empty", "");
  add("text", "hello\n");
  add("nothing", "#!\n");
  ElfBuilder other = static_program();
  other.header.e_machine = EM_386;
  add("other", other.build());
  for (const char* path : {"/empty", "/text", "/nothing", "/other"})
    EXPECT_EQ(error_of(load(path)), ENOEXEC) << path;
}

TEST_F(Loader, InterpreterMustBeOne) {
  add("no_elf", "text");
  auto program_with = [](std::string_view interpreter) {
    ElfBuilder elf = static_program();
    elf.interpreter(interpreter);
    return elf.build();
  };
  add("bad", program_with("/no_elf"));
  add("absent", program_with("/nowhere"));
  ElfBuilder endless = static_program();
  endless.interpreter("/ld.so");
  endless.segments.back().p_filesz = 3;
  add("endless", endless.build());
  EXPECT_EQ(error_of(load("/bad")), ELIBBAD);
  EXPECT_EQ(error_of(load("/absent")), ENOENT);
  EXPECT_EQ(error_of(load("/endless")), ENOEXEC);
}

TEST_F(Loader, TooManyArgumentsAreRefused) {
  add("program", static_program().build());
  EXPECT_EQ(error_of(load("/program", {std::string(131072, 'x')})), E2BIG);
  EXPECT_EQ(error_of(load("/program", {std::string(131071, 'x')})), 0);
  std::vector<std::string> many(20, std::string(100000, 'x'));
  EXPECT_EQ(error_of(load("/program", many)), 0);
  many.resize(22, std::string(100000, 'x'));
  EXPECT_EQ(error_of(load("/program", many)), E2BIG);
}

TEST_F(Loader, SameAddressesEachTimeWithoutRandomness) {
  add("program", moved_program().build());
  LoadedProgram first = MUST(load("/program")), second = MUST(load("/program"));
  EXPECT_NE(first.registers.stack_pointer(), second.registers.stack_pointer());
  context.personality = ADDR_NO_RANDOMIZE;
  first = MUST(load("/program"));
  second = MUST(load("/program"));
  EXPECT_EQ(first.registers.stack_pointer(), second.registers.stack_pointer());
  EXPECT_EQ(first.registers.instruction_pointer(), second.registers.instruction_pointer());
}

TEST_F(Loader, AlignmentOfSegmentsIsKept) {
  add("program", moved_program(1 << 21).build());
  LoadedProgram program = MUST(load("/program"));
  EXPECT_EQ((program.registers.instruction_pointer() - 0x1010) % (1 << 21), 0U);
}

TEST_F(Loader, StackIsExecutableOnlyWhenAsked) {
  auto stack_protection = [&](const char* path) {
    LoadedProgram program = MUST(load(path));
    for (const mm::Mapping& mapping : program.memory->mappings())
      if (mapping.grows_down) return mapping.protection;
    return -1;
  };
  add("plain", static_program().build());
  ElfBuilder asks = static_program();
  asks.segment(PT_GNU_STACK, PF_R | PF_W | PF_X, 0, 0, 0, 0, 16);
  add("asks", asks.build());
  EXPECT_EQ(stack_protection("/plain"), PROT_READ | PROT_WRITE);
  EXPECT_EQ(stack_protection("/asks"), PROT_READ | PROT_WRITE | PROT_EXEC);
}

TEST_F(Loader, SetUserIdIsTakenUnlessTheMountForbids) {
  ProgramInode& inode = add("program", static_program().build(), S_IFREG | 04755);
  inode.known.uid = 0;
  caller.held = make_ref<vfs::Credentials>();
  caller.held->uid = caller.held->euid = caller.held->suid = caller.held->fsuid = 1000;
  caller.held->bounding = vfs::kAllCapabilities;
  context.walk.credentials = caller.held.get();
  LoadedProgram program = MUST(load("/program"));
  EXPECT_TRUE(program.secure);
  EXPECT_EQ(program.credentials->euid, 0U);
  EXPECT_EQ(auxiliary(program, AT_SECURE), 1U);
  EXPECT_EQ(auxiliary(program, AT_EUID), 0U);
  EXPECT_EQ(auxiliary(program, AT_UID), 1000U);
  mount->set_flags(MS_NOSUID);
  program = MUST(load("/program"));
  EXPECT_FALSE(program.secure);
  EXPECT_EQ(program.credentials->euid, 1000U);
}

TEST_F(Loader, HostsFactsAreInTheAuxiliaryVector) {
  add("program", static_program().build());
  LoadedProgram program = MUST(load("/program"));
  EXPECT_EQ(auxiliary(program, AT_PAGESZ), 4096U);
  EXPECT_EQ(auxiliary(program, AT_CLKTCK), 100U);
  EXPECT_EQ(auxiliary(program, AT_HWCAP), getauxval(AT_HWCAP));
  EXPECT_EQ(auxiliary(program, AT_HWCAP2), getauxval(AT_HWCAP2));
  std::string random = bytes_at(program, auxiliary(program, AT_RANDOM), 16);
  EXPECT_NE(random, std::string(16, '\0'));
}

TEST_F(Loader, HeapBeginsBehindTheProgram) {
  context.personality = ADDR_NO_RANDOMIZE;
  add("program", static_program().build());
  LoadedProgram program = MUST(load("/program"));
  mm::MemoryLimits limits;
  EXPECT_EQ(program.memory->set_break(nullptr, 0, limits), 0x405000U);
  EXPECT_EQ(program.memory->set_break(nullptr, 0x406000, limits), 0x406000U);
}

TEST_F(Loader, HostsRefusalIsTold) {
  add("program", static_program().build());
  context.limits.address_space = 8192;
  EXPECT_EQ(error_of(load("/program")), ENOMEM);
}

}  // namespace
}  // namespace caisson::sandbox::kernel

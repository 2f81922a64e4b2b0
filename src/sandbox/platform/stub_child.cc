// The child side runs in the caller's memory, which waits meanwhile (CLONE_VFORK): it only makes
// system calls.
#include "sandbox/platform/stub_child.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <signal.h>
#include <sys/resource.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "sandbox/platform/layout.h"
#include "sys/clone.h"
#include "sys/file.h"
#include "sys/process.h"

extern "C" const unsigned char caisson_stub_begin[], caisson_stub_end[];

namespace caisson::sandbox::platform {
namespace {

// AddressSanitizer believes that each process has its own memory.
#if defined(__SANITIZE_ADDRESS__)
constexpr std::uint64_t kSharing = 0;
#else
constexpr std::uint64_t kSharing = CLONE_VM | CLONE_VFORK;
#endif

constexpr int kOutOfTheWay = 16;  // above all numbers of StubFd

struct Child {
  const StubDescriptors* given;
  int error = 0;  // what kept it from executing the program
};

// Descriptors to the numbers 0, 1, ... in this order; none of the sources may lie there.
ErrnoOr<> place(const StubDescriptors& given) {
  std::array<int, 4> sources{given.commands, given.areas, given.answer, given.socket};
  for (int& source : sources)
    if (source >= 0) source = TRY(sys::dup_cloexec(FdRef(source), kOutOfTheWay)).release();
  for (std::size_t i = 0; i < sources.size(); ++i)
    if (sources[i] >= 0) TRY(sys::dup3(FdRef(sources[i]), static_cast<int>(i), 0));
  return {};
}

ErrnoOr<> become_stub(const StubDescriptors& given) {
  Fd image = TRY(sys::dup_cloexec(given.image, kOutOfTheWay));
  TRY(place(given));
  TRY(sys::close_range(given.socket >= 0 ? 4 : 3, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */));
  TRY(sys::setsid());                      // signals of a terminal are not for stubs
  TRY(sys::prlimit(RLIMIT_CORE, {0, 0}));  // guest memory is written to no file
  char* const arguments[] = {const_cast<char*>("caisson-stub"), nullptr};
  char* const environment[] = {nullptr};
  return sys::call_void(SYS_execveat, image.number(), "", arguments, environment, AT_EMPTY_PATH);
}

void enter(void* argument) {
  auto& child = *static_cast<Child*>(argument);
  child.error = become_stub(*child.given).error().value;
  sys::exit_process(1);
}

}  // namespace

ErrnoOr<Fd> stub_image() {
  std::size_t size = static_cast<std::size_t>(caisson_stub_end - caisson_stub_begin);
  auto file = sys::memfd_create("caisson-stub", MFD_ALLOW_SEALING | 0x10U /* MFD_EXEC */);
  if (!file) file = sys::memfd_create("caisson-stub", MFD_ALLOW_SEALING);
  if (!file) return std::unexpected(file.error());
  TRY(sys::write_all(*file, {reinterpret_cast<const char*>(caisson_stub_begin), size}));
  TRY(sys::call_void(SYS_fcntl, file->number(), F_ADD_SEALS,
                     F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
  return std::move(*file);
}

ErrnoOr<pid_t> start_stub(const StubDescriptors& given) {
  Child child{&given};
  clone_args args{};
  args.flags = kSharing | CLONE_CLEAR_SIGHAND;
  args.exit_signal = SIGCHLD;
  if (kSharing == 0) {
    // What keeps it from starting shows only by its end.
    long pid = TRY(sys::call(SYS_clone3, &args, sizeof args));
    if (pid == 0) enter(&child);
    return static_cast<pid_t>(pid);
  }
  alignas(16) std::array<std::byte, 16384> stack;
  args.stack = reinterpret_cast<std::uintptr_t>(stack.data());
  args.stack_size = stack.size();
  pid_t pid = TRY(sys::clone_sharing_memory(args, enter, &child));
  if (child.error == 0) return pid;
  (void)sys::wait_pid(pid, __WALL);
  return std::unexpected(Errno{child.error});
}

}  // namespace caisson::sandbox::platform

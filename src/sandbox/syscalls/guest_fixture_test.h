// Guest programs as C++ functions, on the real kernel and table of system calls, without guest
// code.
#pragma once

#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <atomic>
#include <string>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "sandbox/kernel/fake_platform.h"
#include "sandbox/kernel/kernel.h"
#include "sandbox/kernel/loader.h"
#include "sandbox/syscalls/table.h"

namespace caisson::sandbox::syscalls {

using kernel::FakeGuest;
using kernel::FakeProgram;
using kernel::Kernel;

constexpr std::uint64_t kA = FakeGuest::kArea;  // where tests keep words, structs and texts

class GuestTest : public testing::Test {
 protected:
  GuestTest() : kernel_(std::make_unique<kernel::FakePlatform>(), dispatch) {
    container_ = make_container("test");
    kernel_.add_container(container_);
  }

  kernel::FakePlatform& platform() {
    return static_cast<kernel::FakePlatform&>(kernel_.platform());
  }

  static Ref<kernel::Container> make_container(std::string id) {
    auto container =
        make_ref<kernel::Container>(std::move(id), make_ref<kernel::PidNamespace>(nullptr));
    container->uts = make_ref<kernel::UtsNamespace>("host", "domain");
    return container;
  }

  kernel::ProcessRequest request() {
    kernel::ProcessRequest request;
    request.container = container_;
    request.credentials = credentials;
    request.files = make_ref<kernel::FdTable>();
    request.limits = limits;
    return request;
  }

  kernel::LoadedProgram load(FakeProgram program) {
    kernel::LoadedProgram loaded;
    loaded.memory = MUST(mm::MemoryMap::create(kernel_.platform()));
    mm::MapCall area;
    area.address = FakeGuest::kArea;
    area.length = FakeGuest::kAreaSize;
    area.protection = PROT_READ | PROT_WRITE;
    area.flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    (void)MUST(loaded.memory->map(nullptr, area, {}));
    loaded.registers.set_instruction_pointer(platform().add_program(std::move(program)));
    loaded.registers.set_stack_pointer(FakeGuest::kStackTop);
    loaded.name = "program";
    loaded.credentials = credentials;
    return loaded;
  }

  Ref<kernel::ThreadGroup> start(FakeProgram program) {
    auto started = kernel_.start_loaded(
        request(), make_ref<kernel::FsContext>(root_directory(), root_directory(), 022U),
        load(std::move(program)));
    EXPECT_TRUE(started) << started.error().message();
    return *started;
  }

  virtual vfs::Path root_directory() { return {}; }

  // Waits until the process ended; its status as wait4(2) gives it.
  int status_of(const Ref<kernel::ThreadGroup>& group) {
    EXPECT_TRUE(wait_for([&] {
      Locked tree(kernel_.task_lock());
      return group->zombie.load();
    }));
    return group->exit_status;
  }

  // As process 1: what is there then is an init (signal(7)).
  int run_as_init(FakeProgram program) {
    if (container_->pids->last != 0) {  // one init in each
      auto mounts = container_->mounts;
      container_ = make_container("next");
      container_->mounts = std::move(mounts);
      kernel_.add_container(container_);
    }
    return status_of(start(std::move(program)));
  }

  // As a child of process 1, which reaps all that is left to it. The status of the program.
  int run(FakeProgram program) {
    auto status = std::make_shared<int>(-1);
    run_as_init([program = std::move(program), status](FakeGuest& init) {
      std::int64_t child = init.fork(program);
      EXPECT_GT(child, 0);
      for (;;) {
        std::int64_t id = init.call(SYS_wait4, -1, kA, 0, 0);
        if (id == -EINTR) continue;
        if (id < 0) break;
        if (id == child) *status = init.get<int>(kA);
      }
    });
    return *status;
  }

  // Until the condition holds, at most ten seconds.
  template <typename Condition>
  static bool wait_for(Condition condition) {
    for (std::int64_t end = monotonic_ns() + 10'000'000'000; monotonic_ns() < end;) {
      if (condition()) return true;
      timespec pause{0, 200'000};
      (void)::nanosleep(&pause, nullptr);
    }
    return condition();
  }

  Ref<vfs::Credentials> credentials = vfs::Credentials::root();
  std::array<kernel::Limit, kernel::kLimitCount> limits{};

  Kernel kernel_;
  Ref<kernel::Container> container_;
};

// --- what guest programs do often

// Yields to others until `condition` holds in guest memory or elsewhere.
template <typename Condition>
void until(FakeGuest& guest, Condition condition) {
  while (!condition()) guest.call(SYS_sched_yield);
}

inline void set_handler(FakeGuest& guest, int signal, std::uint64_t handler,
                        std::uint64_t flags = 0, std::uint64_t mask = 0) {
  constexpr std::uint64_t kPlace = kA + 3 * 4096 - 64;
  constexpr std::uint64_t kRestorer = 0x04000000;
  guest.put(kPlace, std::array<std::uint64_t, 4>{handler, flags | kRestorer, 0x1234, mask});
  EXPECT_EQ(guest.call(SYS_rt_sigaction, signal, kPlace, 0, 8), 0);
}

inline std::uint64_t handler(FakeGuest& guest, kernel::FakeHandler function) {
  return guest.platform().add_handler(std::move(function));
}

constexpr std::uint64_t bit(int signal) { return std::uint64_t{1} << (signal - 1); }

inline std::uint64_t block(FakeGuest& guest, std::uint64_t signals, int how = SIG_BLOCK) {
  constexpr std::uint64_t kPlace = kA + 3 * 4096 - 128;
  guest.put(kPlace, signals);
  EXPECT_EQ(guest.call(SYS_rt_sigprocmask, how, kPlace, kPlace + 8, 8), 0);
  return guest.get<std::uint64_t>(kPlace + 8);
}

// wait4(2) for one child: its status; -1: none.
inline int wait_status(FakeGuest& guest, std::int64_t id, int options = 0) {
  constexpr std::uint64_t kPlace = kA + 3 * 4096 - 192;
  std::int64_t found = guest.call(SYS_wait4, id, kPlace, options, 0);
  return found > 0 ? guest.get<int>(kPlace) : -1;
}

inline void sleep_ms(FakeGuest& guest, std::int64_t ms) {
  constexpr std::uint64_t kPlace = kA + 3 * 4096 - 256;
  guest.put(kPlace, std::array<std::int64_t, 2>{ms / 1000, ms % 1000 * 1'000'000});
  guest.call(SYS_nanosleep, kPlace, 0);
}

}  // namespace caisson::sandbox::syscalls

// The fast platform: stubs trap their own system calls (seccomp_unotify(2), SIGSYS).
#include <asm/hwcap2.h>
#include <sched.h>
#include <sys/auxv.h>
#include <time.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "sandbox/platform/platform.h"
#include "sandbox/platform/systrap_space.h"
#include "sys/process.h"

namespace caisson::sandbox::platform {
namespace {

class Systrap final : public Platform {
 public:
  Systrap(Ref<StubFamily> family, Ref<SystrapContext> context)
      : family_(std::move(family)), context_(std::move(context)) {}
  std::string_view name() const override { return "systrap"; }
  ErrnoOr<Ref<AddressSpace>> new_address_space() override {
    auto space = make_ref<SystrapSpace>(family_, TRY(family_->new_process()), context_);
    TRY(space->take_first_thread());
    return Ref<AddressSpace>(std::move(space));
  }
  std::uint64_t vdso_address() const override { return family_->vdso_address(); }
  void publish(Thread& thread, const Identity& identity) override {
    static_cast<SystrapThread&>(thread).publish(identity);
  }

 private:
  Ref<StubFamily> family_;
  Ref<SystrapContext> context_;
};

constexpr std::int64_t kPatienceNs = 15'000;

// The clock and the time stamp counter at one moment.
struct Moment {
  std::int64_t ns = sys::clock_ns(CLOCK_MONOTONIC).value_or(0);
  std::uint64_t ticks = __builtin_ia32_rdtsc();
};

// Ticks in kPatienceNs. A counter that cannot be believed gives 0: no looking at all.
std::uint32_t patience(const Moment& from, const Moment& to) {
  std::int64_t ns = to.ns - from.ns;
  std::uint64_t ticks = to.ticks - from.ticks;
  if (ns <= 0 || ticks > std::uint64_t{10} * static_cast<std::uint64_t>(ns)) return 0;
  return static_cast<std::uint32_t>(ticks * kPatienceNs / static_cast<std::uint64_t>(ns));
}

// On how many processors we may run.
int usable_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

}  // namespace

Result<std::unique_ptr<Platform>> make_systrap(std::string mappings, bool patches) {
  constexpr unsigned long kFsGsBase = 1 << 1;  // HWCAP2_FSGSBASE
  if ((::getauxval(AT_HWCAP2) & kFsGsBase) == 0)
    return std::unexpected(
        Error::with_cause(ENOSYS, "this processor or kernel does not let programs use wrfsbase")
            .doing("set up the systrap platform")
            .cure("use the ptrace platform"));
  Moment begin;
  auto family = TRY(StubFamily::create(false, std::move(mappings)));
  auto context = make_ref<SystrapContext>(usable_processors());
  context->patience = patience(begin, Moment());
  if (patches)
    context->islands = TRY_CTX(IslandFile::create(kEnter), "make the memory for trampolines");
  return std::make_unique<Systrap>(std::move(family), std::move(context));
}

}  // namespace caisson::sandbox::platform

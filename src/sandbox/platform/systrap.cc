// The fast platform: stubs trap their own system calls (seccomp_unotify(2), SIGSYS).
#include <asm/hwcap2.h>
#include <sys/auxv.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "sandbox/platform/platform.h"
#include "sandbox/platform/systrap_thread.h"

namespace caisson::sandbox::platform {
namespace {

class SystrapSpace final : public StubSpace {
 public:
  using StubSpace::StubSpace;

 protected:
  ErrnoOr<std::unique_ptr<StubThread>> take_thread(std::uint32_t index,
                                                   std::uint32_t ready) override {
    Fd listener = TRY(process().take_descriptor(static_cast<int>(ready) - 1));
    auto thread = std::make_unique<SystrapThread>(*this, index, std::move(listener));
    TRY(thread->begin());
    return thread;
  }
  Ref<StubSpace> make_sibling(std::unique_ptr<StubProcess> process) override {
    return make_ref<SystrapSpace>(Ref<StubFamily>::share(&family()), std::move(process));
  }
};

class Systrap final : public Platform {
 public:
  explicit Systrap(Ref<StubFamily> family) : family_(std::move(family)) {}
  std::string_view name() const override { return "systrap"; }
  ErrnoOr<Ref<AddressSpace>> new_address_space() override {
    auto space = make_ref<SystrapSpace>(family_, TRY(family_->new_process()));
    TRY(space->take_first_thread());
    return Ref<AddressSpace>(std::move(space));
  }
  std::uint64_t vdso_address() const override { return family_->vdso_address(); }
  void publish(Thread& thread, const Identity& identity) override {
    static_cast<SystrapThread&>(thread).publish(identity);
  }

 private:
  Ref<StubFamily> family_;
};

}  // namespace

Result<std::unique_ptr<Platform>> make_systrap() {
  constexpr unsigned long kFsGsBase = 1 << 1;  // HWCAP2_FSGSBASE
  if ((::getauxval(AT_HWCAP2) & kFsGsBase) == 0)
    return std::unexpected(
        Error::with_cause(ENOSYS, "this processor or kernel does not let programs use wrfsbase")
            .doing("set up the systrap platform")
            .cure("use the ptrace platform"));
  return std::make_unique<Systrap>(TRY(StubFamily::create(false)));
}

}  // namespace caisson::sandbox::platform

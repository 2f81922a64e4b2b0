// The platform that uses nothing but ptrace(2): slow, and the measure of what others must do.
#include <memory>
#include <utility>

#include "sandbox/platform/platform.h"
#include "sandbox/platform/ptrace_thread.h"

namespace caisson::sandbox::platform {
namespace {

class PtraceSpace final : public StubSpace {
 public:
  PtraceSpace(Ref<StubFamily> family, std::unique_ptr<StubProcess> process, ExtendedLayout layout)
      : StubSpace(std::move(family), std::move(process)), layout_(layout) {}

 protected:
  ErrnoOr<std::unique_ptr<StubThread>> take_thread(std::uint32_t index, std::uint32_t) override {
    pid_t thread = TRY(process().made_thread_id());
    return std::make_unique<PtraceThread>(*this, index, thread, layout_);
  }
  Ref<StubSpace> make_sibling(std::unique_ptr<StubProcess> process) override {
    return make_ref<PtraceSpace>(Ref<StubFamily>::share(&family()), std::move(process), layout_);
  }

 private:
  ExtendedLayout layout_;
};

class Ptrace final : public Platform {
 public:
  explicit Ptrace(Ref<StubFamily> family) : family_(std::move(family)) {}
  std::string_view name() const override { return "ptrace"; }
  ErrnoOr<Ref<AddressSpace>> new_address_space() override {
    auto space = make_ref<PtraceSpace>(family_, TRY(family_->new_process()), layout_);
    TRY(space->take_first_thread());
    return Ref<AddressSpace>(std::move(space));
  }
  std::uint64_t vdso_address() const override { return family_->vdso_address(); }
  // Every call of the guest is seen anyway.
  void publish(Thread&, const Identity&) override {}

 private:
  Ref<StubFamily> family_;
  ExtendedLayout layout_ = host_extended_layout();
};

}  // namespace

Result<std::unique_ptr<Platform>> make_ptrace(std::string mappings) {
  return std::make_unique<Ptrace>(TRY(StubFamily::create(true, std::move(mappings))));
}

}  // namespace caisson::sandbox::platform

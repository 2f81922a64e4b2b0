#include "sandbox/boot/remote_kernel.h"

#include <sys/socket.h>

#include <cerrno>

#include "plan/wire.h"
#include "sandbox/control/client.h"

namespace caisson::sandbox::boot {
namespace {

using control::Client;
using control::Request;

class RemoteKernel final : public plan::Sandbox {
 public:
  explicit RemoteKernel(plan::SandboxAddress address) : address_(std::move(address)) {}

  Result<> pause() override {
    TRY(ask(Request::kStop));
    return {};
  }
  Result<> resume() override {
    TRY(ask(Request::kResume));
    return {};
  }
  Result<std::vector<plan::GuestProcess>> processes() override {
    std::vector<plan::GuestProcess> processes;
    TRY(plan::decode(TRY(ask(Request::kProcesses)).text, processes));
    return processes;
  }
  Result<bool> init_drops(int signal) override {
    return TRY(ask(Request::kInitDrops, signal)).value != 0;
  }
  Result<> set_limits(const plan::GuestLimits& limits) override {
    TRY(ask(Request::kLimits, 0, plan::encode(limits)));
    return {};
  }
  Result<std::vector<plan::GuestChange>> changes() override {
    std::vector<plan::GuestChange> changes;
    TRY(plan::decode(TRY(ask(Request::kChanges)).text, changes));
    return changes;
  }

 private:
  // A connection of its own for each: nothing is held open between two.
  Result<control::Reply> ask(Request request, std::int64_t value = 0, std::string_view text = {}) {
    Client client = TRY(Client::connect(address_.socket, address_.container));
    return client.ask(request, value, text);
  }

  plan::SandboxAddress address_;
};

}  // namespace

std::unique_ptr<plan::Sandbox> make_remote_kernel(const plan::SandboxAddress& address) {
  return std::make_unique<RemoteKernel>(address);
}

}  // namespace caisson::sandbox::boot

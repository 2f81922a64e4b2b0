// caisson_create, start, run.
#include "abi/call.h"
#include "library/bundle.h"
#include "spec/validate.h"

namespace caisson::abi {
namespace {

struct Request {
  library::Bundle bundle;
  container::CreateOptions options;
  bool keep = false;
};

Result<library::Bundle> bundle_of(const caisson_create_options& given) {
  std::string directory = TRY(required(given.bundle, "bundle"));
  if (given.config == nullptr) return library::read_bundle(directory);
  return library::bundle_with_config(directory, given.config);
}

Result<> read_request(Call& call, const caisson_create_options* options, std::uint32_t flags,
                      Request& out) {
  auto given = TRY(read_structure(options, caisson_create_options CAISSON_CREATE_OPTIONS_INIT));
  TRY(check_flags(given.flags, flags));
  auto& to = out.options;
  to.id = TRY(required(given.id, "id"));
  out.bundle = TRY(bundle_of(given));
  TRY(spec::validate(out.bundle.spec));
  to.bundle = out.bundle.path;
  to.spec = &out.bundle.spec;
  to.config_text = out.bundle.config_text;
  to.pid_file = optional_text(given.pid_file);
  to.console_socket = optional_text(given.console_socket);
  to.pidfd_socket = optional_text(given.pidfd_socket);
  to.notify_socket = optional_text(given.notify_socket);
  to.seccomp_receiver = optional_text(given.seccomp_receiver);
  to.extra_env = TRY(variables(given.env));
  to.stdio = {given.stdin_fd, given.stdout_fd, given.stderr_fd};
  if (given.preserve_fds < 0) return std::unexpected(bad_argument("preserve_fds", "is negative"));
  to.preserve_fds = given.preserve_fds;
  to.no_pivot = (given.flags & CAISSON_NO_PIVOT) != 0;
  to.no_new_keyring = (given.flags & CAISSON_NO_NEW_KEYRING) != 0;
  to.no_cgroups = call.has(CAISSON_NO_CGROUPS);
  to.systemd_scope = call.has(CAISSON_SYSTEMD_CGROUP);
  out.keep = (given.flags & CAISSON_KEEP) != 0;
  return {};
}

constexpr std::uint32_t kCreateFlags = CAISSON_NO_PIVOT | CAISSON_NO_NEW_KEYRING;

Result<> create(const caisson_runtime* runtime, const caisson_create_options* options,
                caisson_process* init) {
  Call call(*runtime);
  Request request;
  TRY(read_request(call, options, kCreateFlags, request));
  auto created = TRY(container::create(call.context(), request.options));
  return give_process(init, created.pid, std::move(created.pidfd));
}

Result<> start(const caisson_runtime* runtime, const char* id, const char* notify_socket) {
  Call call(*runtime);
  return container::start(call.context(), TRY(required(id, "id")), optional_text(notify_socket));
}

Result<> run(const caisson_runtime* runtime, const caisson_create_options* options,
             caisson_exit* exit) {
  Call call(*runtime);
  Request request;
  TRY(read_request(call, options, kCreateFlags | CAISSON_KEEP, request));
  container::RunOptions run;
  run.create = request.options;
  run.mode = container::RunMode::kDetached;
  run.remove_on_exit = false;
  auto started = TRY(container::run(call.context(), run));
  auto ended = container::wait(call.context(), run.create.id, -1, started.pidfd);
  if (!request.keep) {
    // Another call may have removed it already.
    TRY(container::remove(call.context(), run.create.id, true));
  }
  return write_structure(exit, exit_of(TRY(std::move(ended))));
}

}  // namespace
}  // namespace caisson::abi

extern "C" {

int caisson_create(const caisson_runtime* runtime, const caisson_create_options* options,
                   caisson_process* init, caisson_error** error) {
  return caisson::abi::finish(caisson::abi::create(runtime, options, init), error);
}
int caisson_start(const caisson_runtime* runtime, const char* id, const char* notify_socket,
                  caisson_error** error) {
  return caisson::abi::finish(caisson::abi::start(runtime, id, notify_socket), error);
}
int caisson_run(const caisson_runtime* runtime, const caisson_create_options* options,
                caisson_exit* exit, caisson_error** error) {
  return caisson::abi::finish(caisson::abi::run(runtime, options, exit), error);
}
}

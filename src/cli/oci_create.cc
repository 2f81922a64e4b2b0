// caisson-oci create, start, run.
#include <cstdlib>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/oci.h"
#include "cli/session.h"
#include "library/bundle.h"
#include "plan/sandbox.h"
#include "spec/validate.h"

namespace caisson::cli {
namespace {

constexpr OptionSpec kCreateOptions[] = {
    {"bundle", 'b', "DIR", "directory of config.json (default: the current one)"},
    {"config", 'f', "FILE", "read FILE, not the bundle's config.json"},
    {"console-socket", 0, "PATH", "unix socket that takes the master of the terminal"},
    {"pidfd-socket", 0, "PATH", "unix socket that takes a pidfd of the container's init"},
    {"pid-file", 0, "FILE", "write the process id of init to FILE"},
    {"no-pivot", 0, "", "change the root by chroot, for roots on a ramdisk"},
    {"no-new-keyring", 0, "", "keep the session keyring"},
    {"preserve-fds", 0, "N", "pass descriptors 3 to 2+N on"},
};
constexpr OptionSpec kRunOnly[] = {
    {"detach", 'd', "", "return when the program runs"},
    {"keep", 0, "", "keep the container when it ends"},
    {"no-subreaper", 0, "", "accepted; we are none"},
};
constexpr OptionSpec kCreateOnly[] = {{"no-subreaper", 0, "", "accepted; we are none"}};

struct Request {
  library::Bundle bundle;
  container::CreateOptions options;
};

Result<> read_request(const Context& context, const Arguments& arguments, Request& out) {
  out.bundle = TRY(library::read_bundle(std::string(arguments.value_or("bundle", "")),
                                        std::string(arguments.value_or("config", ""))));
  // An engine's runtime of that name is told so by its arguments.
  if (!context.wall.empty())
    out.bundle.spec.annotations.try_emplace(std::string(plan::kWallAnnotation), context.wall);
  TRY(spec::validate(out.bundle.spec));
  auto& options = out.options;
  options.id = arguments.operands()[0];
  options.bundle = out.bundle.path;
  options.spec = &out.bundle.spec;
  options.config_text = out.bundle.config_text;
  options.pid_file = arguments.value_or("pid-file", "");
  options.console_socket = arguments.value_or("console-socket", "");
  options.pidfd_socket = arguments.value_or("pidfd-socket", "");
  options.preserve_fds = TRY(preserved_fds(arguments, options.extra_env));
  if (const char* receiver = std::getenv("RUN_OCI_SECCOMP_RECEIVER")) {
    options.seccomp_receiver = receiver;
  }
  if (const char* manager = std::getenv("NOTIFY_SOCKET")) options.notify_socket = manager;
  options.no_pivot = arguments.flag("no-pivot");
  options.no_cgroups = context.no_cgroups;
  options.systemd_scope = context.systemd_cgroup;
  options.no_new_keyring = arguments.flag("no-new-keyring");
  return {};
}

Result<int> run_create(Context& context, const Arguments& arguments) {
  Request request;
  TRY(read_request(context, arguments, request));
  Session session = TRY(Session::open(context, true));
  TRY(container::create(session.containers(), request.options));
  session.show_timeline();
  return 0;
}

Result<int> run_start(Context& context, const Arguments& arguments) {
  Session session = TRY(Session::open(context));
  const char* manager = std::getenv("NOTIFY_SOCKET");
  TRY(container::start(session.containers(), arguments.operands()[0],
                       manager == nullptr ? "" : manager));
  return 0;
}

Result<int> run_run(Context& context, const Arguments& arguments) {
  Request request;
  TRY(read_request(context, arguments, request));
  Session session = TRY(Session::open(context, true));
  container::RunOptions run;
  run.create = request.options;
  bool detach = arguments.flag("detach");
  run.mode = detach ? container::RunMode::kDetached : container::RunMode::kForeground;
  run.remove_on_exit = !arguments.flag("keep");
  auto result = TRY(container::run(session.containers(), run));
  session.show_timeline();
  return detach ? 0 : result.exit.shell_status();
}

}  // namespace

const Command kOciCreateCommand{
    .name = "create",
    .group = "Life cycle",
    .operands = "[options] ID",
    .summary = "Create a container from a bundle; its program waits for start",
    .details = {},
    .examples = "caisson-oci create --bundle /containers/web web",
    .options = kCreateOptions,
    .shared_options = kCreateOnly,
    .min_operands = 1,
    .max_operands = 1,
    .run = run_create,
};

const Command kOciStartCommand{
    .name = "start",
    .group = "Life cycle",
    .operands = "ID",
    .summary = "Run the program of a created container",
    .details = {},
    .examples = "caisson-oci start web",
    .options = {},
    .shared_options = {},
    .min_operands = 1,
    .max_operands = 1,
    .run = run_start,
};

const Command kOciRunCommand{
    .name = "run",
    .group = "Life cycle",
    .operands = "[options] ID",
    .summary = "Create and start a container from a bundle",
    .details = "In the foreground, the exit status is the program's, or 128 + signal.",
    .examples =
        "caisson-oci run --bundle /containers/web web\n"
        "caisson-oci run --detach --pid-file web.pid web",
    .options = kCreateOptions,
    .shared_options = kRunOnly,
    .min_operands = 1,
    .max_operands = 1,
    .run = run_run,
};

}  // namespace caisson::cli

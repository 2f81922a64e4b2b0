// caisson-oci checkpoint, restore.
#include "base/text.h"
#include "cli/commands.h"
#include "cli/criu_options.h"
#include "cli/session.h"
#include "library/bundle.h"
#include "spec/validate.h"

namespace caisson::cli {
namespace {

constexpr OptionSpec kCheckpointOptions[] = {
    {"parent-path", 0, "DIR", "images of a pre-dump, as seen from --image-path"},
    {"pre-dump", 0, "", "save the memory only, and let the container go on"},
    {"leave-running", 0, "", "let the container go on afterwards"},
    {"tcp-skip-in-flight", 0, "", "leave connections out that are being made"},
    {"link-remap", 0, "", "give removed files that are open a name meanwhile"},
    {"page-server", 0, "ADDRESS:PORT", "send the memory there"},
    {"status-fd", 0, "N", "with --lazy-pages: write a zero byte to this descriptor when ready"},
};

constexpr OptionSpec kRestoreOptions[] = {
    {"bundle", 'b', "DIR", "directory of config.json (default: the current one)"},
    {"config", 'f', "FILE", "read FILE, not the bundle's config.json"},
    {"console-socket", 0, "PATH", "unix socket that takes the master of the terminal"},
    {"detach", 'd', "", "return when the program runs"},
    {"keep", 0, "", "keep the container when it ends"},
    {"pid-file", 0, "FILE", "write the process id of init to FILE"},
    {"no-pivot", 0, "", "accepted; CRIU changes the root"},
    {"no-subreaper", 0, "", "accepted; we are none"},
    {"tcp-close", 0, "", "restore connections as closed ones"},
    {"lsm-profile", 0, "TYPE:NAME", "another AppArmor profile or SELinux label"},
    {"lsm-mount-context", 0, "CONTEXT", "another SELinux context of mounts"},
};

Result<int> run_checkpoint(Context& context, const Arguments& arguments) {
  auto options = TRY(read_criu_options(context, arguments));
  Session session = TRY(Session::open(context));
  TRY(save_by_criu(context, session, std::string(arguments.operands()[0]), options));
  return 0;
}

Result<int> run_restore(Context& context, const Arguments& arguments) {
  auto options = TRY(read_criu_options(context, arguments));
  auto bundle = TRY(library::read_bundle(std::string(arguments.value_or("bundle", "")),
                                         std::string(arguments.value_or("config", ""))));
  TRY(spec::validate(bundle.spec));
  options.config_file = criu_config_file(context, bundle.spec.annotations);
  container::RunOptions run;
  run.create.id = arguments.operands()[0];
  run.create.bundle = bundle.path;
  run.create.spec = &bundle.spec;
  run.create.config_text = bundle.config_text;
  run.create.pid_file = arguments.value_or("pid-file", "");
  run.create.console_socket = arguments.value_or("console-socket", "");
  run.create.no_cgroups = context.no_cgroups;
  run.create.systemd_scope = context.systemd_cgroup;
  run.create.restore = &options;
  bool detach = arguments.flag("detach");
  run.mode = detach ? container::RunMode::kDetached : container::RunMode::kForeground;
  run.remove_on_exit = !arguments.flag("keep");
  Session session = TRY(Session::open(context, true));
  auto result = TRY(container::run(session.containers(), run));
  session.show_timeline();
  return detach ? 0 : result.exit.shell_status();
}

}  // namespace

const Command kOciCheckpointCommand{
    .name = "checkpoint",
    .group = "Life cycle",
    .operands = "[options] ID",
    .summary = "Save a running container as images, by CRIU",
    .details =
        "The container is removed when it was saved, but for --leave-running and --pre-dump.",
    .examples =
        "caisson-oci checkpoint --image-path /srv/web.images web\n"
        "caisson-oci checkpoint --leave-running --tcp-established web",
    .options = kCheckpointOptions,
    .shared_options = kCriuSharedOptions,
    .min_operands = 1,
    .max_operands = 1,
    .run = run_checkpoint,
};

const Command kOciRestoreCommand{
    .name = "restore",
    .group = "Life cycle",
    .operands = "[options] ID",
    .summary = "Make a container of the images of a checkpoint",
    .details = "In the foreground, the exit status is the program's, or 128 + signal.",
    .examples = "caisson-oci restore --image-path /srv/web.images --bundle /containers/web -d web",
    .options = kRestoreOptions,
    .shared_options = kCriuSharedOptions,
    .min_operands = 1,
    .max_operands = 1,
    .run = run_restore,
};

}  // namespace caisson::cli

// caisson checkpoint, restore: for containers with a root file system of their own.
#include "base/text.h"
#include "cli/caller.h"
#include "cli/commands.h"
#include "cli/criu_options.h"
#include "cli/session.h"
#include "library/bundle.h"
#include "spec/validate.h"
#include "sys/file.h"

namespace caisson::cli {
namespace {

constexpr OptionSpec kCheckpointOptions[] = {
    {"leave-running", 0, "", "let the container go on afterwards"},
    {"parent-path", 0, "DIR", "images of a pre-dump, as seen from --image-path"},
    {"pre-dump", 0, "", "save the memory only, and let the container go on"},
    {"link-remap", 0, "", "give removed files that are open a name meanwhile"},
    {"criu", 0, "FILE", "the CRIU to use (default: criu in PATH)"},
};

constexpr OptionSpec kRestoreOptions[] = {
    {"detach", 'd', "", "run in the background; output goes to \"caisson logs\""},
    {"keep", 0, "", "keep the container when it ends, until \"caisson rm\""},
    {"tcp-close", 0, "", "restore connections as closed ones"},
    {"criu", 0, "FILE", "the CRIU to use (default: criu in PATH)"},
};

// Beside the images, so that they are all that a restore needs.
constexpr const char* kConfigFile = "config.json";

Result<int> run_checkpoint(Context& context, const Arguments& arguments) {
  context.criu = arguments.value_or("criu", "");
  auto options = TRY(read_criu_options(context, arguments));
  std::string name(arguments.operands()[0]);
  Session session = TRY(Session::open(context));
  auto config = TRY(container::config_text(session.containers(), name));
  TRY(save_by_criu(context, session, name, options));
  std::string path = cat(options.image_path, "/", kConfigFile);
  TRY_CTX(sys::write_atomically(sys::kCwd, path.c_str(), config), "write ", path);
  TRY(print(name + "\n"));
  return 0;
}

// What the container was is beside its images.
Result<library::Bundle> read_images(const std::string& path) {
  auto bundle = library::read_bundle(path);
  if (bundle || !bundle.error().code().starts_with("bundle.")) return bundle;
  return std::unexpected(Error::with_cause(ENOENT, "no saved container is there")
                             .doing("restore from ", path)
                             .cure("name the directory that \"caisson checkpoint\" wrote to with "
                                   "--image-path")
                             .code("restore.images"));
}

Result<int> run_restore(Context& context, const Arguments& arguments) {
  context.criu = arguments.value_or("criu", "");
  auto options = TRY(read_criu_options(context, arguments));
  auto bundle = TRY(read_images(options.image_path));
  TRY(spec::validate(bundle.spec));
  options.config_file = criu_config_file(context, bundle.spec.annotations);
  bool detach = arguments.flag("detach");
  container::RunOptions run;
  run.create.id = arguments.operands()[0];
  run.create.spec = &bundle.spec;
  run.create.config_text = bundle.config_text;
  run.create.cgroup_parent = "/caisson";
  run.create.restore = &options;
  run.mode = detach ? container::RunMode::kSupervised : container::RunMode::kForeground;
  run.remove_on_exit = !detach && !arguments.flag("keep");
  Session session = TRY(Session::open(context, true));
  auto result = TRY(container::run(session.containers(), run));
  session.show_timeline();
  if (!detach) return result.exit.shell_status();
  TRY(print(cat(run.create.id, "\n")));
  return 0;
}

}  // namespace

const Command kCheckpointCommand{
    .name = "checkpoint",
    .group = "Acting",
    .operands = "[options] NAME",
    .summary = "Save a running container to disk",
    .details =
        "A sandbox (run --wall sandbox) saves itself. Others are saved by CRIU, and only those "
        "with "
        "a\n"
        "root file system of their own (run --rootfs): the changes to a view of this machine are "
        "in\n"
        "memory that no image takes. The container is removed when it was saved, but for\n"
        "--leave-running and --pre-dump.",
    .examples = "caisson checkpoint --image-path /srv/web.images web",
    .options = kCheckpointOptions,
    .shared_options = kCriuSharedOptions,
    .min_operands = 1,
    .max_operands = 1,
    .run = run_checkpoint,
};

const Command kRestoreCommand{
    .name = "restore",
    .group = "Acting",
    .operands = "[options] NAME",
    .summary = "Let a saved container go on, under this name",
    .details = {},
    .examples = "caisson restore -d --image-path /srv/web.images web",
    .options = kRestoreOptions,
    .shared_options = kCriuSharedOptions,
    .min_operands = 1,
    .max_operands = 1,
    .run = run_restore,
};

}  // namespace caisson::cli

// caisson sandbox: what a sandbox's kernel tells of itself.
#include "plan/sandbox.h"

#include <algorithm>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/sandbox_view.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/verbs.h"
#include "sandbox/control/client.h"

namespace caisson::cli {
namespace {

using sandbox::control::Client;
using sandbox::control::Request;

struct View {
  std::string_view name, shows;
};
constexpr View kViews[] = {
    {"processes", "the processes in it, with their ids there"},
    {"stacks", "where each thread is"},
    {"maps", "the memory of each process"},
    {"fds", "the open files of each process"},
    {"mounts", "what is mounted, as mountinfo"},
    {"syscalls", "system calls that programs asked for and that it does not have"},
};

std::string view_names() {
  std::string out;
  for (const auto& view : kViews) append(out, out.empty() ? "" : ", ", view.name);
  return out;
}

Result<> check_view(const Context& context, std::string_view name) {
  for (const auto& view : kViews)
    if (view.name == name) return {};
  return std::unexpected(usage_error(
      context.command_name(), cat("unknown view ", quoted(name), ": use one of ", view_names())));
}

Result<> check_wall(Session& session, const std::string& name) {
  auto snapshot = TRY(container::query(session.containers(), name));
  bool runs = snapshot.status == container::Status::kRunning ||
              snapshot.status == container::Status::kPaused;
  if (snapshot.state.wall != "sandbox") {
    return std::unexpected(Error::invalid("its wall is the host's kernel")
                               .doing("container ", quoted(name))
                               .code("container.state")
                               .cure("this is for containers run with --wall sandbox"));
  }
  if (runs) return {};
  return std::unexpected(Error::with_cause(ESRCH, "container not running")
                             .doing("container ", quoted(name))
                             .code("container.state"));
}

// What guests name, a terminal would obey.
std::string printable_lines(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    auto line = text.substr(0, text.find('\n'));
    append(out, printable(line), "\n");
    text.remove_prefix(std::min(text.size(), line.size() + 1));
  }
  return out;
}

}  // namespace

Result<std::string> ask_sandbox(Session& session, const std::string& name, std::string_view view) {
  const auto state = TRY(container::query(session.containers(), name)).state;
  const std::string& leader = state.sandbox.empty() ? state.id : state.sandbox;
  std::string path = cat(session.containers().root, "/", plan::sandbox_socket_name(leader));
  auto kernel = TRY(Client::connect(path, state.id));
  return TRY(kernel.ask(Request::kShow, 0, view)).text;
}

namespace {

Result<int> print_syscall_page(const Context& context, const Arguments& arguments) {
  if (arguments.operands().size() != 1 || arguments.operands()[0] != "syscalls")
    return std::unexpected(
        usage_error(context.command_name(), "--markdown goes with \"syscalls\" alone"));
  if (context.syscall_page == nullptr)
    return std::unexpected(Error(Errno{ENOSYS}).doing("list the sandbox's system calls"));
  TRY(print(context.syscall_page()));
  return 0;
}

Result<int> run_sandbox(Context& context, const Arguments& arguments) {
  const auto& operands = arguments.operands();
  if (arguments.flag("markdown")) return print_syscall_page(context, arguments);
  TRY(check_view(context, operands[0]));
  if (operands.size() < 2)
    return std::unexpected(usage_error(context.command_name(), "needs the NAME of a container"));
  const std::string name(operands[1]);
  Session session = TRY(Session::open(context));
  TRY(check_wall(session, name));
  TRY(print(printable_lines(TRY(ask_sandbox(session, name, operands[0])))));
  return 0;
}

constexpr OptionSpec kOptions[] = {
    {"markdown", 0, "", "syscalls without a NAME: all that there are, as docs/syscalls.md"},
};

}  // namespace

const Command kSandboxCommand{
    .name = "sandbox",
    .group = "Looking",
    .operands = "[options] processes|stacks|maps|fds|mounts|syscalls NAME",
    .summary = "Look into a sandbox",
    .details =
        "Containers that run with --wall sandbox have a kernel of their own, which is asked here:\n"
        "  processes  the processes in it, with their ids there\n"
        "  stacks     where each thread is\n"
        "  maps       the memory of each process\n"
        "  fds        the open files of each process\n"
        "  mounts     what is mounted, as mountinfo\n"
        "  syscalls   system calls that programs asked for and that it does not have",
    .examples =
        "caisson sandbox fds web\n"
        "caisson sandbox mounts web\n"
        "caisson sandbox --markdown syscalls",
    .options = kOptions,
    .shared_options = {},
    .min_operands = 1,
    .max_operands = 2,
    .run = run_sandbox,
};

}  // namespace caisson::cli

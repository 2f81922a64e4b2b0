#include "sandbox/boot/processes.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <bit>

#include "sandbox/boot/boot_caller.h"
#include "sandbox/fs/host_file/host_file.h"
#include "sandbox/fs/tty/terminal_files.h"
#include "sys/process.h"

namespace caisson::sandbox::boot {
namespace {

using kernel::Limit;

Ref<vfs::Credentials> credentials_of(const plan::ProcessPlan& process) {
  auto credentials = make_ref<vfs::Credentials>();
  auto& c = *credentials;
  c.uid = c.euid = c.suid = c.fsuid = process.uid;
  c.gid = c.egid = c.sgid = c.fsgid = process.gid;
  c.groups.assign(process.additional_gids.begin(), process.additional_gids.end());
  const auto& sets = process.capabilities;
  if (sets.apply) {
    c.bounding = sets.bounding & vfs::kAllCapabilities;
    c.permitted = sets.permitted & vfs::kAllCapabilities;
    c.effective = sets.effective & vfs::kAllCapabilities;
    c.inheritable = sets.inheritable & vfs::kAllCapabilities;
    c.ambient = sets.ambient & vfs::kAllCapabilities;
  }
  c.no_new_privileges = process.no_new_privileges;
  return credentials;
}

// What the plan leaves open is as the kernel process has it, which got it from our caller.
std::array<Limit, kernel::kLimitCount> limits_of(const plan::ProcessPlan& process) {
  std::array<Limit, kernel::kLimitCount> limits;
  for (int i = 0; i < kernel::kLimitCount; ++i) {
    if (auto own = sys::getrlimit(i))
      limits[static_cast<std::size_t>(i)] = {own->rlim_cur, own->rlim_max};
  }
  for (const auto& step : process.rlimits) {
    if (step.resource < 0 || step.resource >= kernel::kLimitCount) continue;
    limits[static_cast<std::size_t>(step.resource)] = {step.soft, step.hard};
  }
  return limits;
}

// A working directory that is not there is made, as runc does.
Result<> make_working_directory(kernel::Container& container, const plan::ProcessPlan& process) {
  if (!process.create_cwd) return {};
  BootCaller caller;
  std::string path;
  for (auto part : split(process.cwd, '/')) {
    if (part.empty()) continue;
    append(path, "/", part);
    auto made = vfs::make_directory(caller.walk(*container.mounts), path, 0755);
    if (made || made.error().value == EEXIST) continue;
    if (vfs::walk(caller.walk(*container.mounts), path, {})) continue;
    return std::unexpected(Error(made.error())
                               .doing("make the working directory ", process.cwd)
                               .where("process.cwd")
                               .step("cwd"));
  }
  return {};
}

struct Standard {
  Ref<kernel::FdTable> files = make_ref<kernel::FdTable>();
  Ref<kernel::ControllingTerminal> controlling;
  std::unique_ptr<TerminalBridge> bridge;
};

Result<Standard> standard_files(kernel::Container& container, const plan::ProcessPlan& process,
                                std::array<Fd, 3> stdio, StartAs as) {
  Standard standard;
  if (process.terminal) {
    auto terminal = TRY(open_guest_terminal(*container.mounts, stdio[0]));
    for (int fd = 0; fd < 3; ++fd) TRY(standard.files->put(fd, terminal.slave, false, 3, nullptr));
    if (auto* slave = vfs::file_as<fs::TerminalFile>(*terminal.slave))
      standard.controlling = slave->terminal();
    standard.bridge = TRY(TerminalBridge::start(std::move(stdio[0]), std::move(terminal.master)));
    return standard;
  }
  auto streams = TRY(take_streams(std::move(stdio), as));
  for (int fd = 0; fd < 3; ++fd) {
    auto& host = streams.host[static_cast<std::size_t>(fd)];
    std::uint32_t access = host->access();
    TRY(standard.files->put(fd, make_ref<fs::InheritedFile>(std::move(host), access), false, 3,
                            nullptr));
  }
  return standard;
}

}  // namespace

Result<fs::StandardStreams> take_streams(std::array<Fd, 3> stdio, StartAs as) {
  fs::StandardStreams streams;
  auto poller = TRY_CTX(fs::HostPoller::create(), "make the poller");
  for (std::uint32_t fd = 0; fd < stdio.size(); ++fd) {
    streams.host[fd] = TRY_CTX(fs::HostDescriptor::create(std::move(stdio[fd]), false, poller),
                               "take descriptor ", fd, " over");
    if (as == StartAs::kInit) streams.host[fd]->standard = fd;
  }
  return streams;
}

Result<StartedProcess> start_process(kernel::Kernel& kernel, Ref<kernel::Container> container,
                                     const plan::ProcessPlan& process, std::array<Fd, 3> stdio,
                                     StartAs as) {
  TRY(make_working_directory(*container, process));
  auto standard = TRY(standard_files(*container, process, std::move(stdio), as));
  kernel::ProcessRequest request;
  request.container = container;
  request.args = process.args;
  request.env = process.env;
  request.cwd = process.cwd;
  request.credentials = credentials_of(process);
  request.files = std::move(standard.files);
  request.limits = limits_of(process);
  request.umask = process.umask.value_or(022);
  request.terminal = std::move(standard.controlling);
  StartedProcess started;
  auto group = kernel.start_process(request);
  if (!group) return std::unexpected(std::move(group).error().step("exec"));
  started.group = std::move(*group);
  started.terminal = std::move(standard.bridge);
  return started;
}

}  // namespace caisson::sandbox::boot

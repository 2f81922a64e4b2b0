// From a process as the plan describes it to one that runs in the sandbox.
#pragma once

#include <array>

#include "base/fd.h"
#include "base/result.h"
#include "plan/plan.h"
#include "sandbox/boot/terminal_bridge.h"
#include "sandbox/fs/host_file/host_file.h"
#include "sandbox/kernel/kernel.h"

namespace caisson::sandbox::boot {

struct StartedProcess {
  Ref<kernel::ThreadGroup> group;
  std::unique_ptr<TerminalBridge> terminal;  // null: it has none
};

// `stdio`: descriptors of the host for 0, 1, 2; with process.terminal the raw end of a pty, three
// times. ENOENT and the like when the program cannot be executed. The streams of the first process
// are those of the container.
enum class StartAs : std::uint8_t { kInit, kAnother };
Result<StartedProcess> start_process(kernel::Kernel& kernel, Ref<kernel::Container> container,
                                     const plan::ProcessPlan& process, std::array<Fd, 3> stdio,
                                     StartAs as = StartAs::kAnother);

// The standard streams of a container, for its first process or at a restore.
Result<fs::StandardStreams> take_streams(std::array<Fd, 3> stdio, StartAs as);

}  // namespace caisson::sandbox::boot

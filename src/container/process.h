// Processes by their identity (pid and start time), and how they ended.
#pragma once

#include <signal.h>

#include <optional>

#include "base/fd.h"
#include "base/result.h"
#include "container/state.h"

namespace caisson::container {

// The calling process.
Result<ProcessId> own_process();
// A pidfd of the process if it still runs: not a zombie, not another one that was given the same
// pid, and noted on this boot of the machine.
std::optional<Fd> find_process(const ProcessId& process, const std::string& boot_id);

// Whether the process is the first one of a pid namespace below ours. True when it is gone.
bool is_namespace_init(int pid);

// True when the kernel drops `signal` because the process is the init of its pid namespace and left
// the signal at its default, which would end any other process (pid_namespaces(7)).
bool init_drops(int pid, int signal);

// What becomes of a signal that would end any other program, at the init of a pid namespace.
enum class SignalFate {
  kHandled,  // caught or ignored, or nothing that the kernel drops
  kDropped,  // left at its default
  kBlocked,  // held back, and none is there: not sent yet, or picked up by sigwait(3) or
             // signalfd(2)
  kPending,  // held back and waiting: dropped or taken later
  // There for a handler that has not run yet, or never will when an execve(2) takes it away.
  kAwaited,
};
SignalFate signal_fate(int pid, int signal);

// How a process ended that poll(2) reports as ended: as our child, else from the kernel
// (Linux 6.15), else from the zombie that its parent has not collected yet. Not known after 2 s of
// trying: never guessed. `at` is now.
Exit collect_exit(FdRef pidfd, int pid);

// The same for a process that is not there any more, or is a zombie.
Exit exit_of_ended(const ProcessId& process, const std::string& boot_id);

// Collects it, if it is a zombie and our child.
void reap_ended(const ProcessId& process, const std::string& boot_id);

}  // namespace caisson::container

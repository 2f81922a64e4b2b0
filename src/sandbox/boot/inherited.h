// What the kernel process of a sandbox is started with, and a member of one: our own program, told
// by its first word.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "plan/plan.h"

namespace caisson::sandbox::boot {

// argv[0] that makes our program a sandbox's kernel.
inline constexpr std::string_view kKernelName = "caisson-sandbox";

// argv[0] that makes it the host's process of a container that joined another one's sandbox.
inline constexpr std::string_view kMemberName = "caisson-sandbox-member";

// Descriptors that it gets, by number; -1: none.
struct KernelDescriptors {
  int plan = -1;     // a memory file, see plan/wire.h
  int control = -1;  // listening socket, or a member's connected one; see control.h
  int strace = -1;   // takes the log of system calls
  int notes = -1;    // takes the calls that were missing, at the end
  // A checkpoint to be restored (image.h) instead of the plan's process; -1: none.
  int state = -1, memory = -1;
  std::vector<int> places;  // see descriptors.h
};
std::vector<std::string> to_arguments(std::string_view name, const KernelDescriptors& numbers);
Result<KernelDescriptors> from_arguments(const std::vector<std::string_view>& words);

// The same taken over: ours from now on, and of no child.
struct Inherited {
  plan::Plan plan;
  Fd control, strace, notes;
  Fd state, memory;
  std::vector<Fd> places;
};
Result<Inherited> take_inherited(const std::vector<std::string_view>& words);

// The gofer of a plan's places, for files of other owners than this process's user; our end of its
// socket. Invalid: none could be started (EPERM): a sandbox of an ordinary user has no such files.
Result<Fd> start_gofer(const plan::Plan& plan, const std::vector<Fd>& places);

// A raw terminal of the host tells its size by SIGWINCH to whom it belongs.
void take_terminal(const plan::ProcessPlan& process);

// What `run` reports for what it could not start: 125, 126, 127.
int status_of(const Error& error);
// What is told on standard error of it.
std::string report_of(const Error& error);

}  // namespace caisson::sandbox::boot

#include "container/hook_child.h"

#include <signal.h>

#include "sys/event.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::container {
namespace {

ErrnoOr<> make_stdio(FdRef from, int to) {
  if (from.number() == to) return sys::set_cloexec(from, false);
  return sys::dup3(from, to, 0);
}

// Default dispositions and an empty mask: what the caller ignores or blocks is none of the hook's
// business.
void reset_signals() {
  struct {  // struct sigaction of the kernel: handler, flags, restorer, mask
    unsigned long words[4];
  } action{};
  for (int signal = 1; signal <= 64; ++signal) {
    (void)sys::call_void(SYS_rt_sigaction, signal, &action, nullptr, 8);
  }
  (void)sys::signal_mask(SIG_SETMASK, sys::SignalSet());
}

ErrnoOr<> enter_namespaces(const HookChild& child) {
  if (child.pidfd < 0 || child.namespaces == 0) return {};
  TRY(sys::setns(FdRef(child.pidfd), child.namespaces));
  if ((child.namespaces & CLONE_NEWUSER) == 0) return {};
  // Root of the container, where it has one.
  (void)sys::setresgid(0);
  (void)sys::setresuid(0);
  return {};
}

ErrnoOr<> become_hook(const HookChild& child) {
  TRY(sys::setsid());
  reset_signals();
  TRY(make_stdio(FdRef(child.input), 0));
  TRY(make_stdio(FdRef(child.output), 1));
  TRY(make_stdio(FdRef(child.errors), 2));
  TRY(enter_namespaces(child));
  TRY(sys::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC));
  if (child.program < 0) return sys::call_void(SYS_execve, child.path, child.args, child.env);
  // A script's interpreter opens it through /dev/fd: this one descriptor stays.
  TRY(sys::set_cloexec(FdRef(child.program), false));
  return sys::call_void(SYS_execveat, child.program, "", child.args, child.env, AT_EMPTY_PATH);
}

}  // namespace

void run_hook_child(const HookChild& child) {
  auto failed = become_hook(child);
  int error = failed ? 0 : failed.error().value;
  (void)sys::write(FdRef(child.report), &error, sizeof error);
  sys::exit_process(127);
}

}  // namespace caisson::container

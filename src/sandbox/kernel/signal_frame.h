// Signal frames: what stands on the guest's stack while a handler runs, exactly as the host
// architecture's Linux lays it out (programs and unwinders read it). A file per architecture.
#pragma once

#include "base/result.h"
#include "sandbox/kernel/signals.h"

namespace caisson::sandbox::kernel {

class Task;

// Puts a frame on the stack that the action asks for and lets the guest go on in the handler. The
// alternate stack disarms itself where it shall. EFAULT: there is no room; nothing changed.
ErrnoOr<> push_signal_frame(Task& task, const SignalInfo& info, const SignalAction& action,
                            SignalSet mask_to_restore);

// rt_sigreturn(2): takes registers, mask and alternate stack back from the frame. EFAULT.
ErrnoOr<> pop_signal_frame(Task& task);

// Of sigaltstack(2). `stack_pointer`: where the guest's is now.
struct AlternateStack;
bool is_on_stack(const AlternateStack& stack, std::uint64_t stack_pointer);
// EINVAL, ENOMEM (too small), EPERM (in use).
ErrnoOr<> set_alternate_stack(Task& task, const AlternateStack& stack, std::uint64_t stack_pointer);

}  // namespace caisson::sandbox::kernel

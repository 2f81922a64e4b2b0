// Containers whose wall is a kernel of our own: what their verbs ask of it.
#pragma once

#include <memory>

#include "container/container.h"
#include "container/foreground.h"
#include "plan/guest.h"

namespace caisson::container {

bool in_sandbox(const Container& container);
plan::SandboxAddress sandbox_address(const Context& context, const Container& container);
// Its kernel runs as soon as the container was started.
Result<std::unique_ptr<plan::Sandbox>> reach_sandbox(Context& context, const Container& container);

// Whether others can join the sandbox of this container.
Result<> check_joined(Context& context, std::string_view id);

// For wait_in_foreground(): empty unless there is a sandbox's kernel to ask.
DropsSignal drops_signal(Context& context, const Container& container);

// The freezer cannot stop what waits for an answer of the kernel (seccomp notifications): the
// kernel itself stops answering. Until when is kept in the state, so that who looks need not ask.
Result<> pause_sandbox(Context& context, Container& container);
Result<> resume_sandbox(Context& context, Container& container);

}  // namespace caisson::container

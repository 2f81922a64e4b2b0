// The start of a platform's first stub.
#pragma once

#include <sys/types.h>

#include "base/fd.h"
#include "base/result.h"

namespace caisson::sandbox::platform {

// A file of the stub's program.
ErrnoOr<Fd> stub_image();

// Descriptors of the caller that the stub gets, by the numbers of StubFd; -1: none.
struct StubDescriptors {
  Fd image;
  int commands = -1, areas = -1, answer = -1, socket = -1;
};

// Executes the stub's program in a child. The caller's memory is not copied for that.
ErrnoOr<pid_t> start_stub(const StubDescriptors& given);

}  // namespace caisson::sandbox::platform

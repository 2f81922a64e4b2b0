// The gofer's loop: one request, one answer, until the other end closes.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "gofer/files.h"

namespace caisson::gofer {

// Returns when the other end has closed. EPROTO: it sent what is no request, and is not answered
// any more.
ErrnoOr<> serve(FdRef socket, const Files& files);

}  // namespace caisson::gofer

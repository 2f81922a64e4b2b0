// The system call filter of containers that bring none: an allow-list of what programs use, with
// what reaches beyond the container opened only along with the capability that it takes.
#pragma once

#include "spec/container_spec.h"

namespace caisson::spec {

// `capabilities`: the bounding set of the process, "CAP_SYS_ADMIN".
Seccomp default_seccomp(const Strings& capabilities);

}  // namespace caisson::spec

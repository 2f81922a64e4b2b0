// A guest thread's general registers, by the names of the host's architecture.
#pragma once

#if defined(__x86_64__)
#include "sandbox/abi/registers_x86_64.h"
#elif defined(__aarch64__)
#include "sandbox/abi/registers_aarch64.h"
#endif

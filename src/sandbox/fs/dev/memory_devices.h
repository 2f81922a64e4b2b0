// The devices without hardware: null, zero, full, random, urandom (null(4), full(4), random(4)).
#pragma once

#include "sandbox/fs/special.h"

namespace caisson::sandbox::fs {

void add_memory_devices(SpecialFiles& special);

}  // namespace caisson::sandbox::fs

// What a saved sandbox expects of a machine that it is restored on: programs have pointers into the
// vDSO, and registers as their processor had them.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "sandbox/platform/platform.h"

namespace caisson::sandbox::boot {

struct SavedMachine {
  std::uint64_t vdso_address = 0, vdso_sum = 0;
  std::uint64_t processor_state = 0;  // components, as XCR0 has them
  friend bool operator==(const SavedMachine&, const SavedMachine&) = default;
};
template <typename Stream>
void describe(Stream& stream, SavedMachine& machine) {
  stream(machine.vdso_address, machine.vdso_sum, machine.processor_state);
}

SavedMachine machine_of(const platform::Platform& platform);
// ENOTSUP: says what is other here.
Result<> check_machine(const SavedMachine& saved, const SavedMachine& here);

}  // namespace caisson::sandbox::boot

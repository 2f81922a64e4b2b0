// docs/syscalls.md: what the sandbox has of Linux' system calls, from the tables of the families.
#pragma once

#include <cstdint>
#include <string>

namespace caisson::sandbox::boot {

std::string syscall_page();

// By our table, else by Linux' own; "call 999" for what neither has.
std::string call_name(std::uint64_t number);

}  // namespace caisson::sandbox::boot

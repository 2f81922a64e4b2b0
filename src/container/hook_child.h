// The child side of a hook, between fork and exec: no allocation.
#pragma once

namespace caisson::container {

struct HookChild {
  const char* path = nullptr;  // used when `program` is -1
  int program = -1;            // open executable, for a hook in other namespaces
  char* const* args = nullptr;
  char* const* env = nullptr;
  int input = -1, output = -1, errors = -1;
  int report = -1;  // takes the errno (an int) when the program can't be run; close-on-exec
  int pidfd = -1;   // of the process whose namespaces are entered
  int namespaces = 0;
};

[[noreturn]] void run_hook_child(const HookChild& child);

}  // namespace caisson::container

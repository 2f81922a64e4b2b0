// The program loader: what execve(2) builds before it can no longer fail. It finds the program
// behind scripts, checks it, and lays a new address space out with code, stack and auxiliary
// vector. The caller's own address space and credentials stay as they are until it takes the result
// over.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/ref.h"
#include "base/result.h"
#include "sandbox/kernel/kernel.h"
#include "sandbox/mm/memory_map.h"
#include "sandbox/platform/platform.h"
#include "sandbox/vfs/credentials.h"
#include "sandbox/vfs/walk.h"

namespace caisson::sandbox::kernel {

// For whom a program is loaded. Nothing is taken from "the current task": the first program of a
// container has none.
struct LoadContext {
  platform::Platform& platform;
  vfs::WalkContext walk;          // finds interpreters; `credentials` are those before the call
  mm::MemoryLimits limits;        // the stack's limit bounds arguments too
  std::uint32_t personality = 0;  // ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC ... (personality(2))
  const mm::HostFigures* figures = nullptr;
};

struct LoadedProgram {
  Ref<mm::MemoryMap> memory;          // with its ProgramLayout; no thread yet
  platform::Registers registers;      // at the entry
  std::string name;                   // comm: last component of the path, at most 15 bytes
  Ref<vfs::Credentials> credentials;  // after the call: set-id bits, capabilities (capabilities(7))
  bool secure = false;                // AT_SECURE; the process is not dumpable, its parent death
                                      // signal is cleared
  std::uint32_t personality = 0;      // a set-id program loses PER_CLEAR_ON_SETID
};

// ENOENT EACCES ENOEXEC ELIBBAD ETXTBSY E2BIG ELOOP ENOMEM EINVAL as execve(2) has them.
ErrnoOr<LoadedProgram> load_program(const LoadContext& context, ExecRequest request);

// Opens a file to be executed: EACCES when it is no regular file, may not be executed, or its mount
// says noexec. With `flags.allow_empty` and an empty path: the base itself (AT_EMPTY_PATH).
ErrnoOr<Ref<vfs::File>> open_program(const vfs::WalkContext& context, std::string_view path,
                                     vfs::WalkFlags flags = {});

}  // namespace caisson::sandbox::kernel

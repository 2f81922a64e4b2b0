// What a change of credentials brings with it.
#pragma once

#include "sandbox/kernel/task.h"

namespace caisson::sandbox::syscalls {

// capabilities(7), "Effect of user ID changes on capabilities": `next` has the new ids.
void drop_capabilities_of_root(const vfs::Credentials& before, vfs::Credentials& next);
// The same for setfsuid(2).
void drop_file_capabilities_of_root(const vfs::Credentials& before, vfs::Credentials& next);

// Gives them to the task; a process whose ids changed is not dumpable, and gets no parent death
// signal (commit_creds()).
void take_credentials(kernel::Task& task, Ref<vfs::Credentials> next);

}  // namespace caisson::sandbox::syscalls

// A guest task as sockets see it (net/requester.h).
#pragma once

#include "sandbox/kernel/task.h"
#include "sandbox/net/requester.h"

namespace caisson::sandbox::syscalls {

// The process of a caller, which is a kernel::Task: for net::Sockets.
Ref<const net::Process> process_of_task(vfs::Caller& caller);

// The same process as the sender of a message may claim to be (SCM_CREDENTIALS). ESRCH.
ErrnoOr<Ref<const net::Process>> process_with_id(kernel::Task& task, int id);

class TaskRequester final : public net::Requester {
 public:
  explicit TaskRequester(kernel::Task& task) : task_(task) {}
  vfs::Caller& caller() override { return task_; }
  Ref<const net::Process> process() override;
  ErrnoOr<vfs::WalkContext> walk_context() override;
  std::uint32_t umask() override { return task_.fs().umask(); }
  std::uint64_t file_limit() override;
  kernel::Task& task() { return task_; }

 private:
  kernel::Task& task_;
  Ref<const net::Process> process_;
};

}  // namespace caisson::sandbox::syscalls

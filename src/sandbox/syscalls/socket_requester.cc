#include "sandbox/syscalls/socket_requester.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "sandbox/kernel/kernel.h"

namespace caisson::sandbox::syscalls {

namespace {

// The ids of a thread group, without keeping it.
class GroupProcess final : public net::Process {
 public:
  explicit GroupProcess(const kernel::ThreadGroup& group)
      : namespace_(group.pid_namespace), ids_(group.ids) {}

  int id_for(const Process& viewer) const override {
    const kernel::PidNamespace* wanted = static_cast<const GroupProcess&>(viewer).namespace_.get();
    const kernel::PidNamespace* own = namespace_.get();
    while (own != nullptr && own->depth > wanted->depth) own = own->parent.get();
    auto depth = static_cast<std::size_t>(wanted->depth);
    return own == wanted && depth < ids_.size() ? ids_[depth] : 0;
  }

 private:
  Ref<kernel::PidNamespace> namespace_;
  std::vector<int> ids_;
};

}  // namespace

Ref<const net::Process> process_of_task(vfs::Caller& caller) {
  return make_ref<GroupProcess>(static_cast<kernel::Task&>(caller).group());
}

ErrnoOr<Ref<const net::Process>> process_with_id(kernel::Task& task, int id) {
  Locked lock(task.kernel().task_lock());
  kernel::ThreadGroup* group = task.kernel().find_group(*task.group().pid_namespace, id);
  if (group == nullptr) return std::unexpected(Errno{ESRCH});
  return Ref<const net::Process>(make_ref<GroupProcess>(*group));
}

Ref<const net::Process> TaskRequester::process() {
  if (!process_) process_ = process_of_task(task_);
  return process_;
}

ErrnoOr<vfs::WalkContext> TaskRequester::walk_context() { return task_.walk_context(AT_FDCWD); }

std::uint64_t TaskRequester::file_limit() { return task_.group().limit(RLIMIT_NOFILE).soft; }

}  // namespace caisson::sandbox::syscalls

#include "sandbox/kernel/fd_table.h"

#include <algorithm>
#include <utility>

namespace caisson::sandbox::kernel {
namespace {

constexpr Errno kBadDescriptor{EBADF};

std::size_t as_index(int fd) { return static_cast<std::size_t>(fd); }

// What happens to files whose descriptors are gone, outside the table's lock.
void tell_closed(std::vector<Ref<vfs::File>>& files, vfs::Caller* owner) {
  for (Ref<vfs::File>& file : files) file->descriptor_closed(owner);
}

}  // namespace

ErrnoOr<Ref<vfs::File>> FdTable::get(int fd) const {
  Locked locked(mutex_);
  if (fd < 0 || as_index(fd) >= slots_.size() || !slots_[as_index(fd)].file)
    return std::unexpected(kBadDescriptor);
  return slots_[as_index(fd)].file;
}

ErrnoOr<int> FdTable::add(Ref<vfs::File> file, bool close_on_exec, std::uint64_t limit, int least) {
  Locked locked(mutex_);
  std::size_t index = as_index(std::max(first_free_, least));
  while (index < slots_.size() && slots_[index].file) ++index;
  if (index >= limit) return std::unexpected(Errno{EMFILE});
  if (index >= slots_.size()) slots_.resize(index + 1);
  slots_[index] = {std::move(file), close_on_exec};
  int fd = static_cast<int>(index);
  if (least <= first_free_) first_free_ = fd + 1;
  return fd;
}

ErrnoOr<> FdTable::put(int fd, Ref<vfs::File> file, bool close_on_exec, std::uint64_t limit,
                       vfs::Caller* owner) {
  if (fd < 0 || as_index(fd) >= limit) return std::unexpected(kBadDescriptor);
  Ref<vfs::File> old;
  {
    Locked locked(mutex_);
    if (as_index(fd) >= slots_.size()) slots_.resize(as_index(fd) + 1);
    old = std::exchange(slots_[as_index(fd)].file, std::move(file));
    slots_[as_index(fd)].close_on_exec = close_on_exec;
  }
  if (old) old->descriptor_closed(owner);
  return {};
}

ErrnoOr<> FdTable::close(int fd, vfs::Caller* owner) {
  Ref<vfs::File> old;
  {
    Locked locked(mutex_);
    if (fd < 0 || as_index(fd) >= slots_.size() || !slots_[as_index(fd)].file)
      return std::unexpected(kBadDescriptor);
    old = std::exchange(slots_[as_index(fd)].file, nullptr);
    first_free_ = std::min(first_free_, fd);
  }
  old->descriptor_closed(owner);
  return {};
}

template <typename Condition>
void FdTable::close_if(unsigned first, unsigned last, vfs::Caller* owner, Condition condition) {
  std::vector<Ref<vfs::File>> closed;
  {
    Locked locked(mutex_);
    std::size_t end = std::min(slots_.size(), std::size_t{last} + 1);
    for (std::size_t index = first; index < end; ++index) {
      if (!slots_[index].file || !condition(slots_[index])) continue;
      closed.push_back(std::exchange(slots_[index].file, nullptr));
      first_free_ = std::min(first_free_, static_cast<int>(index));
    }
  }
  tell_closed(closed, owner);
}

void FdTable::close_range(unsigned first, unsigned last, vfs::Caller* owner) {
  close_if(first, last, owner, [](const Slot&) { return true; });
}

void FdTable::close_all(vfs::Caller* owner) { close_range(0, ~0U, owner); }

void FdTable::drop_user(vfs::Caller* owner) {
  if (users_.fetch_sub(1, std::memory_order_acq_rel) == 1) close_all(owner);
}

void FdTable::close_on_exec(vfs::Caller* owner) {
  close_if(0, ~0U, owner, [](const Slot& slot) { return slot.close_on_exec; });
}

ErrnoOr<bool> FdTable::is_close_on_exec(int fd) const {
  Locked locked(mutex_);
  if (fd < 0 || as_index(fd) >= slots_.size() || !slots_[as_index(fd)].file)
    return std::unexpected(kBadDescriptor);
  return slots_[as_index(fd)].close_on_exec;
}

ErrnoOr<> FdTable::set_close_on_exec(int fd, bool on) {
  Locked locked(mutex_);
  if (fd < 0 || as_index(fd) >= slots_.size() || !slots_[as_index(fd)].file)
    return std::unexpected(kBadDescriptor);
  slots_[as_index(fd)].close_on_exec = on;
  return {};
}

void FdTable::set_close_on_exec_range(unsigned first, unsigned last) {
  Locked locked(mutex_);
  std::size_t end = std::min(slots_.size(), std::size_t{last} + 1);
  for (std::size_t index = first; index < end; ++index) slots_[index].close_on_exec = true;
}

Ref<FdTable> FdTable::copy() const {
  auto table = make_ref<FdTable>();
  Locked locked(mutex_);
  table->slots_ = slots_;
  table->first_free_ = first_free_;
  return table;
}

std::vector<int> FdTable::numbers() const {
  std::vector<int> open;
  Locked locked(mutex_);
  for (std::size_t index = 0; index < slots_.size(); ++index)
    if (slots_[index].file) open.push_back(static_cast<int>(index));
  return open;
}

vfs::Path FsContext::root() const {
  Locked locked(mutex_);
  return root_;
}

vfs::Path FsContext::cwd() const {
  Locked locked(mutex_);
  return cwd_;
}

std::uint32_t FsContext::umask() const {
  Locked locked(mutex_);
  return umask_;
}

void FsContext::set_root(vfs::Path root) {
  {
    Locked locked(mutex_);
    std::swap(root_, root);
  }
}

void FsContext::set_cwd(vfs::Path cwd) {
  {
    Locked locked(mutex_);
    std::swap(cwd_, cwd);
  }
}

std::uint32_t FsContext::set_umask(std::uint32_t umask) {
  Locked locked(mutex_);
  return std::exchange(umask_, umask & 0777U);
}

Ref<FsContext> FsContext::copy() const {
  Locked locked(mutex_);
  return make_ref<FsContext>(root_, cwd_, umask_);
}

}  // namespace caisson::sandbox::kernel

// FdTable: a thread group's descriptors (or several groups' after clone(CLONE_FILES)).
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "base/mutex.h"
#include "base/ref.h"
#include "base/result.h"
#include "sandbox/vfs/file.h"

namespace caisson::sandbox::kernel {

class FdTable final : public RefCounted {
 public:
  FdTable() = default;

  // EBADF.
  ErrnoOr<Ref<vfs::File>> get(int fd) const;
  // The lowest free number from `least` on, below `limit` (RLIMIT_NOFILE); EMFILE.
  ErrnoOr<int> add(Ref<vfs::File> file, bool close_on_exec, std::uint64_t limit, int least = 0);
  // dup2(2), dup3(2): what was there is closed for `owner`. EBADF when fd is beyond the limit.
  ErrnoOr<> put(int fd, Ref<vfs::File> file, bool close_on_exec, std::uint64_t limit,
                vfs::Caller* owner);
  ErrnoOr<> close(int fd, vfs::Caller* owner);
  void close_range(unsigned first, unsigned last, vfs::Caller* owner);
  void close_all(vfs::Caller* owner);
  void close_on_exec(vfs::Caller* owner);  // execve(2)

  ErrnoOr<bool> is_close_on_exec(int fd) const;
  ErrnoOr<> set_close_on_exec(int fd, bool on);
  void set_close_on_exec_range(unsigned first, unsigned last);
  // Tasks that have it: when the last one leaves, all is closed (readers of /proc are none).
  void add_user() { users_.fetch_add(1, std::memory_order_relaxed); }
  void drop_user(vfs::Caller* owner);
  bool is_shared() const { return users_.load(std::memory_order_relaxed) > 1; }
  Ref<FdTable> copy() const;
  std::vector<int> numbers() const;  // of open descriptors, rising

  state::Tag save_tag() const { return state::Tag::kFdTable; }
  Result<> save(state::Writer& to);
  static Result<Ref<FdTable>> restore(state::Reader& from);

 private:
  Result<> restore_slots(state::Reader& from);
  ~FdTable() override = default;
  struct Slot {
    Ref<vfs::File> file;
    bool close_on_exec = false;
  };
  template <typename Condition>
  void close_if(unsigned first, unsigned last, vfs::Caller* owner, Condition condition);

  mutable Mutex mutex_;
  std::vector<Slot> slots_;
  int first_free_ = 0;  // no free slot below it
  std::atomic<int> users_{0};
};

// What clone(CLONE_FS) shares: root, working directory, umask.
class FsContext final : public RefCounted {
 public:
  FsContext(vfs::Path root, vfs::Path cwd, std::uint32_t umask)
      : root_(std::move(root)), cwd_(std::move(cwd)), umask_(umask) {}
  vfs::Path root() const;
  vfs::Path cwd() const;
  std::uint32_t umask() const;
  void set_root(vfs::Path root);
  void set_cwd(vfs::Path cwd);
  std::uint32_t set_umask(std::uint32_t umask);  // the one before
  Ref<FsContext> copy() const;

  state::Tag save_tag() const { return state::Tag::kFsContext; }
  Result<> save(state::Writer& to);
  static Result<Ref<FsContext>> restore(state::Reader& from);

 private:
  ~FsContext() override = default;
  mutable Mutex mutex_;
  vfs::Path root_, cwd_;
  std::uint32_t umask_;
};

}  // namespace caisson::sandbox::kernel

// fcntl(2) with its locks, flock(2), ioctl(2).
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <limits>

#include "sandbox/kernel/file_owner.h"
#include "sandbox/syscalls/file_families.h"
#include "sandbox/syscalls/file_guest.h"
#include "sandbox/vfs/file_locks.h"
#include "sandbox/vfs/permission.h"

namespace caisson::sandbox::syscalls {
namespace {

constexpr std::uint64_t kEnd = ~std::uint64_t{0};

// --- range locks

ErrnoOr<vfs::RangeLock> range_of(vfs::File& file, const struct flock& asked) {
  std::int64_t base = 0;
  if (asked.l_whence == SEEK_CUR)
    base = static_cast<std::int64_t>(TRY(file.seek(0, SEEK_CUR)));
  else if (asked.l_whence == SEEK_END)
    base = static_cast<std::int64_t>(TRY(file.size()));
  else if (asked.l_whence != SEEK_SET)
    return fail(EINVAL);
  std::int64_t begin = 0, last = 0;
  if (__builtin_add_overflow(base, asked.l_start, &begin)) return fail(EOVERFLOW);
  if (begin < 0) return fail(EINVAL);
  vfs::RangeLock range;
  range.begin = static_cast<std::uint64_t>(begin);
  if (asked.l_len > 0) {
    if (__builtin_add_overflow(begin, asked.l_len - 1, &last)) return fail(EOVERFLOW);
    range.last = static_cast<std::uint64_t>(last);
  } else if (asked.l_len < 0) {
    // The bytes before the begin.
    if (begin + asked.l_len < 0) return fail(EINVAL);
    range.begin = static_cast<std::uint64_t>(begin + asked.l_len);
    range.last = static_cast<std::uint64_t>(begin - 1);
  }
  range.exclusive = asked.l_type == F_WRLCK;
  return range;
}

Value tell_conflict(Task& task, vfs::FileLocks& locks, const vfs::RangeLock& range,
                    struct flock asked, std::uint64_t address) {
  auto held = locks.conflict(range);
  asked.l_type = F_UNLCK;
  if (held) {
    asked.l_type = held->exclusive ? F_WRLCK : F_RDLCK;
    asked.l_whence = SEEK_SET;
    asked.l_start = static_cast<std::int64_t>(held->begin);
    asked.l_len = held->last == kEnd ? 0 : static_cast<std::int64_t>(held->last - held->begin + 1);
    asked.l_pid = held->process;
  }
  TRY(store(task, address, asked));
  return 0;
}

Value lock_range(Task& task, vfs::File& file, int command, std::uint64_t address) {
  auto asked = TRY(load<struct flock>(task, address));
  bool of_file = command == F_OFD_GETLK || command == F_OFD_SETLK || command == F_OFD_SETLKW;
  bool known = asked.l_type == F_RDLCK || asked.l_type == F_WRLCK || asked.l_type == F_UNLCK;
  if (!known || (of_file && asked.l_pid != 0) || file.inode() == nullptr) return fail(EINVAL);
  vfs::RangeLock range = TRY(range_of(file, asked));
  range.owner = of_file ? static_cast<const void*>(&file) : task.lock_owner();
  range.process = of_file ? -1 : task.group().id();
  vfs::FileLocks& locks = file.inode()->data_inode().locks();
  if (command == F_GETLK || command == F_OFD_GETLK) {
    if (asked.l_type == F_UNLCK && !of_file) return fail(EINVAL);
    return tell_conflict(task, locks, range, asked, address);
  }
  if (asked.l_type == F_UNLCK) {
    locks.unlock(range.owner, range.begin, range.last);
    return 0;
  }
  if (!(range.exclusive ? file.writable() : file.readable())) return fail(EBADF);
  auto attempt = [&] { return locks.lock(range); };
  if (command == F_SETLK || command == F_OFD_SETLK) {
    TRY(attempt());
    return 0;
  }
  kernel::LockWaits::Wait wait(task.kernel().lock_waits(), range.owner);
  auto patient = [&]() -> ErrnoOr<> {
    ErrnoOr<> done = attempt();
    if (done || done.error().value != EAGAIN || of_file) return done;
    if (auto held = locks.conflict(range)) TRY(wait.set(held->owner));
    return done;
  };
  TRY(kernel::wait_until_done(task, locks.queue(), ~vfs::ReadyMask{0}, {}, patient));
  return 0;
}

// --- fcntl

Value duplicate(Task& task, Ref<vfs::File> file, std::uint64_t least, bool close_on_exec) {
  std::uint64_t limit = task.group().limit(RLIMIT_NOFILE).soft;
  if (least >= limit) return fail(EINVAL);
  return TRY(task.files().add(std::move(file), close_on_exec, limit, static_cast<int>(least)));
}

// --- signals of input and output

using kernel::FileOwner;

void change_async(Task& task, vfs::File& file, int fd, bool on) {
  Ref<FileOwner> owner = FileOwner::of(task.kernel(), file);
  if (on)
    owner->watch(file, fd);
  else
    owner->leave();
}

struct OwnerArgument {  // struct f_owner_ex
  FileOwner::Kind kind = FileOwner::Kind::kProcess;
  std::int32_t id = 0;
};

ErrnoOr<> set_owner(Task& task, vfs::File& file, FileOwner::Who who) {
  if (who.id < 0) return fail(ESRCH);
  if (who.id != 0) {
    const kernel::PidNamespace& ns = *task.group().pid_namespace;
    Locked tree(task.kernel().task_lock());
    bool is_there = who.kind == FileOwner::Kind::kGroup
                        ? task.kernel().find_process_group(ns, who.id) != nullptr
                        : task.kernel().find_task(ns, who.id) != nullptr;
    if (!is_there) return fail(ESRCH);
  }
  FileOwner::of(task.kernel(), file)->set_who(task, who);
  return {};
}

FileOwner::Who owner_of(const vfs::File& file) {
  Ref<FileOwner> owner = FileOwner::known_of(file);
  return owner ? owner->who() : FileOwner::Who{};
}

Value set_owner_by_number(Task& task, vfs::File& file, std::int32_t number) {
  FileOwner::Who who{FileOwner::Kind::kProcess, number};
  if (number == std::numeric_limits<std::int32_t>::min()) return fail(EINVAL);
  if (number < 0) who = {FileOwner::Kind::kGroup, -number};
  TRY(set_owner(task, file, who));
  return 0;
}

Value control_owner(Task& task, vfs::File& file, int command, std::uint64_t argument) {
  FileOwner::Who who = owner_of(file);
  switch (command) {
    case F_SETOWN: return set_owner_by_number(task, file, static_cast<std::int32_t>(argument));
    case F_GETOWN: return who.kind == FileOwner::Kind::kGroup ? -who.id : who.id;
    case F_SETOWN_EX: {
      auto given = TRY(load<OwnerArgument>(task, argument));
      bool known = given.kind >= FileOwner::Kind::kThread && given.kind <= FileOwner::Kind::kGroup;
      if (!known) return fail(EINVAL);
      TRY(set_owner(task, file, {given.kind, given.id}));
      return 0;
    }
    case F_GETOWN_EX: TRY(store(task, argument, OwnerArgument{who.kind, who.id})); return 0;
    case F_SETSIG:
      if (argument > kernel::kSignalCount) return fail(EINVAL);
      FileOwner::of(task.kernel(), file)->set_signal(static_cast<int>(argument));
      return 0;
    default: {  // F_GETSIG
      Ref<FileOwner> owner = FileOwner::known_of(file);
      return owner ? owner->signal() : 0;
    }
  }
}

Value set_flags(Task& task, vfs::File& file, int fd, std::uint32_t flags) {
  constexpr std::uint32_t kSettable = O_APPEND | O_NONBLOCK | O_ASYNC | O_DIRECT | O_NOATIME;
  bool wants_noatime = (flags & O_NOATIME) != 0 && (file.flags() & O_NOATIME) == 0;
  if (wants_noatime && !vfs::owns(TRY(file.attributes()), task.credentials())) return fail(EPERM);
  bool changes_async = ((file.flags() ^ flags) & O_ASYNC) != 0;
  file.set_flags((file.flags() & ~kSettable) | (flags & kSettable));
  if (changes_async) change_async(task, file, fd, (flags & O_ASYNC) != 0);
  return 0;
}

Value control_open(Task& task, vfs::File& file, int fd, int command, std::uint64_t argument) {
  switch (command) {
    case F_SETFL: return set_flags(task, file, fd, static_cast<std::uint32_t>(argument));
    case F_SETOWN:
    case F_GETOWN:
    case F_SETOWN_EX:
    case F_GETOWN_EX:
    case F_SETSIG:
    case F_GETSIG: return control_owner(task, file, command, argument);
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW: return lock_range(task, file, command, argument);
    case F_GETLEASE: return F_UNLCK;  // there are none
    default: return file.control(task, command, argument);
  }
}

}  // namespace

Value sys_fcntl(Task& task, const Arguments& arguments) {
  int fd = arguments.i32(0), command = arguments.i32(1);
  std::uint64_t argument = arguments.u64(2);
  Ref<vfs::File> file = TRY(task.file(fd));
  switch (command) {
    case F_DUPFD: return duplicate(task, std::move(file), argument, false);
    case F_DUPFD_CLOEXEC: return duplicate(task, std::move(file), argument, true);
    case F_GETFD: return TRY(task.files().is_close_on_exec(fd)) ? FD_CLOEXEC : 0;
    case F_SETFD: TRY(task.files().set_close_on_exec(fd, (argument & FD_CLOEXEC) != 0)); return 0;
    case F_GETFL: return file->flags();
    default: break;
  }
  if ((file->flags() & O_PATH) != 0) return fail(EBADF);
  return control_open(task, *file, fd, command, argument);
}

Value sys_flock(Task& task, const Arguments& arguments) {
  int operation = arguments.i32(1), kind = operation & ~LOCK_NB;
  if (kind != LOCK_SH && kind != LOCK_EX && kind != LOCK_UN) return fail(EINVAL);
  Ref<vfs::File> file = TRY(usable_file(task, arguments.i32(0)));
  if (file->inode() == nullptr) return fail(EBADF);
  vfs::FileLocks& locks = file->inode()->data_inode().locks();
  if (kind == LOCK_UN) {
    locks.unlock_whole(file.get());
    return 0;
  }
  auto attempt = [&] { return locks.lock_whole(file.get(), kind == LOCK_EX); };
  if ((operation & LOCK_NB) != 0)
    TRY(attempt());
  else
    TRY(kernel::wait_until_done(task, locks.queue(), ~vfs::ReadyMask{0}, {}, attempt));
  return 0;
}

namespace {

Value set_mode_bit(Task& task, vfs::File& file, std::uint64_t address, std::uint32_t bit) {
  bool on = TRY(load<int>(task, address)) != 0;
  file.set_flags(on ? file.flags() | bit : file.flags() & ~bit);
  return 0;
}

// What is left to read of a regular file.
Value tell_left(Task& task, vfs::File& file, std::uint64_t address) {
  auto left = static_cast<std::int64_t>(TRY(file.size())) -
              static_cast<std::int64_t>(TRY(file.seek(0, SEEK_CUR)));
  constexpr std::int64_t kMost = std::numeric_limits<int>::max();
  TRY(store(task, address, static_cast<int>(std::clamp<std::int64_t>(left, -kMost, kMost))));
  return 0;
}

}  // namespace

Value sys_ioctl(Task& task, const Arguments& arguments) {
  int fd = arguments.i32(0);
  std::uint32_t request = arguments.u32(1);
  std::uint64_t argument = arguments.u64(2);
  Ref<vfs::File> file = TRY(usable_file(task, fd));
  bool regular = file->inode() != nullptr && S_ISREG(file->inode()->type());
  switch (request) {
    case FIOCLEX:
    case FIONCLEX: TRY(task.files().set_close_on_exec(fd, request == FIOCLEX)); return 0;
    case FIONBIO: return set_mode_bit(task, *file, argument, O_NONBLOCK);
    case FIOASYNC: {
      bool before = (file->flags() & O_ASYNC) != 0;
      TRY(set_mode_bit(task, *file, argument, O_ASYNC));
      bool after = (file->flags() & O_ASYNC) != 0;
      if (before != after) change_async(task, *file, fd, after);
      return 0;
    }
    case FIONREAD:
      if (regular) return tell_left(task, *file, argument);
      break;
    case FIGETBSZ:
      if (!regular && !(file->inode() != nullptr && file->inode()->is_directory())) break;
      TRY(store(task, argument, static_cast<int>(TRY(file->attributes()).block_size)));
      return 0;
    default: break;
  }
  return TRY(file->ioctl(task, request, argument));
}

}  // namespace caisson::sandbox::syscalls

#include "sandbox/syscalls/memory_transfer.h"

#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <utility>
#include <vector>

#include "sandbox/kernel/pidfd.h"
#include "sandbox/mm/memory_map.h"

namespace caisson::sandbox::syscalls {
namespace {

constexpr std::size_t kChunk = 64 << 10;
constexpr std::uint64_t kMostBytes = 0x7ffff000;  // MAX_RW_COUNT

// PTRACE_MODE_ATTACH_REALCREDS of Linux: the memory of those who are the caller's own.
bool may_touch(const Task& caller, Task& target) {
  if (&caller.group() == &target.group()) return true;
  const vfs::Credentials& own = caller.credentials();
  Ref<vfs::Credentials> its = target.credentials_ref();
  if (!its) return false;
  if (own.has(CAP_SYS_PTRACE)) return true;
  bool same_user = own.uid == its->uid && own.uid == its->euid && own.uid == its->suid;
  bool same_group = own.gid == its->gid && own.gid == its->egid && own.gid == its->sgid;
  bool has_more = (its->permitted & ~own.permitted) != 0;
  Locked locked(target.group().signal_mutex);
  return same_user && same_group && !has_more && target.group().dumpable;
}

ErrnoOr<Ref<mm::MemoryMap>> memory_of(const Task& caller, Task& target) {
  if (!may_touch(caller, target)) return std::unexpected(Errno{EPERM});
  Ref<mm::MemoryMap> memory = target.memory_ref();
  if (!memory) return std::unexpected(Errno{ESRCH});
  return memory;
}

ErrnoOr<Ref<mm::MemoryMap>> memory_of_process(Task& caller, int id) {
  Ref<Task> target;
  {
    Locked locked(caller.kernel().task_lock());
    target = Ref<Task>::share(caller.kernel().find_task(*caller.group().pid_namespace, id));
  }
  if (!target) return std::unexpected(Errno{ESRCH});
  return memory_of(caller, *target);
}

// struct iovec of the guest. EINVAL: too many, or a length that is no length.
ErrnoOr<std::vector<vfs::IoSegment>> load_vector(Task& task, std::uint64_t address,
                                                 std::uint64_t count) {
  if (count > IOV_MAX) return std::unexpected(Errno{EINVAL});
  std::vector<vfs::IoSegment> segments(count);
  static_assert(sizeof(vfs::IoSegment) == sizeof(iovec));
  TRY(UserPtr<vfs::IoSegment>(address).load(task.memory(), std::span(segments)));
  for (const vfs::IoSegment& segment : segments)
    if (segment.length > static_cast<std::uint64_t>(INT64_MAX))
      return std::unexpected(Errno{EINVAL});
  return segments;
}

// From one memory to the other, until one of them ends.
class Transfer {
 public:
  Transfer(mm::MemoryMap& other, vfs::IoBuffer& own, bool reads)
      : other_(other), own_(own), reads_(reads), chunk_(kChunk) {}

  Value run(std::span<const vfs::IoSegment> segments) {
    for (const vfs::IoSegment& segment : segments)
      if (!run_segment(segment)) break;
    if (done_ == 0 && error_ != 0) return std::unexpected(Errno{error_});
    return done_;
  }

 private:
  bool run_segment(vfs::IoSegment segment) {
    while (segment.length != 0 && own_.remaining() != 0) {
      std::uint64_t size = std::min({std::uint64_t{kChunk}, segment.length, own_.remaining()});
      std::span<std::byte> part = std::span(chunk_).first(static_cast<std::size_t>(size));
      ErrnoOr<std::size_t> moved =
          reads_ ? read_part(segment.address, part) : write_part(segment.address, part);
      if (!moved) {
        error_ = moved.error().value;
        return false;
      }
      done_ += static_cast<std::int64_t>(*moved);
      segment.address += *moved;
      segment.length -= *moved;
      if (*moved < part.size()) return false;
    }
    return own_.remaining() != 0;
  }
  ErrnoOr<std::size_t> read_part(std::uint64_t address, std::span<std::byte> part) {
    std::size_t got = TRY(other_.read(address, part));
    return own_.put(part.first(got));
  }
  ErrnoOr<std::size_t> write_part(std::uint64_t address, std::span<std::byte> part) {
    std::size_t got = TRY(own_.peek(part));
    std::size_t put = TRY(other_.write(address, part.first(got)));
    own_.skip(put);
    return put;
  }

  mm::MemoryMap& other_;
  vfs::IoBuffer& own_;
  bool reads_;
  std::vector<std::byte> chunk_;
  std::int64_t done_ = 0;
  int error_ = 0;
};

Value transfer(Task& task, const Arguments& arguments, bool reads) {
  if (arguments.u64(5) != 0) return std::unexpected(Errno{EINVAL});
  std::vector<vfs::IoSegment> own = TRY(load_vector(task, arguments.u64(1), arguments.u64(2)));
  vfs::IoBuffer buffer(task.memory(), std::move(own));
  buffer.truncate(kMostBytes);
  if (buffer.remaining() == 0) return 0;
  std::vector<vfs::IoSegment> segments = TRY(load_vector(task, arguments.u64(3), arguments.u64(4)));
  bool nothing = std::all_of(segments.begin(), segments.end(),
                             [](const vfs::IoSegment& segment) { return segment.length == 0; });
  if (nothing) return 0;
  Ref<mm::MemoryMap> other = TRY(memory_of_process(task, arguments.i32(0)));
  return Transfer(*other, buffer, reads).run(segments);
}

// What may be advised to others: it changes nothing that they can see.
bool harmless(int advice) {
  constexpr int kCollapse = 25;  // MADV_COLLAPSE
  return advice == MADV_COLD || advice == MADV_PAGEOUT || advice == MADV_WILLNEED ||
         advice == kCollapse;
}

}  // namespace

Value call_process_vm_readv(Task& task, const Arguments& arguments) {
  return transfer(task, arguments, true);
}

Value call_process_vm_writev(Task& task, const Arguments& arguments) {
  return transfer(task, arguments, false);
}

Value call_process_madvise(Task& task, const Arguments& arguments) {
  if (arguments.u32(4) != 0) return std::unexpected(Errno{EINVAL});
  std::vector<vfs::IoSegment> segments = TRY(load_vector(task, arguments.u64(1), arguments.u64(2)));
  Ref<vfs::File> file = TRY(task.file(arguments.i32(0)));
  auto* pidfd = vfs::file_as<kernel::PidFile>(*file);
  if (pidfd == nullptr) return std::unexpected(Errno{EBADF});
  int advice = arguments.i32(3);
  bool own = pidfd->group().get() == &task.group();
  if (!own && !harmless(advice)) return std::unexpected(Errno{EINVAL});
  Ref<mm::MemoryMap> memory = task.memory_ref();
  if (!own) {
    Ref<Task> target;
    {
      Locked locked(task.kernel().task_lock());
      target = Ref<Task>::share(pidfd->group()->leader);
    }
    if (!target) return std::unexpected(Errno{ESRCH});
    memory = TRY(memory_of(task, *target));
    if (!task.credentials().has(CAP_SYS_NICE)) return std::unexpected(Errno{EPERM});
  }
  std::int64_t done = 0;
  for (const vfs::IoSegment& segment : segments) {
    ErrnoOr<> advised =
        memory->advise(own ? &task.thread() : nullptr, segment.address, segment.length, advice);
    if (!advised && done == 0) return std::unexpected(advised.error());
    if (!advised) break;
    done += static_cast<std::int64_t>(segment.length);
  }
  return done;
}

}  // namespace caisson::sandbox::syscalls

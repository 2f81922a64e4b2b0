#include <fcntl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "sandbox/mm/memory_map.h"
#include "sandbox/syscalls/memory_transfer.h"
#include "sandbox/syscalls/table.h"

namespace caisson::sandbox::syscalls {
namespace {

using mm::kPageSize;
using mm::page_aligned;
using mm::page_up;

constexpr std::uint16_t kSealNumber = 462;  // mseal: newer than the C library's headers
constexpr std::int32_t kNoKey = -1;         // pkey_mprotect(2): as mprotect(2)

Value done(ErrnoOr<> result) {
  TRY(result);
  return 0;
}

Value call_brk(Task& task, const Arguments& arguments) {
  return static_cast<std::int64_t>(
      task.memory().set_break(&task.thread(), arguments.u64(0), task.memory_limits()));
}

bool lies_on_noexec(const Ref<vfs::File>& file) {
  return file && file->path().mount && (file->path().mount->flags() & MS_NOEXEC) != 0;
}

Value call_mmap(Task& task, const Arguments& arguments) {
  mm::MapCall call;
  call.address = arguments.u64(0);
  call.length = arguments.u64(1);
  call.protection = arguments.i32(2);
  call.flags = arguments.i32(3);
  call.offset = arguments.u64(5);
  if (!page_aligned(call.offset)) return std::unexpected(Errno{EINVAL});
  if ((call.flags & MAP_ANONYMOUS) == 0) {
    call.file = TRY(task.file(arguments.i32(4)));
    if ((call.file->flags() & O_PATH) != 0) return std::unexpected(Errno{EBADF});
  }
  bool reads_run = (task.personality & READ_IMPLIES_EXEC) != 0 &&
                   (call.protection & PROT_READ) != 0 && !lies_on_noexec(call.file);
  if (reads_run) call.protection |= PROT_EXEC;
  return static_cast<std::int64_t>(
      TRY(task.memory().map(&task.thread(), call, task.memory_limits())));
}

Value call_munmap(Task& task, const Arguments& arguments) {
  return done(task.memory().unmap(&task.thread(), arguments.u64(0), arguments.u64(1)));
}

Value call_mprotect(Task& task, const Arguments& arguments) {
  int protection = arguments.i32(2);
  if ((task.personality & READ_IMPLIES_EXEC) != 0 && (protection & PROT_READ) != 0)
    protection |= PROT_EXEC;
  return done(task.memory().protect(&task.thread(), arguments.u64(0), arguments.u64(1), protection,
                                    task.memory_limits()));
}

Value call_pkey_mprotect(Task& task, const Arguments& arguments) {
  if (arguments.i32(3) != kNoKey) return std::unexpected(Errno{EINVAL});
  return call_mprotect(task, arguments);
}

// Without the processor's feature there are no keys: none can be had, and none is in use.
Value call_pkey_alloc(Task&, const Arguments& arguments) {
  constexpr std::uint64_t kAccessBits = 3;  // PKEY_DISABLE_ACCESS | PKEY_DISABLE_WRITE
  bool wrong = arguments.u64(0) != 0 || (arguments.u64(1) & ~kAccessBits) != 0;
  return std::unexpected(Errno{wrong ? EINVAL : ENOSPC});
}

Value call_pkey_free(Task&, const Arguments&) { return std::unexpected(Errno{EINVAL}); }

Value call_mremap(Task& task, const Arguments& arguments) {
  return static_cast<std::int64_t>(
      TRY(task.memory().remap(&task.thread(), arguments.u64(0), arguments.u64(1), arguments.u64(2),
                              arguments.i32(3), arguments.u64(4), task.memory_limits())));
}

Value call_madvise(Task& task, const Arguments& arguments) {
  return done(
      task.memory().advise(&task.thread(), arguments.u64(0), arguments.u64(1), arguments.i32(2)));
}

Value call_msync(Task& task, const Arguments& arguments) {
  return done(task.memory().sync(arguments.u64(0), arguments.u64(1), arguments.i32(2)));
}

Value call_mincore(Task& task, const Arguments& arguments) {
  constexpr std::uint64_t kChunk = 1ULL << 28;  // bytes that are asked about at once
  std::uint64_t address = arguments.u64(0), length = arguments.u64(1), vector = arguments.u64(2);
  if (!page_aligned(address)) return std::unexpected(Errno{EINVAL});
  std::uint64_t limit = task.memory().space().limit();
  if (address > limit || length > limit - address) return std::unexpected(Errno{ENOMEM});
  for (std::uint64_t left = page_up(length); left != 0;) {
    std::uint64_t part = std::min(left, kChunk);
    std::string pages = TRY(task.memory().resident_pages(address, part));
    std::size_t stored = TRY(task.memory().write(vector, std::as_bytes(std::span(pages))));
    if (stored != pages.size()) return std::unexpected(Errno{EFAULT});
    address += part;
    vector += pages.size();
    left -= part;
  }
  return 0;
}

Value call_mlock(Task& task, const Arguments& arguments) {
  return done(task.memory().lock(arguments.u64(0), arguments.u64(1), true, task.memory_limits()));
}

Value call_mlock2(Task& task, const Arguments& arguments) {
  constexpr int kOnFault = 1;  // MLOCK_ONFAULT
  int flags = arguments.i32(2);
  if ((flags & ~kOnFault) != 0) return std::unexpected(Errno{EINVAL});
  return done(task.memory().lock(arguments.u64(0), arguments.u64(1), true, task.memory_limits(),
                                 (flags & kOnFault) != 0));
}

Value call_munlock(Task& task, const Arguments& arguments) {
  return done(task.memory().lock(arguments.u64(0), arguments.u64(1), false, task.memory_limits()));
}

Value call_mlockall(Task& task, const Arguments& arguments) {
  return done(task.memory().lock_all(arguments.i32(0), task.memory_limits()));
}

Value call_munlockall(Task& task, const Arguments&) {
  task.memory().unlock_all();
  return 0;
}

Value call_mseal(Task& task, const Arguments& arguments) {
  if (arguments.u64(2) != 0) return std::unexpected(Errno{EINVAL});
  return done(task.memory().seal(arguments.u64(0), arguments.u64(1)));
}

// As Linux since 4.0: an ordinary mapping of that part of the file takes the place.
Value call_remap_file_pages(Task& task, const Arguments& arguments) {
  std::uint64_t begin = arguments.u64(0) & ~(kPageSize - 1);
  std::uint64_t size = arguments.u64(1) & ~(kPageSize - 1), page = arguments.u64(3);
  bool wrong = arguments.u64(2) != 0 || begin + size <= begin ||
               page > (~std::uint64_t{0} - size) / kPageSize;
  if (wrong) return std::unexpected(Errno{EINVAL});
  mm::Mapping mapping = task.memory().mapping_at(begin);
  if (!mapping.shared || begin + size > mapping.end) return std::unexpected(Errno{EINVAL});
  mm::MapCall call;
  call.address = begin;
  call.length = size;
  call.protection = mapping.protection;
  call.flags = MAP_SHARED | MAP_FIXED | MAP_POPULATE | (arguments.i32(4) & MAP_NONBLOCK) |
               (mapping.locked ? MAP_LOCKED : 0);
  call.file = mapping.file;
  call.offset = page * kPageSize;
  TRY(task.memory().map(&task.thread(), call, task.memory_limits()));
  return 0;
}

constexpr Entry kEntries[] = {
    {SYS_brk, "brk", call_brk},
    {SYS_mmap, "mmap", call_mmap, Level::kPartial,
     "no huge pages (MAP_HUGETLB: ENOMEM), no MAP_SYNC"},
    {SYS_munmap, "munmap", call_munmap},
    {SYS_mprotect, "mprotect", call_mprotect},
    {SYS_mremap, "mremap", call_mremap, Level::kPartial, "moves one mapping at a time"},
    {SYS_madvise, "madvise", call_madvise, Level::kPartial,
     "no guard pages; MADV_HWPOISON and MADV_SOFT_OFFLINE: EPERM"},
    {SYS_msync, "msync", call_msync},
    {SYS_mincore, "mincore", call_mincore, Level::kPartial,
     "all pages that are mapped are said to be in memory"},
    {SYS_mlock, "mlock", call_mlock, Level::kPartial,
     "counted and filled; that the pages stay is not asked of the host"},
    {SYS_mlock2, "mlock2", call_mlock2, Level::kPartial, "as mlock"},
    {SYS_munlock, "munlock", call_munlock},
    {SYS_mlockall, "mlockall", call_mlockall, Level::kPartial, "as mlock"},
    {SYS_munlockall, "munlockall", call_munlockall},
    {kSealNumber, "mseal", call_mseal},
    {SYS_remap_file_pages, "remap_file_pages", call_remap_file_pages},
    {SYS_pkey_mprotect, "pkey_mprotect", call_pkey_mprotect, Level::kPartial,
     "key -1 only: as without the processor's feature"},
    {SYS_pkey_alloc, "pkey_alloc", call_pkey_alloc, Level::kError,
     "as without the processor's feature"},
    {SYS_pkey_free, "pkey_free", call_pkey_free, Level::kError,
     "as without the processor's feature"},
    {SYS_process_vm_readv, "process_vm_readv", call_process_vm_readv},
    {SYS_process_vm_writev, "process_vm_writev", call_process_vm_writev},
    {SYS_process_madvise, "process_madvise", call_process_madvise},
};

}  // namespace

std::span<const Entry> memory_calls() { return kEntries; }

}  // namespace caisson::sandbox::syscalls

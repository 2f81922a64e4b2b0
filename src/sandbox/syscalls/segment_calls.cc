// shmget(2), shmat(2), shmdt(2), shmctl(2).
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include "sandbox/mm/shared_memory.h"
#include "sandbox/syscalls/ipc_calls.h"
#include "sandbox/syscalls/ipc_guest.h"

namespace caisson::sandbox::syscalls {
namespace {

using kernel::IpcNamespace;
using kernel::SegmentFile;
using kernel::SharedSegment;

constexpr std::uint64_t kLargest = 0x7fffffffffffefff & ~0xfffULL;

ErrnoOr<int> make_segment(Task& task, IpcNamespace& ipc, const kernel::IpcRequest& request,
                          std::uint64_t size) {
  if (size < 1 || size > kLargest) return fail(EINVAL);
  // The host is asked without the lock; another one may have made it meanwhile.
  auto segment = make_ref<SharedSegment>(size, TRY(mm::SharedMemory::create(mm::page_up(size))));
  begin_permission(segment->permission, task, request);
  segment->changed = now_seconds();
  segment->creator = task.group().id();
  Locked lock(ipc.mutex);
  if (Ref<SharedSegment> other = ipc.segments.by_key(request.key)) return other->permission.id;
  return ipc.segments.add(std::move(segment));
}

struct Attachment {
  std::uint64_t address = 0;
  int map_flags = 0, protection = 0;
  std::uint32_t file_flags = O_RDWR;
  std::uint32_t wanted = 0600;
};

ErrnoOr<Attachment> parse_attachment(std::uint64_t address, std::uint32_t flags) {
  Attachment parsed;
  bool replaces = (flags & SHM_REMAP) != 0;
  if (!mm::page_aligned(address)) {
    if ((flags & SHM_RND) == 0) return fail(EINVAL);
    address = mm::page_down(address);
    if (address == 0 && replaces) return fail(EINVAL);
  } else if (address == 0 && replaces) {
    return fail(EINVAL);
  }
  parsed.address = address;
  parsed.map_flags = MAP_SHARED;
  if (address != 0) parsed.map_flags |= replaces ? MAP_FIXED : MAP_FIXED_NOREPLACE;
  parsed.protection = PROT_READ | PROT_WRITE;
  if ((flags & SHM_RDONLY) != 0) {
    parsed.protection = PROT_READ;
    parsed.file_flags = O_RDONLY;
    parsed.wanted = 0400;
  }
  if ((flags & SHM_EXEC) != 0) {
    parsed.protection |= PROT_EXEC;
    parsed.wanted |= 0100;
  }
  return parsed;
}

shmid_ds status_of(const SharedSegment& segment) {
  shmid_ds told{};
  tell_permission(segment.permission, told.shm_perm);
  constexpr unsigned kDestroyed = 01000, kLocked = 02000;  // SHM_DEST, SHM_LOCKED
  if (segment.doomed) told.shm_perm.mode |= kDestroyed;
  if (segment.locked) told.shm_perm.mode |= kLocked;
  told.shm_segsz = segment.size;
  told.shm_atime = segment.attached;
  told.shm_dtime = segment.detached;
  told.shm_ctime = segment.changed;
  told.shm_cpid = segment.creator;
  told.shm_lpid = segment.last_process;
  told.shm_nattch = segment.attachments;
  return told;
}

Value tell_status(Task& task, IpcNamespace& ipc, int id, int command, std::uint64_t address) {
  constexpr int kAny = 15;  // SHM_STAT_ANY
  shmid_ds told{};
  std::int64_t answer = 0;
  {
    Locked lock(ipc.mutex);
    bool by_index = command != IPC_STAT;
    Ref<SharedSegment> segment = TRY(by_index ? ipc.segments.at_index(id) : ipc.segments.find(id));
    if (command != kAny) TRY(segment->permission.check(task.credentials(), ipc.owner.get(), 0444));
    told = status_of(*segment);
    if (by_index) answer = segment->permission.id;
  }
  TRY(store(task, address, told));
  return answer;
}

Value tell_limits(Task& task, IpcNamespace& ipc, std::uint64_t address) {
  struct shminfo told{};
  told.shmmax = told.shmall = 18446744073692774399ULL;
  told.shmmin = 1;
  told.shmmni = told.shmseg = SharedSegment::kMostSegments;
  TRY(store(task, address, told));
  Locked lock(ipc.mutex);
  return ipc.segments.highest_index();
}

Value tell_totals(Task& task, IpcNamespace& ipc, std::uint64_t address) {
  struct shm_info told{};
  int highest = 0;
  {
    Locked lock(ipc.mutex);
    highest = ipc.segments.highest_index();
    told.used_ids = static_cast<int>(ipc.segments.size());
    for (const Ref<SharedSegment>& segment : ipc.segments.all())
      told.shm_tot += mm::page_up(segment->size) / mm::kPageSize;
    told.shm_rss = told.shm_tot;
  }
  TRY(store(task, address, told));
  return highest;
}

Value change_segment(Task& task, IpcNamespace& ipc, int id, int command, std::uint64_t address) {
  shmid_ds given{};
  if (command == IPC_SET) given = TRY(load<shmid_ds>(task, address));
  Ref<SharedSegment> segment;  // dropped after the lock
  Locked lock(ipc.mutex);
  segment = TRY(ipc.segments.find(id));
  if (command == SHM_LOCK || command == SHM_UNLOCK) {
    if (!task.credentials().has_in(ipc.owner.get(), CAP_IPC_LOCK))
      TRY(may_control(ipc, segment->permission, task));
    segment->locked = command == SHM_LOCK;
    return 0;
  }
  TRY(may_control(ipc, segment->permission, task));
  if (command == IPC_SET) {
    take_permission(given.shm_perm, segment->permission);
    segment->changed = now_seconds();
    return 0;
  }
  // Who is attached keeps it, and its id leads to it; its key does not.
  segment->permission.key = IPC_PRIVATE;
  segment->doomed = true;
  if (segment->attachments == 0) ipc.segments.remove(*segment);
  return 0;
}

}  // namespace

Value call_shmget(Task& task, const Arguments& arguments) {
  Ref<IpcNamespace> ipc = TRY(ipc_of(task));
  kernel::IpcRequest request{arguments.i32(0), arguments.u32(2)};
  std::uint64_t size = arguments.u64(1);
  Ref<SharedSegment> known;
  {
    Locked lock(ipc->mutex);
    known = TRY(find_by_key(*ipc, ipc->segments, task, request));
  }
  if (!known) return TRY(make_segment(task, *ipc, request, size));
  if (size > known->size) return fail(EINVAL);
  return known->permission.id;
}

Value call_shmat(Task& task, const Arguments& arguments) {
  Ref<IpcNamespace> ipc = TRY(ipc_of(task));
  Attachment how = TRY(parse_attachment(arguments.u64(1), arguments.u32(2)));
  Ref<SharedSegment> segment;
  {
    Locked lock(ipc->mutex);
    segment = TRY(ipc->segments.find(arguments.i32(0)));
    TRY(segment->permission.check(task.credentials(), ipc->owner.get(), how.wanted));
  }
  mm::MapCall call;
  call.address = how.address;
  call.length = mm::page_up(segment->size);
  call.protection = how.protection;
  call.flags = how.map_flags;
  call.file = SegmentFile::attach(ipc, std::move(segment), how.file_flags, task.group().id());
  auto mapped = task.memory().map(&task.thread(), call, task.memory_limits());
  if (!mapped) return fail(mapped.error().value == EEXIST ? EINVAL : mapped.error().value);
  return static_cast<std::int64_t>(*mapped);
}

Value call_shmdt(Task& task, const Arguments& arguments) {
  std::uint64_t address = arguments.u64(0);
  mm::Mapping first = task.memory().mapping_at(address);
  auto* attached = first.file ? vfs::file_as<SegmentFile>(*first.file) : nullptr;
  if (attached == nullptr || first.begin != address || first.offset != 0) return fail(EINVAL);
  attached->set_last_process(task.group().id());
  // Its pieces, wherever mprotect(2) and munmap(2) left some.
  for (const mm::Mapping& mapping : task.memory().mappings())
    if (mapping.file == first.file && mapping.begin - address == mapping.offset)
      TRY(task.memory().unmap(&task.thread(), mapping.begin, mapping.length()));
  return 0;
}

Value call_shmctl(Task& task, const Arguments& arguments) {
  Ref<IpcNamespace> ipc = TRY(ipc_of(task));
  int id = arguments.i32(0), command = arguments.i32(1) & ~kNewLayout;
  std::uint64_t address = arguments.u64(2);
  if (id < 0) return fail(EINVAL);
  constexpr int kStatus = 13, kInfo = 14, kStatusOfAny = 15;  // SHM_STAT, SHM_INFO, SHM_STAT_ANY
  switch (command) {
    case IPC_STAT:
    case kStatus:
    case kStatusOfAny: return tell_status(task, *ipc, id, command, address);
    case 3 /* IPC_INFO */: return tell_limits(task, *ipc, address);
    case kInfo: return tell_totals(task, *ipc, address);
    case IPC_SET:
    case IPC_RMID:
    case SHM_LOCK:
    case SHM_UNLOCK: return change_segment(task, *ipc, id, command, address);
    default: return fail(EINVAL);
  }
}

}  // namespace caisson::sandbox::syscalls

// read(2), write(2) and their like, lseek(2).
#include "sandbox/syscalls/file_families.h"
#include "sandbox/syscalls/file_guest.h"

namespace caisson::sandbox::syscalls {
namespace {

constexpr std::uint32_t kHighPriority = 1, kDataSync = 2, kSync = 4, kNoWait = 8, kAppend = 16;

vfs::IoBuffer buffer_of(Task& task, const Arguments& arguments) {
  return {task.memory(), arguments.u64(1), std::min(arguments.u64(2), kMostBytes)};
}

ErrnoOr<std::uint64_t> offset_of(std::int64_t offset) {
  if (offset < 0) return fail(EINVAL);
  return static_cast<std::uint64_t>(offset);
}

// Flags of preadv2(2): RWF_NOWAIT and RWF_APPEND hold for this call alone.
class FlagsForOneCall {
 public:
  FlagsForOneCall(vfs::File& file, std::uint32_t flags) : file_(file), before_(file.flags()) {
    std::uint32_t added = 0;
    if ((flags & kNoWait) != 0) added |= O_NONBLOCK;
    if ((flags & kAppend) != 0) added |= O_APPEND;
    changed_ = (before_ | added) != before_;
    if (changed_) file_.set_flags(before_ | added);
  }
  FlagsForOneCall(const FlagsForOneCall&) = delete;
  FlagsForOneCall& operator=(const FlagsForOneCall&) = delete;
  ~FlagsForOneCall() {
    if (changed_) file_.set_flags(before_);
  }

 private:
  vfs::File& file_;
  std::uint32_t before_;
  bool changed_ = false;
};

Value read_vector(Task& task, const Arguments& arguments, std::optional<std::int64_t> offset,
                  std::uint32_t flags) {
  Ref<vfs::File> file = TRY(file_to_read(task, arguments.i32(0)));
  if ((flags & ~(kHighPriority | kDataSync | kSync | kNoWait)) != 0) return fail(EOPNOTSUPP);
  std::optional<std::uint64_t> at;
  if (offset) at = TRY(offset_of(*offset));
  vfs::IoBuffer to = TRY(load_iovec(task, arguments.u64(1), arguments.u64(2)));
  FlagsForOneCall held(*file, flags);
  return read_file(task, *file, to, at);
}

Value write_vector(Task& task, const Arguments& arguments, std::optional<std::int64_t> offset,
                   std::uint32_t flags) {
  Ref<vfs::File> file = TRY(file_to_write(task, arguments.i32(0)));
  if ((flags & ~(kHighPriority | kDataSync | kSync | kNoWait | kAppend)) != 0)
    return fail(EOPNOTSUPP);
  std::optional<std::uint64_t> at;
  if (offset) at = TRY(offset_of(*offset));
  vfs::IoBuffer from = TRY(load_iovec(task, arguments.u64(1), arguments.u64(2)));
  FlagsForOneCall held(*file, flags);
  std::int64_t done = TRY(write_file(task, *file, from, at));
  if ((flags & (kDataSync | kSync)) != 0) TRY(file->sync((flags & kSync) == 0));
  return done;
}

// -1 of the calls with flags: the file's position.
std::optional<std::int64_t> position_or(std::int64_t offset) {
  if (offset == -1) return std::nullopt;
  return offset;
}

}  // namespace

Value sys_read(Task& task, const Arguments& arguments) {
  Ref<vfs::File> file = TRY(file_to_read(task, arguments.i32(0)));
  vfs::IoBuffer to = buffer_of(task, arguments);
  return read_file(task, *file, to, std::nullopt);
}

Value sys_write(Task& task, const Arguments& arguments) {
  Ref<vfs::File> file = TRY(file_to_write(task, arguments.i32(0)));
  vfs::IoBuffer from = buffer_of(task, arguments);
  return write_file(task, *file, from, std::nullopt);
}

Value sys_pread64(Task& task, const Arguments& arguments) {
  std::uint64_t offset = TRY(offset_of(arguments.i64(3)));
  Ref<vfs::File> file = TRY(file_to_read(task, arguments.i32(0)));
  vfs::IoBuffer to = buffer_of(task, arguments);
  return read_file(task, *file, to, offset);
}

Value sys_pwrite64(Task& task, const Arguments& arguments) {
  std::uint64_t offset = TRY(offset_of(arguments.i64(3)));
  Ref<vfs::File> file = TRY(file_to_write(task, arguments.i32(0)));
  vfs::IoBuffer from = buffer_of(task, arguments);
  return write_file(task, *file, from, offset);
}

Value sys_readv(Task& task, const Arguments& arguments) {
  return read_vector(task, arguments, std::nullopt, 0);
}
Value sys_writev(Task& task, const Arguments& arguments) {
  return write_vector(task, arguments, std::nullopt, 0);
}
Value sys_preadv(Task& task, const Arguments& arguments) {
  return read_vector(task, arguments, arguments.i64(3), 0);
}
Value sys_pwritev(Task& task, const Arguments& arguments) {
  return write_vector(task, arguments, arguments.i64(3), 0);
}
Value sys_preadv2(Task& task, const Arguments& arguments) {
  return read_vector(task, arguments, position_or(arguments.i64(3)), arguments.u32(5));
}
Value sys_pwritev2(Task& task, const Arguments& arguments) {
  return write_vector(task, arguments, position_or(arguments.i64(3)), arguments.u32(5));
}

Value sys_lseek(Task& task, const Arguments& arguments) {
  Ref<vfs::File> file = TRY(usable_file(task, arguments.i32(0)));
  return static_cast<std::int64_t>(TRY(file->seek(arguments.i64(1), arguments.i32(2))));
}

}  // namespace caisson::sandbox::syscalls

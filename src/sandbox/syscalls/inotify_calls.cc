// inotify(7).
#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "sandbox/fs/inotify/inotify.h"
#include "sandbox/syscalls/event_calls.h"
#include "sandbox/syscalls/file_guest.h"
#include "sandbox/vfs/permission.h"

namespace caisson::sandbox::syscalls {
namespace {

Value make_instance(Task& task, std::uint32_t flags) {
  if ((flags & ~std::uint32_t{IN_CLOEXEC | IN_NONBLOCK}) != 0) return fail(EINVAL);
  auto file = TRY(fs::InotifyFile::create(task.kernel(), task.credentials().uid,
                                          O_RDONLY | (flags & std::uint32_t{IN_NONBLOCK})));
  return TRY(task.add_file(std::move(file), (flags & IN_CLOEXEC) != 0));
}

ErrnoOr<fs::InotifyFile*> as_instance(vfs::File& file) {
  auto* instance = vfs::file_as<fs::InotifyFile>(file);
  if (instance == nullptr) return fail(EINVAL);
  return instance;
}

}  // namespace

Value call_inotify_init(Task& task, const Arguments&) { return make_instance(task, 0); }

Value call_inotify_init1(Task& task, const Arguments& arguments) {
  return make_instance(task, arguments.u32(0));
}

Value call_inotify_add_watch(Task& task, const Arguments& arguments) {
  std::uint32_t mask = arguments.u32(2);
  constexpr std::uint32_t kKnown = std::uint32_t{IN_ALL_EVENTS} | IN_ONLYDIR | IN_DONT_FOLLOW |
                                   IN_EXCL_UNLINK | IN_MASK_CREATE | IN_MASK_ADD | IN_ISDIR |
                                   IN_ONESHOT | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED;
  if ((mask & kKnown) == 0) return fail(EINVAL);
  Ref<vfs::File> file = TRY(usable_file(task, arguments.i32(0)));
  if ((mask & IN_MASK_ADD) != 0 && (mask & IN_MASK_CREATE) != 0) return fail(EINVAL);
  fs::InotifyFile* instance = TRY(as_instance(*file));
  PathArgument path = TRY(load_path_at(task, AT_FDCWD, arguments.u64(1)));
  vfs::WalkFlags flags{.follow_last = (mask & IN_DONT_FOLLOW) == 0,
                       .must_be_directory = (mask & IN_ONLYDIR) != 0};
  vfs::Path place = TRY(vfs::walk(path.context, path.text, flags));
  TRY(vfs::may_access(*place.inode(), task.credentials(), R_OK));
  return TRY(instance->watch(place, mask));
}

Value call_inotify_rm_watch(Task& task, const Arguments& arguments) {
  Ref<vfs::File> file = TRY(usable_file(task, arguments.i32(0)));
  fs::InotifyFile* instance = TRY(as_instance(*file));
  TRY(instance->remove(arguments.i32(1)));
  return 0;
}

}  // namespace caisson::sandbox::syscalls

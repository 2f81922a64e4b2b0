#include <sys/inotify.h>

#include "sandbox/vfs/file.h"
#include "sandbox/vfs/file_locks.h"
#include "sandbox/vfs/watches.h"

namespace caisson::sandbox::vfs {

void File::add_watcher(FileWatcher& watcher) {
  watcher.next_ = watchers_;
  watcher.previous_ = nullptr;
  if (watchers_ != nullptr) watchers_->previous_ = &watcher;
  watchers_ = &watcher;
}

void File::remove_watcher(FileWatcher& watcher) {
  if (watcher.next_ != nullptr) watcher.next_->previous_ = watcher.previous_;
  if (watcher.previous_ != nullptr)
    watcher.previous_->next_ = watcher.next_;
  else
    watchers_ = watcher.next_;
  watcher.next_ = watcher.previous_ = nullptr;
}

ErrnoOr<> File::count_as_writer() {
  TRY(inode_->data_inode().begin_writing());
  counts_as_writer_ = true;
  return {};
}

void File::last_reference_dropped() {
  {
    Locked lock(watcher_mutex_);
    while (watchers_ != nullptr) {
      FileWatcher& watcher = *watchers_;
      remove_watcher(watcher);
      watcher.file_ended();
    }
  }
  set_owner(nullptr);  // before its queue goes
  // Those of the open file itself: flock(2), F_OFD_SETLK.
  if (inode_ != nullptr && inode_->data_inode().known_locks() != nullptr)
    inode_->data_inode().known_locks()->release(this);
  if (counts_as_writer_) inode_->data_inode().end_writing();
  if (inode_ != nullptr) tell_of(*this, writable() ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE);
  delete this;
}

}  // namespace caisson::sandbox::vfs

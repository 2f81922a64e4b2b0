#include "sandbox/vfs/file_end.h"

#include <algorithm>

namespace caisson::sandbox::vfs {

void FileEnd::set(std::uint64_t bytes) {
  std::uint64_t before = bytes_.exchange(bytes, std::memory_order_acq_rel);
  if (bytes >= before) return;
  Locked lock(mutex_);
  for (EndObserver* observer : observers_) observer->file_shrank(*this, bytes);
}

void FileEnd::add(EndObserver& observer) {
  Locked lock(mutex_);
  if (std::find(observers_.begin(), observers_.end(), &observer) == observers_.end())
    observers_.push_back(&observer);
}

void FileEnd::remove(EndObserver& observer) {
  Locked lock(mutex_);
  std::erase(observers_, &observer);
}

}  // namespace caisson::sandbox::vfs

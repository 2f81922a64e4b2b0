// The descriptors that stay open while nobody uses them: those of the inodes used last.
#include "sandbox/fs/host/filesystem.h"
#include "sandbox/fs/host/inode.h"

namespace caisson::sandbox::fs {

void HostFilesystem::unlist(HostInode& inode) {
  if (!inode.listed_) return;
  (inode.previous_ != nullptr ? inode.previous_->next_ : first_) = inode.next_;
  (inode.next_ != nullptr ? inode.next_->previous_ : last_) = inode.previous_;
  inode.next_ = inode.previous_ = nullptr;
  inode.listed_ = false;
  --listed_;
}

void HostFilesystem::list_first(HostInode& inode) {
  if (inode.pinned_ || first_ == &inode) return;
  unlist(inode);
  inode.next_ = first_;
  (first_ != nullptr ? first_->previous_ : last_) = &inode;
  first_ = &inode;
  inode.listed_ = true;
  ++listed_;
}

Ref<Handle> HostFilesystem::cached_handle(HostInode& inode, Access access) {
  Locked lock(mutex_);
  Ref<Handle>* found = &inode.handles_[static_cast<std::size_t>(access)];
  if (!*found) found = &inode.handles_[static_cast<std::size_t>(Access::kReadWrite)];
  if (!*found) return nullptr;
  list_first(inode);
  return *found;
}

Ref<Handle> HostFilesystem::any_handle(HostInode& inode) {
  Locked lock(mutex_);
  for (const auto& handle : inode.handles_)
    if (handle) return handle;
  return nullptr;
}

void HostFilesystem::keep_handle(HostInode& inode, Access access, Ref<Handle> handle) {
  std::array<Ref<Handle>, 3> dropped;  // closed behind the lock
  Locked lock(mutex_);
  std::swap(inode.handles_[static_cast<std::size_t>(access)], handle);
  list_first(inode);
  if (listed_ <= options_.cached_handles) return;
  HostInode* oldest = last_;
  dropped.swap(oldest->handles_);
  unlist(*oldest);
}

void HostFilesystem::drop_handles(HostInode& inode) {
  std::array<Ref<Handle>, 3> dropped;
  Locked lock(mutex_);
  if (inode.pinned_) return;
  dropped.swap(inode.handles_);
  unlist(inode);
}

bool HostFilesystem::keep_used_handles(HostInode& inode) {
  std::array<Ref<Handle>, 3> dropped;
  bool any = false;
  Locked lock(mutex_);
  for (std::size_t i = 0; i < dropped.size(); ++i) {
    Ref<Handle>& handle = inode.handles_[i];
    if (handle && handle->reference_count() > 1)
      any = true;
    else
      std::swap(handle, dropped[i]);
  }
  unlist(inode);
  inode.pinned_ = any;
  return any;
}

void HostFilesystem::pin(HostInode& inode) {
  Locked lock(mutex_);
  unlist(inode);
  inode.pinned_ = true;
}

void HostFilesystem::drop_unused_handles(HostInode& inode) {
  std::array<Ref<Handle>, 3> dropped;
  Locked lock(mutex_);
  if (inode.pinned_) return;
  bool any = false;
  for (std::size_t i = 0; i < dropped.size(); ++i) {
    Ref<Handle>& handle = inode.handles_[i];
    if (!handle) continue;
    if (handle->reference_count() == 1)
      std::swap(handle, dropped[i]);
    else
      any = true;
  }
  if (!any) unlist(inode);
}

bool HostFilesystem::drop_unused_handles() {
  std::vector<Ref<Handle>> dropped;
  Locked lock(mutex_);
  for (HostInode* inode = first_; inode != nullptr;) {
    HostInode* next = inode->next_;
    for (auto& handle : inode->handles_) dropped.push_back(std::move(handle));
    unlist(*inode);
    inode = next;
  }
  lock.unlock();
  bool any = false;
  for (const auto& handle : dropped) any = any || (handle && handle->reference_count() == 1);
  return any;
}

void HostFilesystem::forget(HostInode& inode) {
  std::array<Ref<Handle>, 3> handles;
  std::vector<HostInode::Name> names;
  Locked lock(mutex_);
  auto found = inodes_.find(Key{inode.identity_.device, inode.identity_.inode});
  if (found != inodes_.end() && found->second == &inode) inodes_.erase(found);
  unlist(inode);
  handles.swap(inode.handles_);
  names.swap(inode.names_);
}

}  // namespace caisson::sandbox::fs

#include "sandbox/kernel/shared_segments.h"

#include <sys/sysmacros.h>

#include <array>
#include <cstdio>

#include "sandbox/kernel/ipc_namespace.h"

namespace caisson::sandbox::kernel {

SegmentFile::SegmentFile(Ref<IpcNamespace> ipc, Ref<SharedSegment> segment, std::uint32_t flags,
                         int process)
    : File({}, {}, flags),
      ipc_(std::move(ipc)),
      segment_(std::move(segment)),
      last_process_(process) {
  Locked lock(ipc_->mutex);
  ++segment_->attachments;
  segment_->attached = vfs::Timestamp::now().seconds;
  segment_->last_process = process;
}

Ref<SegmentFile> SegmentFile::attach(Ref<IpcNamespace> ipc, Ref<SharedSegment> segment,
                                     std::uint32_t flags, int process) {
  return Ref<SegmentFile>::adopt(
      new SegmentFile(std::move(ipc), std::move(segment), flags, process));
}

SegmentFile::~SegmentFile() {
  Ref<SharedSegment> ended;  // dropped after the lock: its memory goes with it
  Locked lock(ipc_->mutex);
  segment_->detached = vfs::Timestamp::now().seconds;
  segment_->last_process = last_process_;
  if (--segment_->attachments != 0 || !segment_->doomed) return;
  ended = segment_;
  ipc_->segments.remove(*segment_);
}

Ref<vfs::File> SegmentFile::inherited_by_mapping() {
  return attach(ipc_, segment_, flags(), last_process_);
}

ErrnoOr<vfs::Attributes> SegmentFile::attributes() {
  vfs::Attributes told;
  Locked lock(ipc_->mutex);
  const IpcPermission& permission = segment_->permission;
  told.mode = S_IFREG | permission.mode;
  told.uid = permission.uid;
  told.gid = permission.gid;
  told.inode = static_cast<std::uint64_t>(permission.id);
  told.device = makedev(0, 1);
  told.size = segment_->size;
  return told;
}

ErrnoOr<vfs::MapSource> SegmentFile::map_source(std::uint64_t offset, std::uint64_t length,
                                                int protection, bool shared) {
  return segment_->memory->map_source(offset, length, protection, shared);
}

std::string SegmentFile::link_text(const vfs::Path&) {
  std::array<char, 40> text{};
  Locked lock(ipc_->mutex);
  int length = std::snprintf(text.data(), text.size(), "/SYSV%08x (deleted)",
                             static_cast<unsigned>(segment_->permission.key));
  return {text.data(), static_cast<std::size_t>(length)};
}

}  // namespace caisson::sandbox::kernel

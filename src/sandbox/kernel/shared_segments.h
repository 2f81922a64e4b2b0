// Shared memory of System V (shmat(2), shmctl(2)). The bytes are a memory file of the host; each
// attachment is a file of its own that a mapping holds, so that the end of the mapping ends it.
#pragma once

#include <cstdint>
#include <string>

#include "sandbox/kernel/ipc_object.h"
#include "sandbox/vfs/file.h"

namespace caisson::sandbox::kernel {

class IpcNamespace;

class SharedSegment final : public RefCounted {
 public:
  static constexpr std::size_t kMostSegments = 4096;  // SHMMNI

  SharedSegment(std::uint64_t bytes, Ref<vfs::File> its_memory)
      : size(bytes), memory(std::move(its_memory)) {}
  IpcPermission permission;
  const std::uint64_t size;
  const Ref<vfs::File> memory;
  // Under the namespace's lock:
  std::uint64_t attachments = 0;
  std::int64_t attached = 0, detached = 0, changed = 0;  // times, seconds
  int creator = 0, last_process = 0;                     // as it saw itself
  bool doomed = false;  // IPC_RMID: it goes with the last attachment
  bool locked = false;  // SHM_LOCK: kept and told
};

class SegmentFile final : public vfs::File {
 public:
  static constexpr char kKind = 0;
  // One attachment more. `flags`: O_RDONLY or O_RDWR.
  static Ref<SegmentFile> attach(Ref<IpcNamespace> ipc, Ref<SharedSegment> segment,
                                 std::uint32_t flags, int process);
  SharedSegment& segment() const { return *segment_; }
  // Whose detaching it will have been.
  void set_last_process(int process) { last_process_ = process; }

  const void* kind() const override { return &kKind; }
  ErrnoOr<vfs::Attributes> attributes() override;
  ErrnoOr<vfs::MapSource> map_source(std::uint64_t offset, std::uint64_t length, int protection,
                                     bool shared) override;
  const void* shared_object() override { return segment_.get(); }
  Ref<vfs::File> inherited_by_mapping() override;
  std::string link_text(const vfs::Path& root) override;

 private:
  SegmentFile(Ref<IpcNamespace> ipc, Ref<SharedSegment> segment, std::uint32_t flags, int process);
  ~SegmentFile() override;
  const Ref<IpcNamespace> ipc_;
  const Ref<SharedSegment> segment_;
  int last_process_ = 0;
};

}  // namespace caisson::sandbox::kernel

// /proc/sysvipc: the objects of the reader's IPC namespace.
#include "base/text.h"
#include "sandbox/fs/proc/proc.h"
#include "sandbox/kernel/ipc_namespace.h"

namespace caisson::sandbox::fs {
namespace {

using kernel::IpcNamespace;
using kernel::IpcPermission;

void append_columns(std::string& text,
                    std::initializer_list<std::pair<std::int64_t, std::size_t>> columns) {
  for (auto [value, width] : columns) append(text, ' ', padded_left(cat(value), width));
}

std::string head_of(const IpcPermission& permission, std::uint32_t more_mode = 0) {
  return cat(padded_left(cat(permission.key), 10), ' ', padded_left(cat(permission.id), 10), "  ",
             padded_left(octal(permission.mode | more_mode), 4));
}

void append_owners(std::string& text, const IpcPermission& permission) {
  append_columns(text, {{permission.uid, 5},
                        {permission.gid, 5},
                        {permission.creator_uid, 5},
                        {permission.creator_gid, 5}});
}

std::int64_t of(std::uint64_t value) { return static_cast<std::int64_t>(value); }

std::string segments(const IpcNamespace& ipc) {
  std::string text =
      "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  "
      "cgid "
      "     atime      dtime      ctime                   rss                  swap\n";
  for (const auto& segment : ipc.segments.all()) {
    constexpr std::uint32_t kDestroyed = 01000, kLocked = 02000;
    std::uint32_t more = (segment->doomed ? kDestroyed : 0) | (segment->locked ? kLocked : 0);
    text += head_of(segment->permission, more);
    append_columns(text, {{of(segment->size), 21},
                          {segment->creator, 5},
                          {segment->last_process, 5},
                          {of(segment->attachments), 6}});
    append_owners(text, segment->permission);
    append_columns(text, {{segment->attached, 10},
                          {segment->detached, 10},
                          {segment->changed, 10},
                          {of(segment->size), 21},
                          {0, 21}});
    text += '\n';
  }
  return text;
}

std::string semaphores(const IpcNamespace& ipc) {
  std::string text =
      "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n";
  for (const auto& set : ipc.semaphores.all()) {
    text += head_of(set->permission);
    append_columns(text, {{of(set->semaphores.size()), 10}});
    append_owners(text, set->permission);
    append_columns(text, {{set->operated, 10}, {set->changed, 10}});
    text += '\n';
  }
  return text;
}

std::string messages(const IpcNamespace& ipc) {
  std::string text =
      "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      "
      "stime      rtime      ctime\n";
  for (const auto& queue : ipc.messages.all()) {
    text += head_of(queue->permission);
    append_columns(text, {{of(queue->bytes), 11},
                          {of(queue->messages.size()), 10},
                          {queue->last_sender, 5},
                          {queue->last_receiver, 5}});
    append_owners(text, queue->permission);
    append_columns(text, {{queue->sent, 10}, {queue->received, 10}, {queue->changed, 10}});
    text += '\n';
  }
  return text;
}

template <typename Text>
void add(StaticDirectory& root, std::string_view path, Text text) {
  root.add(path, [text](vfs::Caller& caller) -> ErrnoOr<std::string> {
    const Ref<kernel::OpaqueNamespace>& ns = task_of(caller).ipc;
    IpcNamespace* ipc = ns ? ns->ipc() : nullptr;
    if (ipc == nullptr) return std::string();
    Locked lock(ipc->mutex);
    return text(*ipc);
  });
}

}  // namespace

void add_ipc_files(StaticDirectory& root) {
  add(root, "sysvipc/shm", segments);
  add(root, "sysvipc/sem", semaphores);
  add(root, "sysvipc/msg", messages);
}

}  // namespace caisson::sandbox::fs

// How every kind of object is made of a checkpoint, by its tag.
#pragma once

#include "sandbox/fs/epoll/epoll.h"
#include "sandbox/fs/eventfd/eventfd.h"
#include "sandbox/fs/host_file/host_file.h"
#include "sandbox/fs/pipe/pipe_file.h"
#include "sandbox/fs/signalfd/signalfd.h"
#include "sandbox/fs/special.h"
#include "sandbox/fs/timerfd/timerfd.h"
#include "sandbox/fs/tmpfs/tmp_regular.h"
#include "sandbox/kernel/kernel.h"
#include "sandbox/kernel/pidfd.h"
#include "sandbox/mm/shared_memory.h"
#include "sandbox/state/reader.h"

namespace caisson::sandbox::boot {

using state::maker;
using state::Tag;

inline constexpr state::Maker kRestorers[] = {
    maker<vfs::Credentials, vfs::Credentials::restore>(Tag::kCredentials),
    maker<vfs::Filesystem, vfs::Filesystem::restore>(Tag::kFilesystem),
    maker<vfs::Dentry, vfs::Dentry::restore>(Tag::kDentry),
    maker<vfs::Mount, vfs::Mount::restore>(Tag::kMount),
    maker<vfs::MountNamespace, vfs::MountNamespace::restore>(Tag::kMountNamespace),
    maker<vfs::File, vfs::restore_placed_file>(Tag::kPlacedFile),
    maker<vfs::File, vfs::restore_path_file>(Tag::kPathFile),
    maker<mm::MemoryMap, mm::MemoryMap::restore>(Tag::kMemoryMap),
    maker<vfs::File, mm::SharedMemory::restore>(Tag::kSharedMemory),
    maker<kernel::Task, kernel::Task::restore>(Tag::kTask),
    maker<kernel::ThreadGroup, kernel::ThreadGroup::restore>(Tag::kThreadGroup),
    maker<kernel::ProcessGroup, kernel::ProcessGroup::restore>(Tag::kProcessGroup),
    maker<kernel::Session, kernel::Session::restore>(Tag::kSession),
    maker<kernel::PidNamespace, kernel::PidNamespace::restore>(Tag::kPidNamespace),
    maker<kernel::UtsNamespace, kernel::UtsNamespace::restore>(Tag::kUtsNamespace),
    maker<kernel::OpaqueNamespace, kernel::OpaqueNamespace::restore>(Tag::kOpaqueNamespace),
    maker<kernel::FdTable, kernel::FdTable::restore>(Tag::kFdTable),
    maker<kernel::FsContext, kernel::FsContext::restore>(Tag::kFsContext),
    maker<vfs::File, kernel::PidFile::restore>(Tag::kPidFile),
    maker<vfs::Inode, fs::TmpInode::restore>(Tag::kTmpInode),
    maker<vfs::File, fs::TmpRegularFile::restore>(Tag::kMemoryFile),
    maker<fs::Pipe, fs::Pipe::restore>(Tag::kPipe),
    maker<vfs::File, fs::PipeFile::restore>(Tag::kPipeFile),
    maker<vfs::File, fs::EventFile::restore>(Tag::kEventFile),
    maker<vfs::File, fs::TimerFile::restore>(Tag::kTimerFile),
    maker<vfs::File, fs::SignalFile::restore>(Tag::kSignalFile),
    maker<vfs::File, fs::EpollFile::restore>(Tag::kEpollFile),
    maker<vfs::File, fs::InheritedFile::restore>(Tag::kInheritedFile),
    maker<fs::FifoNode, fs::restore_fifo_node>(Tag::kFifoNode),
};

}  // namespace caisson::sandbox::boot

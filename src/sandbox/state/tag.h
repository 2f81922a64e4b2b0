// What a stream says an object is. Numbers are part of the format: one that is out of use is not
// given again.
#pragma once

#include <cstdint>

namespace caisson::sandbox::state {

class Reader;
class Writer;

enum class Tag : std::uint16_t {
  kNone = 0,  // it cannot be saved
  // vfs
  kCredentials = 1,
  kFilesystem = 2,
  kDentry = 3,
  kMount = 4,
  kMountNamespace = 5,
  kPlacedFile = 6,  // found again by its path
  kPathFile = 7,    // O_PATH
  // mm
  kMemoryMap = 16,
  kSharedMemory = 17,
  // kernel
  kContainer = 32,
  kTask = 33,
  kThreadGroup = 34,
  kProcessGroup = 35,
  kSession = 36,
  kPidNamespace = 37,
  kUtsNamespace = 38,
  kOpaqueNamespace = 39,
  kFdTable = 40,
  kFsContext = 41,
  kPidFile = 42,
  // fs
  kTmpInode = 64,
  kMemoryFile = 65,  // of memfd_create(2)
  kPipe = 66,
  kPipeFile = 67,
  kEventFile = 68,
  kTimerFile = 69,
  kSignalFile = 70,
  kEpollFile = 71,
  kInheritedFile = 72,
  kTerminal = 73,
  kTerminalFile = 74,
  kMasterFile = 75,
  kFifoNode = 76,
  // net
  kNetwork = 96,
  kSocket = 97,
  kUnixEndpoint = 98,
};

}  // namespace caisson::sandbox::state

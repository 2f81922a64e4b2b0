// HostFiles: what is asked for when this process itself may not do something with a file of the
// host (EACCES, EPERM): the gofer, which keeps the capabilities that this process gave up. The
// direct way is tried first, so that this is for files of other owners only.
//
// Paths are relative to the mount's root, without "." and "..", "" being the root itself; owners
// are the host's. Whoever implements it resolves them beneath the mount, without symbolic links.
#pragma once

#include <sys/stat.h>
#include <time.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace caisson::sandbox::fs {

// Owner and mode of what is made, in the host's ids.
struct HostCreation {
  std::uint32_t mode = 0;  // with S_IFMT
  std::uint32_t uid = 0, gid = 0;
};

class HostFiles {
 public:
  virtual ~HostFiles() = default;
  // O_ACCMODE, O_DIRECTORY, O_PATH, O_TMPFILE is not among them.
  virtual ErrnoOr<Fd> open(const std::string& path, int flags) = 0;
  // A regular file that did not exist, open for reading and writing.
  virtual ErrnoOr<Fd> create(const std::string& path, const HostCreation& creation) = 0;
  // Directories, FIFOs, sockets, device nodes.
  virtual ErrnoOr<> make(const std::string& path, const HostCreation& creation,
                         std::uint64_t device) = 0;
  virtual ErrnoOr<> make_symlink(const std::string& path, std::string_view target,
                                 const HostCreation& creation) = 0;
  virtual ErrnoOr<> link(const std::string& path, const std::string& new_path) = 0;
  virtual ErrnoOr<> unlink(const std::string& path, int flags) = 0;
  virtual ErrnoOr<> rename(const std::string& path, const std::string& new_path,
                           std::uint32_t flags) = 0;
  virtual ErrnoOr<struct statx> stat(const std::string& path) = 0;
  virtual ErrnoOr<std::string> read_link(const std::string& path) = 0;
  virtual ErrnoOr<> set_mode(const std::string& path, std::uint32_t mode) = 0;
  // ~0 leaves one.
  virtual ErrnoOr<> set_owner(const std::string& path, std::uint32_t uid, std::uint32_t gid) = 0;
  virtual ErrnoOr<> set_times(const std::string& path, std::span<const timespec, 2> times) = 0;
  virtual ErrnoOr<> set_size(const std::string& path, std::uint64_t size) = 0;
  virtual ErrnoOr<std::string> get_attribute(const std::string& path, std::string_view name) = 0;
  virtual ErrnoOr<> set_attribute(const std::string& path, std::string_view name,
                                  std::string_view value, int flags) = 0;
  virtual ErrnoOr<std::vector<std::string>> list_attributes(const std::string& path) = 0;
  virtual ErrnoOr<> remove_attribute(const std::string& path, std::string_view name) = 0;
};

}  // namespace caisson::sandbox::fs

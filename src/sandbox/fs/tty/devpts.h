// devpts: pseudo terminals as names, and the devices that lead to them: /dev/ptmx, /dev/tty,
// /dev/console (pts(4), tty(4)).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "sandbox/fs/generated/generated.h"
#include "sandbox/fs/special.h"
#include "sandbox/fs/tty/terminal.h"

namespace caisson::sandbox::fs {

struct DevptsOptions {
  std::uint32_t mode = 0600;       // of terminals
  std::uint32_t ptmx_mode = 0666;  // of ptmx in it
  std::optional<vfs::Uid> uid;     // none: the opener's
  std::optional<vfs::Gid> gid;
  unsigned most = 4096;
  // "mode=620,gid=5,ptmxmode=666,newinstance,max=N". EINVAL.
  static ErrnoOr<DevptsOptions> parse(std::string_view text);
};

class DevptsFilesystem final : public GeneratedFilesystem {
 public:
  static Ref<DevptsFilesystem> create(kernel::Kernel& kernel, DevptsOptions options);
  const DevptsOptions& options() const { return options_; }
  std::string options_text() const override;

  // A new terminal, by its master. ENOSPC.
  ErrnoOr<Ref<vfs::File>> open_master(const vfs::Path& path, Ref<vfs::Inode> inode,
                                      std::uint32_t flags, vfs::Caller& caller);
  // The other end by its number or from its master, which stands at `master`.
  ErrnoOr<Ref<vfs::File>> open_peer(const vfs::Path& master, Terminal& terminal,
                                    std::uint32_t flags);
  void remove(Terminal& terminal);

 private:
  class Root;
  class Node;
  class MasterNode;
  DevptsFilesystem(kernel::Kernel& kernel, DevptsOptions options);
  ~DevptsFilesystem() override = default;

  kernel::Kernel& kernel_;
  const DevptsOptions options_;
  Mutex mutex_;
  std::map<unsigned, Ref<Node>> nodes_;
};

// Devices 5:0 (tty: the opener's own), 5:1 (console: the same here) and 5:2 (ptmx of `devpts`).
void add_terminal_devices(SpecialFiles& special, Ref<DevptsFilesystem> devpts);

}  // namespace caisson::sandbox::fs

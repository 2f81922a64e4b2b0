// What execve(2) makes of credentials: set-id bits, file capabilities, ambient capabilities
// (capabilities(7), "Transformation of capabilities during execve()"). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "sandbox/vfs/credentials.h"

namespace caisson::sandbox::kernel {

struct FileCapabilities {
  vfs::CapabilitySet permitted = 0, inheritable = 0;
  bool effective = false;
};
// The value of the attribute security.capability (struct vfs_cap_data); none: EINVAL.
ErrnoOr<FileCapabilities> parse_file_capabilities(std::string_view value);

struct ExecutedFile {
  std::uint32_t mode = 0;
  vfs::Uid uid = 0;
  vfs::Gid gid = 0;
  std::optional<FileCapabilities> capabilities;
};

struct ExecCredentials {
  Ref<vfs::Credentials> credentials;
  bool secure = false;      // AT_SECURE
  bool has_set_id = false;  // the file's set-id bits were taken
};
// `file` without its set-id bits and capabilities when its mount says nosuid. EPERM: it asks for
// more capabilities than can be given.
ErrnoOr<ExecCredentials> credentials_after_exec(const vfs::Credentials& before,
                                                const ExecutedFile& file);

}  // namespace caisson::sandbox::kernel

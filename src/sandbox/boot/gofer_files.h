// GoferFiles: the files of one mount by way of the gofer, for what the kernel process may not do
// itself (fs/host/files.h).
#pragma once

#include <cstdint>

#include "gofer/client.h"
#include "sandbox/fs/host/files.h"

namespace caisson::sandbox::boot {

class GoferFiles final : public fs::HostFiles {
 public:
  // `mount`: the number that the gofer knows it by. The client outlives this.
  GoferFiles(gofer::Client& client, std::uint32_t mount) : client_(client), mount_(mount) {}

  ErrnoOr<Fd> open(const std::string& path, int flags) override;
  ErrnoOr<Fd> create(const std::string& path, const fs::HostCreation& creation) override;
  ErrnoOr<> make(const std::string& path, const fs::HostCreation& creation,
                 std::uint64_t device) override;
  ErrnoOr<> make_symlink(const std::string& path, std::string_view target,
                         const fs::HostCreation& creation) override;
  ErrnoOr<> link(const std::string& path, const std::string& new_path) override;
  ErrnoOr<> unlink(const std::string& path, int flags) override;
  ErrnoOr<> rename(const std::string& path, const std::string& new_path,
                   std::uint32_t flags) override;
  ErrnoOr<struct statx> stat(const std::string& path) override;
  ErrnoOr<std::string> read_link(const std::string& path) override;
  ErrnoOr<> set_mode(const std::string& path, std::uint32_t mode) override;
  ErrnoOr<> set_owner(const std::string& path, std::uint32_t uid, std::uint32_t gid) override;
  ErrnoOr<> set_times(const std::string& path, std::span<const timespec, 2> times) override;
  ErrnoOr<> set_size(const std::string& path, std::uint64_t size) override;
  ErrnoOr<std::string> get_attribute(const std::string& path, std::string_view name) override;
  ErrnoOr<> set_attribute(const std::string& path, std::string_view name, std::string_view value,
                          int flags) override;
  ErrnoOr<std::vector<std::string>> list_attributes(const std::string& path) override;
  ErrnoOr<> remove_attribute(const std::string& path, std::string_view name) override;

 private:
  gofer::Request request(gofer::Operation operation, const std::string& path) const;
  ErrnoOr<> done(const gofer::Request& request);

  gofer::Client& client_;
  std::uint32_t mount_;
};

}  // namespace caisson::sandbox::boot

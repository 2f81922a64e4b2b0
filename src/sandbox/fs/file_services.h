// The file systems that guests can mount, and files without a name.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "sandbox/fs/special.h"
#include "sandbox/fs/tmpfs/tmp_filesystem.h"
#include "sandbox/kernel/file_services.h"

namespace caisson::sandbox::fs {

class FileServices final : public kernel::FileServices {
 public:
  using Maker = std::function<ErrnoOr<Ref<vfs::Filesystem>>(
      kernel::Task& task, std::string_view source, std::string_view options)>;

  // Knows "tmpfs" from the start.
  static Ref<FileServices> create(Ref<FileMemory> memory, Ref<SpecialFiles> special);
  // Before the first process.
  void add_type(std::string type, Maker maker);

  ErrnoOr<Ref<vfs::Filesystem>> make_filesystem(kernel::Task& task, std::string_view type,
                                                std::string_view source,
                                                std::string_view options) override;
  ErrnoOr<Ref<vfs::File>> make_memory_file(kernel::Task& task, std::string_view name,
                                           std::uint32_t mode, std::uint32_t seals) override;
  ErrnoOr<Ref<vfs::Filesystem>> make_tmpfs(std::string_view options);
  // What memory files live in.
  TmpFilesystem& unnamed() { return *unnamed_; }

 private:
  FileServices(Ref<FileMemory> memory, Ref<SpecialFiles> special);
  ~FileServices() override = default;
  Ref<FileMemory> memory_;
  Ref<SpecialFiles> special_;
  Ref<TmpFilesystem> unnamed_;
  std::map<std::string, Maker, std::less<>> types_;
};

// The same without a kernel, as others make memory files of their own.
ErrnoOr<Ref<vfs::File>> make_memory_file(TmpFilesystem& filesystem, std::string_view name,
                                         const vfs::Creation& creation, std::uint32_t seals);

}  // namespace caisson::sandbox::fs

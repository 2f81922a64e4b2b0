#include "sandbox/fs/file_services.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "base/text.h"
#include "sandbox/fs/tmpfs/tmp_regular.h"
#include "sandbox/kernel/task.h"

namespace caisson::sandbox::fs {
namespace {

TmpOptions without_limits() {
  TmpOptions options;
  options.size = 0;
  options.inodes = 0;
  return options;
}

}  // namespace

FileServices::FileServices(Ref<FileMemory> memory, Ref<SpecialFiles> special)
    : memory_(std::move(memory)),
      special_(std::move(special)),
      unnamed_(TmpFilesystem::create(memory_, nullptr, without_limits())) {}

Ref<FileServices> FileServices::create(Ref<FileMemory> memory, Ref<SpecialFiles> special) {
  auto made = Ref<FileServices>::adopt(new FileServices(std::move(memory), std::move(special)));
  FileServices* self = made.get();  // owns what it is called by
  made->add_type("tmpfs", [self](kernel::Task&, std::string_view, std::string_view options) {
    return self->make_tmpfs(options);
  });
  return made;
}

ErrnoOr<Ref<vfs::Filesystem>> FileServices::make_tmpfs(std::string_view options) {
  TmpOptions parsed = TRY(TmpOptions::parse(options));
  return Ref<vfs::Filesystem>(TmpFilesystem::create(memory_, special_, parsed));
}

void FileServices::add_type(std::string type, Maker maker) {
  types_.insert_or_assign(std::move(type), std::move(maker));
}

ErrnoOr<Ref<vfs::Filesystem>> FileServices::make_filesystem(kernel::Task& task,
                                                            std::string_view type,
                                                            std::string_view source,
                                                            std::string_view options) {
  auto known = types_.find(type);
  if (known == types_.end()) return std::unexpected(Errno{ENODEV});
  return known->second(task, source, options);
}

ErrnoOr<Ref<vfs::File>> FileServices::make_memory_file(kernel::Task& task, std::string_view name,
                                                       std::uint32_t mode, std::uint32_t seals) {
  const vfs::Credentials& owner = task.credentials();
  return fs::make_memory_file(*unnamed_, name, {S_IFREG | mode, owner.fsuid, owner.fsgid}, seals);
}

ErrnoOr<Ref<vfs::File>> make_memory_file(TmpFilesystem& filesystem, std::string_view name,
                                         const vfs::Creation& creation, std::uint32_t seals) {
  Ref<TmpInode> inode = TRY(filesystem.make_unnamed(creation));
  auto regular = Ref<TmpRegular>::share(static_cast<TmpRegular*>(inode.get()));
  regular->bytes().set_seals(seals);
  vfs::Path place{nullptr, vfs::Dentry::make_root(inode, cat("/memfd:", name, " (deleted)"))};
  constexpr std::uint32_t kLargeFile = 0100000;
  return Ref<vfs::File>(
      make_ref<TmpRegularFile>(std::move(place), std::move(regular), O_RDWR | kLargeFile));
}

}  // namespace caisson::sandbox::fs

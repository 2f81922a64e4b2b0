#include "sandbox/fs/tmpfs/tmp_regular.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace caisson::sandbox::fs {
namespace {

// All that fcntl(2) knows, up to F_SEAL_EXEC.
constexpr std::uint64_t kKnownSeals = 0x3F;

std::unexpected<Errno> failed(int errno_value) { return std::unexpected(Errno{errno_value}); }

}  // namespace

TmpRegular::TmpRegular(TmpFilesystem& filesystem, const vfs::Creation& creation)
    : TmpInode(filesystem, creation), bytes_(filesystem.memory(), filesystem.pages()) {
  bytes_.set_seals(F_SEAL_SEAL);
}

ErrnoOr<Ref<vfs::File>> TmpRegular::open(const vfs::Path& path, vfs::OpenFlags flags,
                                         vfs::Caller&) {
  return make_ref<TmpRegularFile>(path, Ref<TmpRegular>::share(this), flags.flags);
}

void TmpRegular::add_size(vfs::Attributes& attributes) {
  attributes.size = bytes_.size();
  attributes.blocks = bytes_.pages() * (kPageSize / 512);
}

ErrnoOr<std::size_t> TmpRegularFile::read_at(vfs::IoBuffer& to, std::uint64_t offset,
                                             vfs::Caller&) {
  std::size_t done = TRY(bytes().read(to, offset));
  vfs::Timestamp now = vfs::Timestamp::now();
  if (vfs::wants_access_time(*this, regular_.times(), now)) regular_.touch_accessed(now);
  return done;
}

ErrnoOr<std::size_t> TmpRegularFile::write_at(vfs::IoBuffer& from, std::uint64_t offset,
                                              vfs::Caller&) {
  std::uint64_t at = 0;
  std::size_t done = TRY(bytes().write(from, offset, at));
  if (done != 0) regular_.touch_modified();
  return done;
}

ErrnoOr<std::size_t> TmpRegularFile::append(vfs::IoBuffer& from, std::uint64_t& end, vfs::Caller&) {
  std::uint64_t at = 0;
  std::size_t done = TRY(bytes().write(from, std::nullopt, at));
  if (done != 0) regular_.touch_modified();
  end = at + done;
  return done;
}

ErrnoOr<std::uint64_t> TmpRegularFile::seek(std::int64_t offset, int whence) {
  if (whence != SEEK_DATA && whence != SEEK_HOLE) return File::seek(offset, whence);
  if (offset < 0) return failed(ENXIO);
  Locked lock(position_mutex_);
  position_ = TRY(bytes().seek(static_cast<std::uint64_t>(offset), whence));
  return position_;
}

ErrnoOr<> TmpRegularFile::allocate(int mode, std::uint64_t offset, std::uint64_t length) {
  TRY(bytes().allocate(mode, offset, length));
  regular_.touch_modified();
  return {};
}

ErrnoOr<vfs::MapSource> TmpRegularFile::map_source(std::uint64_t offset, std::uint64_t,
                                                   int protection, bool shared) {
  vfs::MapSource source = TRY(bytes().map_source(offset, protection, shared));
  // Files that cannot be sealed have nothing to know.
  bool counts = shared && writable() && (bytes().seals() & F_SEAL_SEAL) == 0;
  if (counts) source.kept = of_writable_mapping(*this);
  return source;
}

Ref<TmpRegularFile> TmpRegularFile::of_writable_mapping(const TmpRegularFile& file) {
  auto made =
      make_ref<TmpRegularFile>(file.path(), Ref<TmpRegular>::share(&file.regular_), file.flags());
  made->is_writable_mapping_ = true;
  made->bytes().add_writable_mapping();
  return made;
}

Ref<vfs::File> TmpRegularFile::inherited_by_mapping() {
  if (is_writable_mapping_) return of_writable_mapping(*this);
  return File::inherited_by_mapping();
}

TmpRegularFile::~TmpRegularFile() {
  if (is_writable_mapping_) bytes().drop_writable_mapping();
}

ErrnoOr<std::int64_t> TmpRegularFile::control(vfs::Caller& caller, int command,
                                              std::uint64_t argument) {
  if (command == F_GET_SEALS) return bytes().seals();
  if (command != F_ADD_SEALS) return File::control(caller, command, argument);
  if (!writable()) return failed(EPERM);
  if ((argument & ~kKnownSeals) != 0) return failed(EINVAL);
  TRY(bytes().add_seals(static_cast<std::uint32_t>(argument)));
  return 0;
}

}  // namespace caisson::sandbox::fs

// Pipes in a checkpoint, with what is in them.
#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "sandbox/fs/pipe/pipe_file.h"
#include "sandbox/vfs/save.h"

namespace caisson::sandbox::fs {

template <typename Stream>
void describe(Stream& stream, Pipe::Owner& owner) {
  stream(owner.mode, owner.uid, owner.gid);
}

Result<> Pipe::save(state::Writer& to) {
  Locked lock(mutex_);
  to(limit_, owner_, ends_.readers_ever - ends_.readers, ends_.writers_ever - ends_.writers);
  to(segments_.size());
  for (const Segment& segment : segments_) {
    to(segment.packet, segment.mergeable);
    to.bytes(std::span(*segment.page).subspan(segment.offset, segment.length));
  }
  return {};
}

Result<Ref<Pipe>> Pipe::restore(state::Reader& from) {
  auto pipe = make_ref<Pipe>();
  from(pipe->limit_, pipe->owner_, pipe->ends_.readers_ever, pipe->ends_.writers_ever);
  for (std::size_t left = from.count(); left != 0; --left) {
    Segment segment;
    from(segment.packet, segment.mergeable);
    auto bytes = from.bytes();
    if (bytes.size() > kPage || bytes.empty())
      return std::unexpected(state::Reader::damaged("a pipe's page is none"));
    segment.page = std::unique_ptr<Page>(new Page);
    segment.length = bytes.size();
    std::ranges::copy(bytes, segment.page->begin());
    pipe->segments_.push_back(std::move(segment));
  }
  if (pipe->limit_ == 0 || pipe->limit_ > (std::size_t{1} << 20))
    return std::unexpected(state::Reader::damaged("a pipe has no such size"));
  return pipe;
}

// The ends of a FIFO meet at its inode, which must be restored with it.
Result<> PipeFile::save(state::Writer& to) {
  if (inode() != nullptr && inode()->save_tag() != state::Tag::kTmpInode)
    return std::unexpected(Error::with_cause(EOPNOTSUPP, "it is a FIFO that is not in a tmpfs"));
  save_place(to);
  to.refer(pipe_);
  to(anonymous_inode_, readers_before_, writers_before_, had_partner_);
  return {};
}

Result<Ref<vfs::File>> PipeFile::restore(state::Reader& from) {
  vfs::Path path = TRY(vfs::restore_path(from));
  auto flags = from.value<std::uint32_t>();
  (void)from.value<std::uint64_t>();  // the position that pipes have not
  auto pipe = TRY(from.object<Pipe>());
  auto number = from.value<std::uint64_t>();
  auto inode = Ref<vfs::Inode>::share(path.inode());
  auto file = make_ref<PipeFile>(std::move(path), std::move(inode), flags, std::move(pipe), number);
  from(file->readers_before_, file->writers_before_, file->had_partner_);
  return Ref<vfs::File>(std::move(file));
}

}  // namespace caisson::sandbox::fs

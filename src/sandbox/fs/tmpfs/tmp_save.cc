// tmpfs in a checkpoint: every inode that a name or an open file leads to, and the bytes of files.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/text.h"
#include "sandbox/fs/tmpfs/tmp_directory.h"
#include "sandbox/fs/tmpfs/tmp_regular.h"
#include "sandbox/mm/page_image.h"
#include "sandbox/vfs/dentry_cache.h"
#include "sandbox/vfs/save.h"

namespace caisson::sandbox::fs {

template <typename Stream>
void describe(Stream& stream, TmpInode::Saved& s) {
  stream(s.number, s.mode, s.uid, s.gid, s.links, s.unnamed);
  stream(s.accessed, s.modified, s.changed, s.born, s.extended);
}

// --- inodes

TmpInode::TmpInode(TmpFilesystem& filesystem, const Saved& saved)
    : Inode(filesystem, saved.mode & S_IFMT), number_(saved.number) {
  apply(saved);
}

TmpInode::Saved TmpInode::saved() {
  Saved saved;
  saved.number = number_;
  saved.mode = type() | mode_, saved.uid = uid_, saved.gid = gid_;
  Locked lock(mutex_);
  saved.links = links_, saved.unnamed = unnamed_;
  saved.accessed = accessed_, saved.modified = modified_, saved.changed = changed_;
  saved.born = born_;
  if (extended_) saved.extended = *extended_;
  return saved;
}

void TmpInode::apply(const Saved& saved) {
  mode_ = saved.mode & 07777U, uid_ = saved.uid, gid_ = saved.gid;
  Locked lock(mutex_);
  number_ = saved.number;
  links_ = saved.links, unnamed_ = saved.unnamed;
  accessed_ = saved.accessed, modified_ = saved.modified, changed_ = saved.changed;
  born_ = saved.born;
  extended_.reset();
  extended_size_ = 0;
  if (saved.extended.empty()) return;
  extended_ = std::make_unique<ExtendedAttributes>(saved.extended);
  for (const auto& [name, value] : saved.extended) extended_size_ += name.size() + value.size();
}

Result<> TmpInode::save(state::Writer& to) {
  to.refer(&filesystem());
  to(saved(), tmpfs().root().get() == this);
  return save_rest(to);
}

Result<> TmpSymlink::save_rest(state::Writer& to) {
  to(target_);
  return {};
}

Result<> TmpSpecial::save_rest(state::Writer& to) {
  to(device_);
  to.refer(fifo_);
  return {};
}

Result<> TmpDirectory::save_rest(state::Writer& to) {
  Locked lock(entries_mutex_);
  to(next_position_, removed_, entries_.size());
  for (const auto& [position, entry] : entries_) {
    to(position, entry.name);
    to.refer(entry.inode, entry.name);
  }
  return {};
}

Result<> TmpRegular::save_rest(state::Writer& to) { return bytes_.save(to); }

Result<Ref<vfs::Inode>> TmpInode::restore(state::Reader& from) {
  auto owner = TRY(from.object<vfs::Filesystem>());
  if (owner->root()->save_tag() != state::Tag::kTmpInode)
    return std::unexpected(state::Reader::damaged("an inode is in another file system"));
  auto& filesystem = static_cast<TmpFilesystem&>(*owner);
  auto saved = from.value<Saved>();
  bool is_root = from.value<bool>();
  TRY(from.check());
  Ref<TmpInode> made;
  if (is_root) {
    if ((saved.mode & S_IFMT) != S_IFDIR)
      return std::unexpected(state::Reader::damaged("a root is no directory"));
    made = Ref<TmpInode>::share(static_cast<TmpInode*>(owner->root().get()));
    made->apply(saved);
  } else {
    TRY_CTX(filesystem.take_inode(), "restore a tmpfs");
    made = TRY(make(from, filesystem, saved));
  }
  if (!made->is_directory()) return Ref<vfs::Inode>(std::move(made));
  auto directory = Ref<TmpDirectory>::share(static_cast<TmpDirectory*>(made.get()));
  from.later([directory](state::Reader& rest) { return directory->restore_entries(rest); });
  return Ref<vfs::Inode>(std::move(made));
}

Result<Ref<TmpInode>> TmpInode::make(state::Reader& from, TmpFilesystem& filesystem,
                                     const Saved& saved) {
  switch (saved.mode & S_IFMT) {
    case S_IFDIR: return Ref<TmpInode>(make_ref<TmpDirectory>(filesystem, saved));
    case S_IFLNK:
      return Ref<TmpInode>(make_ref<TmpSymlink>(filesystem, saved, from.value<std::string>()));
    case S_IFREG: {
      auto regular = make_ref<TmpRegular>(filesystem, saved);
      TRY(regular->bytes().restore(from));
      return Ref<TmpInode>(std::move(regular));
    }
    case S_IFIFO:
    case S_IFCHR:
    case S_IFBLK:
    case S_IFSOCK: {
      auto device = from.value<std::uint64_t>();
      auto fifo = TRY(from.optional_object<FifoNode>());
      bool wants_fifo = (saved.mode & S_IFMT) == S_IFIFO;
      if (wants_fifo != static_cast<bool>(fifo)) break;
      return Ref<TmpInode>(make_ref<TmpSpecial>(filesystem, saved, device, std::move(fifo)));
    }
    default: break;
  }
  return std::unexpected(state::Reader::damaged("an inode is of no kind"));
}

Result<> TmpDirectory::restore_entries(state::Reader& from) {
  auto next = from.value<std::uint64_t>();
  bool removed = from.value<bool>();
  for (std::size_t left = from.count(); left != 0; --left) {
    auto position = from.value<std::uint64_t>();
    auto name = from.value<std::string>();
    auto inode = TRY(from.object<vfs::Inode>());
    bool ours = &inode->filesystem() == &filesystem() && inode.get() != this;
    if (!ours || name.empty() || by_name_.contains(name) || position >= next ||
        position <= kFirstPosition)
      return std::unexpected(state::Reader::damaged("an entry of a directory cannot be"));
    Locked lock(entries_mutex_);
    next_position_ = position;
    put(name, Ref<TmpInode>::share(static_cast<TmpInode*>(inode.get())));
  }
  Locked lock(entries_mutex_);
  next_position_ = next;
  removed_ = removed;
  return {};
}

// --- the file system

Result<> TmpFilesystem::save_contents(state::Writer& to) {
  to(next_inode_.load());
  to.refer(root_, "the root of a tmpfs");
  return {};
}

Result<> TmpFilesystem::restore_contents(state::Reader& from) {
  std::vector<Ref<TmpInode>> before;  // what making it put there
  static_cast<TmpDirectory&>(*root_).take_entries(before);
  next_inode_ = from.value<std::uint64_t>();
  auto root = TRY(from.object<vfs::Inode>());
  if (root.get() == root_.get()) return {};
  return std::unexpected(state::Reader::damaged("the root of a tmpfs is another"));
}

// --- bytes

Result<> FileBytes::save(state::Writer& to) {
  Locked lock(mutex_);
  to(size(), seals_, is_inline());
  if (is_inline()) {
    std::size_t length = inline_ != nullptr ? std::min(size(), kInline) : 0;
    to.bytes({inline_.get(), length});
    return {};
  }
  auto runs = mm::save_file_data(to.need<mm::PageWriter>(), memory_.file(), *range_, size());
  if (!runs) return std::unexpected(Error(runs.error()).doing("save the bytes of a file"));
  to(*runs);
  return {};
}

Result<> FileBytes::restore(state::Reader& from) {
  auto size = from.value<std::uint64_t>();
  seals_ = from.value<std::uint32_t>();
  bool is_short = from.value<bool>();
  TRY(from.check());
  if (size > kLargest || (is_short && size > kInline))
    return std::unexpected(state::Reader::damaged("a file is longer than it can be"));
  set_size(size);
  if (!is_short) return restore_runs(from);
  auto bytes = from.bytes();
  if (bytes.empty()) return from.check();
  if (bytes.size() > size) return std::unexpected(state::Reader::damaged("a file is too long"));
  inline_ = std::make_unique<std::byte[]>(kInline);
  std::ranges::copy(bytes, inline_.get());
  quota_.take_anyway(1);
  pages_.add(0, 1);
  return {};
}

Result<> FileBytes::restore_runs(state::Reader& from) {
  auto runs = from.value<std::vector<mm::SavedRun>>();
  TRY(from.check());
  TRY_CTX(spill(), "make the memory of a file");
  auto& pages = from.need<mm::PageReader>();
  for (const mm::SavedRun& run : runs) {
    std::uint64_t most = pages_for(size()) * kPageSize;
    bool valid = pages.holds(run.offset, run.length) && run.begin % kPageSize == 0 &&
                 run.length % kPageSize == 0 && run.begin <= most && run.length <= most - run.begin;
    if (!valid) return std::unexpected(state::Reader::damaged("a file's bytes are behind its end"));
    TRY_CTX(pages.copy_to(memory_.file(), *range_ + run.begin, run.offset, run.length),
            "fill a file");
    std::uint64_t first = page_of(run.begin), last = page_of(run.begin + run.length);
    quota_.take_anyway(last - first - pages_.count(first, last));
    pages_.add(first, last);
    written_end_ = std::max(written_end_, run.begin + run.length);
  }
  return {};
}

// --- files of memfd_create(2)

state::Tag TmpRegularFile::save_tag() const {
  return path().mount ? File::save_tag() : state::Tag::kMemoryFile;
}

Result<> TmpRegularFile::save(state::Writer& to) {
  if (path().mount) return File::save(to);
  to.refer(path().dentry);
  Locked lock(position_mutex_);
  to(flags(), position_);
  vfs::save_locks(to, *inode(), this);
  return {};
}

Result<Ref<vfs::File>> TmpRegularFile::restore(state::Reader& from) {
  auto dentry = TRY(from.object<vfs::Dentry>());
  auto flags = from.value<std::uint32_t>();
  auto position = from.value<std::uint64_t>();
  TRY(from.check());
  vfs::Inode* inode = dentry->inode();
  if (inode == nullptr || inode->save_tag() != state::Tag::kTmpInode || inode->type() != S_IFREG)
    return std::unexpected(state::Reader::damaged("a file in memory is none"));
  auto regular = Ref<TmpRegular>::share(static_cast<TmpRegular*>(inode));
  auto file = make_ref<TmpRegularFile>(vfs::Path{nullptr, std::move(dentry)}, regular, flags);
  file->position_ = position;
  TRY(vfs::restore_locks(from, *inode, file.get()));
  return Ref<vfs::File>(std::move(file));
}

}  // namespace caisson::sandbox::fs

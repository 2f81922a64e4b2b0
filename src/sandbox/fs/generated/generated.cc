#include "sandbox/fs/generated/generated.h"

#include <dirent.h>

#include <algorithm>
#include <cerrno>
#include <span>

namespace caisson::sandbox::fs {
namespace {

constexpr std::size_t kStoreLimit = 128 * 1024;

// The text as it was when it was first read, or read again from the beginning (seq_file of Linux).
class GeneratedTextFile final : public vfs::File {
 public:
  GeneratedTextFile(const vfs::Path& path, Ref<GeneratedFile> inode, std::uint32_t flags)
      : File(path, inode, flags), generated_(std::move(inode)) {}

  ErrnoOr<std::size_t> read_at(vfs::IoBuffer& to, std::uint64_t offset,
                               vfs::Caller& caller) override {
    Locked lock(mutex_);
    if (offset == 0 || !made_) {
      text_ = TRY(generated_->text(caller));
      made_ = true;
    }
    if (offset >= text_.size()) return 0;
    return to.put(std::as_bytes(std::span(text_)).subspan(offset));
  }

  ErrnoOr<std::size_t> write_at(vfs::IoBuffer& from, std::uint64_t, vfs::Caller& caller) override {
    std::string text(std::min<std::uint64_t>(from.remaining(), kStoreLimit), '\0');
    std::size_t size = TRY(from.get(std::as_writable_bytes(std::span(text))));
    text.resize(size);
    TRY(generated_->store(text, caller));
    Locked lock(mutex_);
    made_ = false;
    return size;
  }
  ErrnoOr<> sync(bool) override { return std::unexpected(Errno{EINVAL}); }

 private:
  Ref<GeneratedFile> generated_;
  Mutex mutex_;
  std::string text_;
  bool made_ = false;
};

// Lists the directory when it is first read, and again from its beginning.
class GeneratedDirectoryFile final : public vfs::File {
 public:
  GeneratedDirectoryFile(const vfs::Path& path, Ref<GeneratedDirectory> directory,
                         std::uint32_t flags)
      : File(path, directory, flags), directory_(std::move(directory)) {}

  ErrnoOr<> read_directory(vfs::DirectorySink& sink, vfs::Caller& caller) override {
    Locked lock(position_mutex_);
    if (position_ == 0) {
      listing_ = Listing();
      std::uint64_t own = directory_->number(), parent = own;
      if (const vfs::Inode* above = path().dentry->parent()->inode())
        parent = TRY(const_cast<vfs::Inode*>(above)->attributes()).inode;
      listing_.add(".", own, DT_DIR);
      listing_.add("..", parent, DT_DIR);
      TRY(directory_->list(listing_, caller));
    }
    listing_.read(position_, sink);
    return {};
  }
  ErrnoOr<> sync(bool) override { return std::unexpected(Errno{EINVAL}); }

 private:
  Ref<GeneratedDirectory> directory_;
  Listing listing_;
};

int no_new_names(const vfs::Filesystem& filesystem) {
  return filesystem.type() == "proc" ? ENOENT : EPERM;
}

}  // namespace

ErrnoOr<vfs::FilesystemStatus> GeneratedFilesystem::status() {
  vfs::FilesystemStatus status;
  status.type = magic_;
  return status;
}

// FNV-1a over the parent's number and the name, cut to what old programs can hold.
std::uint64_t generated_number(std::uint64_t parent, std::string_view name) {
  constexpr std::uint64_t kPrime = 0x100000001b3;
  std::uint64_t hash = (0xcbf29ce484222325 ^ parent) * kPrime;
  for (char letter : name) hash = (hash ^ static_cast<unsigned char>(letter)) * kPrime;
  return (hash ^ hash >> 32) % 0xfffffff0 + 2;
}

ErrnoOr<vfs::Attributes> GeneratedInode::attributes() {
  vfs::Attributes attributes;
  Owner owner = this->owner();
  attributes.mode = mode_;
  attributes.uid = owner.uid;
  attributes.gid = owner.gid;
  attributes.links = is_directory() ? 2 : 1;
  attributes.inode = number_;
  attributes.device = filesystem().device();
  attributes.block_size = 1024;
  attributes.accessed = attributes.modified = attributes.changed = vfs::Timestamp::now();
  return attributes;
}

ErrnoOr<> GeneratedInode::change(const vfs::AttributeChange& change) {
  if (change.mode || change.uid || change.gid) return std::unexpected(Errno{EPERM});
  return {};
}

ErrnoOr<> GeneratedFile::store(std::string_view, vfs::Caller&) {
  return std::unexpected(Errno{EIO});
}

ErrnoOr<Ref<vfs::File>> GeneratedFile::open(const vfs::Path& path, vfs::OpenFlags flags,
                                            vfs::Caller&) {
  return Ref<vfs::File>(
      make_ref<GeneratedTextFile>(path, Ref<GeneratedFile>::share(this), flags.flags));
}

ErrnoOr<> FunctionFile::store(std::string_view text, vfs::Caller& caller) {
  if (!store_) return std::unexpected(Errno{EIO});
  return store_(text, caller);
}

ErrnoOr<Ref<vfs::File>> GeneratedLink::open(const vfs::Path&, vfs::OpenFlags, vfs::Caller&) {
  return std::unexpected(Errno{ELOOP});
}

ErrnoOr<Ref<vfs::File>> GeneratedDirectory::open(const vfs::Path& path, vfs::OpenFlags flags,
                                                 vfs::Caller&) {
  return Ref<vfs::File>(
      make_ref<GeneratedDirectoryFile>(path, Ref<GeneratedDirectory>::share(this), flags.flags));
}

ErrnoOr<Ref<vfs::Inode>> GeneratedDirectory::create(std::string_view, const vfs::Creation&) {
  return std::unexpected(Errno{no_new_names(filesystem())});
}

ErrnoOr<Ref<vfs::Inode>> GeneratedDirectory::make_directory(std::string_view,
                                                            const vfs::Creation&) {
  return std::unexpected(Errno{no_new_names(filesystem())});
}

// --- static directories

StaticDirectory& StaticDirectory::directory_of(std::string_view& path) {
  std::size_t slash = path.find('/');
  if (slash == std::string_view::npos) return *this;
  StaticDirectory& next = add_directory(path.substr(0, slash));
  path.remove_prefix(slash + 1);
  return next.directory_of(path);
}

StaticDirectory& StaticDirectory::add_directory(std::string_view path) {
  if (path.find('/') != std::string_view::npos) {
    StaticDirectory& directory = directory_of(path);
    return directory.add_directory(path);
  }
  auto known = directories_.find(path);
  if (known != directories_.end()) return *known->second;
  auto made = make_ref<StaticDirectory>(filesystem(), child(path));
  StaticDirectory& directory = *made;
  directories_.emplace(path, made.get());
  add_inode(path, std::move(made));
  return directory;
}

void StaticDirectory::add_inode(std::string_view name, Ref<vfs::Inode> inode) {
  entries_.insert_or_assign(std::string(name), std::move(inode));
}

void StaticDirectory::add(std::string_view path, TextFunction text, std::uint32_t permissions,
                          StoreFunction store) {
  StaticDirectory& directory = directory_of(path);
  directory.add_inode(path, make_ref<FunctionFile>(filesystem(), permissions, directory.child(path),
                                                   std::move(text), std::move(store)));
}

void StaticDirectory::add_constant(std::string_view path, std::string text,
                                   std::uint32_t permissions) {
  add(
      path, [text = std::move(text)](vfs::Caller&) { return ErrnoOr<std::string>(text); },
      permissions);
}

void StaticDirectory::add_link(std::string_view path, std::string target) {
  add_link(path,
           [target = std::move(target)](vfs::Caller*) { return ErrnoOr<std::string>(target); });
}

void StaticDirectory::add_link(std::string_view path,
                               std::function<ErrnoOr<std::string>(vfs::Caller*)> target) {
  StaticDirectory& directory = directory_of(path);
  directory.add_inode(
      path, make_ref<FunctionLink>(filesystem(), directory.child(path), std::move(target)));
}

ErrnoOr<Ref<vfs::Inode>> StaticDirectory::lookup(std::string_view name) {
  auto place = entries_.find(name);
  if (place == entries_.end()) return std::unexpected(Errno{ENOENT});
  return place->second;
}

ErrnoOr<> StaticDirectory::list(Listing& listing, vfs::Caller&) {
  for (const auto& [name, inode] : entries_)
    listing.add(name, TRY(inode->attributes()).inode,
                static_cast<unsigned char>(IFTODT(inode->type())));
  return {};
}

}  // namespace caisson::sandbox::fs

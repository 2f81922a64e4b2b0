#include "sandbox/boot/copy_up.h"

#include <fcntl.h>

#include <cerrno>
#include <string>
#include <vector>

namespace caisson::sandbox::boot {
namespace {

class Names final : public vfs::DirectorySink {
 public:
  bool entry(std::string_view name, std::uint64_t, unsigned char, std::uint64_t) override {
    if (name != "." && name != "..") names.emplace_back(name);
    return true;
  }
  std::vector<std::string> names;
};

ErrnoOr<std::vector<std::string>> names_in(const vfs::Path& directory, BootCaller& caller) {
  auto file = TRY(vfs::open_path(directory, O_RDONLY | O_DIRECTORY, caller, caller.credentials()));
  Names sink;
  std::size_t before;
  do {
    before = sink.names.size();
    TRY(file->read_directory(sink, caller));
  } while (sink.names.size() != before);
  return std::move(sink.names);
}

ErrnoOr<> copy_bytes(vfs::Inode& from, vfs::Inode& to, BootCaller& caller) {
  auto source = TRY(from.open({}, {O_RDONLY}, caller));
  auto target = TRY(to.open({}, {O_WRONLY}, caller));
  std::vector<std::byte> chunk(128 * 1024);
  for (std::uint64_t offset = 0;;) {
    auto space = vfs::IoBuffer::of(std::span<std::byte>(chunk));
    std::size_t got = TRY(source->read_at(space, offset, caller));
    if (got == 0) return {};
    auto bytes = vfs::IoBuffer::of(std::span<const std::byte>(chunk.data(), got));
    while (bytes.remaining() != 0) offset += TRY(target->write_at(bytes, offset, caller));
  }
}

constexpr int kMaxDepth = 64;  // as linux/mounts_child.cc

// `from.base` is the directory that is copied: what is mounted in it is copied as well.
ErrnoOr<> copy_directory(const vfs::WalkContext& from, vfs::Inode& to, BootCaller& caller,
                         int depth);

ErrnoOr<> copy_entry(const vfs::WalkContext& from, std::string_view name, vfs::Inode& to,
                     BootCaller& caller, int depth) {
  vfs::WalkContext inside = from;
  vfs::WalkFlags flags;
  flags.follow_last = false;
  inside.base = TRY(vfs::walk(from, name, flags));
  vfs::Inode& entry = *inside.base.inode();
  auto attributes = TRY(entry.attributes());
  vfs::Creation creation{attributes.mode, attributes.uid, attributes.gid};
  Ref<vfs::Inode> made;
  switch (entry.type()) {
    case S_IFDIR: made = TRY(to.make_directory(name, creation)); break;
    case S_IFREG: made = TRY(to.create(name, creation)); break;
    case S_IFLNK: made = TRY(to.make_symlink(name, TRY(entry.read_link(nullptr)), creation)); break;
    default: made = TRY(to.make_node(name, creation, attributes.special_device)); break;
  }
  if (entry.is_directory()) TRY(copy_directory(inside, *made, caller, depth + 1));
  if (entry.type() == S_IFREG) TRY(copy_bytes(entry, *made, caller));
  vfs::AttributeChange times;
  times.accessed = attributes.accessed;
  times.modified = attributes.modified;
  (void)made->change(times);
  return {};
}

ErrnoOr<> copy_directory(const vfs::WalkContext& from, vfs::Inode& to, BootCaller& caller,
                         int depth) {
  if (depth > kMaxDepth) return std::unexpected(Errno{ELOOP});
  for (const auto& name : TRY(names_in(from.base, caller)))
    TRY(copy_entry(from, name, to, caller, depth));
  return {};
}

}  // namespace

bool directory_is_empty(const vfs::Path& directory, BootCaller& caller) {
  auto names = names_in(directory, caller);
  return names && names->empty();
}

ErrnoOr<> copy_tree(const vfs::Path& from, vfs::MountNamespace& mounts, vfs::Filesystem& to,
                    BootCaller& caller) {
  vfs::WalkContext directory = caller.walk(mounts);
  directory.base = from;
  auto root = to.root();
  return copy_directory(directory, *root, caller, 0);
}

}  // namespace caisson::sandbox::boot

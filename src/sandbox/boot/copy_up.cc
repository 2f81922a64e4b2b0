#include "sandbox/boot/copy_up.h"

#include <fcntl.h>

#include <array>
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

ErrnoOr<std::vector<std::string>> names_in(vfs::Inode& directory, BootCaller& caller) {
  auto file = TRY(directory.open({}, {O_RDONLY | O_DIRECTORY}, caller));
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

ErrnoOr<> copy_directory(vfs::Inode& from, vfs::Inode& to, BootCaller& caller);

ErrnoOr<> copy_entry(vfs::Inode& entry, std::string_view name, vfs::Inode& to, BootCaller& caller) {
  auto attributes = TRY(entry.attributes());
  vfs::Creation creation{attributes.mode, attributes.uid, attributes.gid};
  Ref<vfs::Inode> made;
  switch (entry.type()) {
    case S_IFDIR: made = TRY(to.make_directory(name, creation)); break;
    case S_IFREG: made = TRY(to.create(name, creation)); break;
    case S_IFLNK: made = TRY(to.make_symlink(name, TRY(entry.read_link(nullptr)), creation)); break;
    default: made = TRY(to.make_node(name, creation, attributes.special_device)); break;
  }
  if (entry.is_directory()) TRY(copy_directory(entry, *made, caller));
  if (entry.type() == S_IFREG) TRY(copy_bytes(entry, *made, caller));
  vfs::AttributeChange times;
  times.accessed = attributes.accessed;
  times.modified = attributes.modified;
  (void)made->change(times);
  return {};
}

ErrnoOr<> copy_directory(vfs::Inode& from, vfs::Inode& to, BootCaller& caller) {
  for (const auto& name : TRY(names_in(from, caller)))
    TRY(copy_entry(*TRY(from.lookup(name)), name, to, caller));
  return {};
}

}  // namespace

bool directory_is_empty(const vfs::Path& directory, BootCaller& caller) {
  auto names = names_in(*directory.inode(), caller);
  return names && names->empty();
}

ErrnoOr<> copy_tree(const vfs::Path& from, vfs::Filesystem& to, BootCaller& caller) {
  auto root = to.root();
  return copy_directory(*from.inode(), *root, caller);
}

}  // namespace caisson::sandbox::boot

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "base/text.h"
#include "sandbox/fs/tmpfs/script_test.h"
#include "sandbox/vfs/permission.h"
#include "sandbox/vfs/xattr.h"

namespace caisson::sandbox::fs {
namespace {

unsigned number(const std::string& text, int base = 10) {
  return static_cast<unsigned>(std::strtoul(text.c_str(), nullptr, base));
}
long amount(const std::string& text) { return std::strtol(text.c_str(), nullptr, 10); }
std::unexpected<Errno> failed(int errno_value) { return std::unexpected(Errno{errno_value}); }
constexpr int kUnknown = 9999;

class NameSink final : public vfs::DirectorySink {
 public:
  bool entry(std::string_view name, std::uint64_t, unsigned char type, std::uint64_t) override {
    names.push_back(cat(name, "/", static_cast<int>(type)));
    return true;
  }
  std::vector<std::string> names;
};

ErrnoOr<std::string> nothing(ErrnoOr<> result) {
  if (!result) return std::unexpected(result.error());
  return std::string();
}

}  // namespace

ErrnoOr<std::size_t> ScriptMemory::read(std::uint64_t address, std::span<std::byte> to) {
  if (address < 4096) return failed(EFAULT);
  std::memcpy(to.data(), std::bit_cast<const void*>(address), to.size());
  return to.size();
}
ErrnoOr<std::size_t> ScriptMemory::write(std::uint64_t address, std::span<const std::byte> from) {
  if (address < 4096) return failed(EFAULT);
  std::memcpy(std::bit_cast<void*>(address), from.data(), from.size());
  return from.size();
}

GuestExecutor::GuestExecutor(const TmpOptions& options) {
  memory_ = MUST(FileMemory::create());
  filesystem_ = TmpFilesystem::create(memory_, nullptr, options);
  auto root = make_ref<vfs::Mount>(filesystem_, vfs::Dentry::make_root(filesystem_->root()),
                                   MS_RELATIME, "none");
  mounts_ = vfs::MountNamespace::create(std::move(root));
  root_ = cwd_ = mounts_->root();
}

GuestExecutor::~GuestExecutor() = default;

vfs::WalkContext GuestExecutor::context() {
  return {mounts_.get(), root_, cwd_, &caller_, &caller_.credentials()};
}

ErrnoOr<Ref<vfs::File>> GuestExecutor::open(std::string_view path, int flags, std::uint32_t mode) {
  return vfs::open(context(), path, {static_cast<std::uint32_t>(flags), mode, 0});
}

ErrnoOr<vfs::Path> GuestExecutor::find(std::string_view path) {
  return vfs::walk(context(), path, {});
}

void GuestExecutor::become(unsigned uid, unsigned gid) {
  auto made = vfs::Credentials::root();
  made->uid = made->euid = made->suid = made->fsuid = uid;
  made->gid = made->egid = made->sgid = made->fsgid = gid;
  if (uid != 0) made->permitted = made->effective = 0;
  caller_.become(std::move(made));
}

ErrnoOr<Ref<vfs::Mount>> GuestExecutor::mount(std::string_view path, std::uint64_t flags) {
  auto filesystem = TmpFilesystem::create(memory_, nullptr, {});
  auto made =
      make_ref<vfs::Mount>(filesystem, vfs::Dentry::make_root(filesystem->root()), flags, "none");
  TRY(mounts_->attach(made, TRY(find(path))));
  return made;
}

ErrnoOr<std::string> GuestExecutor::change_tree(const Words& w) {
  vfs::WalkContext here = context();
  const std::string& verb = w[0];
  if (verb == "mkdir") return nothing(vfs::make_directory(here, w[1], number(w[2], 8) & ~umask_));
  if (verb == "rmdir") return nothing(vfs::remove_directory(here, w[1]));
  if (verb == "unlink") return nothing(vfs::unlink(here, w[1]));
  if (verb == "symlink") return nothing(vfs::make_symlink(here, w[1], w[2]));
  if (verb == "link" || verb == "linkfollow") {
    vfs::WalkFlags flags;
    flags.follow_last = verb == "linkfollow";
    return nothing(vfs::link(here, TRY(vfs::walk(here, w[1], flags)), w[2]));
  }
  if (verb == "rename") return nothing(vfs::rename(here, w[1], here, w[2], 0));
  if (verb == "rename2") return nothing(vfs::rename(here, w[1], here, w[2], number(w[3])));
  if (verb == "mknod")
    return nothing(vfs::make_node(here, w[1], number(w[2], 8) & ~umask_,
                                  w.size() > 4 ? makedev(number(w[3]), number(w[4])) : 0));
  return failed(kUnknown);
}

ErrnoOr<std::string> GuestExecutor::change_attributes(const Words& w) {
  const std::string& verb = w[0];
  const vfs::Credentials& who = caller_.credentials();
  vfs::AttributeChange change;
  if (verb == "chmod") {
    change.mode = number(w[2], 8);
    return nothing(vfs::change(TRY(find(w[1])), who, change));
  }
  if (verb == "chown" || verb == "lchown") {
    vfs::WalkFlags flags;
    flags.follow_last = verb == "chown";
    if (w[2] != "-1") change.uid = number(w[2]);
    if (w[3] != "-1") change.gid = number(w[3]);
    change.drops_set_ids = true;
    return nothing(vfs::change(TRY(vfs::walk(context(), w[1], flags)), who, change));
  }
  if (verb == "truncate") {
    if (amount(w[2]) < 0) return failed(EINVAL);
    return nothing(vfs::truncate(TRY(find(w[1])), who, static_cast<std::uint64_t>(amount(w[2]))));
  }
  if (verb == "utimes") {
    change.accessed = vfs::Timestamp{amount(w[2]), 0};
    change.modified = vfs::Timestamp{amount(w[3]), 0};
    return nothing(vfs::change(TRY(find(w[1])), who, change));
  }
  if (verb == "touch") {
    change.accessed = change.modified = vfs::Timestamp::now();
    change.times_are_now = true;
    return nothing(vfs::change(TRY(find(w[1])), who, change));
  }
  if (verb == "setxattr")
    return nothing(vfs::set_attribute(TRY(find(w[1])), who, w[2], w[3],
                                      w.size() > 4 ? static_cast<int>(amount(w[4])) : 0));
  if (verb == "removexattr") return nothing(vfs::remove_attribute(TRY(find(w[1])), who, w[2]));
  return failed(kUnknown);
}

ErrnoOr<std::string> GuestExecutor::list(std::string_view path) {
  Ref<vfs::File> file = TRY(open(path, O_RDONLY | O_DIRECTORY));
  NameSink sink;
  ErrnoOr<> listed = file->read_directory(sink, caller_);
  // The C library's readdir(3) takes a removed directory for one without entries.
  if (!listed && listed.error().value != ENOENT) return std::unexpected(listed.error());
  std::sort(sink.names.begin(), sink.names.end());
  return join(sink.names, " ");
}

ErrnoOr<std::string> GuestExecutor::ask(const Words& w) {
  const std::string& verb = w[0];
  vfs::WalkFlags flags;
  flags.follow_last = verb == "stat" || verb == "blocks" || verb == "dirsize" || verb == "access" ||
                      verb == "chdir" || verb == "getxattr";
  if (verb == "ls") return list(w[1]);
  vfs::Path path = TRY(vfs::walk(context(), w[1], flags));
  vfs::Attributes info = TRY(path.inode()->attributes());
  if (verb == "stat" || verb == "lstat")
    return cat(octal(info.mode), " ", info.uid, " ", info.gid, " ", info.links, " ",
               S_ISDIR(info.mode) ? 0 : info.size, " ", info.special_device);
  if (verb == "times") return cat(info.accessed.seconds, " ", info.modified.seconds);
  if (verb == "blocks") return cat(info.blocks);
  if (verb == "dirsize") return cat(info.size);
  if (verb == "access")
    return nothing(
        vfs::may_access(*path.inode(), caller_.credentials(), static_cast<int>(number(w[2]))));
  if (verb == "readlink") return path.inode()->read_link(&caller_);
  if (verb == "getxattr") return vfs::get_attribute(path, caller_.credentials(), w[2]);
  if (verb == "chdir") {
    if (!path.inode()->is_directory()) return failed(ENOTDIR);
    TRY(vfs::may_access(*path.inode(), caller_.credentials(), X_OK));
    cwd_ = path;
    return std::string();
  }
  return failed(kUnknown);
}

ErrnoOr<std::string> GuestExecutor::bytes(const Words& w) {
  const std::string& verb = w[0];
  if (verb == "open" || verb == "openat2") {
    vfs::OpenRequest request{open_flags_of(w[2]), 0644, 0};
    if (verb == "open" && w.size() > 3) request.mode = number(w[3], 8);
    if (verb == "openat2") request.resolve = resolve_flags_of(w[3]);
    request.mode &= ~umask_;
    TRY(vfs::open(context(), w[1], request));
    return std::string();
  }
  bool writes = verb != "read" && verb != "seek";
  Ref<vfs::File> file = TRY(open(w[1], writes ? O_WRONLY : O_RDONLY));
  if (writes) TRY(vfs::drop_set_ids(*file->inode(), caller_.credentials()));
  if (verb == "write" || verb == "append") {
    std::string text(static_cast<std::size_t>(amount(w[3])), w[4][0]);
    auto from = vfs::IoBuffer::of(std::as_bytes(std::span(std::as_const(text))));
    if (verb == "append") file->set_flags(file->flags() | O_APPEND);
    std::size_t done = TRY(
        verb == "append" ? file->write(from, caller_)
                         : file->write_at(from, static_cast<std::uint64_t>(amount(w[2])), caller_));
    return cat(done);
  }
  if (verb == "read") {
    std::string text(static_cast<std::size_t>(amount(w[3])), '\0');
    auto to = vfs::IoBuffer::of(std::as_writable_bytes(std::span(text)));
    std::size_t done = TRY(file->read_at(to, static_cast<std::uint64_t>(amount(w[2])), caller_));
    std::uint64_t sum = 0;
    for (char character : text.substr(0, done))
      sum = sum * 31 + static_cast<unsigned char>(character);
    return cat(done, ":", sum);
  }
  if (verb == "allocate")
    return nothing(file->allocate(static_cast<int>(amount(w[2])),
                                  static_cast<std::uint64_t>(amount(w[3])),
                                  static_cast<std::uint64_t>(amount(w[4]))));
  if (verb == "seek") return cat(TRY(file->seek(amount(w[2]), static_cast<int>(amount(w[3])))));
  return failed(kUnknown);
}

ErrnoOr<std::string> GuestExecutor::dispatch(const Words& words) {
  ErrnoOr<std::string> result = change_tree(words);
  if (!result && result.error().value == kUnknown) result = change_attributes(words);
  if (result || result.error().value != kUnknown) return result;
  constexpr std::string_view kAsked[] = {"stat", "lstat",  "times", "blocks",   "dirsize",
                                         "ls",   "access", "chdir", "readlink", "getxattr"};
  bool asked = std::find(std::begin(kAsked), std::end(kAsked), words[0]) != std::end(kAsked);
  return asked ? ask(words) : bytes(words);
}

std::string GuestExecutor::run(std::string_view line) {
  Words words = words_of(line);
  if (words[0] == "as") {
    become(number(words[1]), number(words[2]));
    return "ok";
  }
  if (words[0] == "umask") {
    umask_ = number(words[1], 8);
    return "ok";
  }
  ErrnoOr<std::string> result = dispatch(words);
  if (!result) return std::string(errno_name(result.error().value));
  return result->empty() ? "ok" : cat("ok: ", *result);
}

}  // namespace caisson::sandbox::fs

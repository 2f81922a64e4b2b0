#include "sandbox/fs/tty/devpts.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/sysmacros.h>

#include <cerrno>

#include "base/text.h"
#include "sandbox/fs/tty/terminal_files.h"

namespace caisson::sandbox::fs {
namespace {

constexpr unsigned kTtyMajor = 5;
enum TtyMinor : unsigned { kOwnTty = 0, kConsole = 1, kPtmx = 2 };
constexpr std::string_view kMasterName = "ptmx";

// Opens the programs' end; without O_NOCTTY it may become the session's.
ErrnoOr<Ref<vfs::File>> open_terminal(const vfs::Path& path, Ref<vfs::Inode> inode,
                                      Ref<Terminal> terminal, std::uint32_t flags,
                                      vfs::Caller* caller) {
  TRY(terminal->open());
  bool may_acquire = (flags & O_NOCTTY) == 0 && (flags & O_ACCMODE) != O_WRONLY;
  if (caller != nullptr && may_acquire)
    terminal->acquire_if_free(static_cast<kernel::Task&>(*caller));
  return Ref<vfs::File>(make_ref<TerminalFile>(
      path, std::move(inode), flags & ~std::uint32_t{O_NOCTTY}, std::move(terminal)));
}

}  // namespace

ErrnoOr<DevptsOptions> DevptsOptions::parse(std::string_view text) {
  DevptsOptions options;
  for (std::string_view option : split(text, ',')) {
    auto [name, value] = split_once(option, '=');
    if (option.empty() || name == "newinstance") continue;
    auto number = parse_number<std::uint32_t>(value, name.ends_with("mode") ? 8 : 10);
    if (!number) return std::unexpected(Errno{EINVAL});
    if (name == "mode")
      options.mode = *number & 0777;
    else if (name == "ptmxmode")
      options.ptmx_mode = *number & 0777;
    else if (name == "uid")
      options.uid = number;
    else if (name == "gid")
      options.gid = number;
    else if (name == "max")
      options.most = *number;
    else
      return std::unexpected(Errno{EINVAL});
  }
  return options;
}

// A terminal's name. Its owner and mode can be changed.
class DevptsFilesystem::Node final : public vfs::Inode {
 public:
  Node(DevptsFilesystem& devpts, Ref<Terminal> terminal, vfs::Uid uid, vfs::Gid gid)
      : Inode(devpts, S_IFCHR), terminal_(std::move(terminal)) {
    attributes_.mode = S_IFCHR | devpts.options().mode;
    attributes_.uid = devpts.options().uid.value_or(uid);
    attributes_.gid = devpts.options().gid.value_or(gid);
    attributes_.inode = terminal_->number() + 3;  // as in Linux
    attributes_.device = devpts.device();
    attributes_.special_device = terminal_->device();
    attributes_.block_size = 1024;
    attributes_.accessed = attributes_.modified = attributes_.changed = vfs::Timestamp::now();
  }
  const Ref<Terminal>& terminal() const { return terminal_; }
  std::uint64_t number() const { return attributes_.inode; }

  ErrnoOr<vfs::Attributes> attributes() override {
    Locked lock(mutex_);
    return attributes_;
  }
  ErrnoOr<> change(const vfs::AttributeChange& change) override {
    Locked lock(mutex_);
    if (change.mode) attributes_.mode = S_IFCHR | *change.mode;
    attributes_.uid = change.uid.value_or(attributes_.uid);
    attributes_.gid = change.gid.value_or(attributes_.gid);
    attributes_.accessed = change.accessed.value_or(attributes_.accessed);
    attributes_.modified = change.modified.value_or(attributes_.modified);
    attributes_.changed = vfs::Timestamp::now();
    return {};
  }
  ErrnoOr<Ref<vfs::File>> open(const vfs::Path& path, vfs::OpenFlags flags,
                               vfs::Caller& caller) override {
    return open_terminal(path, Ref<vfs::Inode>::share(this), terminal_, flags.flags, &caller);
  }

 private:
  const Ref<Terminal> terminal_;
  Mutex mutex_;
  vfs::Attributes attributes_;
};

class DevptsFilesystem::MasterNode final : public GeneratedInode {
 public:
  explicit MasterNode(DevptsFilesystem& devpts)
      : GeneratedInode(devpts, S_IFCHR | devpts.options().ptmx_mode, 2), devpts_(devpts) {}
  ErrnoOr<vfs::Attributes> attributes() override {
    vfs::Attributes attributes = TRY(GeneratedInode::attributes());
    attributes.special_device = gnu_dev_makedev(kTtyMajor, kPtmx);
    return attributes;
  }
  ErrnoOr<Ref<vfs::File>> open(const vfs::Path& path, vfs::OpenFlags flags,
                               vfs::Caller& caller) override {
    return devpts_.open_master(path, Ref<vfs::Inode>::share(this), flags.flags, caller);
  }

 private:
  DevptsFilesystem& devpts_;
};

class DevptsFilesystem::Root final : public GeneratedDirectory {
 public:
  explicit Root(DevptsFilesystem& devpts)
      : GeneratedDirectory(devpts, 0755, kGeneratedRoot),
        devpts_(devpts),
        master_(make_ref<MasterNode>(devpts)) {}
  bool caches_names() const override { return false; }

  ErrnoOr<Ref<vfs::Inode>> lookup(std::string_view name) override {
    if (name == kMasterName) return Ref<vfs::Inode>(master_);
    auto number = parse_number<unsigned>(name);
    if (!number || name != cat(*number)) return std::unexpected(Errno{ENOENT});
    Locked lock(devpts_.mutex_);
    auto place = devpts_.nodes_.find(*number);
    if (place == devpts_.nodes_.end()) return std::unexpected(Errno{ENOENT});
    return Ref<vfs::Inode>(place->second);
  }
  ErrnoOr<> list(Listing& listing, vfs::Caller&) override {
    listing.add(kMasterName, 2, DT_CHR);
    Locked lock(devpts_.mutex_);
    for (const auto& [number, node] : devpts_.nodes_)
      listing.add(cat(number), node->number(), DT_CHR);
    return {};
  }

 private:
  DevptsFilesystem& devpts_;
  Ref<MasterNode> master_;
};

DevptsFilesystem::DevptsFilesystem(kernel::Kernel& kernel, DevptsOptions options)
    : GeneratedFilesystem("devpts", DEVPTS_SUPER_MAGIC),
      kernel_(kernel),
      options_(std::move(options)) {}

Ref<DevptsFilesystem> DevptsFilesystem::create(kernel::Kernel& kernel, DevptsOptions options) {
  auto devpts = Ref<DevptsFilesystem>::adopt(new DevptsFilesystem(kernel, std::move(options)));
  devpts->set_root(make_ref<Root>(*devpts));
  return devpts;
}

std::string DevptsFilesystem::options_text() const {
  return cat(options_.uid ? cat(",uid=", *options_.uid) : "",
             options_.gid ? cat(",gid=", *options_.gid) : "", ",mode=", octal(options_.mode),
             ",ptmxmode=", octal(options_.ptmx_mode));
}

ErrnoOr<Ref<vfs::File>> DevptsFilesystem::open_master(const vfs::Path& path, Ref<vfs::Inode> inode,
                                                      std::uint32_t flags, vfs::Caller& caller) {
  Ref<Terminal> terminal;
  {
    Locked lock(mutex_);
    unsigned number = 0;
    while (nodes_.contains(number)) ++number;
    if (number >= options_.most) return std::unexpected(Errno{ENOSPC});
    terminal = make_ref<Terminal>(kernel_, number);
    nodes_[number] =
        make_ref<Node>(*this, terminal, caller.credentials().fsuid, caller.credentials().fsgid);
  }
  return Ref<vfs::File>(make_ref<MasterFile>(path, std::move(inode),
                                             flags & ~std::uint32_t{O_NOCTTY}, std::move(terminal),
                                             Ref<DevptsFilesystem>::share(this)));
}

ErrnoOr<Ref<vfs::File>> DevptsFilesystem::open_peer(const vfs::Path& master, Terminal& terminal,
                                                    std::uint32_t flags) {
  Ref<Node> node;
  {
    Locked lock(mutex_);
    auto place = nodes_.find(terminal.number());
    if (place == nodes_.end()) return std::unexpected(Errno{EIO});
    node = place->second;
  }
  // Shown as a name beside the master, where that stands on this file system.
  vfs::Path path;
  if (master.mount && &master.mount->filesystem() == this)
    path = {master.mount, vfs::Dentry::make_root(node, terminal.name())};
  flags &= O_ACCMODE | O_NONBLOCK;
  return open_terminal(path, node, Ref<Terminal>::share(&terminal), flags | O_NOCTTY, nullptr);
}

void DevptsFilesystem::remove(Terminal& terminal) {
  Ref<Node> gone;
  Locked lock(mutex_);
  auto place = nodes_.find(terminal.number());
  if (place == nodes_.end()) return;
  gone = std::move(place->second);
  nodes_.erase(place);
}

namespace {

class TerminalDevices final : public DeviceDriver {
 public:
  explicit TerminalDevices(Ref<DevptsFilesystem> devpts) : devpts_(std::move(devpts)) {}

  ErrnoOr<Ref<vfs::File>> open(const vfs::Path& path, Ref<vfs::Inode> inode, std::uint64_t device,
                               std::uint32_t flags, vfs::Caller& caller) override {
    if (gnu_dev_minor(device) == kPtmx)
      return devpts_->open_master(path, std::move(inode), flags, caller);
    return open_own(path, std::move(inode), flags, static_cast<kernel::Task&>(caller));
  }

 private:
  static ErrnoOr<Ref<vfs::File>> open_own(const vfs::Path& path, Ref<vfs::Inode> inode,
                                          std::uint32_t flags, kernel::Task& task) {
    Ref<kernel::ControllingTerminal> terminal;
    {
      Locked tree(task.kernel().task_lock());
      if (const auto& group = task.group().process_group) terminal = group->session->terminal;
    }
    if (!terminal) return std::unexpected(Errno{ENXIO});
    // Every terminal of a session is one of ours.
    auto own = Ref<Terminal>::share(static_cast<Terminal*>(terminal.get()));
    return open_terminal(path, std::move(inode), std::move(own), flags | O_NOCTTY, &task);
  }
  Ref<DevptsFilesystem> devpts_;
};

}  // namespace

void add_terminal_devices(SpecialFiles& special, Ref<DevptsFilesystem> devpts) {
  special.add_character_devices(kTtyMajor, kOwnTty, 3,
                                make_ref<TerminalDevices>(std::move(devpts)));
}

}  // namespace caisson::sandbox::fs

#include "sandbox/boot/filesystems.h"

#include <cerrno>

#include "sandbox/fs/cgroup/cgroup.h"
#include "sandbox/fs/dev/memory_devices.h"
#include "sandbox/fs/file_services.h"
#include "sandbox/fs/host/filesystem.h"
#include "sandbox/fs/overlay/filesystem.h"
#include "sandbox/fs/proc/proc.h"
#include "sandbox/fs/sys/sysfs.h"
#include "sandbox/fs/tmpfs/tmp_filesystem.h"
#include "sandbox/fs/tty/devpts.h"
#include "sandbox/net/network.h"
#include "sandbox/net/proc_text.h"

namespace caisson::sandbox::boot {
namespace {

// What only the host's kernel has a meaning for.
bool is_for_the_host(const plan::KeyValue& option) {
  return option.key == "context" || option.key == "huge" || option.key == "ro";
}

std::string option_text(const plan::MountStep& step) {
  std::string text;
  for (const auto& option : step.options) {
    if (is_for_the_host(option)) continue;
    append(text, text.empty() ? "" : ",", option.key, option.value.empty() ? "" : "=",
           option.value);
  }
  return text;
}

std::optional<std::string> network_text(kernel::Task& task, std::string_view name) {
  net::Network* network = task.network ? task.network->network() : nullptr;
  return network != nullptr ? net::proc_net_text(*network, name) : std::nullopt;
}

}  // namespace

Filesystems Filesystems::create(kernel::Kernel& kernel, Ref<kernel::Container> container,
                                fs::MachineFacts facts, Ref<fs::FileMemory> memory) {
  Filesystems filesystems(kernel, std::move(container));
  filesystems.facts_ = std::move(facts);
  filesystems.facts_.told = filesystems.container_->limits;
  filesystems.memory_ = std::move(memory);
  filesystems.special_ = make_ref<fs::SpecialFiles>();
  fs::add_memory_devices(*filesystems.special_);
  filesystems.serve_guests();
  return filesystems;
}

// What guests mount themselves, and their files without a name.
void Filesystems::serve_guests() {
  auto services = fs::FileServices::create(memory_, special_);
  services->add_type(
      "proc", [facts = facts_](kernel::Task& task, std::string_view, std::string_view) {
        return ErrnoOr<Ref<vfs::Filesystem>>(
            fs::ProcFilesystem::create(task.kernel(), task.group().pid_namespace, facts));
      });
  container_->file_services = std::move(services);
}

vfs::Filesystem& Filesystems::unnamed() const {
  return static_cast<fs::FileServices&>(*container_->file_services).unnamed();
}

Result<Ref<vfs::Filesystem>> Filesystems::make_tmpfs(const plan::MountStep& step,
                                                     const vfs::Path& point) {
  auto options = fs::TmpOptions::parse(option_text(step));
  if (!options) {
    return std::unexpected(Error(options.error())
                               .doing("mount tmpfs on ", step.target)
                               .step("mounts")
                               .cure("its options are size, nr_inodes, mode, uid and gid"));
  }
  if (step.mode_of_target && point.inode() != nullptr) {
    if (auto attributes = point.inode()->attributes()) options->mode = attributes->mode & 07777;
  }
  Ref<vfs::Filesystem> made = fs::TmpFilesystem::create(memory_, special_, *options);
  return made;
}

// /dev/ptmx and /dev/tty are those of the last one that was mounted.
Result<Ref<vfs::Filesystem>> Filesystems::make_devpts(const plan::MountStep& step) {
  auto options = fs::DevptsOptions::parse(option_text(step));
  if (!options) {
    return std::unexpected(Error(options.error())
                               .doing("mount devpts on ", step.target)
                               .step("mounts")
                               .cure("its options are mode, ptmxmode, uid, gid and max"));
  }
  auto devpts = fs::DevptsFilesystem::create(kernel_, *options);
  fs::add_terminal_devices(*special_, devpts);
  return Ref<vfs::Filesystem>(std::move(devpts));
}

Result<Ref<vfs::Filesystem>> Filesystems::make(const plan::MountStep& step,
                                               const vfs::Path& point) {
  if (step.type == "tmpfs" || step.type == "ramfs" || step.type == "devtmpfs" ||
      step.type == "mqueue")
    return make_tmpfs(step, point);
  if (step.type == "proc")
    return Ref<vfs::Filesystem>(
        fs::ProcFilesystem::create(kernel_, container_->pids, facts_, network_text));
  if (step.type == "sysfs") return Ref<vfs::Filesystem>(fs::SysFilesystem::create(facts_));
  if (step.type == "devpts") return make_devpts(step);
  return std::unexpected(
      Error(Errno{ENODEV}).doing("mount ", step.type, " on ", step.target).step("mounts"));
}

Result<Ref<vfs::Filesystem>> Filesystems::host(Fd place, bool exclusive, const std::string& target,
                                               std::size_t number) {
  fs::HostOptions options;
  if (number < helpers_.size()) options.gofer = helpers_[number];
  options.exclusive = exclusive;
  options.special = special_;
  auto made = fs::HostFilesystem::create(std::move(place), std::move(options));
  if (made) return Ref<vfs::Filesystem>(std::move(*made));
  return std::unexpected(Error(made.error()).doing("mount on ", target).step("mounts"));
}

Result<Ref<vfs::Filesystem>> Filesystems::overlay(Ref<vfs::Filesystem> lower, std::uint64_t size,
                                                  const std::string& target) {
  fs::TmpOptions upper;
  if (size != 0) upper.size = size;
  auto made = make_overlay(std::move(lower), fs::TmpFilesystem::create(memory_, special_, upper));
  if (!made)
    return std::unexpected(
        Error(made.error()).doing("make the overlay on ", target).step("mounts"));
  overlays_.push_back({*made, target});
  return Ref<vfs::Filesystem>(std::move(*made));
}

Result<Ref<vfs::Filesystem>> Filesystems::overlay(Ref<vfs::Filesystem> lower,
                                                  Ref<vfs::Filesystem> upper) {
  auto made = make_overlay(std::move(lower), std::move(upper));
  if (made) return Ref<vfs::Filesystem>(std::move(*made));
  return std::unexpected(
      Error(made.error())
          .doing("make the overlay")
          .step("mounts")
          .cure("its folder needs extended attributes (user.*): choose another"));
}

ErrnoOr<Ref<fs::OverlayFilesystem>> Filesystems::make_overlay(Ref<vfs::Filesystem> lower,
                                                              Ref<vfs::Filesystem> upper) {
  fs::OverlayOptions options;
  options.special = special_;
  return fs::OverlayFilesystem::create(std::move(lower), std::move(upper), std::move(options));
}

Ref<vfs::Filesystem> Filesystems::cgroup() {
  return fs::CgroupFilesystem::create(kernel_, container_->pids, container_->limits,
                                      facts_.processors);
}

}  // namespace caisson::sandbox::boot

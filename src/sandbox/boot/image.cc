#include "sandbox/boot/image.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "base/clock.h"
#include "sandbox/boot/boot_caller.h"
#include "sandbox/boot/restorers.h"
#include "sandbox/boot/saved_machine.h"
#include "sandbox/fs/file_services.h"
#include "sandbox/mm/page_image.h"
#include "sandbox/state/envelope.h"
#include "sandbox/state/reader.h"
#include "sandbox/state/writer.h"
#include "sandbox/vfs/save.h"
#include "sys/file.h"

namespace caisson::sandbox::boot {
namespace {

constexpr std::size_t kLargestState = std::size_t{1} << 30;

void add_filesystem(Ref<vfs::Filesystem> filesystem, std::vector<Ref<vfs::Filesystem>>& all) {
  if (std::ranges::find(all, filesystem) != all.end()) return;
  auto layers = filesystem->layers();
  all.push_back(std::move(filesystem));
  for (auto& layer : layers) add_filesystem(std::move(layer), all);
}

void add_filesystems(const vfs::MountNamespace& mounts, std::vector<Ref<vfs::Filesystem>>& all) {
  for (const auto& mount : mounts.mounts())
    add_filesystem(Ref<vfs::Filesystem>::share(&mount->filesystem()), all);
}

// All that some process can see.
std::vector<Ref<vfs::Filesystem>> used_filesystems(kernel::Kernel& kernel,
                                                   kernel::Container& container) {
  std::vector<Ref<vfs::Filesystem>> all;
  std::vector<Ref<vfs::MountNamespace>> seen = {container.mounts};
  add_filesystems(*container.mounts, all);
  Locked lock(kernel.task_lock());
  for (const auto& [id, task] : container.pids->tasks) {
    auto mounts = task->mounts_ref();
    if (!mounts || std::ranges::find(seen, mounts) != seen.end()) continue;
    add_filesystems(*mounts, all);
    seen.push_back(std::move(mounts));
  }
  return all;
}

Result<std::string> write_stream(kernel::Kernel& kernel, kernel::Container& container, FdRef proc,
                                 FdRef memory) {
  mm::PageWriter pages(memory, proc);
  state::Writer to;
  to.services.provide(pages);
  to.services.provide(container);
  to(machine_of(kernel.platform()));
  auto filesystems = used_filesystems(kernel, container);
  to(filesystems.size());
  for (const auto& filesystem : filesystems) to.refer(filesystem);
  TRY(kernel.save(to, container));
  TRY(to.write_objects());
  return to.take();
}

class PlanSource final : public vfs::FilesystemSource {
 public:
  PlanSource(kernel::Kernel& kernel, const kernel::Container& container, PlannedFilesystems planned)
      : kernel_(kernel), container_(container), planned_(std::move(planned)) {}
  Result<Ref<vfs::Filesystem>> of_plan(std::uint32_t number) override {
    if (number < planned_.size()) return planned_[number];
    return std::unexpected(Error::invalid("the container has fewer mounts than at the checkpoint")
                               .cure("restore it with the configuration that it had")
                               .code("restore.changed"));
  }
  Result<Ref<vfs::Filesystem>> of_guest(std::string_view type, std::string_view options) override {
    auto& services = static_cast<fs::FileServices&>(*kernel_.file_services(container_));
    auto made = type == "tmpfs" ? services.make_tmpfs(options)
                                : ErrnoOr<Ref<vfs::Filesystem>>(std::unexpected(Errno{ENODEV}));
    if (!made) return std::unexpected(Error(made.error()).doing("make a ", type, " again"));
    return *std::move(made);
  }

 private:
  kernel::Kernel& kernel_;
  const kernel::Container& container_;
  PlannedFilesystems planned_;
};

Result<> read_stream(state::Reader& from, kernel::Kernel& kernel, kernel::Container& container) {
  TRY(check_machine(from.value<SavedMachine>(), machine_of(kernel.platform())));
  for (std::size_t left = from.count(); left != 0; --left) TRY(from.object<vfs::Filesystem>());
  TRY(from.settle());
  return kernel.restore(from, container);
}

Result<std::uint64_t> size_of(FdRef file) {
  auto info = TRY_CTX(sys::fstatat(file, "", 0x1000 /* AT_EMPTY_PATH */), "look at an image");
  return static_cast<std::uint64_t>(info.st_size);
}

}  // namespace

PlannedFilesystems number_filesystems(kernel::Container& container, vfs::Filesystem& unnamed) {
  PlannedFilesystems all = {Ref<vfs::Filesystem>::share(&unnamed)};
  add_filesystems(*container.mounts, all);
  for (std::size_t i = 0; i < all.size(); ++i) all[i]->plan_number = static_cast<std::uint32_t>(i);
  return all;
}

Result<> empty_again(const ImageFiles& files) {
  for (FdRef file : {files.state, files.memory})
    TRY_CTX(sys::ftruncate(file, 0), "empty an image that was begun");
  return {};
}

Result<> save_image(kernel::Kernel& kernel, kernel::Container& container, FdRef proc,
                    const ImageFiles& files) {
  if (kernel.containers().size() > 1) {
    return std::unexpected(Error::with_cause(EOPNOTSUPP, "several containers are in its sandbox")
                               .cure("only a sandbox of one container can be saved"));
  }
  std::string stream = TRY(write_stream(kernel, container, proc, files.memory));
  state::Clocks clocks{kernel.monotonic_ns(), kernel.boottime_ns()};
  TRY_CTX(sys::write_all(files.state, state::seal(stream, clocks)), "write the state");
  return {};
}

Result<> restore_image(kernel::Kernel& kernel, kernel::Container& container,
                       PlannedFilesystems filesystems, fs::StandardStreams streams,
                       const ImageFiles& files) {
  std::string file = TRY_CTX(sys::read_all(files.state, kLargestState), "read the state");
  std::string_view stream = TRY(state::unseal(file));
  mm::PageReader pages(files.memory, TRY(size_of(files.memory)));
  PlanSource source(kernel, container, std::move(filesystems));
  BootCaller caller;
  auto from = TRY(state::Reader::open(stream, kRestorers));
  from->services.provide(kernel);
  from->services.provide(container);
  from->services.provide(kernel.platform());
  if (kernel.host_figures) from->services.provide(*kernel.host_figures);
  from->services.provide<vfs::FilesystemSource>(source);
  from->services.provide<vfs::Caller>(caller);
  from->services.provide(pages);
  from->services.provide(streams);
  return read_stream(*from, kernel, container);
}

}  // namespace caisson::sandbox::boot

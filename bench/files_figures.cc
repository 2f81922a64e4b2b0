// What files of the host and overlays of them cost in the sandbox's kernel, without a guest: median
// and best of many, in ns, beside the same call on the host.
//
//   files_figures [FOLDER]      (default: /var/tmp)
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/text.h"
#include "sandbox/fs/host/filesystem.h"
#include "sandbox/fs/overlay/file.h"
#include "sandbox/fs/overlay/filesystem.h"
#include "sandbox/fs/tmpfs/tmp_filesystem.h"
#include "sandbox/vfs/walk.h"
#include "sys/file_at.h"

namespace {

using namespace caisson;           // NOLINT(google-build-using-namespace): a program of one file
using namespace caisson::sandbox;  // NOLINT(google-build-using-namespace)

double now_ns() {
  timespec time{};
  (void)::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

template <typename Work>
void measure(const char* name, Work work) {
  constexpr int kRounds = 200;
  constexpr int kEach = 50;
  std::vector<double> all;
  for (int round = 0; round < kRounds; ++round) {
    double begin = now_ns();
    for (int i = 0; i < kEach; ++i) work();
    all.push_back((now_ns() - begin) / kEach);
  }
  std::sort(all.begin(), all.end());
  std::printf("%-44s %9.0f %9.0f\n", name, all[kRounds / 2], all[0]);
}

class View {
 public:
  explicit View(Ref<vfs::Filesystem> filesystem) {
    auto root = vfs::Dentry::make_root(filesystem->root());
    auto mount =
        make_ref<vfs::Mount>(std::move(filesystem), std::move(root), std::uint64_t{0}, "bench");
    mounts_ = vfs::MountNamespace::create(std::move(mount));
    context_.mounts = mounts_.get();
    context_.root = context_.base = mounts_->root();
    context_.caller = &caller_;
    context_.credentials = &caller_.credentials();
  }
  void stat(const char* path) {
    (void)MUST(MUST(vfs::walk(context_, path, {})).inode()->attributes());
  }
  void open(const char* path) { (void)MUST(vfs::open(context_, path, {O_RDONLY, 0, 0})); }
  void make(const char* path) {
    (void)MUST(vfs::open(context_, path, {O_WRONLY | O_CREAT | O_EXCL, 0644, 0}));
    MUST(vfs::unlink(context_, path));
  }
  void read(const char* path, std::span<std::byte> room) {
    if (!file_) file_ = MUST(vfs::open(context_, path, {O_RDONLY, 0, 0}));
    auto to = vfs::IoBuffer::of(room);
    (void)MUST(file_->read_at(to, 0, caller_));
  }

 private:
  fs::OverlayCaller caller_;
  Ref<vfs::MountNamespace> mounts_;
  vfs::WalkContext context_;
  Ref<vfs::File> file_;
};

Ref<vfs::Filesystem> host(const std::string& folder, bool exclusive) {
  fs::HostOptions options;
  options.exclusive = exclusive;
  Fd root = MUST(sys::openat(sys::kCwd, folder.c_str(), O_PATH | O_DIRECTORY));
  return MUST(fs::HostFilesystem::create(std::move(root), std::move(options)));
}

void figures(const char* kind, Ref<vfs::Filesystem> filesystem, std::span<std::byte> room) {
  View view(std::move(filesystem));
  measure(cat(kind, ": stat a/b/f").c_str(), [&] { view.stat("/a/b/f"); });
  measure(cat(kind, ": open+close a/b/f").c_str(), [&] { view.open("/a/b/f"); });
  measure(cat(kind, ": create+close+unlink").c_str(), [&] { view.make("/a/b/new"); });
  measure(cat(kind, ": pread 64 KiB").c_str(), [&] { view.read("/a/b/f", room); });
}

void native(const std::string& folder, std::span<std::byte> room) {
  std::string file = cat(folder, "/a/b/f");
  std::string fresh = cat(folder, "/a/b/new");
  struct stat info;
  measure("host: stat", [&] { (void)::stat(file.c_str(), &info); });
  measure("host: open+close", [&] { (void)::close(::open(file.c_str(), O_RDONLY | O_CLOEXEC)); });
  measure("host: create+close+unlink", [&] {
    (void)::close(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    (void)::unlink(fresh.c_str());
  });
  Fd open = MUST(sys::openat(sys::kCwd, file.c_str(), O_RDONLY));
  measure("host: pread 64 KiB", [&] { (void)MUST(sys::pread(open, room, 0)); });
}

}  // namespace

int main(int argc, char** argv) {
  std::string folder = cat(argc > 1 ? argv[1] : "/var/tmp", "/caisson-figures-XXXXXX");
  if (::mkdtemp(folder.data()) == nullptr) return 1;
  MUST(sys::make_directories(cat(folder, "/a/b"), 0755));
  Fd file = MUST(sys::openat(sys::kCwd, cat(folder, "/a/b/f").c_str(), O_RDWR | O_CREAT, 0644));
  MUST(sys::write_all(file, std::string(65536, 'x')));
  std::vector<std::byte> room(65536);
  std::printf("%-44s %9s %9s\n", "", "median", "best");
  native(folder, room);
  figures("exclusive", host(folder, true), room);
  figures("shared", host(folder, false), room);
  auto upper = fs::TmpFilesystem::create(MUST(fs::FileMemory::create()), nullptr, fs::TmpOptions());
  figures("overlay", MUST(fs::OverlayFilesystem::create(host(folder, true), upper, {})), room);
  MUST(sys::remove_tree(sys::kCwd, folder.c_str()));
}

// A kernel with one process that never runs: enough for files that look at tasks. Its root is a
// file system of the test's choice.
#pragma once

#include <fcntl.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "sandbox/fs/proc/proc.h"
#include "sandbox/kernel/kernel.h"
#include "sandbox/vfs/walk.h"

namespace caisson::sandbox::fs {

class NoPlatform final : public platform::Platform {
 public:
  std::string_view name() const override { return "none"; }
  ErrnoOr<Ref<platform::AddressSpace>> new_address_space() override {
    return std::unexpected(Errno{ENOMEM});
  }
  std::uint64_t vdso_address() const override { return 0; }
  void publish(platform::Thread&, const platform::Identity&) override {}
};

class KernelFixture : public testing::Test {
 protected:
  KernelFixture() {
    facts_.memory = std::uint64_t{1} << 30;
    facts_.processors = 2;
    facts_.cpu_texts = {"vendor_id\t: A\n", "vendor_id\t: B\n"};
    facts_.release = "6.1.0";
    facts_.version = "#1 SMP";
  }

  // Shows `filesystem` as the root of a new process.
  Ref<kernel::Task> start(Ref<vfs::Filesystem> filesystem) {
    auto group = make_ref<kernel::ThreadGroup>(*kernel_, *container_);
    group->pid_namespace = pids_;
    group->ids = {pids_->allocate()};
    auto task = make_ref<kernel::Task>(*kernel_, group);
    task->ids = group->ids;
    group->leader = task.get();
    group->tasks = {task.get()};
    pids_->tasks[task->id()] = task.get();
    if (!mounts_) {
      auto root = vfs::Dentry::make_root(filesystem->root());
      auto mount = make_ref<vfs::Mount>(filesystem, root, std::uint64_t{0}, std::string("proc"));
      mounts_ = vfs::MountNamespace::create(std::move(mount));
    }
    task->set_credentials(vfs::Credentials::root());
    task->set_files(make_ref<kernel::FdTable>());
    task->set_fs(make_ref<kernel::FsContext>(mounts_->root(), mounts_->root(), 022U));
    task->set_mounts(mounts_);
    task->set_uts(make_ref<kernel::UtsNamespace>(std::string("box"), std::string("(none)")));
    task->set_name("program");
    tasks_.push_back(task);
    return task;
  }
  ~KernelFixture() override {
    for (const Ref<kernel::Task>& task : tasks_) {
      task->group().tasks.clear();
      task->set_files(nullptr);
    }
    pids_->tasks.clear();
  }

  // The file's text, or "E2" for an errno.
  static std::string read(kernel::Task& task, std::string_view path) {
    auto context = task.walk_context(AT_FDCWD);
    auto file = vfs::open(*context, path, {.flags = O_RDONLY});
    if (!file) return "E" + std::to_string(file.error().value);
    std::string text(1 << 16, '\0');
    auto to = vfs::IoBuffer::of(std::as_writable_bytes(std::span(text)));
    auto got = (*file)->read(to, task);
    if (!got) return "E" + std::to_string(got.error().value);
    text.resize(*got);
    return text;
  }
  static int write(kernel::Task& task, std::string_view path, std::string_view text) {
    auto context = task.walk_context(AT_FDCWD);
    auto file = vfs::open(*context, path, {.flags = O_WRONLY});
    if (!file) return -file.error().value;
    auto from = vfs::IoBuffer::of(std::as_bytes(std::span(text)));
    auto put = (*file)->write(from, task);
    return put ? static_cast<int>(*put) : -put.error().value;
  }
  static std::string link(kernel::Task& task, std::string_view path) {
    auto context = task.walk_context(AT_FDCWD);
    auto place = vfs::walk(*context, path, {.follow_last = false});
    if (!place) return "E" + std::to_string(place.error().value);
    auto text = place->inode()->read_link(&task);
    return text ? *text : "E" + std::to_string(text.error().value);
  }
  static std::vector<std::string> names(kernel::Task& task, std::string_view path) {
    struct Sink final : vfs::DirectorySink {
      bool entry(std::string_view name, std::uint64_t, unsigned char, std::uint64_t) override {
        found.emplace_back(name);
        return true;
      }
      std::vector<std::string> found;
    } sink;
    auto context = task.walk_context(AT_FDCWD);
    auto file = vfs::open(*context, path, {.flags = O_RDONLY | O_DIRECTORY});
    EXPECT_TRUE(file.has_value()) << path;
    if (!file) return {};
    EXPECT_TRUE((*file)->read_directory(sink, task).has_value());
    return sink.found;
  }

  MachineFacts facts_;
  std::unique_ptr<kernel::Kernel> kernel_ =
      std::make_unique<kernel::Kernel>(std::make_unique<NoPlatform>(), nullptr);
  Ref<kernel::PidNamespace> pids_ = make_ref<kernel::PidNamespace>(nullptr);
  Ref<kernel::Container> container_ = make_ref<kernel::Container>(std::string("box"), pids_);
  Ref<vfs::MountNamespace> mounts_;
  std::vector<Ref<kernel::Task>> tasks_;
};

}  // namespace caisson::sandbox::fs

// For tests: sockets of a network of our own, made without tasks; names stand in a directory in
// memory; guest addresses are addresses of the test.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <string>

#include "sandbox/net/network.h"
#include "sandbox/net/socket.h"
#include "sandbox/vfs/mount.h"

namespace caisson::sandbox::net {

class OwnMemory final : public vfs::Memory {
 public:
  ErrnoOr<std::size_t> read(std::uint64_t address, std::span<std::byte> to) override {
    if (address < 4096) return std::unexpected(Errno{EFAULT});
    std::memcpy(to.data(), reinterpret_cast<const void*>(address), to.size());
    return to.size();
  }
  ErrnoOr<std::size_t> write(std::uint64_t address, std::span<const std::byte> from) override {
    if (address < 4096) return std::unexpected(Errno{EFAULT});
    std::memcpy(reinterpret_cast<void*>(address), from.data(), from.size());
    return from.size();
  }
};

class TestCaller final : public vfs::Caller {
 public:
  TestCaller() {
    identity = vfs::Credentials::root();
    identity->uid = identity->euid = identity->suid = identity->fsuid = ::geteuid();
    identity->gid = identity->egid = identity->sgid = identity->fsgid = ::getegid();
  }
  const vfs::Credentials& credentials() const override { return *identity; }
  vfs::Memory& memory() override { return memory_; }
  Ref<vfs::Credentials> identity;

 private:
  OwnMemory memory_;
};

class TestProcess final : public Process {
 public:
  int id_for(const Process& viewer) const override { return &viewer == this ? 1 : 2; }
};

// A directory that holds sockets and files.
class TestDirectory final : public vfs::Inode {
 public:
  class Leaf final : public vfs::Inode {
   public:
    Leaf(vfs::Filesystem& filesystem, std::uint32_t mode)
        : Inode(filesystem, mode & S_IFMT), mode_(mode) {}
    ErrnoOr<vfs::Attributes> attributes() override {
      vfs::Attributes attributes;
      attributes.mode = mode_;
      attributes.uid = ::geteuid();
      attributes.gid = ::getegid();
      return attributes;
    }
    ErrnoOr<> change(const vfs::AttributeChange& change) override {
      if (change.mode) mode_ = type() | *change.mode;
      return {};
    }
    ErrnoOr<Ref<vfs::File>> open(const vfs::Path&, vfs::OpenFlags, vfs::Caller&) override {
      return std::unexpected(Errno{ENXIO});
    }

   private:
    std::uint32_t mode_;
  };

  explicit TestDirectory(vfs::Filesystem& filesystem) : Inode(filesystem, S_IFDIR) {}
  ErrnoOr<vfs::Attributes> attributes() override {
    vfs::Attributes attributes;
    attributes.mode = S_IFDIR | 0755;
    attributes.uid = ::geteuid();
    attributes.gid = ::getegid();
    return attributes;
  }
  ErrnoOr<> change(const vfs::AttributeChange&) override { return {}; }
  ErrnoOr<Ref<vfs::File>> open(const vfs::Path&, vfs::OpenFlags, vfs::Caller&) override {
    return std::unexpected(Errno{EISDIR});
  }
  ErrnoOr<Ref<vfs::Inode>> lookup(std::string_view name) override {
    auto found = nodes_.find(std::string(name));
    if (found == nodes_.end()) return std::unexpected(Errno{ENOENT});
    return found->second;
  }
  ErrnoOr<Ref<vfs::Inode>> make_node(std::string_view name, const vfs::Creation& creation,
                                     std::uint64_t) override {
    Ref<vfs::Inode> node = make_ref<Leaf>(filesystem(), creation.mode);
    nodes_[std::string(name)] = node;
    return node;
  }
  ErrnoOr<> unlink(std::string_view name, vfs::Inode&) override {
    nodes_.erase(std::string(name));
    return {};
  }

 private:
  std::map<std::string, Ref<vfs::Inode>> nodes_;
};

class TestFilesystem final : public vfs::Filesystem {
 public:
  TestFilesystem() : Filesystem("test") {}
  Ref<vfs::Inode> root() override { return make_ref<TestDirectory>(*this); }
  ErrnoOr<vfs::FilesystemStatus> status() override { return vfs::FilesystemStatus{}; }
};

// Everything that a call on sockets needs.
class TestNetwork final : public Requester {
 public:
  explicit TestNetwork(bool of_host = false) {
    if (of_host)
      network_ = make_ref<Network>(make_ref<Sockets>(shared_process), loopback_only(),
                                   MUST(fs::HostPoller::create()));
    auto filesystem = make_ref<TestFilesystem>();
    auto root = vfs::Dentry::make_root(filesystem->root());
    mounts_ = vfs::MountNamespace::create(
        make_ref<vfs::Mount>(Ref<vfs::Filesystem>(filesystem), root, std::uint64_t{0}, "test"));
    keep_ = filesystem;
  }

  vfs::Caller& caller() override { return caller_; }
  TestCaller& test_caller() { return caller_; }
  Ref<const Process> process() override { return process_; }
  ErrnoOr<vfs::WalkContext> walk_context() override {
    return vfs::WalkContext{.mounts = mounts_.get(),
                            .root = mounts_->root(),
                            .base = mounts_->root(),
                            .caller = &caller_,
                            .credentials = &caller_.credentials()};
  }
  std::uint32_t umask() override { return 022; }
  std::uint64_t file_limit() override { return 1024; }

  Network& network() { return *network_; }
  ErrnoOr<Ref<Socket>> socket(int domain, int type, int protocol = 0) {
    auto endpoint = TRY(create_endpoint(*network_, domain, type, protocol, *this));
    return network_->sockets().make_file(std::move(endpoint), O_RDWR | O_NONBLOCK,
                                         caller_.credentials());
  }

 private:
  static Ref<const Process> shared_process(vfs::Caller&) { return make_ref<TestProcess>(); }
  TestCaller caller_;
  Ref<const Process> process_ = make_ref<TestProcess>();
  Ref<vfs::Filesystem> keep_;
  Ref<vfs::MountNamespace> mounts_;
  Ref<Network> network_ = make_ref<Network>(make_ref<Sockets>(shared_process));
};

}  // namespace caisson::sandbox::net

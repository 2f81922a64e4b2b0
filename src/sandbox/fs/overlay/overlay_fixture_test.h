// An overlay of a folder of the host, with its upper layer in another.
#pragma once

#include <memory>

#include "sandbox/fs/host/filesystem.h"
#include "sandbox/fs/overlay/filesystem.h"
#include "sandbox/fs/overlay/inode.h"
#include "sandbox/fs/tmpfs/tmp_filesystem.h"
#include "sandbox/fs/tree_fixture_test.h"

namespace caisson::sandbox::fs {

class OverlayTest : public ::testing::Test {
 protected:
  // As after a restart: nothing is cached.
  void mount() {
    tree_ = nullptr;
    auto lower = MUST(HostFilesystem::create(lower_.open(), {}));
    auto upper = upper_layer();
    overlay_ = MUST(OverlayFilesystem::create(lower, upper, {}));
    tree_ = std::make_unique<Tree>(overlay_);
  }
  Tree& tree() {
    if (!tree_) mount();
    return *tree_;
  }
  // Runs once with everything cached, once more as after a restart.
  template <typename Check>
  void twice(Check check) {
    check();
    mount();
    check();
  }
  Ref<vfs::Filesystem> upper_layer() {
    if (!in_memory_) return MUST(HostFilesystem::create(upper_.open(), {}));
    if (!memory_) {
      auto files = MUST(FileMemory::create());
      memory_ = TmpFilesystem::create(files, nullptr, TmpOptions());
    }
    return memory_;
  }
  TestFolder lower_;
  TestFolder upper_;
  bool in_memory_ = false;  // the upper layer is a tmpfs
  Ref<vfs::Filesystem> memory_;
  Ref<OverlayFilesystem> overlay_;
  std::unique_ptr<Tree> tree_;
};

using Names = std::vector<std::string>;

}  // namespace caisson::sandbox::fs

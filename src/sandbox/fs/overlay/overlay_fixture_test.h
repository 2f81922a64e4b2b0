// An overlay of a folder of the host, with its upper layer in another.
#pragma once

#include <memory>

#include "sandbox/fs/host/filesystem.h"
#include "sandbox/fs/overlay/filesystem.h"
#include "sandbox/fs/overlay/inode.h"
#include "sandbox/fs/tree_fixture_test.h"

namespace caisson::sandbox::fs {

class OverlayTest : public ::testing::Test {
 protected:
  // As after a restart: nothing is cached.
  void mount() {
    tree_ = nullptr;
    auto lower = MUST(HostFilesystem::create(lower_.open(), {}));
    auto upper = MUST(HostFilesystem::create(upper_.open(), {}));
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
  TestFolder lower_;
  TestFolder upper_;
  Ref<OverlayFilesystem> overlay_;
  std::unique_ptr<Tree> tree_;
};

using Names = std::vector<std::string>;

}  // namespace caisson::sandbox::fs

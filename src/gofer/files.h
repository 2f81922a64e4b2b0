// Files: what the gofer does with the files of its mounts. Every path is resolved beneath a mount's
// descriptor and through no symbolic link; changes go to the file that was opened so.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "gofer/protocol.h"

namespace caisson::gofer {

// Ids of the host that files may be given to.
struct IdRange {
  std::uint32_t first = 0, count = 0;
};

struct Mount {
  Fd root;  // a directory, or a file
  bool readonly = false;
  std::vector<IdRange> uids, gids;  // none: all
};

// What goes back.
struct Answer {
  Reply reply;
  Fd fd;  // or none
};

class Files {
 public:
  explicit Files(std::vector<Mount> mounts) : mounts_(std::move(mounts)) {}
  Answer answer(const Request& request) const;
  const std::vector<Mount>& mounts() const { return mounts_; }

 private:
  ErrnoOr<Answer> perform(const Mount& mount, const Request& request) const;
  std::vector<Mount> mounts_;
};

}  // namespace caisson::gofer

// A file of which a program runs: nobody opens it for writing meanwhile (ETXTBSY).
#pragma once

#include "base/ref.h"
#include "base/result.h"
#include "sandbox/vfs/inode.h"

namespace caisson::sandbox::vfs {

class RunningProgram final : public RefCounted {
 public:
  // ETXTBSY while it is open for writing.
  static ErrnoOr<Ref<RunningProgram>> of(Inode& inode) {
    TRY(inode.data_inode().begin_running());
    return Ref<RunningProgram>::adopt(new RunningProgram(inode.data_inode()));
  }

 private:
  explicit RunningProgram(Inode& inode) : inode_(Ref<Inode>::share(&inode)) {}
  ~RunningProgram() override { inode_->end_running(); }
  const Ref<Inode> inode_;
};

}  // namespace caisson::sandbox::vfs

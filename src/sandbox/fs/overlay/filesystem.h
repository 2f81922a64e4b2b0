// OverlayFilesystem: a file system that is written without being changed. Names are those of two
// layers: what the upper one has covers the lower one, and takes all that is made or changed.
//
// The upper layer is laid out as the host's kernel does it with the option userxattr, so that its
// tools can read a layer that is kept on the host: names that were removed are character devices
// 0/0 (whiteouts), directories that hide the lower one have user.overlay.opaque=y, renamed ones
// name the lower one in user.overlay.redirect. Beyond that, files that had several names below are
// kept under their number in the upper root (index), so that they stay one file.
//
// The lower layer does not change while it is used so.
//
// Locks, in this order: OverlayInode::copy_mutex_ of a node, then of its parents;
// OverlayInode::directory_mutex_ (two of them by address); OverlayFilesystem::mutex_.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/mutex.h"
#include "base/ref.h"
#include "sandbox/fs/special.h"
#include "sandbox/vfs/inode.h"

namespace caisson::sandbox::fs {

class OverlayInode;

struct OverlayOptions {
  std::string options_text;   // as mountinfo shows it: ",lowerdir=..."
  Ref<SpecialFiles> special;  // what stands behind device nodes; null: nothing
};

class OverlayFilesystem final : public vfs::Filesystem {
 public:
  // The upper root gets mode and owner of the lower one; where the lower root is a file, the upper
  // directory holds its copy.
  static ErrnoOr<Ref<OverlayFilesystem>> create(Ref<vfs::Filesystem> lower,
                                                Ref<vfs::Filesystem> upper, OverlayOptions options);

  Ref<vfs::Inode> root() override;
  ErrnoOr<vfs::FilesystemStatus> status() override;
  ErrnoOr<> sync() override { return upper_->sync(); }
  std::string options_text() const override { return options_.options_text; }
  SpecialFiles* special() const { return options_.special.get(); }
  // Files of the lower layer may be others at a restore.
  bool may_change_meanwhile() const override { return true; }
  std::vector<Ref<vfs::Filesystem>> layers() const override { return {lower_, upper_}; }

  // The node of these: the one that is known, or a new one. `number`: its inode number.
  Ref<OverlayInode> inode_of(Ref<vfs::Inode> lower, Ref<vfs::Inode> upper, std::uint64_t number);
  // The node that shows `real`, whether that is its upper or its lower one; null: none is known.
  Ref<OverlayInode> known_inode(const vfs::Inode& real);
  void add_known(const vfs::Inode& real, OverlayInode& inode);
  void forget(OverlayInode& inode);

  // A name in an upper directory that no guest sees.
  std::string temporary_name();
  static bool is_hidden(std::string_view name);

  // --- files that have several names below
  static std::string index_name(std::uint64_t number);
  ErrnoOr<Ref<vfs::Inode>> indexed(std::uint64_t number);  // null: none
  // How many names of one are left that was not copied, for the time after a restart: an empty file
  // in the upper root says so. Wrong counts are all that comes of its failing.
  void keep_links(std::uint64_t number, std::uint64_t left);
  std::optional<std::uint64_t> kept_links(std::uint64_t number);
  void drop_links(std::uint64_t number);
  // How many names are left of such a file; `first` before any was made or removed. mutex() held.
  std::uint64_t& links_of(std::uint64_t number, std::uint64_t first) {
    return links_.try_emplace(number, first).first->second;
  }
  vfs::Inode& upper_root() const { return *upper_root_; }
  vfs::Inode* lower_root() const { return lower_root_.get(); }

  Mutex& mutex() { return mutex_; }

 private:
  OverlayFilesystem(Ref<vfs::Filesystem> lower, Ref<vfs::Filesystem> upper, OverlayOptions options);
  ~OverlayFilesystem() override;
  ErrnoOr<> prepare();
  ErrnoOr<> prepare_directory(const vfs::Attributes& lower);

  OverlayOptions options_;
  Ref<vfs::Filesystem> lower_;
  Ref<vfs::Filesystem> upper_;
  Ref<vfs::Inode> lower_root_;
  Ref<vfs::Inode> upper_root_;
  Ref<OverlayInode> root_;
  std::atomic<std::uint64_t> temporaries_{0};

  Mutex mutex_;
  std::unordered_map<const vfs::Inode*, OverlayInode*> known_;  // but for directories
  std::unordered_map<std::uint64_t, std::uint64_t> links_;
};

// Attributes of the upper layer that are the overlay's own.
inline constexpr std::string_view kOverlayAttributes = "user.overlay.";
inline constexpr std::string_view kOpaque = "user.overlay.opaque";      // "y"
inline constexpr std::string_view kRedirect = "user.overlay.redirect";  // path from the lower root
inline constexpr std::string_view kOrigin = "user.overlay.origin";      // number of the lower file
inline constexpr std::string_view kLinks = "user.overlay.nlink";        // of files in the index

// What an overlay of a file keeps its copy as in the upper directory.
inline constexpr std::string_view kFileRootName = "file";

// The number of what only the upper layer has: those of the layers must not meet. Below 2^53, like
// those of the host's files.
constexpr std::uint64_t upper_number(std::uint64_t inode) { return inode ^ std::uint64_t{1} << 48; }

// Null where the name is absent, or `directory` is null or none.
ErrnoOr<Ref<vfs::Inode>> find_in(vfs::Inode* directory, std::string_view name);
ErrnoOr<bool> is_whiteout(vfs::Inode& inode);
// The number that is an attribute's text; absent: none.
std::optional<std::uint64_t> number_attribute(vfs::Inode& inode, std::string_view name);

}  // namespace caisson::sandbox::fs

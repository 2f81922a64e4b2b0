// Renames. What moves is copied before, so that the upper layer alone renames; a directory that has
// a lower one takes it along by a redirect, nothing below it is copied.
#include <sys/stat.h>

#include <optional>

#include "base/text.h"
#include "sandbox/fs/overlay/inode.h"

namespace caisson::sandbox::fs {

struct OverlayInode::Move {
  std::string_view name, new_name;
  vfs::Inode& from;  // directories of the upper layer
  vfs::Inode& to;
  vfs::Inode& moved;     // in the upper layer
  vfs::Inode* replaced;  // there, too; or null
  bool exchange = false;
  bool hidden_below = false;  // the lower layer has the old name
};

namespace {

// Both directories, in an order that all agree on.
class TwoDirectories {
 public:
  TwoDirectories(Mutex& a, Mutex& b) {
    first_.emplace(&a < &b ? a : b);
    if (&a != &b) second_.emplace(&a < &b ? b : a);
  }

 private:
  std::optional<Locked> first_, second_;
};

}  // namespace

// A file with several names below may have been copied by another one.
ErrnoOr<> OverlayInode::name_in_upper(std::string_view name, OverlayInode& inode) {
  Locked lock(directory_mutex_);
  if (TRY(find_in(upper(), name))) return {};
  return upper()->link(name, *inode.upper());
}

// Under its new name a directory finds its own lower one, or none.
ErrnoOr<> OverlayInode::mark_moved(const OverlayInode& to) {
  if (!is_directory()) return {};
  if (lower_) return upper()->set_attribute(kRedirect, cat("/", lower_path()), 0);
  return to.lower_ ? upper()->set_attribute(kOpaque, "y", 0) : ErrnoOr<>();
}

ErrnoOr<> OverlayInode::move_locked(const Move& move) {
  // A directory replaces neither a whiteout nor one that has whiteouts in it: they change places.
  bool swaps = move.replaced != nullptr && move.moved.is_directory();
  if (move.exchange || swaps) {
    TRY(move.from.rename(move.name, move.moved, move.to, move.new_name, move.replaced,
                         RENAME_EXCHANGE));
    if (move.exchange) return {};
    bool whiteout = !move.replaced->is_directory();
    if (whiteout && move.hidden_below) return {};
    if (whiteout) return move.from.unlink(move.name, *move.replaced);
    return move.hidden_below ? hide_locked(move.name, move.from, move.replaced)
                             : take_locked(move.name, move.from, *move.replaced);
  }
  Ref<vfs::Inode> whiteout;
  std::string temporary;
  if (move.hidden_below) {
    temporary = overlay().temporary_name();
    whiteout = TRY(make_whiteout(move.from, temporary));
  }
  auto done = move.from.rename(move.name, move.moved, move.to, move.new_name, move.replaced, 0);
  if (!whiteout) return done;
  if (done) return move.from.rename(temporary, *whiteout, move.from, move.name, nullptr, 0);
  (void)move.from.unlink(temporary, *whiteout);
  return done;
}

ErrnoOr<> OverlayInode::rename(std::string_view name, vfs::Inode& moved, vfs::Inode& to,
                               std::string_view new_name, vfs::Inode* replaced,
                               std::uint32_t flags) {
  if (OverlayFilesystem::is_hidden(new_name)) return std::unexpected(Errno{EPERM});
  auto& node = static_cast<OverlayInode&>(moved);
  auto& directory = static_cast<OverlayInode&>(to);
  auto* other = static_cast<OverlayInode*>(replaced);
  bool exchange = (flags & RENAME_EXCHANGE) != 0;
  auto from_upper = TRY(copy_up());
  auto to_upper = TRY(directory.copy_up());
  auto moved_upper = TRY(node.copy_up());
  TRY(name_in_upper(name, node));
  if (exchange) {
    TRY(other->copy_up());
    TRY(directory.name_in_upper(new_name, *other));
    TRY(other->mark_moved(*this));
  } else if (other != nullptr) {
    if (other->is_directory()) TRY(other->check_empty());
    TRY(other->keep_open());
  }
  TRY(node.mark_moved(directory));
  TwoDirectories locks(directory_mutex_, directory.directory_mutex_);
  auto covering = TRY(find_in(to_upper.get(), new_name));
  Move move{name, new_name, *from_upper, *to_upper, *moved_upper, covering.get()};
  move.exchange = exchange;
  move.hidden_below = static_cast<bool>(TRY(find_in(lower_.get(), name)));
  TRY(move_locked(move));
  node.set_place(directory, new_name);
  if (exchange) other->set_place(*this, name);
  if (!exchange && other != nullptr) other->lost_name();
  return {};
}

}  // namespace caisson::sandbox::fs

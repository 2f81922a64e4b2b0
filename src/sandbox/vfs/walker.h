// Walker: one walk over a path, component by component. Part of walk.cc and of the calls by path;
// others use walk.h.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/vfs/walk.h"

namespace caisson::sandbox::vfs {

class Walker {
 public:
  Walker(const WalkContext& context, std::uint64_t resolve);

  ErrnoOr<Path> to_end(std::string_view path, WalkFlags flags);
  // Up to the directory of the last component, which has been searched for permission.
  ErrnoOr<> to_parent(std::string_view path);
  // After to_parent(): on through the symbolic link that the last component is, to its parent.
  ErrnoOr<> follow_last(const Ref<Dentry>& link);
  // The place of a name in directory(), with what is mounted there.
  ErrnoOr<Path> enter(Ref<Dentry> dentry);
  // The place itself when last_is_name() does not hold.
  ErrnoOr<Path> enter_last_dots();

  const Path& directory() const { return at_; }
  // "" for "/"; also "." and "..".
  std::string_view last() const { return last_; }
  bool trailing_slash() const { return trailing_slash_; }
  // False also where a magic link led: then directory() is the place, which may be a file.
  bool last_is_name() const { return !jumped_ && !last_.empty() && last_ != "." && last_ != ".."; }

 private:
  struct Frame {  // a symbolic link in whose text we are
    std::unique_ptr<std::string> text;
    std::string_view outer;  // what comes after the link
  };
  // The name of a cached place on a file system that others change, still to be asked for again.
  struct Unchecked {
    Ref<Dentry> directory, dentry;
  };

  ErrnoOr<> start(std::string_view path);
  ErrnoOr<> walk_prefix();
  ErrnoOr<Path> walk_all(std::string_view path, WalkFlags flags);
  ErrnoOr<bool> take_component();
  ErrnoOr<> search() const;
  ErrnoOr<> step(std::string_view name, bool last, bool follow);
  ErrnoOr<> up();
  ErrnoOr<Ref<Dentry>> lookup(std::string_view name);
  ErrnoOr<> follow(Inode& link, std::string_view after, bool last);
  ErrnoOr<> follow_text(std::string text, std::string_view after);
  ErrnoOr<> cross(Path place);
  ErrnoOr<> check_names();
  bool resolves(std::uint64_t flag) const { return (resolve_ & flag) != 0; }

  const WalkContext& context_;
  const std::uint64_t resolve_;
  const Path& root_;
  Path at_;
  std::string_view rest_;
  std::string_view last_;
  bool trailing_slash_ = false;
  bool at_last_ = false;
  bool jumped_ = false;  // at the end, by a magic link
  int links_ = 0;
  std::vector<Frame> frames_;
  Unchecked unchecked_;
  bool stale_ = false;    // unchecked_ did not hold
  bool careful_ = false;  // each name is asked for again at once
};

// A name in a directory whose lock is held, asked for again where others change names.
ErrnoOr<Ref<Dentry>> lookup_for_change(const Path& directory, std::string_view name);

// The rules that creat(2), mkdir(2) ... share.
Creation creation_in(const Ownership& directory, const Credentials& credentials,
                     std::uint32_t mode);
// EROFS for a mount or a file system that is read-only.
ErrnoOr<> may_write(const Path& path);

}  // namespace caisson::sandbox::vfs

#include "sandbox/vfs/watches.h"

#include <fcntl.h>
#include <sys/inotify.h>

#include <algorithm>
#include <utility>

#include "sandbox/vfs/file.h"

namespace caisson::sandbox::vfs {
namespace {

std::uint32_t directory_bit(const Inode& inode) { return inode.is_directory() ? IN_ISDIR : 0; }

bool is_watched(const Inode& inode) { return !inode.filesystem().watches().empty(); }

}  // namespace

Watch::Watch(Ref<Dentry> place)
    : filesystem_(Ref<Filesystem>::share(&place->inode()->filesystem())),
      inode_(Ref<Inode>::share(place->inode())),
      place_(std::move(place)) {}
Watch::~Watch() = default;

// Watches and the names that they keep end outside of the lock: the end of a name comes back here.

void Watches::add(Ref<Watch> watch) {
  Locked lock(mutex_);
  by_inode_[&watch->inode()].watches.push_back(std::move(watch));
  count_.fetch_add(1, std::memory_order_relaxed);
}

bool Watches::remove(Watch& watch) {
  Ref<Watch> removed;
  Ref<Dentry> place;
  Locked lock(mutex_);
  auto found = by_inode_.find(&watch.inode());
  if (found == by_inode_.end()) return false;
  std::vector<Ref<Watch>>& all = found->second.watches;
  auto at = std::find_if(all.begin(), all.end(), [&](auto& one) { return one.get() == &watch; });
  if (at == all.end()) return false;
  removed = std::move(*at);
  place = std::move(removed->place_);
  all.erase(at);
  if (all.empty()) by_inode_.erase(found);
  count_.fetch_sub(1, std::memory_order_relaxed);
  return true;
}

void Watches::tell(const Inode& inode, const WatchEvent& event) {
  std::vector<Ref<Watch>> dropped;
  std::vector<Ref<Dentry>> places;
  Locked lock(mutex_);
  auto found = by_inode_.find(&inode);
  if (found == by_inode_.end()) return;
  std::vector<Ref<Watch>>& all = found->second.watches;
  for (std::size_t i = 0; i < all.size();) {
    if (all[i]->happened(event)) {
      ++i;
      continue;
    }
    all[i]->ended();
    places.push_back(std::move(all[i]->place_));
    dropped.push_back(std::move(all[i]));
    all.erase(all.begin() + static_cast<std::ptrdiff_t>(i));
    count_.fetch_sub(1, std::memory_order_relaxed);
  }
  if (all.empty()) by_inode_.erase(found);
}

void Watches::let_go_of(const Inode& inode) {
  std::vector<Ref<Dentry>> places;
  Locked lock(mutex_);
  auto found = by_inode_.find(&inode);
  if (found == by_inode_.end()) return;
  found->second.is_nameless = true;
  for (const Ref<Watch>& watch : found->second.watches) places.push_back(std::move(watch->place_));
}

void Watches::end_all_of(Watched& watched, std::uint32_t mask) {
  for (const Ref<Watch>& watch : watched.watches) {
    (void)watch->happened({.mask = mask});  // it ends in any case
    watch->ended();
  }
  count_.fetch_sub(watched.watches.size(), std::memory_order_relaxed);
}

void Watches::name_ended(const Inode& inode) {
  Watched ended;
  Locked lock(mutex_);
  auto found = by_inode_.find(&inode);
  if (found == by_inode_.end() || !found->second.is_nameless) return;
  ended = std::move(found->second);
  by_inode_.erase(found);
  end_all_of(ended, IN_DELETE_SELF);
}

void Watches::unmounted() {
  std::unordered_map<const Inode*, Watched> ended;
  std::vector<Ref<Dentry>> places;
  Locked lock(mutex_);
  ended.swap(by_inode_);
  for (auto& [inode, watched] : ended) {
    end_all_of(watched, IN_UNMOUNT);
    for (const Ref<Watch>& watch : watched.watches) places.push_back(std::move(watch->place_));
  }
}

// --- what happened

void tell_of(const Path& path, std::uint32_t mask) {
  const Inode* inode = path.inode();
  if (inode == nullptr || !is_watched(*inode)) return;
  Watches& watches = inode->filesystem().watches();
  WatchEvent event{.mask = mask | directory_bit(*inode),
                   .of_removed_name = path.dentry->is_removed()};
  if (!path.dentry->is_root()) {
    Ref<Dentry> parent = path.dentry->parent();
    std::string name = path.dentry->name();
    event.name = name;
    watches.tell(*parent->inode(), event);
  }
  event.name = {};
  watches.tell(*inode, event);
}

void tell_of(const File& file, std::uint32_t mask) {
  if ((file.flags() & O_PATH) == 0) tell_of(file.path(), mask);
}

void tell_of_self(Inode& inode, std::uint32_t mask) {
  if (is_watched(inode))
    inode.filesystem().watches().tell(inode, {.mask = mask | directory_bit(inode)});
}

void tell_of_name(Inode& directory, std::string_view name, const Inode& object, std::uint32_t mask,
                  std::uint32_t cookie) {
  if (!is_watched(directory)) return;
  directory.filesystem().watches().tell(
      directory, {.mask = mask | directory_bit(object), .cookie = cookie, .name = name});
}

void tell_of_lost_name(Inode& object) {
  if (!is_watched(object)) return;
  if (!object.is_directory()) tell_of_self(object, IN_ATTRIB);
  auto now = object.attributes();
  bool last = object.is_directory() || !now || now->links == 0;
  if (last) object.filesystem().watches().let_go_of(object);
}

std::uint32_t next_watch_cookie() {
  static constinit std::atomic<std::uint32_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace caisson::sandbox::vfs

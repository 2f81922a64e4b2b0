#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/text.h"
#include "sandbox/fs/epoll/epoll.h"
#include "sandbox/fs/epoll/item.h"

namespace caisson::sandbox::fs {
namespace {

std::string padded(std::string text, std::size_t width) {
  return std::string(text.size() < width ? width - text.size() : 0, ' ') + text;
}

}  // namespace

// --- the ready list

void EpollState::list(EpollItem& item, bool first) {
  Locked lock(ready_mutex_);
  if (item.listed) return;
  item.listed = true;
  item.next_ready = first ? first_ready_ : nullptr;
  item.previous_ready = first ? nullptr : last_ready_;
  (item.previous_ready != nullptr ? item.previous_ready->next_ready : first_ready_) = &item;
  (item.next_ready != nullptr ? item.next_ready->previous_ready : last_ready_) = &item;
  ++ready_count_;
}

void EpollState::unlist(EpollItem& item) {
  Locked lock(ready_mutex_);
  if (!item.listed) return;
  item.listed = false;
  (item.next_ready != nullptr ? item.next_ready->previous_ready : last_ready_) =
      item.previous_ready;
  (item.previous_ready != nullptr ? item.previous_ready->next_ready : first_ready_) =
      item.next_ready;
  --ready_count_;
}

// From now on a notification lists it again.
EpollItem* EpollState::take_candidate() {
  EpollItem* item = nullptr;
  {
    Locked lock(ready_mutex_);
    item = first_ready_;
  }
  if (item != nullptr) unlist(*item);  // only who holds mutex_ takes items off
  return item;
}

bool EpollState::has_candidates() const {
  Locked lock(ready_mutex_);
  return first_ready_ != nullptr;
}

// Under the lock of the file's wait queue.
void EpollState::notified(EpollItem& item, vfs::ReadyMask ready) {
  std::uint32_t events = item.events.load(std::memory_order_relaxed);
  if ((events & ~kPrivate & ready) == 0) return;
  list(item);
  queue.notify(POLLIN | POLLRDNORM);
}

// --- registrations

void EpollState::check_now(EpollItem& item, vfs::Caller* caller) {
  if (item.find(caller) == 0) return;
  list(item);
  queue.notify(POLLIN | POLLRDNORM);
}

ErrnoOr<> EpollState::add(vfs::File& file, int fd, EpollEvent event, vfs::Caller* caller,
                          Ref<EpollState> inner) {
  auto item = std::make_unique<EpollItem>(Ref<EpollState>::share(this), file, fd, event);
  item->queue = file.wait_queue();
  item->inner = std::move(inner);
  Locked watcher_lock(file.watcher_lock());
  Locked lock(mutex_);
  auto [place, added] = items_.try_emplace({&file, fd}, nullptr);
  if (!added) return std::unexpected(Errno{EEXIST});
  place->second = std::move(item);
  EpollItem& kept = *place->second;
  file.add_watcher(kept);
  if (kept.inner) kept.inner->add_outer(Ref<EpollState>::share(this));
  kept.queue->add(kept, (event.events & EPOLLEXCLUSIVE) != 0);
  check_now(kept, caller);
  return {};
}

ErrnoOr<> EpollState::modify(vfs::File& file, int fd, EpollEvent event, vfs::Caller& caller) {
  Locked lock(mutex_);
  auto place = items_.find({&file, fd});
  if (place == items_.end()) return std::unexpected(Errno{ENOENT});
  EpollItem& item = *place->second;
  if ((item.events.load(std::memory_order_relaxed) & EPOLLEXCLUSIVE) != 0)
    return std::unexpected(Errno{EINVAL});
  item.events.store(event.events | kAlways, std::memory_order_seq_cst);
  item.data = event.data;
  check_now(item, &caller);
  return {};
}

// Under mutex_ and the file's watcher lock; the item leaves the watchers' list by the caller.
std::unique_ptr<EpollItem> EpollState::take_out(
    std::map<Key, std::unique_ptr<EpollItem>>::iterator place) {
  std::unique_ptr<EpollItem> item = std::move(place->second);
  items_.erase(place);
  item->queue->remove(*item);
  unlist(*item);
  if (item->inner) item->inner->remove_outer(*this);
  return item;
}

ErrnoOr<> EpollState::remove(vfs::File& file, int fd) {
  std::unique_ptr<EpollItem> item;  // ends without the locks
  Locked watcher_lock(file.watcher_lock());
  Locked lock(mutex_);
  auto place = items_.find({&file, fd});
  if (place == items_.end()) return std::unexpected(Errno{ENOENT});
  item = take_out(place);
  file.remove_watcher(*item);
  return {};
}

void EpollState::file_ended(EpollItem& item) {
  std::unique_ptr<EpollItem> taken;
  Locked lock(mutex_);
  taken = take_out(items_.find({&item.file, item.fd}));
}

void EpollState::remove_all_of(vfs::File& file) {
  std::vector<std::unique_ptr<EpollItem>> taken;
  Locked watcher_lock(file.watcher_lock());
  Locked lock(mutex_);
  for (auto place = items_.lower_bound({&file, INT32_MIN});
       place != items_.end() && place->first.first == &file;) {
    auto next = std::next(place);
    taken.push_back(take_out(place));
    file.remove_watcher(*taken.back());
    place = next;
  }
}

// A file that is about to end meanwhile takes its item out itself (and waits for mutex_ to do so,
// which is why the file can be looked at here).
void EpollState::close() {
  for (;;) {
    Ref<vfs::File> file;
    {
      Locked lock(mutex_);
      for (const auto& [key, item] : items_)
        if (key.first->try_add_ref()) {
          file = Ref<vfs::File>::adopt(key.first);
          break;
        }
    }
    if (!file) return;
    remove_all_of(*file);
  }
}

// --- what is ready

std::vector<EpollEvent> EpollState::collect(std::size_t most, vfs::Caller& caller) {
  std::vector<EpollEvent> found;
  Locked lock(mutex_);
  std::size_t candidates = 0;
  {
    Locked ready_lock(ready_mutex_);
    candidates = ready_count_;
  }
  for (; candidates > 0 && found.size() < most; --candidates) {
    EpollItem* item = take_candidate();
    if (item == nullptr) break;
    std::uint32_t events = item->find(&caller);
    if (events == 0) continue;
    found.push_back({events, item->data});
    std::uint32_t wanted = item->events.load(std::memory_order_relaxed);
    if ((wanted & EPOLLONESHOT) != 0)
      item->events.store(wanted & kPrivate, std::memory_order_relaxed);
    else if ((wanted & EPOLLET) == 0)
      list(*item);  // behind the others: nobody starves
  }
  return found;
}

bool EpollState::ready(vfs::Caller* caller) {
  Locked lock(mutex_);
  while (EpollItem* item = take_candidate()) {
    if (item->find(caller) == 0) continue;
    list(*item, true);
    return true;
  }
  return false;
}

std::string EpollState::info_text() const {
  Locked lock(mutex_);
  std::string text;
  for (const auto& [key, item] : items_) {
    auto attributes = item->file.attributes().value_or(vfs::Attributes{});
    append(text, "tfd: ", padded(cat(item->fd), 8),
           " events: ", padded(hex(item->events.load(std::memory_order_relaxed)), 8),
           " data: ", padded(hex(item->data), 16), "  pos:0 ino:", hex(attributes.inode),
           " sdev:", hex(attributes.device), "\n");
  }
  return text;
}

// --- instances in instances

std::vector<Ref<EpollState>> EpollState::inner_states() const {
  std::vector<Ref<EpollState>> states;
  Locked lock(mutex_);
  for (const auto& [key, item] : items_)
    if (item->inner) states.push_back(item->inner);
  return states;
}

int EpollState::depth_below(int limit) const {
  int deepest = 0;
  for (const Ref<EpollState>& inner : inner_states())
    deepest = std::max(deepest, limit > 0 ? 1 + inner->depth_below(limit - 1) : 1);
  return deepest;
}

int EpollState::depth_above(int limit) const {
  std::vector<Ref<EpollState>> states;
  {
    Locked lock(outer_mutex_);
    states = outer_;
  }
  int highest = 0;
  for (const Ref<EpollState>& outer : states)
    highest = std::max(highest, limit > 0 ? 1 + outer->depth_above(limit - 1) : 1);
  return highest;
}

bool EpollState::leads_to(const EpollState& other, int limit) const {
  if (this == &other) return true;
  if (limit == 0) return false;
  for (const Ref<EpollState>& inner : inner_states())
    if (inner->leads_to(other, limit - 1)) return true;
  return false;
}

void EpollState::add_outer(Ref<EpollState> outer) {
  Locked lock(outer_mutex_);
  outer_.push_back(std::move(outer));
}

void EpollState::remove_outer(const EpollState& outer) {
  Ref<EpollState> gone;
  Locked lock(outer_mutex_);
  auto place = std::find_if(outer_.begin(), outer_.end(),
                            [&](const Ref<EpollState>& each) { return each.get() == &outer; });
  if (place == outer_.end()) return;
  gone = std::move(*place);
  outer_.erase(place);
}

}  // namespace caisson::sandbox::fs

// epoll(7). An item watches a file without keeping it open: it stands in the file's wait queue and
// in the file's list of watchers, and goes when the file ends.
//
// Locks, in this order: the nesting lock (one, only while instances are put into each other), the
// file's watcher_lock(), EpollState::mutex_ (outer instance before inner), what the file's ready()
// takes, the file's wait queue, ready_mutex_, the instance's own wait queue.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sandbox/fs/anon_inode/anon_file.h"
#include "sandbox/vfs/caller.h"

namespace caisson::sandbox::fs {

struct EpollEvent {  // struct epoll_event without its packing
  std::uint32_t events = 0;
  std::uint64_t data = 0;
};

class EpollItem;

// What items and instance share: it lives on while a file that ends looks for its item.
class EpollState final : public RefCounted {
 public:
  // `caller` null: nobody in particular asks.
  ErrnoOr<> add(vfs::File& file, int fd, EpollEvent event, vfs::Caller* caller,
                Ref<EpollState> inner);
  ErrnoOr<> modify(vfs::File& file, int fd, EpollEvent event, vfs::Caller& caller);
  ErrnoOr<> remove(vfs::File& file, int fd);
  std::vector<EpollEvent> collect(std::size_t most, vfs::Caller& caller);
  bool ready(vfs::Caller* caller);
  bool has_candidates() const;
  void close();
  std::string info_text() const;
  // Levels of instances below and above this one; more than `limit`: limit + 1. Under the nesting
  // lock.
  int depth_below(int limit) const;
  int depth_above(int limit) const;
  bool leads_to(const EpollState& other, int limit) const;
  Result<> save(state::Writer& to);
  // A registration as it was; `events` with what add() puts to them.
  ErrnoOr<> add_again(vfs::File& file, int fd, EpollEvent event, Ref<EpollState> inner);

  vfs::WaitQueue queue;

 private:
  friend class EpollItem;
  using Key = std::pair<vfs::File*, int>;
  ~EpollState() override = default;

  void notified(EpollItem& item, vfs::ReadyMask ready);
  void file_ended(EpollItem& item);
  std::unique_ptr<EpollItem> take_out(std::map<Key, std::unique_ptr<EpollItem>>::iterator place);
  void list(EpollItem& item, bool first = false);
  EpollItem* take_candidate();
  void unlist(EpollItem& item);
  void check_now(EpollItem& item, vfs::Caller* caller);
  void remove_all_of(vfs::File& file);
  std::vector<Ref<EpollState>> inner_states() const;
  void add_outer(Ref<EpollState> outer);
  void remove_outer(const EpollState& outer);

  mutable Mutex mutex_;
  std::map<Key, std::unique_ptr<EpollItem>> items_;
  mutable Mutex ready_mutex_;
  EpollItem* first_ready_ = nullptr;
  EpollItem* last_ready_ = nullptr;
  std::size_t ready_count_ = 0;
  mutable Mutex outer_mutex_;  // taken last
  std::vector<Ref<EpollState>> outer_;
};

class EpollFile final : public AnonymousFile {
 public:
  static constexpr char kKind = 0;
  explicit EpollFile(std::uint32_t flags);

  // epoll_ctl(2). `fd` is a part of the item's name only. EEXIST ENOENT EINVAL EPERM ELOOP.
  ErrnoOr<> add(vfs::File& file, int fd, EpollEvent event, vfs::Caller& caller);
  ErrnoOr<> modify(vfs::File& file, int fd, EpollEvent event, vfs::Caller& caller);
  ErrnoOr<> remove(vfs::File& file, int fd);

  // Events that are there now, at most `most`; none: wait on wait_queue(), exclusively.
  std::vector<EpollEvent> collect(std::size_t most, vfs::Caller& caller);
  // Whether collect() might find something: a look without the files' locks.
  bool has_candidates() const { return state_->has_candidates(); }
  // After collect(), and by a waiter that leaves without it: tells the next one if there is more.
  void pass_on();

  const void* kind() const override { return &kKind; }
  vfs::ReadyMask ready() override;
  vfs::ReadyMask ready_for(vfs::Caller& caller) override;
  vfs::WaitQueue* wait_queue() override { return &state_->queue; }
  std::string info_text() override { return state_->info_text(); }
  state::Tag save_tag() const override { return state::Tag::kEpollFile; }
  Result<> save(state::Writer& to) override;
  static Result<Ref<vfs::File>> restore(state::Reader& from);

 private:
  ~EpollFile() override;
  Result<> restore_items(state::Reader& from);
  ErrnoOr<> add_nested(EpollFile& inner, int fd, EpollEvent event, vfs::Caller& caller);
  Ref<EpollState> state_;
};

}  // namespace caisson::sandbox::fs

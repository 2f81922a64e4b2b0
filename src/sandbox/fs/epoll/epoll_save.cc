// Instances of epoll(7) in a checkpoint. What was told of an edge is told once more: whether its
// reader had come to it cannot be known.
#include "sandbox/fs/epoll/item.h"
#include "sandbox/state/reader.h"
#include "sandbox/state/writer.h"

namespace caisson::sandbox::fs {

Result<> EpollState::save(state::Writer& to) {
  Locked lock(mutex_);
  to(items_.size());
  for (const auto& [key, item] : items_) {
    to.refer(key.first, "a file that epoll watches");
    to(item->fd, item->events.load(), item->data);
  }
  return {};
}

ErrnoOr<> EpollState::add_again(vfs::File& file, int fd, EpollEvent event, Ref<EpollState> inner) {
  TRY(add(file, fd, event, nullptr, std::move(inner)));
  Locked lock(mutex_);
  items_.find({&file, fd})->second->events = event.events;
  return {};
}

Result<> EpollFile::save(state::Writer& to) {
  to(flags());
  return state_->save(to);
}

// Files that watch each other are all there before any is watched.
Result<Ref<vfs::File>> EpollFile::restore(state::Reader& from) {
  auto file = make_ref<EpollFile>(from.value<std::uint32_t>());
  from.later([file](state::Reader& rest) { return file->restore_items(rest); });
  return Ref<vfs::File>(std::move(file));
}

Result<> EpollFile::restore_items(state::Reader& from) {
  for (std::size_t left = from.count(); left != 0; --left) {
    auto file = TRY(from.object<vfs::File>());
    auto fd = from.value<int>();
    EpollEvent event;
    from(event.events, event.data);
    TRY(from.check());
    auto* inner = vfs::file_as<EpollFile>(*file);
    bool valid = file.get() != this && file->wait_queue() != nullptr &&
                 (inner == nullptr || !inner->state_->leads_to(*state_, 8));
    auto added =
        valid ? state_->add_again(*file, fd, event, inner != nullptr ? inner->state_ : nullptr)
              : ErrnoOr<>(std::unexpected(Errno{22}));
    if (!added) return std::unexpected(state::Reader::damaged("epoll cannot watch a file"));
  }
  return {};
}

}  // namespace caisson::sandbox::fs

#include "sandbox/kernel/message_queues.h"

#include <utility>

namespace caisson::sandbox::kernel {

bool MessageQueue::has_room(std::size_t size) const {
  // Empty messages count as one byte, lest they be without number.
  return bytes + size <= room && messages.size() + 1 <= room;
}

void MessageQueue::add(Message message) {
  bytes += message.bytes.size();
  messages.push_back(std::move(message));
}

ErrnoOr<Message> MessageQueue::take(const Wanted& wanted) {
  auto chosen = messages.end();
  for (auto at = messages.begin(); at != messages.end(); ++at) {
    bool fits = true;
    if (wanted.type > 0) fits = wanted.except != (at->type == wanted.type);
    if (wanted.type < 0)
      fits = at->type <= -wanted.type && (chosen == messages.end() || at->type < chosen->type);
    if (!fits) continue;
    chosen = at;
    if (wanted.type >= 0) break;
  }
  if (chosen == messages.end()) return std::unexpected(Errno{EAGAIN});
  if (chosen->bytes.size() > wanted.most && !wanted.any_size) return std::unexpected(Errno{E2BIG});
  Message taken = std::move(*chosen);
  messages.erase(chosen);
  bytes -= taken.bytes.size();
  return taken;
}

}  // namespace caisson::sandbox::kernel

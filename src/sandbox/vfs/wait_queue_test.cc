#include "sandbox/vfs/wait_queue.h"

#include <poll.h>

#include <atomic>
#include <memory>
#include <thread>

#include <gtest/gtest.h>

namespace caisson::sandbox::vfs {
namespace {

class Counter final : public WaitEntry {
 public:
  using WaitEntry::WaitEntry;
  ~Counter() override { leave(); }
  void notified(ReadyMask ready) override { ++count, last = ready; }
  int count = 0;
  ReadyMask last = 0;
};

TEST(WaitQueue, TellsThoseWhoseMaskMeets) {
  WaitQueue queue;
  Counter in(POLLIN), out(POLLOUT), all;
  queue.add(in);
  queue.add(out);
  queue.add(all);
  queue.notify(POLLIN);
  EXPECT_EQ(in.count, 1);
  EXPECT_EQ(out.count, 0);
  EXPECT_EQ(all.count, 1);
  EXPECT_EQ(all.last, ReadyMask{POLLIN});
}

TEST(WaitQueue, ErrorsAndHangUpsMeetEveryMask) {
  WaitQueue queue;
  Counter in(POLLIN);
  queue.add(in);
  queue.notify(POLLHUP);
  queue.notify(POLLERR);
  EXPECT_EQ(in.count, 2);
}

TEST(WaitQueue, OneNotificationReachesOneExclusiveEntry) {
  WaitQueue queue;
  Counter first, second, shared;
  queue.add(first, true);
  queue.add(second, true);
  queue.add(shared);
  queue.notify(POLLIN);
  EXPECT_EQ(first.count, 1);
  EXPECT_EQ(second.count, 0);
  EXPECT_EQ(shared.count, 1);
  queue.remove(first);
  queue.notify(POLLIN);
  EXPECT_EQ(second.count, 1);
}

TEST(WaitQueue, ExclusiveEntriesThatDoNotMeetArePassedOver) {
  WaitQueue queue;
  Counter writer(POLLOUT), reader(POLLIN);
  queue.add(writer, true);
  queue.add(reader, true);
  queue.notify(POLLIN);
  EXPECT_EQ(writer.count, 0);
  EXPECT_EQ(reader.count, 1);
}

TEST(WaitQueue, NothingComesAfterRemoval) {
  WaitQueue queue;
  Counter a, b, c;
  queue.add(a);
  queue.add(b);
  queue.add(c);
  queue.remove(b);
  queue.remove(b);
  queue.notify(POLLIN);
  EXPECT_EQ(b.count, 0);
  EXPECT_EQ(a.count + c.count, 2);
  queue.remove(c);
  queue.remove(a);
  EXPECT_TRUE(queue.empty());
}

TEST(WaitQueue, EntriesLeaveWhenTheyEnd) {
  WaitQueue queue;
  {
    Counter entry;
    queue.add(entry);
    EXPECT_FALSE(queue.empty());
  }
  EXPECT_TRUE(queue.empty());
}

TEST(WaitQueue, EntriesOutliveTheirQueue) {
  Counter entry;
  auto queue = std::make_unique<WaitQueue>();
  queue->add(entry);
  queue.reset();
  EXPECT_EQ(entry.count, 0);
}

// Linux's poll(2) ends so: its entries are in queues until they are no more.
TEST(WaitQueue, EntriesMayEndWhileTheyAreNotified) {
  WaitQueue queue;
  std::atomic<bool> done = false;
  std::thread notifier([&] {
    while (!done) queue.notify(POLLIN);
  });
  for (int i = 0; i < 50'000; ++i) {
    Counter entry;
    queue.add(entry);
  }
  done = true;
  notifier.join();
  EXPECT_TRUE(queue.empty());
}

}  // namespace
}  // namespace caisson::sandbox::vfs

// Files in flight through unix sockets, and rings of them that nobody can reach.
#include "sandbox/net/rights.h"

#include <poll.h>

#include <gtest/gtest.h>

#include "sandbox/net/net_fixture_test.h"
#include "sandbox/net/unix_endpoint.h"

namespace caisson::sandbox::net {
namespace {

class RightsInFlight : public testing::Test {
 protected:
  struct Pair {
    Ref<Socket> first, second;
  };
  Pair pair() {
    Pair made{MUST(net_.socket(AF_UNIX, SOCK_STREAM)), MUST(net_.socket(AF_UNIX, SOCK_STREAM))};
    MUST(made.first->endpoint().pair(made.second->endpoint(), net_));
    return made;
  }
  ErrnoOr<std::size_t> send(Socket& through, std::vector<Ref<vfs::File>> files) {
    std::byte byte{1};
    auto data = vfs::IoBuffer::of(std::span<const std::byte>(&byte, 1));
    SendRequest request{.data = data, .requester = net_, .ancillary = {}};
    request.ancillary.rights = std::move(files);
    return through.endpoint().send(request);
  }
  std::size_t receive(Socket& from) {
    std::byte byte;
    auto data = vfs::IoBuffer::of(std::span<std::byte>(&byte, 1));
    ReceiveRequest request{.data = data, .requester = net_};
    auto received = from.endpoint().receive(request);
    return received ? received->ancillary.rights.size() : 0;
  }
  // Closing any unix socket looks for rings.
  void collect() { pair() = {}; }
  std::size_t in_flight() { return net_.network().sockets().rights().sockets_in_flight(); }
  std::size_t alive() { return net_.network().unix_endpoints().size(); }

  TestNetwork net_;
};

TEST_F(RightsInFlight, AreCountedUntilTheyAreReceived) {
  auto a = pair();
  auto b = pair();
  ASSERT_TRUE(send(*a.first, {b.first, b.first, b.second}));
  EXPECT_EQ(in_flight(), 2U);
  EXPECT_EQ(receive(*a.second), 3U);
  EXPECT_EQ(in_flight(), 0U);
}

TEST_F(RightsInFlight, KeepSocketsOpen) {
  auto a = pair();
  auto b = pair();
  ASSERT_TRUE(send(*a.first, {b.first}));
  b.first = nullptr;
  EXPECT_EQ(b.second->ready() & POLLHUP, 0U);
  a = {};
  EXPECT_NE(b.second->ready() & POLLHUP, 0U);
}

TEST_F(RightsInFlight, SocketInItsOwnQueueIsCollected) {
  auto a = pair();
  ASSERT_TRUE(send(*a.first, {a.second}));
  EXPECT_EQ(alive(), 2U);
  a = {};
  collect();
  EXPECT_EQ(in_flight(), 0U);
  EXPECT_EQ(alive(), 0U);
}

TEST_F(RightsInFlight, RingOfSeveralIsCollected) {
  auto a = pair();
  auto b = pair();
  auto c = pair();
  ASSERT_TRUE(send(*a.first, {b.second}));
  ASSERT_TRUE(send(*b.first, {c.second}));
  ASSERT_TRUE(send(*c.first, {a.second}));
  a = b = {};
  EXPECT_NE(alive(), 0U);
  c = {};
  collect();
  EXPECT_EQ(in_flight(), 0U);
  EXPECT_EQ(alive(), 0U);
}

TEST_F(RightsInFlight, WhatSomebodyCanReachIsNotCollected) {
  auto a = pair();
  auto b = pair();
  ASSERT_TRUE(send(*a.first, {b.first, b.second}));
  ASSERT_TRUE(send(*b.first, {b.second}));
  b = {};
  collect();
  EXPECT_EQ(in_flight(), 2U);
  EXPECT_EQ(receive(*a.second), 2U);
  collect();
  EXPECT_EQ(in_flight(), 0U);
}

TEST_F(RightsInFlight, ConnectionThatWaitsInItsOwnListenerIsCollected) {
  auto listener = MUST(net_.socket(AF_UNIX, SOCK_STREAM));
  auto client = MUST(net_.socket(AF_UNIX, SOCK_STREAM));
  Address name = Address::unix_name(std::string("\0ring", 5));
  MUST(listener->endpoint().bind(name, net_));
  MUST(listener->endpoint().listen(1, net_));
  MUST(client->endpoint().connect(name, net_));
  ASSERT_TRUE(send(*client, {listener, client}));
  listener = nullptr;
  EXPECT_NE(alive(), 0U);
  client = nullptr;
  collect();
  EXPECT_EQ(alive(), 0U);
}

TEST_F(RightsInFlight, LongChainsAreDroppedWithoutDeepCalls) {
  auto outer = pair();
  Pair last = outer;
  for (int i = 0; i < 20000; ++i) {
    auto next = pair();
    ASSERT_TRUE(send(*last.first, {next.first, next.second}));
    last = std::move(next);
  }
  last = {};
  EXPECT_EQ(alive(), 40002U);
  outer = {};
  EXPECT_EQ(alive(), 0U);
}

TEST_F(RightsInFlight, AreBoundedForThoseWithoutCapabilities) {
  auto& identity = *net_.test_caller().identity;
  identity.effective = 0;
  identity.uid = 77;
  auto a = pair();
  std::vector<Ref<vfs::File>> files(100, Ref<vfs::File>(a.first));
  for (int i = 0; i < 11; ++i) ASSERT_TRUE(send(*a.first, files));
  auto refused = send(*a.first, files);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().value, ETOOMANYREFS);
  EXPECT_EQ(receive(*a.second), 100U);
  EXPECT_TRUE(send(*a.first, files));
}

}  // namespace
}  // namespace caisson::sandbox::net

#include <limits>

#include <gtest/gtest.h>

#include "sandbox/state/envelope.h"
#include "sandbox/state/graph_fixture_test.h"

namespace caisson::sandbox::state {
namespace {

std::string stream_of(Node* root) {
  Writer writer;
  writer.refer(root);
  EXPECT_TRUE(writer.write_objects());
  return writer.take();
}

// The root of a graph; `reader` keeps the rest of it.
Result<Ref<Node>> read_graph(Reader& reader) {
  Ref<Node> root = TRY(reader.object<Node>());
  TRY(reader.finish());
  return root;
}

Result<> try_to_read(std::string_view bytes) {
  auto reader = TRY(Reader::open(bytes, kGraphMakers));
  TRY(read_graph(*reader));
  return {};
}

struct Graph {
  Graph() {
    root->neighbours = {second.get(), root.get()};
    second->neighbours = {root.get(), second.get()};
    root->first = first;
    root->weight = {-5, 200};
    root->facts = {{"a", 1}, {"b", std::numeric_limits<std::int64_t>::min()}};
  }
  Ref<Node> root = make_ref<Node>("root"), second = make_ref<Node>("second"),
            first = make_ref<Node>("first");
};

TEST(StateStream, GivesAGraphBackWithItsCycles) {
  Graph graph;
  std::string bytes = stream_of(graph.root.get());
  auto reader = Reader::open(bytes, kGraphMakers);
  ASSERT_TRUE(reader);
  auto root = read_graph(**reader);
  ASSERT_TRUE(root) << root.error().message();
  EXPECT_EQ((*root)->name, "root");
  EXPECT_EQ((*root)->weight, (Weight{-5, 200}));
  EXPECT_EQ((*root)->facts, graph.root->facts);
  EXPECT_EQ((*root)->first->name, "first");
  ASSERT_EQ((*root)->neighbours.size(), 2U);
  Node* second = (*root)->neighbours[0];
  EXPECT_EQ(second->name, "second");
  EXPECT_EQ((*root)->neighbours[1], root->get());
  EXPECT_EQ(second->neighbours[0], root->get());
}

TEST(StateStream, SavesASharedObjectOnce) {
  auto shared = make_ref<Node>(std::string(1000, 'x'));
  auto one = make_ref<Node>("one");
  one->neighbours = {shared.get(), shared.get(), shared.get()};
  EXPECT_LT(stream_of(one.get()).size(), 1100U);
}

TEST(StateStream, ALongChainTakesNoStack) {
  std::vector<Ref<Node>> chain;
  for (int i = 0; i < 200'000; ++i) {
    chain.push_back(make_ref<Node>("x"));
    if (i != 0) chain[static_cast<std::size_t>(i) - 1]->neighbours = {chain.back().get()};
  }
  EXPECT_TRUE(try_to_read(stream_of(chain.front().get())));
}

TEST(StateStream, ObjectsThatNeedEachOtherTooDeepAreAnError) {
  Ref<Node> last;
  for (int i = 0; i < 6000; ++i) {
    auto next = make_ref<Node>("x");
    next->first = std::move(last);
    last = std::move(next);
  }
  auto read = try_to_read(stream_of(last.get()));
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().message().find("too deep"), std::string::npos);
  while (last) last = Ref<Node>(last->first);
}

TEST(StateStream, ARingOfThoseThatSayWhenTheyAreThereIsWhole) {
  auto one = make_ref<Ring>(), two = make_ref<Ring>();
  one->next = two.get(), two->next = one.get();
  Writer writer;
  writer.refer(one);
  ASSERT_TRUE(writer.write_objects());
  std::string bytes = writer.take();
  auto reader = Reader::open(bytes, kGraphMakers);
  ASSERT_TRUE(reader);
  auto ring = (*reader)->object<Ring>();
  ASSERT_TRUE(ring);
  EXPECT_EQ((*ring)->next->next, ring->get());
}

TEST(StateStream, ARingOfThoseThatDoNotIsAnError) {
  auto one = make_ref<Ring>();
  one->next = one.get();
  one->says_made = false;
  Writer writer;
  writer.refer(one);
  ASSERT_TRUE(writer.write_objects());
  std::string bytes = writer.take();
  auto reader = Reader::open(bytes, kGraphMakers);
  ASSERT_TRUE(reader);
  EXPECT_FALSE((*reader)->object<Ring>());
}

TEST(StateStream, WhatCannotBeSavedIsNamedByTheWayToIt) {
  auto root = make_ref<Node>("root"), bad = make_ref<Node>("bad");
  root->neighbours = {bad.get()};
  bad->savable = false;
  Writer writer;
  writer.refer(root, "process 7");
  auto written = writer.write_objects();
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().message(), "process 7: neighbour: is of a kind that cannot be saved");
}

TEST(StateStream, AReferenceToAnotherKindIsAnError) {
  auto ring = make_ref<Ring>();
  ring->next = ring.get();
  Writer writer;
  writer.refer(ring);
  ASSERT_TRUE(writer.write_objects());
  EXPECT_FALSE(try_to_read(writer.take()));
}

TEST(StateStream, EveryCutAndEveryFlippedBitIsReadWithoutHarm) {
  Graph graph;
  std::string whole = stream_of(graph.root.get());
  for (std::size_t length = 0; length < whole.size(); ++length)
    EXPECT_FALSE(try_to_read(whole.substr(0, length))) << length;
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string bent = whole;
    bent[bit / 8] = static_cast<char>(bent[bit / 8] ^ (1 << bit % 8));
    (void)try_to_read(bent);  // may well be another graph
  }
}

TEST(StateStream, ANumberOutOfRangeIsAnError) {
  Writer writer;
  writer(std::uint64_t{300});
  ASSERT_TRUE(writer.write_objects());
  std::string bytes = writer.take();
  auto reader = Reader::open(bytes, kGraphMakers);
  ASSERT_TRUE(reader);
  EXPECT_EQ((*reader)->value<std::uint8_t>(), 0);
  EXPECT_FALSE((*reader)->check());
}

TEST(StateEnvelope, GivesTheStreamBack) {
  EXPECT_EQ(unseal(seal("some bytes")).value_or(""), "some bytes");
  EXPECT_EQ(unseal(seal("")).value_or("x"), "");
}

TEST(StateEnvelope, AnyFlippedBitIsFound) {
  std::string whole = seal("a stream of more than eight bytes");
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    if (bit / 32 == 3) continue;  // reserved
    std::string bent = whole;
    bent[bit / 8] = static_cast<char>(bent[bit / 8] ^ (1 << bit % 8));
    EXPECT_FALSE(unseal(bent)) << bit;
  }
}

TEST(StateEnvelope, AnotherVersionSaysSo) {
  std::string file = seal("x");
  file[8] = static_cast<char>(kVersion + 1);
  auto read = unseal(file);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code(), "restore.version");
}

}  // namespace
}  // namespace caisson::sandbox::state

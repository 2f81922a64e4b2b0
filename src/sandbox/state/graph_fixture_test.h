// Objects that refer to each other, for tests of the stream alone.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "sandbox/state/reader.h"
#include "sandbox/state/writer.h"

namespace caisson::sandbox::state {

struct Weight {
  std::int32_t grams = 0;
  std::optional<std::uint8_t> class_number;
  friend bool operator==(const Weight&, const Weight&) = default;
};
template <typename Stream>
void describe(Stream& stream, Weight& weight) {
  stream(weight.grams, weight.class_number);
}

// A node of any graph. Its neighbours are read when it is there, so that they may lead back.
class Node final : public RefCounted {
 public:
  explicit Node(std::string its_name) : name(std::move(its_name)) {}
  std::string name;
  Weight weight;
  std::map<std::string, std::int64_t> facts;
  std::vector<Node*> neighbours;  // kept by who made the graph
  Ref<Node> first;                // is whole when this one is made
  bool savable = true;

  Tag save_tag() const { return savable ? Tag::kTask : Tag::kNone; }
  Result<> save(Writer& to) {
    to(name, weight, facts);
    to.refer(first, "first");
    to(neighbours.size());
    for (Node* neighbour : neighbours) to.refer(neighbour, "neighbour");
    return {};
  }
  static Result<Ref<Node>> restore(Reader& from) {
    auto node = make_ref<Node>(from.value<std::string>());
    from(node->weight, node->facts);
    node->first = TRY(from.optional_object<Node>());
    from.later([node](Reader& rest) -> Result<> {
      for (std::size_t left = rest.count(); left != 0; --left)
        node->neighbours.push_back(TRY(rest.object<Node>()).get());
      return {};
    });
    return node;
  }

 private:
  ~Node() override = default;
};

// Refers back to what is not whole yet.
class Ring final : public RefCounted {
 public:
  Ref<RefCounted> kept;
  Ring* next = nullptr;
  bool says_made = true;

  Tag save_tag() const { return Tag::kThreadGroup; }
  Result<> save(Writer& to) {
    to(says_made);
    to.refer(next);
    return {};
  }
  static Result<Ref<Ring>> restore(Reader& from) {
    auto ring = make_ref<Ring>();
    from(ring->says_made);
    if (ring->says_made) from.made(ring);
    ring->next = TRY(from.object<Ring>()).get();
    return ring;
  }

 private:
  ~Ring() override = default;
};

inline constexpr Maker kGraphMakers[] = {
    maker<Node, &Node::restore>(Tag::kTask),
    maker<Ring, &Ring::restore>(Tag::kThreadGroup),
};

}  // namespace caisson::sandbox::state

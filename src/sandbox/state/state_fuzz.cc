// Any bytes as a saved graph: the reader ends, and what it lets through can be written and read
// again.
//
// Input: a stream, without its envelope.
#include <cstdint>
#include <cstdlib>

#include "sandbox/state/envelope.h"
#include "sandbox/state/graph_fixture_test.h"

using namespace caisson::sandbox::state;  // NOLINT: a program of one file

namespace {

caisson::Result<caisson::Ref<Node>> read_graph(Reader& reader) {
  auto root = TRY(reader.object<Node>());
  TRY(reader.finish());
  return root;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (auto stream = unseal(bytes)) bytes = *stream;
  auto reader = Reader::open(bytes, kGraphMakers);
  if (!reader) return 0;
  auto root = read_graph(**reader);
  if (!root) return 0;
  Writer writer;
  writer.refer(*root);
  if (!writer.write_objects()) std::abort();
  std::string again = writer.take();
  auto second = Reader::open(again, kGraphMakers);
  if (!second || !read_graph(**second)) std::abort();
  return 0;
}

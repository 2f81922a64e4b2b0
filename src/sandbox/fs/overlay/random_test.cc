// The same random operations on an overlay and on a plain directory: results and trees must not
// differ. A failure names its seed.
#include <unistd.h>

#include <random>

#include "sandbox/fs/overlay/overlay_fixture_test.h"

namespace caisson::sandbox::fs {
namespace {

// One step, as a function of the tree that it is done on.
class Step {
 public:
  explicit Step(std::mt19937& random) {
    kind_ = random() % 14;
    a_ = path(random);
    b_ = path(random);
    text_ = std::string(random() % 40, static_cast<char>('a' + random() % 26));
    number_ = static_cast<std::uint32_t>(random() % 60);
  }

  std::string on(const Tree& tree) const {
    switch (kind_) {
      case 0: return tree.write(a_, text_);
      case 1: return tree.write(a_, text_, O_WRONLY);
      case 2: return tree.append(a_, text_);
      case 3: return tree.make_directory(a_);
      case 4:
      case 5: return tree.unlink(a_);
      case 6: return tree.remove_directory(a_);
      case 7:
      case 8: return tree.rename(a_, b_);
      case 9: return tree.rename(a_, b_, number_ % 2 == 0 ? RENAME_EXCHANGE : RENAME_NOREPLACE);
      case 10: return tree.link(a_, b_);
      case 11: return tree.make_symlink("target", a_);
      case 12: return tree.set_mode(a_, 0600 + number_ % 8);
      default: return tree.truncate(a_, number_);
    }
  }
  std::string text() const { return cat(kind_, " ", a_, " ", b_, " ", number_); }

 private:
  static std::string path(std::mt19937& random) {
    std::string path;
    std::size_t depth = 1 + random() % 3;
    for (std::size_t i = 0; i < depth; ++i) path += cat("/n", random() % 4);
    return path;
  }
  unsigned long kind_;
  std::string a_, b_, text_;
  std::uint32_t number_;
};

// All of a tree in one text.
std::string shown(const Tree& tree, const std::string& path = "") {
  std::string text;
  for (const auto& name : tree.list(path.empty() ? "/" : path)) {
    std::string below = cat(path, "/", name);
    auto seen = tree.stat(below);
    bool directory = S_ISDIR(seen.mode);
    bool link = S_ISLNK(seen.mode);
    text += cat(below, " ", seen.mode, " ", directory ? 0 : seen.links, " ",
                directory ? ""
                : link    ? tree.read_link(below)
                          : tree.read(below),
                "\n");
    if (directory) text += shown(tree, below);
  }
  return text;
}

void fill(const TestFolder& folder) {
  folder.make_directory("n0");
  folder.make_directory("n0/n1");
  folder.make_directory("n1");
  folder.write("n0/n1/n2", "deep");
  folder.write("n0/n2", "shallow");
  folder.write("n1/n0", "one");
  folder.write("n2", "two");
  ASSERT_EQ(::link(folder.at("n2").c_str(), folder.at("n1/n3").c_str()), 0);
  ASSERT_EQ(::link(folder.at("n0/n2").c_str(), folder.at("n0/n3").c_str()), 0);
}

class OverlayRandom : public OverlayTest, public ::testing::WithParamInterface<unsigned> {};

// Odd seeds keep the upper layer in memory.
TEST_P(OverlayRandom, DoesWhatAPlainDirectoryDoes) {
  in_memory_ = GetParam() % 2 != 0;
  TestFolder plain;
  fill(lower_);
  fill(plain);
  auto host = MUST(HostFilesystem::create(plain.open(), {}));
  Tree expected(host);
  auto before = shown(Tree(MUST(HostFilesystem::create(lower_.open(), {}))));
  std::mt19937 random(GetParam());
  for (int i = 0; i < 400; ++i) {
    Step step(random);
    ASSERT_EQ(step.on(tree()), step.on(expected)) << "step " << i << ": " << step.text();
    if (i % 20 == 19) {
      ASSERT_EQ(shown(tree()), shown(expected)) << "after step " << i;
    }
    if (i % 100 == 99) mount();
  }
  EXPECT_EQ(shown(tree()), shown(expected));
  EXPECT_EQ(shown(Tree(MUST(HostFilesystem::create(lower_.open(), {})))), before);
}

INSTANTIATE_TEST_SUITE_P(Seeds, OverlayRandom, ::testing::Range(1U, 61U));

}  // namespace
}  // namespace caisson::sandbox::fs

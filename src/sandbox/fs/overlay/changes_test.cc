#include "sandbox/fs/overlay/changes.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "sandbox/fs/overlay/overlay_fixture_test.h"

namespace caisson::sandbox::fs {
namespace {

class OverlayChanges : public OverlayTest {
 protected:
  Names changes() {
    Names found;
    EXPECT_TRUE(list_changes(*overlay_, [&](OverlayChange change, std::string path) {
                  constexpr std::string_view kLetters = "ACD";
                  found.push_back(
                      cat(kLetters.substr(static_cast<std::size_t>(change), 1), " ", path));
                }).has_value());
    std::ranges::sort(found);
    return found;
  }
};

TEST_F(OverlayChanges, NothingWrittenIsNothingChanged) {
  lower_.write("f", "x");
  EXPECT_EQ(tree().read("/f"), "x");
  EXPECT_EQ(changes(), Names{});
}

TEST_F(OverlayChanges, EachChangeIsToldOnce) {
  lower_.write("changed", "x");
  lower_.write("removed", "x");
  EXPECT_EQ(tree().append("/changed", "y"), "ok");
  EXPECT_EQ(tree().unlink("/removed"), "ok");
  EXPECT_EQ(tree().write("/added", "z"), "ok");
  EXPECT_EQ(tree().write("/passing", "z"), "ok");
  EXPECT_EQ(tree().unlink("/passing"), "ok");
  twice([&] { EXPECT_EQ(changes(), (Names{"A added", "C changed", "D removed"})); });
}

TEST_F(OverlayChanges, LayersInMemoryAreTheSame) {
  in_memory_ = true;
  lower_.write("removed", "x");
  EXPECT_EQ(tree().unlink("/removed"), "ok");
  EXPECT_EQ(tree().write("/added", "z"), "ok");
  EXPECT_EQ(changes(), (Names{"A added", "D removed"}));
}

}  // namespace
}  // namespace caisson::sandbox::fs

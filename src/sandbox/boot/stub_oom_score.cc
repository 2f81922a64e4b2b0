#include "sandbox/boot/stub_oom_score.h"

#include <algorithm>

#include "base/text.h"
#include "sys/file.h"

namespace caisson::sandbox::boot {
namespace {

// Thousandths of the memory that there is.
constexpr int kMore = 100;
constexpr int kMost = 1000;

}  // namespace

StubOomScore::StubOomScore(FdRef file) : file_(file) {
  if (file.number() < 0) return;
  char text[16];
  auto size = sys::read(file, text, sizeof text);
  if (!size) return;
  own_ = trim(std::string_view(text, *size));
  auto own = parse_number<int>(own_);
  if (own) set(cat(std::min(*own + kMore, kMost)));
}

StubOomScore::~StubOomScore() {
  if (!own_.empty()) set(own_);
}

void StubOomScore::set(std::string_view score) {
  (void)sys::write(file_, score.data(), score.size());
}

}  // namespace caisson::sandbox::boot

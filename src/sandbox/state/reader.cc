#include "sandbox/state/reader.h"

#include <algorithm>
#include <cerrno>

#include "base/text.h"

namespace caisson::sandbox::state {

void Reader::missing_service() {
  MUST(ErrnoOr<>(std::unexpected(Errno{ENOSYS})));
  __builtin_unreachable();
}

Error Reader::damaged(std::string_view why) {
  return Error::with_cause(EBADMSG, cat("the saved state is damaged: ", why))
      .cure("restore from another checkpoint")
      .code("restore.damaged");
}

void Reader::fail(std::string_view why) {
  if (failure_.empty()) failure_ = why;
  rest_ = {};
}

Result<> Reader::check() const {
  if (failure_.empty()) return {};
  return std::unexpected(damaged(failure_));
}

std::uint64_t Reader::number() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (rest_.empty()) return fail("it ends too early"), 0;
    auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    if (shift == 63 && byte > 1) break;
    value |= std::uint64_t{byte & 0x7fU} << shift;
    if ((byte & 0x80) == 0) return value;
  }
  return fail("a number is too long"), 0;
}

std::span<const std::byte> Reader::bytes() {
  std::uint64_t length = number();
  if (length > rest_.size()) fail("it ends too early"), length = 0;
  auto got = std::as_bytes(std::span(rest_.substr(0, length)));
  rest_.remove_prefix(length);
  return got;
}

std::size_t Reader::count() {
  std::uint64_t elements = number();
  if (elements > rest_.size()) fail("it ends too early"), elements = 0;
  return elements;
}

Result<std::unique_ptr<Reader>> Reader::open(std::string_view bytes,
                                             std::span<const Maker> makers) {
  std::unique_ptr<Reader> reader(new Reader(bytes, makers));
  TRY(reader->read_records());
  return reader;
}

Result<> Reader::read_records() {
  auto root = bytes();
  std::size_t records = count();
  records_.reserve(records);
  for (; records != 0; --records) {
    auto tag = value<Tag>();
    auto payload = bytes();
    std::string_view text(reinterpret_cast<const char*>(payload.data()), payload.size());
    records_.push_back({tag, text, nullptr});
  }
  if (!rest_.empty()) fail("something follows its end");
  TRY(check());
  rest_ = {reinterpret_cast<const char*>(root.data()), root.size()};
  return {};
}

void Reader::keep(Ref<RefCounted> object) {
  if (making_ != nullptr) making_->object = std::move(object);
}

Result<> Reader::make(Record& record) {
  auto known = std::ranges::find(makers_, record.tag, &Maker::tag);
  if (known == makers_.end()) return std::unexpected(damaged("an object is of an unknown kind"));
  if (++depth_ > kDeepest) return std::unexpected(damaged("its objects are nested too deep"));
  record.begun = true;
  record.family = known->family;
  std::string_view outer_rest = std::exchange(rest_, record.bytes);
  Record* outer = std::exchange(making_, &record);
  bool outer_put_off = std::exchange(put_off_, false);
  auto made = known->make(*this);
  bool used_up = rest_.empty() || put_off_;
  rest_ = outer_rest;
  making_ = outer;
  put_off_ = outer_put_off;
  --depth_;
  TRY(check());
  if (!made) return std::unexpected(std::move(made).error());
  if (!used_up) return std::unexpected(damaged("an object is longer than it should be"));
  record.object = *std::move(made);
  return {};
}

Result<Ref<RefCounted>> Reader::find(const void* family) {
  std::uint64_t wanted = number();
  TRY(check());
  if (wanted == 0) return Ref<RefCounted>();
  if (wanted > records_.size()) return std::unexpected(damaged("it refers to nothing"));
  Record& record = records_[wanted - 1];
  if (!record.begun) TRY(make(record));
  if (!record.object) return std::unexpected(damaged("two objects need each other first"));
  if (record.family != family)
    return std::unexpected(damaged("it refers to an object of another kind"));
  return record.object;
}

void Reader::later(std::function<Result<>(Reader&)> work) {
  later_.push_back({std::move(work), rest_, making_ != nullptr ? making_->tag : Tag::kNone});
  put_off_ = true;
}

Result<> Reader::finish() {
  if (!rest_.empty()) fail("its root is longer than it should be");
  return settle();
}

Result<> Reader::settle() {
  TRY(check());
  std::string_view outer_rest = rest_;
  while (!later_.empty()) {
    PutOff next = std::move(later_.front());
    later_.pop_front();
    rest_ = next.rest;
    put_off_ = false;
    auto done = next.work(*this);
    TRY(check());
    if (!done) return done;
    if (!rest_.empty() && !put_off_)
      return std::unexpected(damaged("an object is longer than it should be"));
  }
  rest_ = outer_rest;
  return {};
}

}  // namespace caisson::sandbox::state

#include "sandbox/state/writer.h"

#include <cerrno>

namespace caisson::sandbox::state {

void Writer::missing_service() {
  MUST(ErrnoOr<>(std::unexpected(Errno{ENOSYS})));
  __builtin_unreachable();
}

void Writer::number(std::uint64_t value) {
  while (value >= 0x80) {
    current_ += static_cast<char>(value | 0x80);
    value >>= 7;
  }
  current_ += static_cast<char>(value);
}

void Writer::bytes(std::span<const std::byte> bytes) {
  number(bytes.size());
  current_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::uint64_t Writer::number_of(const RefCounted* identity, Object object) {
  auto [known, is_new] = numbers_.try_emplace(identity, objects_.size() + 1);
  if (is_new) objects_.push_back(std::move(object));
  return known->second;
}

// "process 7 (sh): descriptor 5: ", as far as those on the way have said.
std::string Writer::way_to(std::uint64_t number) const {
  std::string way;
  for (; number != 0; number = objects_[number - 1].referred_by) {
    const std::string& note = objects_[number - 1].note;
    if (!note.empty()) way = way.empty() ? note : cat(note, ": ", way);
  }
  return way;
}

Result<> Writer::write_object(std::uint64_t number) {
  const Object& object = objects_[number - 1];
  Result<> saved = {};
  if (object.tag == Tag::kNone)
    saved = std::unexpected(Error::with_cause(EOPNOTSUPP, "is of a kind that cannot be saved"));
  else
    saved = object.save(object.object, *this);
  if (saved) return {};
  std::string way = way_to(number);
  if (way.empty()) return saved;
  return std::unexpected(std::move(saved).error().doing(way));
}

Result<> Writer::write_objects() {
  root_ += current_;
  current_.clear();
  for (; written_ < objects_.size(); ++written_) {
    writing_ = written_ + 1;
    auto written = write_object(writing_);
    writing_ = 0;
    if (!written) return written;
    std::string payload = std::exchange(current_, {});
    this->number(static_cast<std::uint64_t>(objects_[written_].tag));
    bytes(std::as_bytes(std::span(payload)));
    records_ += std::exchange(current_, {});
  }
  return {};
}

std::string Writer::take() {
  current_.clear();
  number(root_.size());
  std::string all = std::exchange(current_, {});
  all += root_;
  number(written_);
  all += std::exchange(current_, {});
  all += records_;
  return all;
}

}  // namespace caisson::sandbox::state

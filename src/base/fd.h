// File descriptors as values: Fd owns and closes, FdRef borrows.
#pragma once

#include <unistd.h>

#include <utility>

namespace caisson {

// A borrowed descriptor; the owner outlives it. Also names AT_FDCWD.
class FdRef {
 public:
  constexpr explicit FdRef(int number) : number_(number) {}
  constexpr int number() const { return number_; }

 private:
  int number_;
};

// Owns a descriptor and closes it exactly once. Move-only; empty after a move.
class [[nodiscard]] Fd {
 public:
  Fd() = default;
  explicit Fd(int number) : number_(number) {}
  Fd(Fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.number_, -1));
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  bool valid() const { return number_ >= 0; }
  explicit operator bool() const { return valid(); }
  int number() const { return number_; }
  FdRef ref() const { return FdRef(number_); }
  operator FdRef() const { return ref(); }  // NOLINT(google-explicit-constructor): a borrow

  // Gives the descriptor up without closing it.
  [[nodiscard]] int release() { return std::exchange(number_, -1); }

  // Closes what is held, if anything, and holds `number` instead. close(2)'s own error carries no
  // information that a caller could act on (the descriptor is gone either way).
  void reset(int number = -1) {
    int old = std::exchange(number_, number);
    if (old >= 0) (void)::close(old);
  }

 private:
  int number_ = -1;
};

}  // namespace caisson

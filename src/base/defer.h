// Runs a function at the end of a scope, unless cancelled.
#pragma once

#include <utility>

namespace caisson {

template <typename F>
class [[nodiscard]] Defer {
 public:
  explicit Defer(F function) : function_(std::move(function)) {}
  Defer(const Defer&) = delete;
  Defer& operator=(const Defer&) = delete;
  ~Defer() {
    if (armed_) function_();
  }
  void cancel() { armed_ = false; }

 private:
  F function_;
  bool armed_ = true;
};

}  // namespace caisson

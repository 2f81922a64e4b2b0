// What objects need of the kernel around them when they are written or read: found by its type, as
// no folder below knows those above.
#pragma once

#include <map>

namespace caisson::sandbox::state {

namespace detail {
template <typename T>
inline constexpr char kIdentity = 0;  // its address tells types apart
}  // namespace detail

class Services {
 public:
  template <typename T>
  void provide(T& service) {
    known_[&detail::kIdentity<T>] = &service;
  }
  // Null: nobody provided one.
  template <typename T>
  T* find() const {
    auto found = known_.find(&detail::kIdentity<T>);
    return found == known_.end() ? nullptr : static_cast<T*>(found->second);
  }

 private:
  std::map<const void*, void*> known_;
};

}  // namespace caisson::sandbox::state

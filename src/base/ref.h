// Ref: shared ownership by a count inside the object, for the few places where sharing is the
// design (inodes, open files, address spaces). One pointer wide; counting is atomic.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace caisson {

// Base of what is shared. Born with one reference, which adopt_ref() takes over.
class RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

  void add_ref() const { references_.fetch_add(1, std::memory_order_relaxed); }
  void drop_ref() const {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1)
      const_cast<RefCounted*>(this)->last_reference_dropped();
  }
  // drop_ref() for those who end the object themselves: whether it was the last.
  bool drop_ref_is_last() const { return references_.fetch_sub(1, std::memory_order_acq_rel) == 1; }
  // Takes a reference unless the last one is gone: for tables that do not own what they list.
  bool try_add_ref() const {
    std::uint32_t count = references_.load(std::memory_order_relaxed);
    while (count != 0)
      if (references_.compare_exchange_weak(count, count + 1, std::memory_order_acq_rel))
        return true;
    return false;
  }
  std::uint32_t reference_count() const { return references_.load(std::memory_order_relaxed); }

 protected:
  virtual ~RefCounted() = default;
  // What happens to an object that nobody has any more.
  virtual void last_reference_dropped() { delete this; }

 private:
  mutable std::atomic<std::uint32_t> references_{1};
};

template <typename T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}  // NOLINT(google-explicit-constructor): an empty Ref
  Ref(const Ref& other) : object_(other.object_) {
    if (object_ != nullptr) object_->add_ref();
  }
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  template <typename U>
    requires std::is_convertible_v<U*, T*>
  Ref(Ref<U> other) : object_(other.release()) {}  // NOLINT(google-explicit-constructor): upcast
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_ != nullptr) object_->drop_ref();
  }

  // Takes over a reference that the caller holds.
  static Ref adopt(T* object) {
    Ref ref;
    ref.object_ = object;
    return ref;
  }
  // Adds a reference of its own.
  static Ref share(T* object) {
    if (object != nullptr) object->add_ref();
    return adopt(object);
  }

  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }
  [[nodiscard]] T* release() { return std::exchange(object_, nullptr); }
  friend bool operator==(const Ref& a, const Ref& b) { return a.object_ == b.object_; }

 private:
  T* object_ = nullptr;
};

template <typename T, typename... Args>
Ref<T> make_ref(Args&&... args) {
  return Ref<T>::adopt(new T(std::forward<Args>(args)...));
}

}  // namespace caisson

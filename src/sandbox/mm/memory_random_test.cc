// Random calls on a small part of an address space, compared after each with a model that knows
// pages only.
#include <cstring>
#include <map>
#include <optional>
#include <random>

#include <gtest/gtest.h>

#include "sandbox/mm/memory_fixture_test.h"

namespace caisson::sandbox::mm {
namespace {

constexpr std::uint64_t kBegin = 0x10000000;
constexpr std::uint64_t kPages = 48;

struct Page {
  int protection = 0;
  bool shared = false;
  std::uint64_t value = 0;                    // its first word, of private memory
  std::uint64_t object = 0, object_page = 0;  // shared memory: which, and which page of it
};

class Model {
 public:
  std::map<std::uint64_t, Page> pages;                                      // by number
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint64_t> common;  // of shared objects

  std::uint64_t& value(std::uint64_t number) {
    Page& page = pages.at(number);
    return page.shared ? common[{page.object, page.object_page}] : page.value;
  }
  void map(std::uint64_t first, std::uint64_t count, int protection, bool shared) {
    std::uint64_t object = shared ? ++objects_ : 0;
    for (std::uint64_t i = 0; i < count; ++i)
      pages[first + i] = Page{protection, shared, 0, object, i};
  }
  void unmap(std::uint64_t first, std::uint64_t count) {
    pages.erase(pages.lower_bound(first), pages.lower_bound(first + count));
  }
  // As mprotect(2): up to the first hole.
  int protect(std::uint64_t first, std::uint64_t count, int protection) {
    for (std::uint64_t i = first; i < first + count; ++i) {
      if (!pages.contains(i)) return ENOMEM;
      pages[i].protection = protection;
    }
    return 0;
  }
  int drop(std::uint64_t first, std::uint64_t count) {
    bool hole = false;
    for (std::uint64_t i = first; i < first + count; ++i) {
      if (!pages.contains(i))
        hole = true;
      else if (!pages[i].shared)
        pages[i].value = 0;
    }
    return hole ? ENOMEM : 0;
  }
  void move(std::uint64_t from, std::uint64_t count, std::uint64_t to) {
    std::map<std::uint64_t, Page> moved;
    for (std::uint64_t i = 0; i < count; ++i) moved[to + i] = pages.at(from + i);
    unmap(from, count);
    unmap(to, count);
    pages.merge(moved);
  }

 private:
  std::uint64_t objects_ = 0;
};

class RandomCalls : public MemoryTest {
 protected:
  std::uint64_t pick(std::uint64_t below) { return random_() % below; }
  static std::uint64_t address(std::uint64_t page) { return kBegin + page * kPageSize; }
  int pick_protection() {
    constexpr int kChoices[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE,
                                PROT_READ | PROT_WRITE};
    return kChoices[pick(4)];
  }
  template <typename T>
  static int error_of(const ErrnoOr<T>& result) {
    return result ? 0 : result.error().value;
  }

  void map_some(std::uint64_t first, std::uint64_t count) {
    int protection = pick_protection();
    bool shared = pick(4) == 0, keeps = pick(3) == 0;
    int flags = (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS |
                (keeps ? MAP_FIXED_NOREPLACE : MAP_FIXED);
    auto taken = model_.pages.lower_bound(first);
    bool is_taken = taken != model_.pages.end() && taken->first < first + count;
    auto result = try_map({address(first), count * kPageSize, protection, flags, nullptr, 0, {}});
    ASSERT_EQ(error_of(result), keeps && is_taken ? EEXIST : 0);
    if (result) model_.map(first, count, protection, shared);
  }
  void move_some(std::uint64_t from, std::uint64_t count) {
    std::uint64_t to = pick(kPages - count + 1);
    bool is_one = one_mapping(from, count);
    auto result = remap(address(from), count * kPageSize, count * kPageSize,
                        MREMAP_MAYMOVE | MREMAP_FIXED, address(to));
    bool overlaps = from < to + count && to < from + count;
    ASSERT_EQ(error_of(result), overlaps ? EINVAL : is_one ? 0 : EFAULT);
    if (result) model_.move(from, count, to);
  }
  bool one_mapping(std::uint64_t from, std::uint64_t count) {
    for (const Mapping& mapping : memory->mappings())
      if (mapping.begin <= address(from) && mapping.end >= address(from + count)) return true;
    return false;
  }
  void touch_some(std::uint64_t page) {
    std::uint64_t value = ++written_;
    auto result = memory->write(address(page), std::as_bytes(std::span(&value, 1)));
    auto found = model_.pages.find(page);
    bool may = found != model_.pages.end() && (found->second.protection & PROT_WRITE) != 0;
    ASSERT_EQ(error_of(result), may ? 0 : EFAULT);
    if (may) model_.value(page) = value;
  }
  void compare() {
    for (std::uint64_t page = 0; page < kPages; ++page) {
      std::uint64_t value = 0;
      auto result = memory->read(address(page), std::as_writable_bytes(std::span(&value, 1)));
      auto found = model_.pages.find(page);
      bool may = found != model_.pages.end() && found->second.protection != PROT_NONE;
      ASSERT_EQ(error_of(result), may ? 0 : EFAULT) << "page " << page;
      if (!may) continue;
      ASSERT_EQ(value, model_.value(page)) << "page " << page;
    }
    ASSERT_TRUE(in_step());
  }
  void step() {
    std::uint64_t count = 1 + pick(8), first = pick(kPages - count + 1);
    switch (pick(7)) {
      case 0:
      case 1: map_some(first, count); break;
      case 2:
        MUST(unmap(address(first), count * kPageSize));
        model_.unmap(first, count);
        break;
      case 3: {
        int protection = pick_protection();
        ASSERT_EQ(error_of(protect(address(first), count * kPageSize, protection)),
                  model_.protect(first, count, protection));
        break;
      }
      case 4: move_some(first, count); break;
      case 5:
        ASSERT_EQ(error_of(advise(address(first), count * kPageSize, MADV_DONTNEED)),
                  model_.drop(first, count));
        break;
      default: touch_some(first); break;
    }
  }

  Model model_;
  std::uint64_t written_ = 0;
  std::mt19937_64 random_;
};

TEST_F(RandomCalls, LeaveWhatAModelOfPagesSays) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    random_.seed(seed);
    reset();
    model_ = Model();
    for (int i = 0; i < 200; ++i) {
      SCOPED_TRACE(i);
      step();
      if (HasFatalFailure()) return;
      compare();
      if (HasFatalFailure()) return;
    }
  }
}

// A host that refuses an order now and then: whatever is answered, mappings and host agree, and
// what was not part of the call is untouched.
TEST_F(RandomCalls, KeepStepWithAHostThatRefuses) {
  for (std::uint64_t seed = 100; seed < 110; ++seed) {
    SCOPED_TRACE(seed);
    random_.seed(seed);
    reset();
    for (int i = 0; i < 200; ++i) {
      std::uint64_t count = 1 + pick(8), first = pick(kPages - count + 1);
      host->fail_with = pick(3) == 0 ? ENOMEM : 0;
      host->orders_before_failure = static_cast<int>(pick(3));
      std::uint64_t length = count * kPageSize;
      switch (pick(4)) {
        case 0:
          (void)try_map({address(first),
                         length,
                         pick_protection(),
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
                         nullptr,
                         0,
                         {}});
          break;
        case 1: (void)unmap(address(first), length); break;
        case 2: (void)protect(address(first), length, pick_protection()); break;
        default:
          (void)remap(address(first), length, (1 + pick(8)) * kPageSize, MREMAP_MAYMOVE);
          break;
      }
      ASSERT_TRUE(in_step()) << i;
    }
  }
}

}  // namespace
}  // namespace caisson::sandbox::mm

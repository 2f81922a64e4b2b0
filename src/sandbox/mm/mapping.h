// One mapping of an address space, and the set of all of them in order of address. Plain data: what
// the host has to do for a change is decided in MemoryMap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "base/ref.h"
#include "sandbox/vfs/file.h"

namespace caisson::sandbox::mm {

constexpr std::uint64_t kPageSize = 4096;

constexpr std::uint64_t page_down(std::uint64_t value) { return value & ~(kPageSize - 1); }
// 0 when it does not fit.
constexpr std::uint64_t page_up(std::uint64_t value) { return page_down(value + kPageSize - 1); }
constexpr bool page_aligned(std::uint64_t value) { return (value & (kPageSize - 1)) == 0; }

// What madvise(2) left behind; VmFlags in /proc/PID/smaps.
struct Advice {
  bool sequential = false, random = false, no_dump = false, huge = false, no_huge = false,
       mergeable = false;
  friend bool operator==(const Advice&, const Advice&) = default;
};

// A file as the host can map it, counted from the file's own begin.
struct Source {
  int fd = -1;              // -1: anonymous memory
  std::uint64_t shift = 0;  // from offsets of the file to those of `fd`
  Ref<vfs::FileEnd> end;    // of the file; null: the host knows it
  Ref<vfs::File> kept;      // on its way to Mapping::file (vfs::MapSource)
  friend bool operator==(const Source&, const Source&) = default;
};

// One mapping: [begin, end) with one set of attributes (what /proc/PID/maps has a line for).
struct Mapping {
  std::uint64_t begin = 0, end = 0;
  int protection = 0;      // PROT_*
  int max_protection = 0;  // what mprotect(2) may give: a shared read-only file has no PROT_WRITE
  bool shared = false;
  bool grows_down = false;
  bool locked = false, lock_on_fault = false;
  bool dont_fork = false, wipe_on_fork = false, no_reserve = false;
  bool sealed = false;   // mseal(2)
  bool special = false;  // made by the kernel: the guest cannot change it
  Advice advice;
  Ref<vfs::File> file;       // null: anonymous
  std::uint64_t offset = 0;  // of `begin` in the file
  Source source;             // what the host has of the file
  // Pages from here to `end` do not exist on the host: the file ended before them when it was last
  // asked. A touch asks again.
  std::uint64_t backed_end = 0;
  std::string name;  // "[vdso]", "[anon:...]"; heap and stack get theirs from MemoryMap

  std::uint64_t length() const { return end - begin; }
  bool holds(std::uint64_t address) const { return address >= begin && address < end; }
  bool anonymous() const { return source.fd < 0; }
};

// Bytes in mappings by kind, as RLIMIT_AS, RLIMIT_DATA and /proc/PID/status count them.
struct MappingTotals {
  std::uint64_t total = 0, data = 0, stack = 0, executable = 0, locked = 0;
};

// Whether a mapping of these attributes counts for RLIMIT_DATA.
bool counts_as_data(const Mapping& mapping);

class MappingTree {
 public:
  using Map = std::map<std::uint64_t, Mapping>;
  using Iterator = Map::const_iterator;

  Iterator begin() const { return map_.begin(); }
  Iterator end() const { return map_.end(); }
  std::size_t size() const { return map_.size(); }
  const MappingTotals& totals() const { return totals_; }

  // The one that holds `address`; null: none.
  const Mapping* find(std::uint64_t address) const;
  // The first that ends above `address`.
  Iterator first_above(std::uint64_t address) const;
  // Whether something is mapped in [begin, end).
  bool touches(std::uint64_t begin, std::uint64_t end) const;
  // Bytes mapped in [begin, end).
  std::uint64_t bytes_in(std::uint64_t begin, std::uint64_t end) const;
  // How many mappings more there would be if [begin, end) were cut out or changed.
  std::size_t splits_at(std::uint64_t begin, std::uint64_t end) const;

  // Nothing may stand there. Neighbours of the same kind become one with it.
  void insert(Mapping mapping);
  void erase(std::uint64_t begin, std::uint64_t end);
  // Calls `change(Mapping&)` for each part of [begin, end) that is mapped; it must leave begin and
  // end alone.
  template <typename Change>
  void change(std::uint64_t begin, std::uint64_t end, Change change) {
    split(begin);
    split(end);
    for (auto at = map_.lower_bound(begin); at != map_.end() && at->first < end; ++at) {
      count(at->second, false);
      change(at->second);
      count(at->second, true);
    }
    merge(begin, end);
  }

 private:
  void split(std::uint64_t address);
  // Puts neighbours together that touch [begin, end].
  void merge(std::uint64_t begin, std::uint64_t end);
  void count(const Mapping& mapping, bool add);

  Map map_;  // by begin
  MappingTotals totals_;
};

// The part [begin, end) of a mapping, as a mapping.
Mapping part_of(const Mapping& mapping, std::uint64_t begin, std::uint64_t end);

}  // namespace caisson::sandbox::mm

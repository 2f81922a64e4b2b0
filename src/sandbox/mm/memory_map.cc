#include "sandbox/mm/memory_map.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace caisson::sandbox::mm {

MemoryMap::MemoryMap(Ref<platform::AddressSpace> space, const HostFigures* figures)
    : space_(std::move(space)), figures_(figures) {
  areas_ = make_layout({.limit = space_->limit()});
  full_from_ = areas_.map_top;
}

ErrnoOr<Ref<MemoryMap>> MemoryMap::create(platform::Platform& platform,
                                          const HostFigures* figures) {
  return Ref<MemoryMap>::adopt(new MemoryMap(TRY(platform.new_address_space()), figures));
}

bool MemoryMap::may_grow(std::uint64_t bytes, bool as_data, const MemoryLimits& limits) const {
  const MappingTotals& totals = tree_.totals();
  if (bytes > limits.address_space || totals.total > limits.address_space - bytes) return false;
  return !as_data || (bytes <= limits.data && totals.data <= limits.data - bytes);
}

bool MemoryMap::may_lock(std::uint64_t bytes, const MemoryLimits& limits) const {
  return bytes <= limits.locked && tree_.totals().locked <= limits.locked - bytes;
}

bool MemoryMap::any_sealed(std::uint64_t begin, std::uint64_t end) const {
  for (auto at = tree_.first_above(begin); at != tree_.end() && at->second.begin < end; ++at)
    if (at->second.sealed) return true;
  return false;
}

std::vector<MemoryMap::Stretch> MemoryMap::backed_stretches(std::uint64_t begin,
                                                            std::uint64_t end) const {
  std::vector<Stretch> stretches;
  for (auto at = tree_.first_above(begin); at != tree_.end() && at->second.begin < end; ++at) {
    Stretch part{std::max(at->second.begin, begin), std::min(at->second.backed_end, end)};
    if (part.begin >= part.end) continue;
    if (!stretches.empty() && stretches.back().end == part.begin)
      stretches.back().end = part.end;
    else
      stretches.push_back(part);
  }
  return stretches;
}

ErrnoOr<> MemoryMap::order_map(platform::Thread* via, const Mapping& mapping, std::uint64_t begin,
                               std::uint64_t end) {
  if (begin >= end) return {};
  platform::MapRequest request;
  request.address = begin;
  request.length = end - begin;
  request.protection = mapping.protection;
  request.shared = mapping.shared;
  request.no_reserve = mapping.no_reserve;
  request.fd = mapping.source.fd;
  if (mapping.source.fd >= 0)
    request.offset = mapping.source.shift + mapping.offset + (begin - mapping.begin);
  return space_->map(via, request);
}

ErrnoOr<> MemoryMap::unmap_range(platform::Thread* via, std::uint64_t begin, std::uint64_t end) {
  if (!tree_.touches(begin, end)) return {};
  const Mapping* first = tree_.find(begin);
  bool makes_two = first != nullptr && first->begin < begin && first->end > end;
  if (makes_two && tree_.size() >= kMostMappings) return std::unexpected(Errno{ENOMEM});
  std::vector<Stretch> stretches = backed_stretches(begin, end);
  if (!stretches.empty()) {
    Stretch whole{stretches.front().begin, stretches.back().end};
    TRY(space_->unmap(via, whole.begin, whole.end - whole.begin));
  }
  erase(begin, end);
  return {};
}

void MemoryMap::erase(std::uint64_t begin, std::uint64_t end) {
  for (auto at = tree_.first_above(begin); at != tree_.end() && at->second.begin < end; ++at)
    if (at->second.file) dropped_.push_back(at->second.file);
  tree_.erase(begin, end);
  image_pages_.remove(begin, end);
  full_from_ = std::min(std::max(full_from_, end), areas_.map_top);
}

void MemoryMap::Hold::unlock() {
  if (!held_) return;
  held_ = false;
  std::vector<Ref<vfs::File>> dropped = std::move(map_.dropped_);
  map_.dropped_.clear();
  lock_.unlock();
}

ErrnoOr<> MemoryMap::unmap(platform::Thread* via, std::uint64_t address, std::uint64_t length) {
  std::uint64_t limit = space_->limit();
  if (!page_aligned(address) || address > limit || length > limit - address)
    return std::unexpected(Errno{EINVAL});
  length = page_up(length);
  if (length == 0) return std::unexpected(Errno{EINVAL});
  Hold hold(*this);
  if (any_sealed(address, address + length)) return std::unexpected(Errno{EPERM});
  return unmap_range(via, address, address + length);
}

// Takes over what stood at the mapping's place. When the host refuses, the old is there still, or
// nothing is.
ErrnoOr<> MemoryMap::place(platform::Thread* via, Mapping mapping) {
  if (mapping.backed_end < mapping.end) TRY(unmap_range(via, mapping.backed_end, mapping.end));
  TRY(order_map(via, mapping, mapping.begin, mapping.backed_end));
  erase(mapping.begin, mapping.end);
  tree_.insert(std::move(mapping));
  peak_total_ = std::max(peak_total_, tree_.totals().total);
  return {};
}

std::uint64_t MemoryMap::set_break(platform::Thread* via, std::uint64_t address,
                                   const MemoryLimits& limits) {
  Hold hold(*this);
  limits_ = limits;
  if (break_begin_ == 0 || address < break_begin_ || address >= space_->limit()) return break_end_;
  std::uint64_t program_data = layout_.data_end - layout_.data_begin;
  if (limits.data < program_data || address - break_begin_ > limits.data - program_data)
    return break_end_;
  std::uint64_t old_end = page_up(break_end_), new_end = page_up(address);
  bool done = true;
  if (new_end < old_end)
    done = !any_sealed(new_end, old_end) && unmap_range(via, new_end, old_end).has_value();
  else if (new_end > old_end)
    done = grow_break(via, old_end, new_end, limits);
  if (done) break_end_ = address;
  return break_end_;
}

bool MemoryMap::grow_break(platform::Thread* via, std::uint64_t from, std::uint64_t to,
                           const MemoryLimits& limits) {
  std::uint64_t length = to - from;
  // A page stays free between the heap and what is above it.
  if (tree_.touches(from, to) || !is_free(tree_, from, length + kPageSize)) return false;
  if (!may_grow(length, true, limits) || tree_.size() >= kMostMappings) return false;
  if (lock_future_ && !may_lock(length, limits)) return false;
  Mapping mapping;
  mapping.begin = from;
  mapping.end = mapping.backed_end = to;
  mapping.protection = PROT_READ | PROT_WRITE;
  mapping.max_protection = PROT_READ | PROT_WRITE | PROT_EXEC;
  mapping.locked = lock_future_;
  mapping.lock_on_fault = lock_future_on_fault_;
  return place(via, std::move(mapping)).has_value();
}

ErrnoOr<Ref<MemoryMap>> MemoryMap::fork(platform::Thread& caller) {
  Ref<MemoryMap> child;
  ErrnoOr<> done = {};
  {
    Locked lock(mutex_);
    Ref<platform::AddressSpace> space = TRY(space_->fork(caller));
    child = Ref<MemoryMap>::adopt(new MemoryMap(std::move(space), figures_));
    child->tree_ = tree_;
    child->image_pages_ = image_pages_;
    child->areas_ = areas_;
    child->full_from_ = full_from_;
    child->layout_ = layout_;
    child->break_begin_ = break_begin_;
    child->break_end_ = break_end_;
    child->limits_ = limits_;
    child->peak_total_ = tree_.totals().total;
    child->ends_ = ends_;
    child->islands_ = islands_;
    child->barriers = barriers.load();
    child->tree_.change(0, ~std::uint64_t{0}, [](Mapping& mapping) {
      if (mapping.file) mapping.file = mapping.file->inherited_by_mapping();
    });
    done = child->drop_what_is_not_inherited();
    child->dropped_.clear();
  }
  if (!done) {
    child->space_->kill();
    return std::unexpected(done.error());
  }
  child->observe_what_is_inherited();
  return child;
}

ErrnoOr<> MemoryMap::drop_what_is_not_inherited() {
  std::vector<Mapping> dropped, wiped;
  for (const auto& [begin, mapping] : tree_) {
    if (mapping.dont_fork)
      dropped.push_back(mapping);
    else if (mapping.wipe_on_fork)
      wiped.push_back(mapping);
  }
  for (const Mapping& mapping : dropped) TRY(unmap_range(nullptr, mapping.begin, mapping.end));
  for (const Mapping& mapping : wiped) TRY(order_map(nullptr, mapping, mapping.begin, mapping.end));
  if (tree_.totals().locked != 0)
    tree_.change(0, ~std::uint64_t{0},
                 [](Mapping& mapping) { mapping.locked = mapping.lock_on_fault = false; });
  return {};
}

void MemoryMap::set_limits(const MemoryLimits& limits) {
  Locked lock(mutex_);
  limits_ = limits;
}

ProgramLayout MemoryMap::layout() const {
  Locked lock(mutex_);
  return layout_;
}

void MemoryMap::set_layout(ProgramLayout layout) {
  Locked lock(mutex_);
  layout_ = std::move(layout);
}

void MemoryMap::set_break_area(std::uint64_t begin) {
  Locked lock(mutex_);
  break_begin_ = break_end_ = begin;
}

AddressLayout MemoryMap::address_layout() const {
  Locked lock(mutex_);
  return areas_;
}

void MemoryMap::set_address_layout(const AddressLayout& layout) {
  Locked lock(mutex_);
  areas_ = layout;
  full_from_ = layout.map_top;
}

void MemoryMap::show_vdso(std::uint64_t address, std::uint64_t length) {
  Mapping mapping;
  mapping.begin = address;
  mapping.end = mapping.backed_end = address + length;
  mapping.protection = mapping.max_protection = PROT_READ | PROT_EXEC;
  mapping.special = true;
  mapping.name = "[vdso]";
  Locked lock(mutex_);
  tree_.insert(std::move(mapping));
}

MemoryUsage MemoryMap::usage() const {
  Locked lock(mutex_);
  const MappingTotals& totals = tree_.totals();
  MemoryUsage usage;
  usage.total = totals.total;
  usage.locked = totals.locked;
  usage.data = totals.data;
  usage.stack = totals.stack;
  usage.executable = totals.executable;
  usage.peak_total = std::max(peak_total_, totals.total);
  lock.unlock();
  if (figures_ == nullptr) return usage;
  // What the stub has for itself is not the guest's.
  ResidentBytes host = figures_->resident(space_->host_pid()).value_or(ResidentBytes{});
  usage.resident = std::min(host.total(), usage.total);
  usage.resident_file = std::min(host.file, usage.resident);
  usage.resident_shared = std::min(host.shared, usage.resident - usage.resident_file);
  usage.peak_resident = std::min(std::max(host.peak, usage.resident), usage.peak_total);
  usage.page_tables = host.page_tables;
  usage.swapped = host.swapped;
  return usage;
}

Mapping MemoryMap::mapping_at(std::uint64_t address) const {
  Locked lock(mutex_);
  const Mapping* found = tree_.find(address);
  return found != nullptr ? *found : Mapping{};
}

std::vector<Mapping> MemoryMap::mappings() const {
  Locked lock(mutex_);
  std::vector<Mapping> copy;
  copy.reserve(tree_.size());
  for (const auto& [begin, mapping] : tree_) copy.push_back(mapping);
  return copy;
}

}  // namespace caisson::sandbox::mm

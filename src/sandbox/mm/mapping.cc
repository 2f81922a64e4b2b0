#include "sandbox/mm/mapping.h"

#include <sys/mman.h>

#include <algorithm>
#include <utility>

namespace caisson::sandbox::mm {
namespace {

bool same_kind(const Mapping& a, const Mapping& b) {
  return a.protection == b.protection && a.max_protection == b.max_protection &&
         a.shared == b.shared && a.grows_down == b.grows_down && a.locked == b.locked &&
         a.lock_on_fault == b.lock_on_fault && a.dont_fork == b.dont_fork &&
         a.wipe_on_fork == b.wipe_on_fork && a.no_reserve == b.no_reserve && a.sealed == b.sealed &&
         a.advice == b.advice && a.file == b.file && a.source == b.source && a.name == b.name;
}

// Whether `b`, which stands right behind `a`, can be one with it.
bool can_join(const Mapping& a, const Mapping& b) {
  if (a.end != b.begin || a.special || b.special || !same_kind(a, b)) return false;
  if (a.file && a.offset + a.length() != b.offset) return false;
  // What exists on the host must stay a prefix.
  return a.backed_end == a.end || b.backed_end == b.begin;
}

}  // namespace

bool counts_as_data(const Mapping& mapping) {
  return (mapping.protection & PROT_WRITE) != 0 && !mapping.shared && !mapping.grows_down;
}

Mapping part_of(const Mapping& mapping, std::uint64_t begin, std::uint64_t end) {
  Mapping part = mapping;
  part.begin = begin;
  part.end = end;
  if (part.file) part.offset += begin - mapping.begin;
  part.backed_end = std::clamp(mapping.backed_end, begin, end);
  return part;
}

const Mapping* MappingTree::find(std::uint64_t address) const {
  auto at = first_above(address);
  return at != map_.end() && at->second.begin <= address ? &at->second : nullptr;
}

MappingTree::Iterator MappingTree::first_above(std::uint64_t address) const {
  auto at = map_.upper_bound(address);
  if (at == map_.begin()) return at;
  auto before = std::prev(at);
  return before->second.end > address ? before : at;
}

bool MappingTree::touches(std::uint64_t begin, std::uint64_t end) const {
  auto at = first_above(begin);
  return at != map_.end() && at->second.begin < end;
}

std::uint64_t MappingTree::bytes_in(std::uint64_t begin, std::uint64_t end) const {
  std::uint64_t bytes = 0;
  for (auto at = first_above(begin); at != map_.end() && at->second.begin < end; ++at)
    bytes += std::min(at->second.end, end) - std::max(at->second.begin, begin);
  return bytes;
}

std::size_t MappingTree::splits_at(std::uint64_t begin, std::uint64_t end) const {
  auto cut = [&](std::uint64_t address) {
    const Mapping* mapping = find(address);
    return mapping != nullptr && mapping->begin < address ? 1U : 0U;
  };
  return cut(begin) + cut(end);
}

void MappingTree::insert(Mapping mapping) {
  std::uint64_t begin = mapping.begin, end = mapping.end;
  count(mapping, true);
  map_.emplace(begin, std::move(mapping));
  merge(begin, end);
}

void MappingTree::erase(std::uint64_t begin, std::uint64_t end) {
  split(begin);
  split(end);
  auto first = map_.lower_bound(begin), last = map_.lower_bound(end);
  for (auto at = first; at != last; ++at) count(at->second, false);
  map_.erase(first, last);
}

void MappingTree::split(std::uint64_t address) {
  auto at = map_.upper_bound(address);
  if (at == map_.begin()) return;
  Mapping& left = std::prev(at)->second;
  if (left.begin == address || left.end <= address) return;
  Mapping right = part_of(left, address, left.end);
  left = part_of(left, left.begin, address);
  map_.emplace_hint(at, address, std::move(right));
}

void MappingTree::merge(std::uint64_t begin, std::uint64_t end) {
  auto at = map_.lower_bound(begin);
  if (at != map_.begin()) --at;
  while (at != map_.end() && at->first <= end) {
    auto next = std::next(at);
    if (next == map_.end()) return;
    Mapping& left = at->second;
    if (!can_join(left, next->second)) {
      at = next;
      continue;
    }
    if (left.backed_end == left.end) left.backed_end = next->second.backed_end;
    left.end = next->second.end;
    map_.erase(next);
  }
}

void MappingTree::count(const Mapping& mapping, bool add) {
  std::uint64_t change = add ? mapping.length() : -mapping.length();
  totals_.total += change;
  if (counts_as_data(mapping)) totals_.data += change;
  if (mapping.grows_down) totals_.stack += change;
  bool runs = (mapping.protection & (PROT_EXEC | PROT_WRITE)) == PROT_EXEC;
  if (runs && !mapping.grows_down) totals_.executable += change;
  if (mapping.locked) totals_.locked += change;
}

}  // namespace caisson::sandbox::mm

// Mappings of files whose end only the sandbox knows: pages behind it must raise SIGBUS, so they do
// not exist on the host.
#include <algorithm>
#include <utility>

#include "sandbox/mm/memory_map.h"

namespace caisson::sandbox::mm {

ErrnoOr<Source> source_of(const Mapping& mapping, std::uint64_t offset, std::uint64_t length) {
  vfs::MapSource told =
      TRY(mapping.file->map_source(offset, length, mapping.protection, mapping.shared));
  return Source{told.fd, told.offset - offset, std::move(told.end), std::move(told.kept)};
}

std::uint64_t backed_length(const Mapping& mapping, std::uint64_t length) {
  if (!mapping.source.end) return length;
  std::uint64_t end = mapping.source.end->bytes();
  return end <= mapping.offset ? 0 : std::min(page_up(end - mapping.offset), length);
}

MemoryMap::~MemoryMap() { forget_ends(); }

void MemoryMap::forget_ends() {
  for (const auto& [key, end] : ends_) end->remove(*this);
}

// From now on the end's moves are told; before the mapping is made, so that none is missed.
void MemoryMap::observe(const Ref<vfs::FileEnd>& end) {
  if (!end) return;
  end->add(*this);
  std::vector<Ref<vfs::FileEnd>> unused;
  {
    Locked lock(mutex_);
    ends_.emplace(end.get(), end);
    if (ends_.size() > most_ends_) unused = take_unused_ends();
  }
  for (const Ref<vfs::FileEnd>& other : unused) other->remove(*this);
}

// Of files that are gone and mapped by nobody: nobody else can come by such an end any more.
std::vector<Ref<vfs::FileEnd>> MemoryMap::take_unused_ends() {
  std::vector<Ref<vfs::FileEnd>> unused;
  for (const auto& [key, end] : ends_)
    if (end->reference_count() == 1) unused.push_back(end);
  for (const Ref<vfs::FileEnd>& end : unused) ends_.erase(end.get());
  most_ends_ = 2 * ends_.size() + kMostEnds;
  return unused;
}

void MemoryMap::observe_what_is_inherited() {
  for (const auto& [key, end] : ends_) {
    end->add(*this);
    file_shrank(*end, end->bytes());  // in case it did so during the fork
  }
}

void MemoryMap::file_shrank(const vfs::FileEnd& end, std::uint64_t bytes) {
  Locked lock(mutex_);
  std::vector<Mapping> parts;
  for (const auto& [begin, mapping] : tree_)
    if (mapping.source.end.get() == &end) parts.push_back(mapping);
  for (const Mapping& part : parts) cut_off(nullptr, part, bytes);
}

void MemoryMap::cut_off(platform::Thread* via, const Mapping& mapping, std::uint64_t bytes) {
  std::uint64_t left = bytes <= mapping.offset ? 0 : page_up(bytes - mapping.offset);
  std::uint64_t kept = mapping.begin + std::min(left, mapping.length());
  if (kept >= mapping.backed_end) return;
  // When the host refuses, the pages stay: zeroes that nobody else sees.
  if (!space_->unmap(via, kept, mapping.backed_end - kept)) return;
  tree_.change(mapping.begin, mapping.end, [&](Mapping& part) { part.backed_end = kept; });
}

}  // namespace caisson::sandbox::mm
